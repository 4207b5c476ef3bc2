"""What a role may do and how far a user sees, shown through pages and APIs."""

import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import get_resolver, reverse

from lianfang.commons.frame import pages, sheets
from lianfang.commons.ledger.models import Record
from lianfang.commons.people import actions, models, queries
from lianfang.commons.people.types import FUNCTIONS
from lianfang.kernel import clock
from lianfang.kernel.viewer import SYSTEM, Viewer

assert get_resolver().url_patterns  # importing the addresses lets every room declare its pages and sheets


@pytest.fixture(autouse=True)
def _cache(db):
    call_command("createcachetable", verbosity=0)


def inside(user):
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


# ---- function permissions ------------------------------------------------------------------------------------------


@pytest.mark.covers("A07")
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.key)
def test_a_role_opens_the_pages_and_lists_of_its_function_and_no_others(tree, make_person, function):
    """Every page, list and API of every open room: open exactly if the role holds its permission."""
    client, viewer = inside(make_person("somebody", tree.root, function.key)), Viewer(id="", name="", permissions=frozenset(function.permissions))
    wrong = []
    for page in (page for page in pages.registered() if page.permission and page.url()):
        if (client.get(page.url()).status_code == 403) is viewer.may(page.permission):
            wrong.append(page.url_name)
    for sheet in sheets.registered():
        if (client.get(f"/api/{sheet.room}/{sheet.path}/").status_code == 200) is not viewer.may(sheet.permission("view")):
            wrong.append(f"api {sheet.name}")
    assert not wrong


@pytest.mark.covers("A07")
def test_nobody_sees_menus_they_cannot_use(tree, make_person):
    auditor, analyst = inside(make_person("auditor", tree.root, "auditor")), inside(make_person("analyst", tree.root, "analyst"))
    users, here = reverse("people:user_list"), reverse("people:account")
    assert users in auditor.get(here).content.decode()
    assert users not in analyst.get(here).content.decode()
    assert auditor.get(users).status_code == 200
    assert analyst.get(users).status_code == 403


@pytest.mark.covers("A07")
def test_looking_is_not_touching(people, tree, make_person):
    """The auditor reads everything about people and changes nothing, by page, by form, by verb, by API."""
    client = inside(make_person("auditor", tree.root, "auditor"))
    member = people.member.pk
    assert client.get(reverse("people:user", kwargs={"pk": member})).status_code == 200
    assert client.post(reverse("people:user_change", kwargs={"pk": member}), {"name": "x"}).status_code == 403
    assert client.post(reverse("people:user_reset", kwargs={"pk": member})).status_code == 403
    assert client.post(reverse("people:user_list"), {"do": f"deactivate:{member}", "confirm": "1"}).status_code in (403, 404)
    assert client.patch(f"/api/people/user/{member}/", {"name": "x"}, content_type="application/json").status_code == 403
    assert client.post(reverse("people:user_invite"), {"username": "new"}).status_code == 403
    before = models.User.objects.get(pk=member)
    assert (before.name, before.is_active) == ("Member", True)


@pytest.mark.covers("A07")
def test_a_role_of_ones_own_takes_effect_at_once(client, node, tree, make_person):
    """An administrator makes a role on the page, grants it on the page, and the user's next request obeys it."""
    boss, user = inside_admin(node), make_person("newcomer", tree.east)
    theirs = inside(user)
    assert theirs.get(reverse("people:user_list")).status_code == 403
    role = {"key": "phone_book", "name": "Phone book", "permissions": "people.user.view\npeople.organisation.view", "clearance": "1", "landing": "", "about": ""}
    assert boss.post(reverse("people:role_add"), role).status_code == 302
    granted = boss.post(reverse("people:grant_add"), {"user": str(user.pk), "role": str(models.Role.objects.get(key="phone_book").pk), "over": tree.east, "axis": "territory"})
    assert granted.status_code == 302
    assert theirs.get(reverse("people:user_list")).status_code == 200
    assert theirs.get(reverse("people:grant_list")).status_code == 403
    boss.post(reverse("people:grant_remove", kwargs={"pk": models.Grant.objects.get(user=user).pk}))
    assert theirs.get(reverse("people:user_list")).status_code == 403
    assert {"people.role_created", "people.granted", "people.revoked"} <= set(Record.objects.values_list("verb", flat=True))


def inside_admin(node):
    models.User.objects.filter(pk=node.admin.pk).update(must_change_password=False)
    return inside(models.User.objects.get(pk=node.admin.pk))


# ---- data scope ------------------------------------------------------------------------------------------------------


