"""Outside APIs asked by the clock: a file in any form, JSON with a list of values, a TAXII 2.1 collection.

In: what a person set. Out: imports like any other, each whole or not at all. How far an API was read moves on only when what it gave was
taken; asked again after a crash it gives the same, which adds nothing.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
from django.db import transaction
from django.db.models import F

from lianfang.commons.frame.scoped import whose
from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import actions as ledger
from lianfang.commons.people import actions as people_actions
from lianfang.commons.people import queries as people
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Fault, Invalid
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.intel import models
from lianfang.rooms.intel.actions import intake
from lianfang.rooms.intel.queries import reading
from lianfang.rooms.intel.types import Api, Form, Stage, Terms
from lianfang.rooms.lake import actions as lake

FIELDS = ("name", "address", "way", "items", "value", "note", "since", "user", "login", "every", "tlp", "confidence", "days", "enabled")
GOES_OUT = ("address", "user", "login")
PURPOSE, TAXII = "lianfang feed secret", "application/taxii+json;version=2.1"
PAGES = 100
"""Pages of a collection in one look; the next look goes on behind them."""


@transaction.atomic
def add_feed(values: Mapping[str, Any], *, actor: Viewer) -> models.Feed:
    """An outside API of the actor's organisation; it is asked within a minute. Raises ``Invalid``, ``Conflict``."""
    actor.must("intel.feed.add")
    row = models.Feed(**{name: value for name, value in values.items() if name in FIELDS}, **whose(actor))
    return _set(row, values.get("secret") or "", "intel.feed_added", {name: str(getattr(row, name)) for name in FIELDS}, actor)


@transaction.atomic
def change_feed(row: models.Feed, values: Mapping[str, Any], *, actor: Viewer) -> models.Feed:
    """Other settings; another address is read from its beginning, and its secret typed again."""
    actor.must("intel.feed.change")
    row = models.Feed.objects.select_for_update().get(pk=row.pk)
    before, secret = {name: getattr(row, name) for name in FIELDS}, values.get("secret") or ""
    for name in FIELDS:
        setattr(row, name, values.get(name, before[name]))
    if not secret and row.sealed and any(getattr(row, name) != before[name] for name in GOES_OUT):
        raise Invalid("The secret has to be typed again", why="It would go to another address, or under another name.", todo="Type it, or leave address and login as they were.", details={"secret": ["type it again"]})
    if any(getattr(row, name) != before[name] for name in ("address", "way", "items", "value", "since")):
        row.position = {}
    return _set(row, secret, "intel.feed_changed", ledger.differing(before, {name: getattr(row, name) for name in FIELDS}), actor)


@transaction.atomic
def remove_feed(row: models.Feed, *, actor: Viewer) -> None:
    """It is no longer asked; what it brought stays."""
    actor.must("intel.feed.delete")
    _told("intel.feed_removed", row, actor, address=row.address)
    row.delete()


@transaction.atomic
def look_now(row: models.Feed, *, actor: Viewer) -> None:
    """Ask it now."""
    actor.must("intel.feed.change")
    _queue(row)
    _told("intel.feed_asked", row, actor)


def ask_feeds() -> int:
    """Put a job before the worker for each API whose time has come; returns how many."""
    rows = list(models.Feed.objects.filter(enabled=True, due__lte=clock.now()))
    for row in rows:
        _queue(row)
    return len(rows)


def read_feed(pk: str) -> None:
    """Ask one API and take in what it gives. What goes wrong is kept on it; it is asked again at its next time."""
    row = models.Feed.objects.filter(pk=pk).first()
    if row is None:
        return
    models.Feed.objects.filter(pk=pk).update(due=clock.now() + timedelta(minutes=max(1, row.every)))
    began = clock.now()
    try:
        content, form, position = _ASKED[row.way](row)
        taken = _take_in(row, content, form) if content else 0
    except Fault as fault:
        models.Feed.objects.filter(pk=pk).update(trouble="\n".join(filter(None, (fault.what, fault.why)))[:400])
        return
    if row.since:
        position["since"] = clock.text(began)
    models.Feed.objects.filter(pk=pk, address=row.address).update(position=position, looked=began, trouble="", brought=F("brought") + taken)


def _take_in(row: models.Feed, content: bytes, form: str) -> int:
    """An import like any other; returns how many are new."""
    actor = Viewer(id=f"feed:{row.pk}", name=row.name, kind="system", organisation=row.organisation, path=row.territory, industry_path=row.industry, territory=(row.territory,), permissions=frozenset({"intel.indicator.add"}))
    made = intake.deliver(row.name, content, form=form, terms=Terms(row.name, row.tlp, row.confidence, row.days), actor=actor)
    if made.stage == Stage.FAILED:
        raise Conflict("What the API gives cannot be read", why=made.trouble, todo="See the import.")
    return made.added


# ---- asking --------------------------------------------------------------------------------------------------------


def _file(row: models.Feed) -> tuple[bytes, str, dict[str, Any]]:
    """The whole file, unless it did not change."""
    return _changed(row, _address(row), lambda body: body)


def _json(row: models.Feed) -> tuple[bytes, str, dict[str, Any]]:
    """The values of a list as a table."""
    content, _form, position = _changed(row, _address(row), lambda body: _as_table(body, row))
    return content, Form.CSV, position


