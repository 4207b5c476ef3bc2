"""The audit pages, by the same three people as everywhere and an auditor."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from types import SimpleNamespace

import polib
import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import translation

from lianfang.commons.frame import sheets
from lianfang.commons.ledger import actions, models, pages, queries
from lianfang.commons.ledger.models import wording
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import SYSTEM, Viewer

if "people" not in settings.ROOMS:
    pytest.skip("pages need people", allow_module_level=True)

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.jobs.models import Job, Schedule
from lianfang.commons.people import actions as people
from lianfang.commons.people import models as persons

pytestmark = pytest.mark.django_db


@pytest.fixture
def node(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.LANGUAGE_CODE = "en"
    call_command("createcachetable", verbosity=0)
    people.found("centre")
    root = persons.Organisation.objects.get(parent=None)
    east, west = (people.create_organisation(name, parent=root.pk, actor=SYSTEM).id for name in ("east", "west"))
    quay = people.create_organisation("quay", parent=east, actor=SYSTEM).id

    def person(name, organisation, role="auditor"):
        made = people.create_user(name, name=name.title(), organisation=organisation, actor=SYSTEM).person
        people.grant(made.id, role=role, over=organisation, axis="territory", actor=SYSTEM)
        user = persons.User.objects.get(pk=made.id)
        user.must_change_password, user.language = False, "en"
        user.save()
        client = Client(headers={"accept-language": "en"})
        client.force_login(user)
        return client

    where = persons.Organisation.objects.get(pk=quay).territory
    record = actions.record("respond.alert_closed", Ref("respond", "alert", str(uuid.uuid4())), actor=Viewer(id="m", name="Li Ming", organisation=str(quay), path=where), label="Strange logon", detail={"before": {"state": "new"}, "after": {"state": "closed"}, "note": "known test"})
    return SimpleNamespace(
        record=uuid.UUID(record.id), member=person("member", quay), above=person("above", east), outsider=person("outsider", west), auditor=person("boss", root.pk), analyst=person("analyst", quay, "analyst"),
        operator=person("operator", root.pk, "operator"),
    )  # fmt: skip


def rows(client, **asked):
    answer = client.get(reverse("ledger:record_list"), asked)
    assert answer.status_code == 200, answer.content.decode()[:2000]
    return answer.content.decode().split("<main", 1)[1]


@pytest.mark.covers("P01")
def test_the_member_and_the_unit_above_find_the_record_and_the_outsider_does_not(node):
    page = reverse("ledger:record", kwargs={"pk": node.record})
    for client in (node.member, node.above, node.auditor):
        assert "Strange logon" in rows(client)
        assert client.get(page).status_code == 200
    assert "Strange logon" not in rows(node.outsider)
    assert node.outsider.get(page).status_code == 404
    assert node.outsider.get(reverse("ledger:proof", kwargs={"pk": node.record})).status_code == 404
    assert node.analyst.get(reverse("ledger:record_list")).status_code == 403


@pytest.mark.covers("P01")
def test_the_list_is_filtered_by_time_actor_verb_object_and_organisation(node):
    organisation = models.Record.objects.get(pk=node.record).organisation
    for asked in ({"time": "1h"}, {"actor_name": "Li Ming"}, {"verb": "respond.alert_closed"}, {"object": "Strange"}, {"organisation": organisation}, {"ref": "respond:alert"}, {"q": "strange"}):
        page = rows(node.auditor, **asked)
        assert "Strange logon" in page, asked
    for asked in ({"time_to": "2001-01-01"}, {"actor_name": "Wang"}, {"verb": "people.founded"}, {"object": "other"}, {"organisation": str(uuid.uuid4())}):
        assert "Strange logon" not in rows(node.auditor, **asked), asked


@pytest.mark.covers("P01", "W01")
def test_a_record_shows_before_and_after_its_seal_and_a_proof_to_take_along(node):
    page = reverse("ledger:record", kwargs={"pk": node.record})
    waiting = node.member.get(page).content.decode()
    assert "No checkpoint covers this record yet" in waiting
    actions.cut_checkpoint()
    sealed = node.member.get(page).content.decode()
    for words in ("Before", "new", "closed", "known test", "sealed, proof holds", "Li Ming"):
        assert words in sealed
    proof = node.member.get(reverse("ledger:proof", kwargs={"pk": node.record}))
    assert proof["Content-Disposition"].endswith('.tlog-proof"')
    assert proof.content.startswith(b"c2sp.org/tlog-proof@v1\n")


def test_a_record_is_told_in_words_with_its_verb_in_small_print(node):
    page = reverse("ledger:record", kwargs={"pk": node.record})
    persons.User.objects.update(language="zh-hans")
    node.auditor.cookies["django_language"] = "zh-hans"
    shown = node.auditor.get(page, headers={"accept-language": "zh-hans"}).content.decode()
    other = actions.record("frame.savedview_created", Ref("frame", "savedview", str(uuid.uuid4())), actor=SYSTEM, label="mine")
    with translation.override("zh-hans"):
        record = models.Record.objects.get(pk=node.record)
        record.verb = "respond.closed"
        assert str(record) == "关闭告警 · Strange logon"
        assert str(wording.DEEDS["created"]) == str(wording.DEEDS["added"]) == "已创建"
    assert "respond.alert_closed</small>" in shown
    assert "人员" in shown
    assert ">user<" not in shown
    assert "节点自身" in node.auditor.get(reverse("ledger:record", kwargs={"pk": other.id}), headers={"accept-language": "zh-hans"}).content.decode()


def test_a_plain_before_is_told_by_its_name(node, rf):
    record = actions.record("respond.assigned", Ref("respond", "alert", str(uuid.uuid4())), actor=SYSTEM, detail={"before": "Li Ming", "to": "Wang"})
    shown = pages.what_changed(rf.get("/"), models.Record.objects.get(pk=record.id))
    assert "<table" not in shown
    assert "Li Ming" in shown


def test_no_two_filters_share_a_name_and_a_list_of_organisations_is_none(node):
    actions.record("people.organisation_exported", Ref("people", "organisation", "list"), actor=SYSTEM, label="Organisations")
    sheet = sheets.of("ledger.record")
    labels = [str(one.label) for one in sheet.filters]
    assert len(set(labels)) == len(labels)
    page = rows(node.auditor)
    assert 'value="list"' not in page
    assert "quay" in page


@pytest.mark.parametrize("language", ["en", "zh_Hans"])
def test_every_verb_that_is_recorded_has_words(language):
    source = Path(pages.__file__).parents[2]
    written = "\n".join(path.read_text("utf-8") for path in source.rglob("*.py"))
    verbs = set(re.findall(r"""(?:record|_told|tell|_stage|_kept)\([^\n]*?"([a-z]+\.[a-z_]+)"[ ,]""", written))
    book = {entry.msgid for path in source.glob(f"*/*/locale/{language}/LC_MESSAGES/django.po") for entry in polib.pofile(str(path))}
    assert len(verbs) > 40
    assert not verbs - book, f"no words for {sorted(verbs - book)} in the {language} catalogues"


@pytest.mark.covers("P01")
def test_an_export_of_the_audit_records_is_itself_on_record(node):
    answer = node.auditor.get(reverse("ledger:record_export"), {"format": "csv"})
    assert "Strange logon" in b"".join(answer.streaming_content if answer.streaming else [answer.content]).decode()
    assert models.Record.objects.filter(verb="ledger.record_exported").count() == 1


@pytest.mark.covers("W01")
def test_an_auditor_verifies_everything_and_sees_what_somebody_changed(node):
    actions.cut_checkpoint()
    page = reverse("ledger:integrity")
    assert "Not verified yet" in node.auditor.get(page).content.decode()
    started = node.auditor.post(page)
    assert started.status_code == 302
    jobs.work(once=True)
    assert "done" in node.auditor.get(started.url).content.decode()
    assert "everything holds" in node.auditor.get(page).content.decode()
    models.Record.objects.filter(pk=node.record).update(label="Harmless")
    node.auditor.post(page)
    jobs.work(once=True)
    found = node.auditor.get(page).content.decode()
    assert "something was changed" in found
    assert "respond.alert_closed" in found
    assert node.member.post(page).status_code in (302, 403)
    assert node.analyst.post(page).status_code == 403


def test_nobody_changes_the_ledger_through_the_door(node):
    for method in ("post", "put", "patch", "delete"):
        assert getattr(node.auditor, method)(f"/api/ledger/record/{node.record}/", content_type="application/json").status_code in (403, 404, 405)
    assert models.Record.objects.get(pk=node.record).label == "Strange logon"


@pytest.mark.covers("P01")
def test_what_the_node_does_by_itself_is_seen_by_who_sees_the_node(node):
    actions.record("lake.compacted", Ref("lake", "table", "iam"), actor=SYSTEM, label="night work")
    assert "night work" in rows(node.auditor)
    for client in (node.member, node.above, node.outsider):
        assert "night work" not in rows(client)


def test_checkpoints_are_listed_and_shown(node):
    actions.cut_checkpoint()
    mark = models.Checkpoint.objects.get()
    assert mark.root in node.auditor.get(reverse("ledger:checkpoint_list")).content.decode()
    assert queries.node().origin in node.auditor.get(reverse("ledger:checkpoint", kwargs={"pk": mark.pk})).content.decode()


def test_operators_mend_work_and_others_see_only_their_own(node):
    jobs.enqueue("jobs.sweep")
    listed = reverse("jobs:job_list")
    assert "jobs.sweep" in node.operator.get(listed).content.decode()
    assert node.member.get(listed).status_code == 403
    job = Job.objects.get(name="jobs.sweep")
    assert node.member.get(reverse("jobs:work", kwargs={"pk": job.pk})).status_code == 404
    assert node.operator.get(reverse("jobs:work", kwargs={"pk": job.pk})).status_code == 200
    answer = node.operator.post(listed, {"do": f"cancel:{job.pk}", "confirm": "1"})
    assert answer.status_code in (200, 302)
    assert Job.objects.get(pk=job.pk).state == "cancelled"
    assert models.Record.objects.filter(verb="jobs.job_cancelled").exists()
    node.operator.post(listed, {"do": f"retry:{job.pk}", "confirm": "1"})
    assert Job.objects.get(pk=job.pk).state == "waiting"
    jobs.work(once=True)
    assert node.operator.get(reverse("jobs:job", kwargs={"pk": job.pk})).status_code == 200
    schedules = reverse("jobs:schedule_list")
    assert "ledger.sequence" in node.operator.get(schedules).content.decode()
    node.operator.post(schedules, {"do": "pause:ledger.sequence", "confirm": "1"})
    assert not Schedule.objects.get(name="ledger.sequence").enabled
    assert node.operator.get(reverse("jobs:schedule", kwargs={"pk": "ledger.sequence"})).status_code == 200
    assert node.operator.get(reverse("jobs:delivery_list")).status_code == 200