def listed(client, kind="user"):
    answer = client.get(f"/api/people/{kind}/")
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.covers("A08")
def test_all_under_my_region_or_only_my_unit(people):
    """The member sees the own unit, the colleague above sees the region, the outsider sees neither; page, API and export agree."""
    expected = {"member": {"Member"}, "colleague": {"Member", "Colleague"}, "outsider": {"Outsider"}}
    for username, names in expected.items():
        client = inside(getattr(people, username))
        export = client.get(reverse("people:user_export"), {"format": "csv"})
        answers = (client.get(reverse("people:user_list")).content.decode().split("<main", 1)[1], listed(client), b"".join(export.streaming_content if export.streaming else [export.content]).decode())
        for answer in answers:
            assert {name for name in ("Member", "Colleague", "Outsider") if name in answer} == names


@pytest.mark.covers("A08")
def test_what_lies_outside_ones_scope_does_not_exist(people, tree):
    outsider = inside(people.outsider)
    grant = models.Grant.objects.get(user=people.member)
    key = actions.make_key("forwarder", permissions=["lake.event.add"], actor=queries.viewer_of(people.member))
    pk_of_key = models.Key.objects.get(code=key.id).pk
    for kind, pk in (("user", people.member.pk), ("organisation", tree.harbour), ("grant", grant.pk), ("key", pk_of_key)):
        assert outsider.get(reverse(f"people:{kind}", kwargs={"pk": pk})).status_code == 404
        assert outsider.get(f"/api/people/{kind}/{pk}/").status_code == 404
        assert str(pk) not in listed(outsider, kind)
    assert outsider.post(reverse("people:user_reset", kwargs={"pk": people.member.pk})).status_code == 404
    assert outsider.post(reverse("people:grant_remove", kwargs={"pk": grant.pk})).status_code == 404
    assert models.Grant.objects.filter(pk=grant.pk).exists()


@pytest.mark.covers("A08")
def test_the_industry_body_sees_its_members_wherever_they_are(people, tree, make_person):
    client = inside(make_person("officer", tree.banks, "auditor", axis="industry"))
    seen = listed(client, "organisation")
    assert "harbour" in seen
    assert "mill" in seen
    assert "quay" not in seen


@pytest.mark.covers("A08")
def test_a_key_reaches_no_further_than_its_unit(people, tree):
    key = actions.make_key("script", permissions=["people.*.view"], over=tree.harbour, actor=queries.viewer_of(people.colleague))
    client = Client(headers={"Authorization": key.header})
    assert "Member" in listed(client)
    assert "Colleague" not in listed(client)


@pytest.mark.covers("A08")
def test_one_hat_at_a_time(tree, make_person, people):
    """Administrator of the own unit, reader of the region: the two are never mixed, and one changes hats on the account page."""
    user = make_person("both", tree.harbour, "administrator")
    actions.grant(user.pk, role="auditor", over=tree.east, actor=SYSTEM)
    client, colleague = inside(user), models.User.objects.get(username="colleague")
    assert "Colleague" not in listed(client)
    wide = next(hat for hat in queries.hats(user) if len(hat.roles) == 1)
    assert client.post(reverse("people:hat"), {"hat": wide.key}).status_code == 302
    assert "Colleague" in listed(client)
    assert client.post(reverse("people:user_reset", kwargs={"pk": colleague.pk})).status_code == 403
    assert client.post(reverse("people:user_reset", kwargs={"pk": people.member.pk})).status_code == 403, "not even where the other hat would allow it"


@pytest.mark.covers("A08")
def test_a_moved_unit_is_seen_by_its_new_superiors_at_once(node, people, tree):
    """Moved on the form of the organisation; the old region no longer sees it, the unit itself stays whole."""
    boss, colleague, member = inside_admin(node), inside(people.colleague), inside(people.member)
    harbour = models.Organisation.objects.get(pk=tree.harbour)
    form = {"name": harbour.name, "short_name": "", "kind": harbour.kind, "code": "", "parent": tree.west, "industry_parent": tree.banks}
    assert boss.post(reverse("people:organisation_change", kwargs={"pk": tree.harbour}), form).status_code == 302
    assert "Member" not in listed(colleague)
    assert "Member" in listed(member)
    assert "quay" in listed(member, "organisation")
    assert told("people.organisation_moved")["before"]["under"] == "east"
    assert told("people.organisation_moved")["after"]["under"] == "west"


def told(verb):
    """The detail of the newest record of this verb."""
    return json.loads(Record.objects.filter(verb=verb).latest("time").detail)


