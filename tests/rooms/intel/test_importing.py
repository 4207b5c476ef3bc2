"""Importing: once is enough, twice changes nothing but validity, what was revoked stays revoked, bytes are kept."""

import json
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection, connections

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import models as ledger
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Refused
from lianfang.rooms.intel import actions, models, queries
from lianfang.rooms.intel.actions import importing, intake, writing
from lianfang.rooms.intel.queries import bundles, intakes
from lianfang.rooms.intel.types import Stage, Terms

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
at_once = pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets one write at a time, and in memory has none wait")
LIST = b"203.0.113.9\nhxxp://bad[.]example/x\n203.0.113.9\nnonsense\n"


def bundle(**more):
    indicator = {
        "type": "indicator", "spec_version": "2.1", "id": "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f", "created": "2026-11-01T00:00:00.000Z", "modified": "2026-11-01T00:00:00.000Z", "name": "call-back",
        "pattern": "[domain-name:value = 'bad.example' OR ipv4-addr:value = '203.0.113.9']", "pattern_type": "stix", "valid_from": "2026-11-01T00:00:00Z", "valid_until": "2026-12-01T00:00:00Z",
        "indicator_types": ["malicious-activity"], "confidence": 80, "revoked": False,
    }  # fmt: skip
    odd = json.dumps(indicator | more, indent=1).replace('"revoked": false', '"revoked":   false')
    return odd, f'{{"type": "bundle", "id": "bundle--0f1e7a8e-6d1b-4c6b-9d8e-0a1b2c3d4e5f", "objects": [{odd}]}}'.encode()


def rows():
    return models.Indicator.objects.order_by("value")


def test_a_list_is_taken_in_once(viewers):
    with clock.frozen(NOON):
        report = actions.import_list(LIST, source="feed", actor=viewers.member, tags=("scan",))
    assert (report.read, report.added, report.doubled, report.rejected) == (4, 2, 1, 1)
    assert [(one.kind, one.value, one.source, one.tags) for one in rows()] == [("ipv4", "203.0.113.9", "feed", ["scan"]), ("url", "http://bad.example/x", "feed", ["scan"])]
    assert {one.organisation for one in rows()} == {viewers.member.organisation}
    with clock.frozen(NOON + timedelta(hours=1)):
        again = actions.import_list(LIST, source="feed", actor=viewers.member)
    assert (again.added, again.renewed, again.same) == (0, 0, 2)
    assert ledger.Record.objects.filter(verb="intel.imported").count() == 2


def test_importing_again_renews_validity(viewers):
    with clock.frozen(NOON):
        actions.import_list(b"bad.example", source="feed", actor=viewers.member, days=30)
    before = rows().get()
    with clock.frozen(NOON + timedelta(days=10)):
        report = actions.import_csv("值,过期时间,标签\nbad.example,2027-01-01,新\n", source="feed", actor=viewers.member)
    after = rows().get()
    assert (report.added, report.renewed) == (0, 1)
    assert before.valid_until < after.valid_until
    assert after.tags == ["新"]
    assert after.valid_from == before.valid_from


def test_each_source_speaks_for_itself_and_each_organisation_too(viewers):
    actions.import_list(b"bad.example", source="one", actor=viewers.member)
    actions.import_list(b"bad.example", source="two", actor=viewers.member)
    actions.import_list(b"bad.example", source="one", actor=viewers.outsider)
    assert rows().count() == 3
    assert queries.watchlist().domains == {"bad.example"}


def test_what_a_person_revoked_an_import_does_not_bring_back(viewers):
    actions.import_list(b"bad.example", source="feed", actor=viewers.member)
    actions.revoke(rows().get(), actor=viewers.member)
    actions.import_list(b"bad.example", source="feed", actor=viewers.member, days=365)
    assert rows().get().revoked
    assert not queries.watchlist().domains


def test_stix_keeps_the_bytes_of_each_object(viewers):
    odd, content = bundle()
    with clock.frozen(NOON):
        report = actions.import_stix(content, source="partner", actor=viewers.member)
        assert (report.added, report.rejected) == (2, 0)
        assert queries.watchlist().domains == {"bad.example"}
    one = rows().get(value="bad.example")
    assert bytes(one.received.content).decode() == odd
    assert (one.stix_id, one.confidence, one.note, one.tags) == ("indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f", 80, "call-back", ["malicious-activity"])
    assert models.Received.objects.count() == 1


def test_what_its_author_revokes_is_revoked(viewers):
    with clock.frozen(NOON):
        actions.import_stix(bundle()[1], source="partner", actor=viewers.member)
        report = actions.import_stix(bundle(revoked=True, modified="2026-11-02T00:00:00.000Z")[1], source="partner", actor=viewers.member)
    assert (report.renewed, report.rejected) == (2, 0)
    assert all(one.revoked for one in rows())


