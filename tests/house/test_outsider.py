"""An outsider sees nothing, anywhere: every sheet, page and API route of the open rooms, found by itself.

A new sheet or route is covered the day it appears: rows are made from the models' own fields, addresses are read from
the URL resolver, so nothing can hide. The member of the organisation walks the same way, so that emptiness means refusal.
"""

import datetime
import uuid
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import models as db
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

if "people" not in settings.ROOMS:
    pytest.skip("this node opens no people", allow_module_level=True)

from lianfang.commons.frame import sheets
from lianfang.commons.frame.scoped import Scoped
from lianfang.commons.people import actions
from lianfang.commons.people import models as people
from lianfang.kernel import clock
from lianfang.kernel.viewer import SYSTEM

assert get_resolver().url_patterns  # importing the addresses lets every room declare its pages and sheets

pytestmark = pytest.mark.django_db

MARK = "harbour-only-7f3a"
"""Stands in every text of every row that the outsider may not see."""

OPEN = {"account_login", "account_logout", "mfa_authenticate", "set_language", "healthz", "metrics", "decoy_script", "decoy_door", "submit", "submit_to", "submitted"}
"""Addresses for strangers: the door, the language, what machines ask about the node's health, what decoy pages carry (by a name that cannot be guessed), and the door of a response centre."""

NODE_WIDE = {"people.role", "ledger.checkpoint", "detect.pack", "detect.rule", "detect.baseline", "detect.ownscenario"}
"""Sheets whose rows belong to the node: everybody on it who may open the list reads them (what a role means, what the
node signed, by which rules it looks, which kinds of attack are described), and only who sees the whole node changes them."""


# ---- rows made from the models' own fields -----------------------------------------------------------------------


def text_for(field, number):
    mark = "node-wide" if field.model._meta.label_lower in NODE_WIDE else MARK
    said = f"people:user:{mark}-{number:03d}" if field.name.endswith("ref") else f"{mark}-{number:03d}"
    return said if (field.max_length or 200) >= len(said) else f"{number:x}{uuid.uuid4().hex}"[: field.max_length]


def value_for(field, number, home):
    """A value this field takes; texts carry the mark."""
    if field.is_relation:
        return sample(field.related_model, home)
    if getattr(field, "choices", None):
        return field.flatchoices[0][0]
    if isinstance(field, db.UUIDField):
        return uuid.uuid4()
    if isinstance(field, db.EmailField):
        return f"{MARK}-{number}@example.org"
    if isinstance(field, db.CharField | db.TextField | db.SlugField):
        return text_for(field, number)
    kinds = ((db.BooleanField, True), (db.DateTimeField, clock.now()), (db.DateField, datetime.date(2026, 11, 20)), (db.GenericIPAddressField, "192.0.2.7"), (db.JSONField, {}), (db.BinaryField, b"\x07"), (db.DurationField, datetime.timedelta(1)))
    return next((value for kind, value in kinds if isinstance(field, kind)), number)


_made: dict = {}


def sample(model, home):
    """A row of ``model`` that belongs to ``home``; made once per test."""
    if model is people.Organisation:
        return people.Organisation.objects.get(pk=home.pk)
    if model is people.Role:
        return people.Role.objects.get(key="administrator")
    if model in _made:
        return _made[model]
    number = len(_made) + 1
    where = {"organisation": home if model is people.User else str(home.pk), "territory": home.territory, "industry": home.industry} if issubclass(model, Scoped) else {}
    values = {}
    for field in model._meta.concrete_fields:
        free_text = isinstance(field, db.CharField | db.TextField) and not field.choices
        if field.name in where:
            values[field.name] = where[field.name]
        elif not field.has_default() and not isinstance(field, db.AutoField) and (free_text or not field.null):
            values[field.name] = value_for(field, number, home)
    row = model(**values)
    db.Model.save(row, force_insert=True)  # the plain one: what a room's own save refuses is not the question here
    _made[model] = row
    return row