def test_the_record_of_a_change_shows_what_was_before_and_after(node, people, tree):
    boss, member = inside_admin(node), people.member
    boss.post(reverse("people:user_change", kwargs={"pk": member.pk}), {"name": "Li Ming", "organisation": tree.mill, "email": "", "phone": "", "language": member.language})
    assert told("people.user_changed") == {"before": {"name": "Member", "organisation": "harbour"}, "after": {"name": "Li Ming", "organisation": "mill"}}

    east = models.Organisation.objects.get(pk=tree.east)
    boss.post(reverse("people:organisation_change", kwargs={"pk": east.pk}), {"name": east.name, "short_name": "E", "kind": east.kind, "code": "", "parent": east.parent_id, "industry_parent": ""})
    assert told("people.organisation_changed") == {"before": {"short_name": ""}, "after": {"short_name": "E"}}

    role = {"key": "phone_book", "name": "Phone book", "permissions": "people.user.view", "clearance": "1", "landing": "", "about": ""}
    boss.post(reverse("people:role_add"), role)
    own = models.Role.objects.get(key="phone_book")
    boss.post(reverse("people:role_change", kwargs={"pk": own.pk}), role | {"permissions": "people.organisation.view"})
    assert told("people.role_changed") == {"before": {"permissions": ["people.user.view"]}, "after": {"permissions": ["people.organisation.view"]}}

    until = clock.now() + timedelta(days=9)
    for end in (None, until):
        actions.grant(member.pk, role=own.pk, over=tree.mill, until=end, actor=SYSTEM)
    assert told("people.granted")["before"] == {"until": None}
    assert told("people.granted")["after"] == {"until": clock.text(until)}

    page = boss.get(reverse("ledger:record", kwargs={"pk": Record.objects.get(verb="people.user_changed").pk})).content.decode()
    assert "Li Ming" in page
    assert ">Member<" in page


# ---- the pages of people ---------------------------------------------------------------------------------------------


def test_invite_then_first_login(client, node, tree):
    boss = inside_admin(node)
    form = {"kind": "person", "name": "王芳", "username": "wang.fang", "organisation": tree.quay, "email": "", "phone": "", "role": str(models.Role.objects.get(key="analyst").pk), "over": "", "axis": "territory"}
    page = boss.post(reverse("people:user_invite"), form)
    assert "no-store" in page["Cache-Control"]
    once = page.content.decode().split('id="said"', 1)[1].split(">", 1)[1].split("<", 1)[0].strip()
    answer = client.post(reverse("account_login"), {"login": "wang.fang", "password": once})
    assert client.get(answer["Location"])["Location"] == reverse("account_change_password")
    again = boss.post(reverse("people:user_invite"), form)
    assert again.status_code == 422
    assert models.User.objects.filter(username="wang.fang").count() == 1


def test_a_key_is_shown_once(node, client):
    boss = inside_admin(node)
    page = boss.post(reverse("people:key_new"), {"name": "forwarder", "user": str(node.admin.pk), "permissions": "people.user.view", "over": "", "until": ""})
    header = page.content.decode().split('id="said"', 1)[1].split(">", 1)[1].split("<", 1)[0].strip()
    name, _, value = header.partition(": ")
    assert client.get("/api/people/me", headers={name: value}).status_code == 200
    listing = boss.get(reverse("people:key_list")).content.decode()
    assert "forwarder" in listing
    assert value.split(":")[1] not in listing


def test_the_tree_shows_both_axes(people, tree):
    client = inside(people.colleague)
    by_territory = client.get(reverse("people:tree")).content.decode()
    assert by_territory.index("east") < by_territory.index("harbour") < by_territory.index("quay")
    by_industry = client.get(reverse("people:tree"), {"axis": "industry"}).content.decode().split("<main", 1)[1]
    assert "harbour" in by_industry
    assert "quay" not in by_industry
    assert client.get(reverse("people:tree"), {"under": tree.mill}).status_code == 404


def test_the_matrix_knows_every_permission_that_is_asked_for(node):
    matrix = inside_admin(node).get(reverse("people:permissions")).content.decode()
    missing = {page.permission for page in pages.registered() if page.permission and page.permission not in matrix}
    assert not missing


def test_organisations_come_by_file_too(node, tree):
    """The sheet's own import, through our action: each gets its seat."""
    boss = inside_admin(node)
    answer = boss.post("/api/people/organisation/", {"name": "brook", "kind": "member", "parent": tree.west}, content_type="application/json")
    assert answer.status_code in (200, 201)
    west = models.Organisation.objects.get(pk=tree.west)
    assert models.Organisation.objects.get(name="brook").territory.startswith(west.territory)


def test_a_landing_page_is_one_that_opens(tree, make_person):
    for function in FUNCTIONS:
        client = inside(make_person(f"lands-{function.key}".replace("_", "-"), tree.root, function.key))
        answer = client.get("/", follow=True)
        assert answer.status_code == 200
