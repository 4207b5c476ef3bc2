"""One row and many: detail, forms, verbs, removal; every guard; what the journal hears."""

from __future__ import annotations

import html
import re

import pytest
from django import forms
from django.conf import settings

from lianfang.commons.frame import journal, pages, sheets
from lianfang.commons.frame.sheets import differences, many
from lianfang.kernel.errors import Conflict

from . import stage


@pytest.fixture
def heard(monkeypatch):
    told = []
    monkeypatch.setattr(journal, "_recorders", [lambda verb, ref, **rest: told.append((verb, str(ref), rest["actor"].id, rest["detail"]))])
    return told


@pytest.fixture
def alpha(sheet):
    return stage.device(name="alpha", score=5, state="closed")


def test_the_detail_shows_facts_and_what_higher_rooms_add(as_, alpha, sheet):
    pages.panel("stage.device.side", title="告警", order=1)(lambda request, row: f"<p>panel of {row.name}</p>")
    pages.panel("stage.device.side", title="秘密", permission="nobody.has.this")(lambda request, row: "secret panel")
    page = as_("member").get(f"/stage/device/{alpha.pk}/").content.decode()
    assert "panel of alpha" in page
    assert "secret panel" not in page
    assert '<a href="/stage/device/">设备</a>' in page


@pytest.mark.parametrize("path", ["", "change/", "remove/"])
def test_an_outsider_cannot_tell_a_hidden_row_from_none(as_, alpha, path):
    hidden = as_("outsider").get(f"/stage/device/{alpha.pk}/{path}")
    nowhere = as_("outsider").get(f"/stage/device/00000000-0000-7000-8000-000000000000/{path}")
    assert hidden.status_code == nowhere.status_code == 404
    assert "alpha" not in hidden.content.decode()


@pytest.mark.parametrize(("path", "method"), [("add/", "get"), ("add/", "post"), ("{pk}/change/", "post"), ("{pk}/remove/", "post"), ("export/", "get"), ("import/", "get"), ("import/", "post")])
def test_a_reader_is_told_which_permission_is_missing(as_, alpha, path, method):
    answer = getattr(as_("reader"), method)(f"/stage/device/{path.format(pk=alpha.pk)}", {"name": "x"})
    assert answer.status_code == 403
    assert "stage.device." in answer.content.decode()
    assert stage.Device.objects.get().name == "alpha"


def test_a_reader_sees_no_button_that_would_refuse(as_, alpha):
    page = as_("reader").get("/stage/device/").content.decode() + as_("reader").get(f"/stage/device/{alpha.pk}/").content.decode()
    assert not any(part in page for part in ("/add/", "/import/", "/export/", "/change/", "/remove/", 'name="do"'))


def test_a_new_row_belongs_to_who_made_it_and_the_journal_hears(as_, sheet, heard):
    answer = as_("member").post("/stage/device/add/", {"name": "beta", "level": "4", "state": "active", "score": "7", "guarded": "on"})
    row = stage.Device.objects.get(name="beta")
    assert answer["Location"] == f"/stage/device/{row.pk}/"
    assert (row.organisation, row.territory) == (stage.MEMBER.organisation, stage.MEMBER.path)
    given = {"name": "beta", "address": "", "level": "4", "state": "active", "score": "7", "guarded": "true", "seen": ""}
    assert heard == [("stage.device_added", f"stage:device:{row.pk}", "m", {"after": given})]


def test_what_is_wrong_stands_beside_its_field_and_nothing_is_written(as_, alpha, heard):
    answer = as_("member").post("/stage/device/add/", {"name": "alpha", "level": "x", "state": "active", "score": "7", "address": "10.0.0.999"})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert page.count('class="error"') == 3
    assert stage.Device.objects.count() == 1
    assert not heard


def test_a_change_tells_before_and_after_and_no_change_tells_nothing(as_, alpha, heard):
    form = {"name": "alpha", "level": "3", "state": "closed", "score": "9", "guarded": "on", "address": "10.0.0.7"}
    member = as_("member")
    member.post(f"/stage/device/{alpha.pk}/change/", form)
    assert heard == [("stage.device_changed", f"stage:device:{alpha.pk}", "m", {"before": {"address": "", "score": "5"}, "after": {"address": "10.0.0.7", "score": "9"}})]
    member.post(f"/stage/device/{alpha.pk}/change/", form)
    assert len(heard) == 1