@pytest.fixture
def world():
    """One organisation with a row of everything, its administrator, and the administrator of another organisation."""
    call_command("createcachetable", verbosity=0)
    _made.clear()
    actions.found("Sector centre")
    root = people.Organisation.objects.get(parent=None).pk
    homes = [people.Organisation.objects.get(pk=actions.create_organisation(name, parent=root, actor=SYSTEM).id) for name in (f"Port {MARK}", "Mill")]
    users = []
    for home, username in zip([*homes, people.Organisation.objects.get(pk=root)], ("member", "outsider", "above"), strict=True):
        person = actions.create_user(username, name=username, organisation=home.pk, actor=SYSTEM).person
        actions.grant(person.id, role="administrator", over=home.pk, actor=SYSTEM)
        people.User.objects.filter(pk=person.id).update(must_change_password=False)
        users.append(people.User.objects.get(pk=person.id))
    rows = {sheet.name: sample(sheet.model, homes[0]) for sheet in sheets.registered()}
    return SimpleNamespace(member=users[0], outsider=users[1], above=users[2], rows=rows, models=[row for row in (*_made.values(), homes[0]) if row._meta.label_lower not in NODE_WIDE])


def client_of(user=None):
    client = Client(raise_request_exception=False)  # a page that breaks is told with all others
    if user is not None:
        client.force_login(user)
    return client


# ---- addresses read from the resolver ------------------------------------------------------------------------------


def routes(resolver=None, before=(), spaces=()):
    """Every route: (full name, room, pieces); pieces are texts and converters."""
    resolver = resolver or get_resolver()
    for entry in resolver.url_patterns:
        pieces = (*before, entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry, pieces, (*spaces, *([entry.namespace] if entry.namespace else [])))
        elif isinstance(entry, URLPattern):
            name = ":".join((*spaces, entry.name or str(entry.pattern)))
            yield SimpleNamespace(name=name, pieces=pieces, room=room_of(pieces), arguments={key: converter for piece in pieces for key, converter in piece.converters.items()})


def room_of(pieces):
    words = "".join(str(piece) for piece in pieces).removeprefix("api/").split("/")
    return words[0]


def address(route, **arguments):
    """The route's address with these arguments; what is not given is made up."""
    made_up = {"UUIDConverter": str(uuid.uuid4()), "IntConverter": "7"}
    text = ""
    for piece in route.pieces:
        part = str(piece)
        for key, converter in piece.converters.items():
            said = str(arguments.get(key, made_up.get(type(converter).__name__, "x")))
            for written in (f"<{key}>", *(f"<{kind}:{key}>" for kind in ("uuid", "int", "str", "slug", "path"))):
                part = part.replace(written, said)
        text += part
    return f"/{text}"


def all_routes():
    found = [route for route in routes() if not route.name.endswith(("static", "debug"))]
    assert found, "the node answers no address at all"
    return found


def turned_away(answer):
    """Sent to the login, or refused."""
    return answer.status_code in (401, 403, 404, 405) or (answer.status_code in (301, 302) and answer["Location"].startswith((reverse("account_login"), "/i18n")))


# ---- the walks -----------------------------------------------------------------------------------------------------


def test_a_stranger_is_turned_away_everywhere(world):
    client = client_of()
    let_in = []
    for route in all_routes():
        if route.name.split(":")[-1] in OPEN:
            continue
        for method in ("get", "post", "put", "patch", "delete"):
            answer = getattr(client, method)(address(route))
            if not turned_away(answer):
                let_in.append(f"{method.upper()} {address(route)} → {answer.status_code}")
    assert not let_in


def test_a_wrong_key_is_turned_away_everywhere(world):
    client = Client(raise_request_exception=False, headers={"Authorization": "Lianfang abcdefgh2345:wrong"})
    let_in = [address(route) for route in all_routes() if route.name.split(":")[-1] not in OPEN and not turned_away(client.get(address(route)))]
    assert not let_in