def test_who_may_not_add_may_not_import(viewers):
    with pytest.raises(Refused):
        actions.import_list(LIST, source="feed", actor=viewers.reader)
    with pytest.raises(Invalid):
        actions.import_list(LIST, source=" ", actor=viewers.member)


def test_a_worker_takes_a_delivery_in(viewers):
    row = actions.upload("list.txt", LIST, form="auto", terms=Terms("feed"), actor=viewers.member)
    assert (row.form, row.stage, intakes.content(row)) == ("list", Stage.DRAFT, LIST)
    actions.start(row, actor=viewers.member)
    with pytest.raises(Conflict):
        actions.start(row, actor=viewers.member)
    jobs.work(once=True)
    row.refresh_from_db()
    assert (row.stage, row.percent, row.added, row.doubled, row.rejected) == (Stage.DONE, 100, 2, 1, 1)
    assert models.IntakePart.objects.count() == 0
    assert [(one.line, one.raw, one.said.code) for one in intakes.rejects(row)] == [(4, "nonsense", "unknown")]
    assert ledger.Record.objects.filter(verb="intel.imported", actor=viewers.member.id).exists()


def test_a_delivery_that_cannot_be_read_says_so(viewers):
    row = actions.upload("x.csv", b"what\nbad.example\n", form="csv", terms=Terms("feed"), actor=viewers.member)
    actions.start(row, actor=viewers.member)
    jobs.work(once=True)
    row.refresh_from_db()
    assert row.stage == Stage.FAILED
    assert "No column holds the values" in row.trouble


def test_drafts_are_forgotten(viewers):
    with clock.frozen(NOON):
        actions.upload("list.txt", LIST, form="auto", terms=Terms("feed"), actor=viewers.member)
    with clock.frozen(NOON + timedelta(days=2)):
        assert actions.sweep() == 1
    assert models.IntakePart.objects.count() == 0


def test_a_long_list_is_taken_in_parts(viewers):
    report = actions.import_list("\n".join(f"host-{n}.bad.example" for n in range(1_203)), source="feed", actor=viewers.member)
    assert (report.read, report.added) == (1_203, 1_203)


def test_progress_can_be_followed_on_the_way(viewers, monkeypatch):
    monkeypatch.setattr(importing, "PART", 10)
    monkeypatch.setattr(intake, "TOLD_EVERY", 0)
    told = []
    monkeypatch.setattr(jobs.Run, "progress", lambda run, percent, message="": run.job.name == intake.JOB and told.append((percent, *models.Intake.objects.values_list("percent", "read", "added").get())))
    actions.start(actions.upload("list.txt", "\n".join(f"host-{n}.bad.example" for n in range(40)).encode(), form="auto", terms=Terms("feed"), actor=viewers.member), actor=viewers.member)
    jobs.work(once=True)
    assert [(read, added) for _, _, read, added in told] == [(10, 10), (20, 20), (30, 30), (40, 40)]
    assert all(0 < percent <= 99 and 0 < shown <= 99 for percent, shown, _, _ in told)
    assert sorted(told) == told


def test_progress_of_a_bundle_is_told_by_its_objects(viewers, monkeypatch):
    monkeypatch.setattr(importing, "PART", 1)
    told = []
    monkeypatch.setattr(jobs.Run, "progress", lambda run, percent, message="": run.job.name == intake.JOB and told.append(percent))
    shape = {"type": "indicator", "pattern_type": "stix", "valid_from": "2026-11-01T00:00:00Z"}
    content = json.dumps({"type": "bundle", "objects": [{**shape, "id": f"indicator--{n}", "pattern": f"[ipv4-addr:value = '203.0.113.{n}']"} for n in range(1, 5)]}).encode()
    actions.start(actions.upload("b.json", content, form="auto", terms=Terms("feed"), actor=viewers.member), actor=viewers.member)
    jobs.work(once=True)
    assert told == [25, 50, 75, 99]


def test_a_bundle_is_decoded_in_parts_with_its_own_markings(viewers, monkeypatch):
    monkeypatch.setattr(bundles, "AT_ONCE", 2)
    marking = {"type": "marking-definition", "id": "marking-definition--1", "definition_type": "tlp", "definition": {"tlp": "red"}}
    shape = {"type": "indicator", "pattern_type": "stix", "valid_from": "2026-11-01T00:00:00Z", "object_marking_refs": ["marking-definition--1"]}
    patterns = ["[ipv4-addr:value = '203.0.113.1']", "[ipv4-addr:value = '203.0.113.2']", "[file:name = 'x']", "[ipv4-addr:value = '203.0.113.4']"]
    objects = [*({**shape, "id": f"indicator--{n}", "pattern": pattern} for n, pattern in enumerate(patterns, 1)), marking]
    report = actions.import_stix(json.dumps({"type": "bundle", "objects": objects}), source="partner", actor=viewers.member)
    assert (report.added, [(one.line, json.loads(one.raw)["id"]) for one in report.rejects]) == (3, [(3, "indicator--3")])
    assert {one.tlp for one in rows()} == {"red"}
    assert [json.loads(bytes(one.received.content))["id"] for one in rows()] == ["indicator--1", "indicator--2", "indicator--4"]


