"""What was received is stored, once."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from tests.rooms.lake.conftest import sysmon

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.people import actions as people
from lianfang.engines.columns.store import EventStore
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Missing, Refused
from lianfang.kernel.viewer import NOBODY, SYSTEM
from lianfang.rooms.lake import actions, models, queries
from lianfang.rooms.lake.actions import keeping
from lianfang.rooms.lake.actions.ingesting import writing
from lianfang.rooms.lake.queries import places

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_line_received_is_an_event_that_can_be_searched(put, viewers, last_hour):
    ref = put(sysmon(1))
    (found,) = queries.search(last_hour(), viewer=viewers.member).events
    assert found["event_id"] == ref.event_id()
    assert (found["host"], found["source"], found["class_uid"]) == ("pc-01.harbour.example", "edr", 1007)
    whole = queries.event(ref.event_id(), viewer=viewers.member)
    assert json.loads(whole["raw"]) == sysmon(1) | {"UtcTime": json.loads(whole["raw"])["UtcTime"]}
    assert whole["process_cmd"] == "whoami /all 1"
    row = models.Source.objects.get(name="edr")
    assert (row.events, row.rejects) == (1, 0)
    assert row.last_seen


def test_the_same_number_from_a_client_is_stored_once(put, all_events):
    put(sysmon(1), key="batch-7")
    put(sysmon(1), key="batch-7")
    put(sysmon(2), key="batch-8")
    assert sorted(event["host"][:5] for event in all_events()) == ["pc-01", "pc-02"]


def test_the_same_number_twice_in_one_segment_is_stored_once(put, source, viewers, all_events):
    actions.receive(source, [json.dumps(sysmon(1)).encode()], actor=viewers.member, key="n")
    put(sysmon(1), key="n")
    assert len(all_events()) == 1


def test_what_cannot_be_read_is_kept_with_its_reason_and_the_rest_goes_on(put, viewers, last_hour):
    put(b'{"EventID": 1, "Channel": ', sysmon(1), b"[1, 2", actor=viewers.member)
    assert len(queries.search(last_hour(), viewer=viewers.member).events) == 1
    groups = queries.reject_groups(viewer=viewers.member)
    assert sum(group.count for group in groups) == 2
    rows, more = queries.rejects("edr", groups[0].kind, viewer=viewers.member)
    assert rows[0]["raw"]
    assert rows[0]["reason"]
    assert rows[0]["todo"]
    assert more == ""
    assert queries.reject_groups(viewer=viewers.outsider) == []


def test_rejects_go_through_again_once_after_mending(source, viewers, put, all_events):
    models.Source.objects.update(codec="syslog")
    put(json.dumps(sysmon(1)).encode()[:0] + b"\x00\xff not a log", actor=viewers.member)
    models.Source.objects.update(codec="json")
    put(b"nonsense", actor=viewers.member)
    (group,) = [one for one in queries.reject_groups(viewer=viewers.member) if "JSON" in one.kind]
    assert actions.replay_rejects(source, group.kind, actor=viewers.member) == 1
    assert [one for one in queries.reject_groups(viewer=viewers.member) if one.kind == group.kind] == []
    actions.drain()
    (again,) = [one for one in queries.reject_groups(viewer=viewers.member) if one.kind == group.kind]
    assert again.count == 1, "still nonsense: listed anew"


def test_who_may_put_logs_in(source, viewers):
    line = [b"{}"]
    with pytest.raises(Refused):
        actions.receive(source, line, actor=NOBODY)
    with pytest.raises(Missing):
        actions.receive(source, line, actor=viewers.outsider)
    with pytest.raises(Missing):
        actions.receive("nowhere", line, actor=viewers.member)
    with pytest.raises(Invalid):
        actions.receive(source, [], actor=viewers.member)
    actions.pause_source(models.Source.objects.get(name=source), actor=viewers.member)
    with pytest.raises(Conflict):
        actions.receive(source, line, actor=viewers.member)


def test_a_source_erased_takes_its_events_along_and_only_them(put, source, viewers, all_events):
    actions.create_source("other", actor=viewers.member)
    put(sysmon(1), b"broken")
    put(sysmon(2), source="other")
    with pytest.raises(Missing):
        actions.erase_source(source, actor=viewers.outsider)
    actions.erase_source(source, actor=viewers.member)
    assert {event["source"] for event in all_events()} == {"other"}, "hidden at once"
    with pytest.raises(Conflict):
        actions.ensure_source(source, actor=viewers.member)
    actions.drain()
    assert {event["source"] for event in all_events()} == {"other"}
    assert not models.Source.objects.filter(name=source).exists()
    assert queries.reject_groups(viewer=SYSTEM) == []
    actions.ensure_source(source, actor=viewers.member)
    assert {event["source"] for event in all_events()} == {"other"}, "a new source of the same name begins empty"


def test_logs_of_a_source_that_is_being_erased_are_let_go(source, viewers, all_events):
    actions.receive(source, [json.dumps(sysmon(1)).encode()], actor=viewers.member)
    actions.erase_source(source, actor=viewers.member)
    actions.drain()
    assert all_events() == ()


def test_only_one_process_writes(tree):
    with writing(), pytest.raises(Conflict, match="Another process"):
        actions.drain()


def test_an_event_without_a_time_or_with_a_broken_clock_stands_at_its_receipt(put, viewers, last_hour):
    put({"msg": "no time"}, sysmon(1, UtcTime="1601-01-01 00:00:00.000"), sysmon(2, UtcTime="2999-01-01 00:00:00.000"))
    assert len(queries.search(last_hour(), viewer=viewers.member).events) == 3


def test_events_follow_an_organisation_that_moves(put, tree, viewers, all_events):
    put(sysmon(1))
    people.move_organisation(tree.harbour, under=tree.west, actor=SYSTEM)
    jobs.work(once=True)
    actions.drain()
    (event,) = [queries.event(one["event_id"], viewer=SYSTEM) for one in all_events()]
    assert event["territory"] == models.Source.objects.get(name="edr").territory
    assert queries.events([event["event_id"]], viewer=viewers.colleague) == [], "the unit it left no longer sees it"


def test_what_is_too_old_is_forgotten_a_night_at_a_time(put, viewers, all_events, monkeypatch):
    put(sysmon(1), sysmon(2, at=datetime.now(UTC) - timedelta(days=400)))
    store = EventStore(places.root())
    keeping.tidy(store)
    assert len(queries.sql("SELECT event_id FROM events", viewer=SYSTEM).rows) == 2, "an old log that came today stays"
    with clock.frozen(datetime.now(UTC) + timedelta(days=190 + 2)):
        keeping.tidy(store)
    assert queries.sql("SELECT event_id FROM events", viewer=SYSTEM).rows == ()