def test_the_api_tells_before_and_after_too(as_, sheet, heard):
    client = as_("member")
    made = client.post("/api/stage/device/", {"name": "beta", "score": 3}, content_type="application/json").json()
    client.patch(f"/api/stage/device/{made['id']}/", {"guarded": False}, content_type="application/json")
    client.delete(f"/api/stage/device/{made['id']}/")
    added, changed, removed = (detail for _verb, _ref, _who, detail in heard)
    assert added["after"]["score"] == "3"
    assert changed == {"before": {"guarded": "true"}, "after": {"guarded": "false"}}
    assert removed["before"] == {**added["after"], "guarded": "false"}


def test_what_is_sensitive_is_named_and_never_shown_and_long_values_are_cut(as_, sheet, alpha, heard, monkeypatch):
    monkeypatch.setattr(sheet, "sensitive", ("address",))
    monkeypatch.setattr(differences, "LONGEST", 8)
    member = as_("member")
    member.post(f"/stage/device/{alpha.pk}/change/", {"name": "a long name for a device", "level": "3", "state": "closed", "score": "5", "guarded": "on", "address": "10.0.0.7"})
    member.post("/stage/device/", {"do": "remove", "row": [str(alpha.pk)], "confirm": "1"})
    changed, removed = (detail for _verb, _ref, _who, detail in heard)
    assert changed == {"before": {"name": "alpha"}, "after": {"name": "a long n…"}, "withheld": ["address"]}
    assert "address" not in removed["before"]
    assert removed["withheld"] == ["address"]
    assert "10.0.0.7" not in str(heard)


def test_what_is_typed_unseen_is_withheld_without_being_marked(sheet):
    class Hidden(sheets.SheetForm):
        class Meta:
            model, fields, widgets = stage.Device, ("name",), {"name": forms.PasswordInput}

    sheet.form = Hidden
    assert differences.secrets(sheet) == {"name"}


def test_a_misspelt_sensitive_field_is_refused():
    with pytest.raises(Conflict, match="passwort"):
        sheets.Sheet(model=stage.Device, columns=("name",), sensitive=("passwort",))


@pytest.mark.skipif("ledger" not in settings.ROOMS, reason="the audit page is of ledger")
def test_the_audit_page_shows_what_a_form_changed(as_, alpha, rf):
    from lianfang.commons.ledger import models, pages

    as_("member").post(f"/stage/device/{alpha.pk}/change/", {"name": "gamma", "level": "3", "state": "closed", "score": "5", "guarded": "on"})
    shown = pages.what_changed(rf.get("/"), models.Record.objects.get(verb="stage.device_changed"))
    assert "alpha" in shown
    assert "gamma" in shown


def test_removal_asks_first(as_, alpha, heard):
    member = as_("member")
    assert "alpha" in member.get(f"/stage/device/{alpha.pk}/remove/").content.decode()
    assert stage.Device.objects.exists()
    member.post(f"/stage/device/{alpha.pk}/remove/")
    assert not stage.Device.objects.exists()
    assert heard[0][0] == "stage.device_removed"


def test_a_verb_on_many_says_what_was_done_and_what_was_not_and_why(as_, sheet):
    made = [stage.device(name=name, score=score, state="closed") for name, score in (("a", 1), ("b", -1), ("c", 3))]
    answer = as_("member").post("/stage/device/", {"do": "enable", "row": [str(row.pk) for row in made]}, follow=True)
    assert stage.Device.objects.filter(state="active").count() == 2
    page = answer.content.decode()
    assert "启用：已处理 2 条" in page
    assert "b: A device below zero stays off" in page


def test_a_verb_on_all_takes_what_the_question_finds_in_my_scope_only(as_, sheet):
    for n in range(60):
        stage.device(name=f"on-{n}", state="closed")
    stage.device(name="off", state="closed")
    other = stage.Device.objects.create(name="on-elsewhere", state="closed", organisation="org-9", territory="00009")
    as_("member").post("/stage/device/?q=on-", {"do": "enable", "all": "1"})
    assert stage.Device.objects.filter(state="active").count() == 60
    other.refresh_from_db()
    assert other.state == "closed"


def test_an_outsiders_choice_of_my_rows_does_nothing(as_, alpha):
    answer = as_("outsider").post("/stage/device/", {"do": "enable", "row": [str(alpha.pk)]})
    assert answer.status_code == 422
    alpha.refresh_from_db()
    assert alpha.state == "closed"


def test_bulk_removal_is_confirmed_with_the_names(as_, sheet):
    made = [stage.device(name=f"x{n}") for n in range(3)]
    member, chosen = as_("member"), [str(row.pk) for row in made]
    page = member.post("/stage/device/", {"do": "remove", "row": chosen}).content.decode()
    assert all(row.name in page for row in made)
    assert stage.Device.objects.count() == 3
    member.post("/stage/device/", {"do": "remove", "row": chosen, "confirm": "1"})
    assert stage.Device.objects.count() == 0