def test_an_ordinary_day_writes_no_row_twice(viewers, django_assert_max_num_queries):
    content = "\n".join(f"host-{n}.bad.example" for n in range(3_000))
    with clock.frozen(NOON), django_assert_max_num_queries(60):
        assert actions.import_list(content, source="feed", actor=viewers.member).added == 3_000
    with clock.frozen(NOON + timedelta(days=1)), django_assert_max_num_queries(40):
        again = actions.import_list(content, source="feed", actor=viewers.member)
    assert (again.added, again.renewed) == (0, 3_000)
    assert rows().filter(valid_until__gt=NOON + timedelta(days=90)).count() == 3_000


def test_two_imports_at_once_do_not_stumble_over_each_other(viewers, monkeypatch):
    """What another import wrote between our look and our writing is left as it is."""
    actions.import_list(b"bad.example", source="feed", actor=viewers.member)
    monkeypatch.setattr(models.Indicator.objects, "filter", lambda *given, **asked: models.Indicator.objects.none())
    report = actions.import_list(b"bad.example\nworse.example", source="feed", actor=viewers.member)
    assert (report.read, report.added, report.same) == (2, 1, 1)
    assert models.Indicator.objects.count() == 2


@pytest.mark.slow
def test_a_long_list_is_taken_within_bounded_memory(viewers):
    content = "\n".join(f"host-{n}.bad.example" for n in range(30_000)).encode()
    tracemalloc.start()
    try:
        report = actions.import_list(content, source="feed", actor=viewers.member)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert report.added == 30_000
    assert peak < len(content) + (24 << 20)  # of each line 130 bytes are remembered, and one part is held


@at_once
@pytest.mark.django_db(transaction=True)
def test_imports_at_once_lose_and_double_nothing(viewers):
    """Four workers bring the same things in, each in its own order: every value stands once, and every count is right."""
    values = [f"host-{n}.bad.example" for n in range(2_000)]

    def bring_in(turn):
        try:
            return actions.import_list("\n".join(values[turn * 500 :] + values[: turn * 500]), source="feed", actor=viewers.member, days=0)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(bring_in, range(4)))
    assert rows().count() == 2_000
    assert sum(one.added for one in reports) == 2_000
    assert all(one.read == 2_000 == one.added + one.renewed + one.same for one in reports)
    assert queries.watchlist().domains == set(values)


@at_once
@pytest.mark.django_db(transaction=True)
def test_bundles_at_once_keep_their_objects_once(viewers):
    shape = {"type": "indicator", "pattern_type": "stix", "valid_from": "2026-11-01T00:00:00Z"}
    objects = [{**shape, "id": f"indicator--{n}", "pattern": f"[domain-name:value = 'host-{n}.bad.example']"} for n in range(600)]

    def bring_in(turn):
        try:
            return actions.import_stix(json.dumps({"type": "bundle", "objects": objects[turn * 200 :] + objects[: turn * 200]}), source="partner", actor=viewers.member, days=0)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(bring_in, range(3)))
    assert sum(one.added for one in reports) == rows().count() == models.Received.objects.count() == 600
    assert not rows().filter(received=None).exists()


def test_what_nobody_waits_for_any_more_can_be_discarded(viewers):
    """A process that took a delivery in here and now died: after a while the import says so."""
    with clock.frozen(NOON):
        row = actions.upload("list.txt", LIST, form="auto", terms=Terms("feed"), actor=viewers.member)
        models.Intake.objects.update(stage=Stage.RUNNING)
        row.refresh_from_db()
        assert not intakes.stuck(row)
        with pytest.raises(Conflict):
            actions.discard(row, actor=viewers.member)
    with clock.frozen(NOON + timedelta(hours=1)):
        assert intakes.stuck(row)
        actions.discard(row, actor=viewers.member)
    assert models.Intake.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_what_the_database_gave_up_for_another_is_done_again(viewers, monkeypatch):
    """Two that wait for each other: the database ends one of them, which then takes its turn."""
    insert, given_up = writing.insert, iter([True, True])

    def torn(rows):
        if next(given_up, False):
            raise OperationalError(1213, "Deadlock found when trying to get lock; try restarting transaction")
        return insert(rows)

    monkeypatch.setattr(writing, "insert", torn)
    report = actions.import_list("a.bad.example\nb.bad.example", source="feed", actor=viewers.member, days=0)
    assert (report.read, report.added, rows().count()) == (2, 2, 2)