@pytest.mark.long
def test_an_outsider_opens_nothing_of_another_organisation(world):
    """Every address with an argument, tried with every row of that room, by reading and by writing."""
    client = client_of(world.outsider)
    before = {row: type(row)._base_manager.filter(pk=row.pk).values().get() for row in world.models}
    seen = []
    for route in all_routes():
        if not route.arguments or route.name.split(":")[-1] in OPEN:
            continue
        for row in [row for row in world.models if row._meta.app_label == route.room]:
            for method in ("get", "post", "put", "patch", "delete"):
                answer = getattr(client, method)(address(route, **dict.fromkeys(route.arguments, row.pk)), **({"content_type": "application/json", "data": {}} if route.pieces[0:1] and str(route.pieces[0]).startswith("api") else {}))
                if (answer.status_code < 400 or answer.status_code >= 500) and not (answer.status_code == 302 and answer["Location"] == "/"):
                    seen.append(f"{method.upper()} {address(route, **dict.fromkeys(route.arguments, row.pk))} ({row._meta.label}) → {answer.status_code}")
    assert not seen
    after = {row: type(row)._base_manager.filter(pk=row.pk).values().get() for row in world.models}
    assert before == after


def content(answer):
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


@pytest.mark.long
def test_no_page_or_list_says_a_word_of_another_organisation(world):
    """Every address without an argument: lists, exports, overviews, APIs."""
    client = client_of(world.outsider)
    told = []
    for route in all_routes():
        if route.arguments or route.name.split(":")[-1] in OPEN:
            continue
        for question in ("", "?format=xlsx", "?format=csv", f"?q={MARK[:12]}"):
            answer = client.get(address(route) + question)
            if answer.status_code >= 500:
                told.append(f"{address(route)}{question} broke")
            elif answer.status_code == 200 and MARK.encode() in content(answer).replace(question[3:].encode() or b"\0", b""):
                told.append(address(route) + question)
    assert not told


@pytest.mark.parametrize("sheet", [sheet for sheet in sheets.registered() if sheet.name in NODE_WIDE], ids=lambda sheet: sheet.name)
def test_who_sees_a_part_changes_nothing_of_the_whole(world, sheet):
    """An administrator of one organisation reads what belongs to the node, and changes none of it."""
    row, outsider = world.rows[sheet.name], client_of(world.outsider)
    before = type(row)._base_manager.filter(pk=row.pk).values().get()
    listing, api = reverse(f"{sheet.room}:{sheet.kind}_list"), f"/api/{sheet.room}/{sheet.path}/{row.pk}/"
    for verb in (*sheet.verbs, *([SimpleNamespace(name="remove")] if sheet.removes else [])):
        outsider.post(listing, {"do": f"{verb.name}:{row.pk}", "confirm": "1"})
    outsider.delete(api)
    outsider.patch(api, {name: value for name, value in before.items() if isinstance(value, str)} | {"name": "taken", "title": "taken"}, content_type="application/json")
    assert type(row)._base_manager.filter(pk=row.pk).values().get() == before


@pytest.mark.parametrize("sheet", [sheet for sheet in sheets.registered() if sheet.name not in NODE_WIDE], ids=lambda sheet: sheet.name)
def test_a_sheet_hides_its_rows_from_an_outsider(world, sheet):
    row = world.rows[sheet.name]
    outsider = client_of(world.outsider)
    inside = client_of(world.member if issubclass(sheet.model, Scoped) else world.above)  # what belongs to no organisation is for who sees the node
    listing = reverse(f"{sheet.room}:{sheet.kind}_list")
    api = f"/api/{sheet.room}/{sheet.path}/"
    assert str(row.pk) not in outsider.get(api).content.decode()
    for verb in (*sheet.verbs, *([SimpleNamespace(name="remove")] if sheet.removes else [])):
        answer = outsider.post(listing, {"do": f"{verb.name}:{row.pk}", "confirm": "1"})
        assert answer.status_code in (403, 404, 422), f"{verb.name} answered {answer.status_code}"
        assert outsider.post(listing, {"do": verb.name, "row": [str(row.pk)], "confirm": "1"}).status_code in (403, 404, 422)
    assert type(row)._base_manager.filter(pk=row.pk).exists()
    assert str(row.pk) in inside.get(listing).content.decode(), "somebody must see it, or this test sees nothing"
    assert str(row.pk) in inside.get(api).content.decode()