def _changed(row: models.Feed, address: str, read: Any) -> tuple[bytes, str, dict[str, Any]]:
    known = row.position if not row.since else {}
    answer = _fetch(row, address, "", known)
    if answer.status == 304:
        return b"", Form.AUTO, dict(row.position)
    digest = hashlib.sha256(answer.body).hexdigest()
    tags = {name: answer.headers[header] for name, header in (("etag", "etag"), ("modified", "last-modified")) if header in answer.headers}
    position = {**row.position, **tags, "sha256": digest}
    return (b"", Form.AUTO, position) if digest == row.position.get("sha256") or not answer.body.strip() else (read(answer.body), Form.AUTO, position)


def _taxii(row: models.Feed) -> tuple[bytes, str, dict[str, Any]]:
    """All objects that were added behind the watermark, page after page, as one bundle."""
    base, objects, after, following = row.address.rstrip("/") + "/objects/", list[msgspec.Raw](), row.position.get("added_after", ""), ""
    size = 0
    for _ in range(PAGES):
        answer = _fetch(row, _with(base, {**({"added_after": row.position["added_after"]} if row.position.get("added_after") else {}), **({"next": following} if following else {})}), TAXII, {})
        try:
            said = msgspec.json.decode(answer.body or b"{}", type=dict[str, msgspec.Raw])
            objects += msgspec.json.decode(said.get("objects", msgspec.Raw(b"[]")), type=list[msgspec.Raw])
            more, following = msgspec.json.decode(said.get("more", msgspec.Raw(b"false"))), str(msgspec.json.decode(said.get("next", msgspec.Raw(b'""'))))
        except msgspec.DecodeError as error:
            raise Conflict("The answer is no envelope of TAXII", why=str(error)[:200], todo="Check the address of the collection.") from error
        size += len(answer.body)
        after = answer.headers.get("x-taxii-date-added-last", after)
        if not more or not following or size > reading.LARGEST // 2:
            break
    content = b'{"type":"bundle","id":"bundle--' + str(row.pk).encode() + b'","objects":[' + b",".join(map(bytes, objects)) + b"]}"
    return content if objects else b"", Form.STIX, {**row.position, **({"added_after": after} if after else {})}


_ASKED = {Api.FILE: _file, Api.JSON: _json, Api.TAXII: _taxii}


def _fetch(row: models.Feed, address: str, accept: str, known: Mapping[str, Any]) -> Any:
    secret = people.keyring().open(row.sealed, purpose=PURPOSE) if row.sealed else ""
    return lake.fetch(address, user=row.user, secret=secret, login=row.login, accept=accept, known={name: str(known[name]) for name in ("etag", "modified") if known.get(name)})


def _address(row: models.Feed) -> str:
    return _with(row.address, {row.since: row.position["since"]}) if row.since and row.position.get("since") else row.address


def _with(address: str, more: Mapping[str, str]) -> str:
    parts = urlsplit(address)
    return urlunsplit(parts._replace(query=urlencode([*((name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in more), *more.items()])))


def _as_table(body: bytes, row: models.Feed) -> bytes:
    """The records at ``items`` as a table of value and note. Raises ``Conflict`` where none of them has a value."""
    try:
        whole = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise Conflict("The answer is no JSON", why=str(error)[:200], todo="Check address and login.") from error
    text, found = io.StringIO(), 0
    table = csv.writer(text)
    table.writerow(("value", "note"))
    for record in _at(whole, [key for key in row.items.split(".") if key]):
        value = record.get(row.value or "value") if isinstance(record, dict) else record
        if isinstance(value, str | int) and not isinstance(value, bool):
            table.writerow((value, str(record.get(row.note) or "")[:1000] if row.note and isinstance(record, dict) else ""))
            found += 1
    if not found:
        raise Conflict("The answer holds no values", why=f"No record at {row.items or 'its top'} has {row.value or 'value'}.", todo="Check the keys: the API may have changed its form.")
    return text.getvalue().encode()


def _at(whole: Any, keys: list[str]) -> Iterator[Any]:
    """What stands at keys, through lists on the way."""
    if isinstance(whole, list):
        for one in whole:
            yield from _at(one, keys)
    elif not keys:
        yield whole
    elif isinstance(whole, dict) and keys[0] in whole:
        yield from _at(whole[keys[0]], keys[1:])


# ---- inside --------------------------------------------------------------------------------------------------------


def _set(row: models.Feed, secret: str, verb: str, detail: Mapping[str, Any], actor: Viewer) -> models.Feed:
    parts = urlsplit(row.address.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise Invalid("This is no HTTP address", todo="Write it like https://api.example/indicators.", details={"address": ["https://…"]})
    if models.Feed.objects.filter(organisation=row.organisation, name=row.name).exclude(pk=row.pk).exists():
        raise Conflict("There is an outside API of this name already", todo="Choose another name.", details={"name": ["taken"]})
    if secret:
        row.sealed = people_actions.seal(secret, purpose=PURPOSE)
    row.address, row.due, row.trouble = row.address.strip(), clock.now(), ""
    row.save()
    _told(verb, row, actor, **detail, **({"secret": "changed"} if secret else {}))
    return row


def _queue(row: models.Feed) -> None:
    jobs.enqueue("intel.read_feed", {"feed": str(row.pk)}, key=f"intel.read_feed:{row.pk}")


def _told(verb: str, row: models.Feed, actor: Viewer, **detail: Any) -> None:
    ledger.record(verb, row.ref, actor=actor, label=row.name, detail=detail, territory=row.territory, industry=row.industry)