def test_after_a_verb_nobody_is_led_to_another_site(as_, alpha):
    answer = as_("member").post("/stage/device/", {"do": f"enable:{alpha.pk}", "next": "//evil.example/"})
    assert answer["Location"] == "/stage/device/"
    assert as_("member").post("/stage/device/", {"do": f"enable:{alpha.pk}", "next": "/stage/device/?q=a"})["Location"] == "/stage/device/?q=a"


def test_a_form_from_elsewhere_is_refused(as_, alpha):
    answer = as_("member", enforce_csrf_checks=True).post("/stage/device/add/", {"name": "forged"})
    assert answer.status_code == 403
    assert not stage.Device.objects.filter(name="forged").exists()


# -- all that a question finds, however many -----------------------------------------------------------------------


def go(client, address, do, **more):
    """Press the verb, then what the page presses by itself, until it has ended. Gives the answers."""
    answers, given = [], {"do": do, "all": "1", **more}
    while given and len(answers) < 20:
        answers.append(client.post(address, given, headers={"HX-Request": "true", "HX-Target": "run"} if answers else {}))
        page = answers[-1].content.decode()
        given = {}
        for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page) if "upto" in page else ():
            given.setdefault(name, []).append(html.unescape(value))
    return answers


def test_a_verb_on_all_goes_through_every_row_in_steps_and_tells_how_far_it_is(as_, sheet, monkeypatch):
    monkeypatch.setattr(many, "STEP", 10)
    for n in range(34):
        stage.device(name=f"on-{n}", score=-1 if n in (3, 20) else n, state="closed")
    answers = go(as_("member"), "/stage/device/?q=on-&state=closed&sort=-score", "enable")
    assert stage.Device.objects.filter(state="active").count() == 32
    assert [len(answers), "0 / 34" in answers[0].content.decode(), "20 / 34" in answers[2].content.decode()] == [5, True, True]
    ended = answers[-1].content.decode()
    assert "启用：已处理 32 条" in ended
    assert "2 条" in ended
    assert "on-3: A device below zero stays off" in ended


def test_rows_that_come_while_a_verb_goes_on_are_left_alone(as_, sheet, monkeypatch):
    monkeypatch.setattr(many, "STEP", 2)
    for n in range(3):
        stage.device(name=f"on-{n}", state="closed")
    member = as_("member")
    first = member.post("/stage/device/", {"do": "enable", "all": "1"}).content.decode()
    stage.device(name="late", state="closed")
    given = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', first))
    for _step in range(2):
        given = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', member.post("/stage/device/", given).content.decode()))
    assert set(stage.Device.objects.filter(state="active").values_list("name", flat=True)) == {"on-0", "on-1", "on-2"}
    assert not given.get("upto")


def test_removal_of_all_asks_with_the_whole_number_and_takes_all(as_, sheet, monkeypatch):
    monkeypatch.setattr(many, "STEP", 10)
    for n in range(25):
        stage.device(name=f"x{n}")
    member = as_("member")
    asked = member.post("/stage/device/", {"do": "remove", "all": "1"}).content.decode()
    assert "25" in asked
    assert stage.Device.objects.count() == 25
    go(member, "/stage/device/", "remove", confirm="1")
    assert stage.Device.objects.count() == 0


def test_a_way_that_was_tampered_with_is_refused(as_, alpha):
    assert as_("member").post("/stage/device/", {"do": "enable", "all": "1", "upto": "everything"}).status_code == 422
    assert as_("outsider").post("/stage/device/", {"do": "enable", "all": "1", "upto": str(alpha.pk)}).status_code == 200
    alpha.refresh_from_db()
    assert alpha.state == "closed"


def test_ticked_rows_that_are_gone_are_told(as_, alpha):
    page = as_("member").post("/stage/device/", {"do": "enable", "row": [str(alpha.pk), "00000000-0000-7000-8000-000000000000"]}, follow=True).content.decode()
    assert "启用：已处理 1 条" in page
    assert "1 条已找不到" in page


def test_more_ticks_than_a_form_may_hold_are_refused_with_the_way_out(as_, alpha, settings):
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 5
    answer = as_("member").post("/stage/device/", {"do": "enable", "row": [str(alpha.pk)] * 9})
    assert answer.status_code == 422
    assert "5" in answer.content.decode()
