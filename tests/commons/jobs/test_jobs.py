"""Jobs, facts and schedules as rooms meet them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from lianfang.commons.frame import journal
from lianfang.commons.jobs import actions, declare, models, queries
from lianfang.commons.jobs.actions import running, scheduling
from lianfang.commons.jobs.types import Cancelled, State, pause
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Missing
from lianfang.kernel.facts import Fact
from lianfang.kernel.viewer import SYSTEM, Viewer

pytestmark = pytest.mark.django_db

MEMBER = Viewer(id="m", name="member", path="0000100001", territory=("0000100001",))
OPERATOR = Viewer(id="o", name="operator", path="", territory=("",), permissions=frozenset({"jobs.*"}))
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
OUTSIDER = Viewer(id="x", name="outsider", path="0000200001", territory=("0000200001",), permissions=frozenset({"jobs.*"}))


@dataclass(frozen=True, slots=True)
class Rang(Fact):
    n: int


@pytest.fixture
def room():
    """A room that exists for one test: what it declares is forgotten afterwards."""
    declare.discover()
    jobs, listeners = dict(declare._jobs), dict(declare._listeners)
    declare._jobs.clear()  # the node's own schedules would run, too
    yield declare
    for register, before in ((declare._jobs, jobs), (declare._listeners, listeners)):
        register.clear()
        register.update(before)


def due_now():
    """Let the pauses after failures pass."""
    past = clock.now() - timedelta(seconds=1)
    models.Job.objects.exclude(due=None).update(due=past)
    models.Delivery.objects.exclude(due=None).update(due=past)


# -- facts ---------------------------------------------------------------------------------------------------------


def test_every_listener_hears_every_fact_once_and_in_order(room):
    heard, overheard = [], []
    room.on(Rang, name="t.hear")(lambda fact: heard.append(fact.n))
    room.on(Rang, name="t.overhear")(lambda fact: overheard.append(fact.n))
    for n in range(10):
        actions.publish(Rang(n))
    actions.work(once=True)
    actions.work(once=True)
    assert heard == overheard == list(range(10))


def test_nothing_is_told_when_the_transaction_is_rolled_back(room):
    heard = []
    room.on(Rang, name="t.hear")(heard.append)
    with transaction.atomic():
        actions.publish(Rang(1))
        transaction.set_rollback(True)
    actions.work(once=True)
    assert heard == []


@pytest.mark.django_db(transaction=True)
def test_a_listener_that_wants_no_transaction_has_none_and_hears_again_after_a_crash(room):
    heard = []

    @room.on(Rang, name="t.hear", atomic=False)
    def hear(fact):
        heard.append((fact.n, connection.in_atomic_block))
        if len(heard) == 1:
            raise KeyboardInterrupt

    actions.publish(Rang(3))
    with pytest.raises(KeyboardInterrupt):
        actions.work(once=True)
    actions.work(once=True)
    actions.work(once=True)
    assert heard == [(3, False), (3, False)]


def test_a_failing_listener_keeps_its_order_and_holds_up_nobody_else(room):
    heard, other, broken = [], [], {3}

    @room.on(Rang, name="t.hear")
    def hear(fact):
        models.Lease.objects.create(name=f"effect-{fact.n}", token=models.new_id(), until=clock.now())
        if fact.n in broken:
            raise RuntimeError("not yet")
        heard.append(fact.n)

    room.on(Rang, name="t.other")(lambda fact: other.append(fact.n))
    for n in range(6):
        actions.publish(Rang(n))
    actions.work(once=True)
    assert heard == [0, 1, 2]
    assert other == list(range(6))
    assert not models.Lease.objects.filter(name="effect-3").exists(), "what the failed attempt wrote is rolled back"
    broken.clear()
    due_now()
    actions.work(once=True)
    assert heard == list(range(6))


def test_a_fact_that_always_fails_steps_aside_and_a_person_can_deliver_it(room):
    heard, broken = [], {0}

    @room.on(Rang, name="t.hear", attempts=3)
    def hear(fact):
        if fact.n in broken:
            raise RuntimeError("never")
        heard.append(fact.n)

    actions.publish(Rang(0))
    actions.publish(Rang(1))
    for _attempt in range(3):
        actions.work(once=True)
        due_now()
    actions.work(once=True)
    dead = models.Delivery.objects.get(state=State.DEAD)
    assert (heard, dead.attempts, queries.gauges()["dead_facts"]) == ([1], 3, 1)
    assert "never" in dead.error
    broken.clear()
    actions.retry_delivery(dead, actor=OPERATOR)
    actions.work(once=True)
    assert heard == [1, 0]
    with pytest.raises(Conflict):
        actions.retry_delivery(dead, actor=OPERATOR)


def test_a_fault_that_no_retry_can_mend_is_not_tried_again(room):
    tries = []

    @room.on(Rang, name="t.hear")
    def hear(fact):
        tries.append(1)
        raise Missing("gone")

    actions.publish(Rang(0))
    actions.work(once=True)
    due_now()
    actions.work(once=True)
    assert len(tries) == 1
    actions.skip_delivery(models.Delivery.objects.get(), actor=OPERATOR)
    assert queries.gauges()["dead_facts"] == 0


def test_what_nobody_hears_costs_one_row_and_is_swept(room):
    actions.publish(Rang(0))
    assert (models.OutboxFact.objects.count(), models.Delivery.objects.count()) == (1, 0)
    with clock.frozen(clock.now() + timedelta(days=8)):
        assert actions.sweep() == 1


# -- jobs ----------------------------------------------------------------------------------------------------------


def test_a_job_runs_with_its_arguments_and_tells_its_progress(room):
    seen = []

    @room.job("t.add")
    def add(a, b, *, run):
        run.progress(40, "half way")
        seen.append(models.Job.objects.get(name="t.add").message)
        seen.append(a + b)

    asked = actions.enqueue("t.add", {"a": 1, "b": 2}, actor=MEMBER)
    assert queries.progress(asked.id, MEMBER).state == State.WAITING
    actions.work(once=True)
    found = queries.progress(asked.id, MEMBER)
    assert seen == ["half way", 3]
    assert (found.state, found.percent, found.ended) == (State.DONE, 100, True)


def test_who_asked_finds_the_work_again_and_an_outsider_does_not(room):
    room.job("t.add")(lambda: None)
    asked = actions.enqueue("t.add", actor=MEMBER)
    assert queries.progress(asked.id, OPERATOR).name == "t.add"
    with pytest.raises(Missing):
        queries.progress(asked.id, OUTSIDER)


def test_an_unknown_job_is_refused_when_it_is_asked_for(room):
    with pytest.raises(Missing):
        actions.enqueue("t.nothing")


def test_one_key_waits_once(room):
    ran = []
    room.job("t.add")(lambda n: ran.append(n))
    first = actions.enqueue("t.add", {"n": 1}, key="k")
    assert actions.enqueue("t.add", {"n": 2}, key="k") == first
    actions.work(once=True)
    assert actions.enqueue("t.add", {"n": 3}, key="k") != first
    actions.work(once=True)
    assert ran == [1, 3]


def test_a_request_made_while_the_same_key_runs_is_not_lost(room):
    ran = []

    @room.job("t.look")
    def look():
        if not ran:
            actions.enqueue("t.look", key="k")
        ran.append(1)

    actions.enqueue("t.look", key="k")
    actions.work(once=True)
    assert len(ran) == 2


def test_a_failed_job_is_tried_again_later_and_then_lies_dead_until_a_person_retries(room):
    ran = []

    @room.job("t.fail", attempts=3)
    def fail():
        ran.append(1)
        raise RuntimeError("no luck")

    with clock.frozen(NOON):
        asked = actions.enqueue("t.fail")
        actions.work(once=True)
    row = models.Job.objects.get(pk=asked.id)
    assert row.state == State.WAITING
    assert timedelta(seconds=1) <= row.due - NOON <= timedelta(seconds=3)
    for _attempt in range(3):
        due_now()
        actions.work(once=True)
    row.refresh_from_db()
    assert (len(ran), row.state, queries.gauges()["dead_jobs"]) == (3, State.DEAD, 1)
    assert "no luck" in row.error
    actions.retry(row, actor=OPERATOR)
    actions.work(once=True)
    assert len(ran) == 4


def test_an_atomic_job_leaves_nothing_behind_when_it_fails(room):
    @room.job("t.half", atomic=True)
    def half():
        models.Lease.objects.create(name="half", token=models.new_id(), until=clock.now())
        raise RuntimeError

    actions.enqueue("t.half")
    actions.work(once=True)
    assert not models.Lease.objects.filter(name="half").exists()
    assert models.Job.objects.get().state == State.WAITING


def test_a_job_left_behind_by_a_dead_worker_is_taken_over_and_the_dead_cannot_speak(room):
    room.job("t.add")(lambda: None)
    actions.enqueue("t.add")
    lost = running.take_due(lease=0.0)
    taken = running.take_due(lease=30.0)
    assert (lost.pk, taken.attempts) == (taken.pk, 2)
    running.run(lost)
    assert models.Job.objects.get().state == State.RUNNING, "the first worker's result counts for nothing"
    running.run(taken)
    assert models.Job.objects.get().state == State.DONE


def test_a_job_that_kills_its_workers_is_given_up(room):
    room.job("t.poison", attempts=2)(lambda: None)
    actions.enqueue("t.poison")
    for _death in range(2):
        assert running.take_due(lease=0.0)
    actions.work(once=True)
    row = models.Job.objects.get()
    assert row.state == State.DEAD
    assert "died 2 times" in row.error


def test_cancelling_ends_a_waiting_job_at_once_and_a_running_one_at_its_next_step(room):
    @room.job("t.long")
    def long(run):
        actions.cancel(run.job, actor=OPERATOR)
        run.progress(100)
        raise AssertionError("it went on")

    waiting = actions.enqueue("t.long", run_at=clock.now() + timedelta(hours=1))
    actions.cancel(models.Job.objects.get(pk=waiting.id), actor=OPERATOR)
    running_one = actions.enqueue("t.long")
    actions.work(once=True)
    assert set(models.Job.objects.filter(pk__in=(waiting.id, running_one.id)).values_list("state", flat=True)) == {State.CANCELLED}
    with pytest.raises(Conflict):
        actions.cancel(models.Job.objects.get(pk=waiting.id), actor=OPERATOR)


def test_what_people_do_to_jobs_is_told(room, monkeypatch):
    told = []
    monkeypatch.setattr(journal, "_recorders", [lambda verb, ref, **rest: told.append((verb, str(ref), rest["actor"].name))])
    room.job("t.add")(lambda: None)
    job = models.Job.objects.get(pk=actions.enqueue("t.add").id)
    actions.cancel(job, actor=OPERATOR)
    actions.retry(job, actor=OPERATOR)
    assert told == [("jobs.job_cancelled", str(job.ref), "operator"), ("jobs.job_retried", str(job.ref), "operator")]


def test_two_jobs_of_one_name_are_refused(room):
    room.job("t.add")(lambda: None)
    with pytest.raises(Invalid):
        room.job("t.add")(due_now)


def test_pauses_double_and_end_at_an_hour():
    assert [pause(n, chance=0.5).total_seconds() for n in (1, 2, 3, 12, 99)] == [2, 4, 8, 3600, 3600]
    assert 1.0 <= pause(1).total_seconds() <= 3.0


# -- schedules -----------------------------------------------------------------------------------------------------


def test_a_period_starts_once_however_many_look(room):
    ran = []
    room.every(seconds=60)(room.job("t.tick")(lambda: ran.append(1)))
    with clock.frozen(NOON):
        actions.work(once=True)
        for _worker in range(3):
            scheduling.start_due()
        actions.work(once=True)
    assert len(ran) == 1


def test_missed_periods_are_made_up_by_one_run_in_step(room):
    ran = []
    room.every(seconds=60)(room.job("t.tick")(lambda: ran.append(clock.now())))
    for moment in (NOON, NOON + timedelta(seconds=60), NOON + timedelta(seconds=605)):
        with clock.frozen(moment):
            actions.work(once=True)
    assert len(ran) == 3
    assert models.Schedule.objects.get(name="t.tick").next_run == NOON + timedelta(seconds=660)
    assert models.Job.objects.filter(name="t.tick").count() == 1, "one standing row, however many runs"


def test_a_run_that_goes_on_is_not_joined_by_a_second(room):
    room.every(seconds=60)(room.job("t.tick")(lambda: None))
    scheduling.write_down()
    scheduling.start_due()
    assert running.take_due(lease=3600)
    with clock.frozen(clock.now() + timedelta(seconds=61)):
        scheduling.start_due()
    row = models.Schedule.objects.get(name="t.tick")
    assert (row.runs, row.skipped) == (1, 1)


def test_after_a_long_run_it_rests_so_that_it_takes_no_more_than_its_share(room):
    ran = []
    room.every(seconds=5, share=0.1)(room.job("t.tick")(lambda: ran.append(clock.now())))
    with clock.frozen(NOON):
        actions.work(once=True)
        models.Job.objects.filter(name="t.tick").update(started=NOON, finished=NOON + timedelta(seconds=3))
    for seconds in (5, 10, 25, 30, 35):
        with clock.frozen(NOON + timedelta(seconds=seconds)):
            actions.work(once=True)
    assert ran == [NOON + timedelta(seconds=seconds) for seconds in (0, 30, 35)]


@pytest.mark.parametrize(("catch_up", "runs"), [(True, 1), (False, 0)])
def test_a_time_of_day_runs_at_its_hour_and_a_missed_day_is_made_up_if_wanted(room, settings, catch_up, runs):
    settings.TIME_ZONE = "Asia/Shanghai"
    ran = []
    room.at("02:30", catch_up=catch_up)(room.job("t.night")(lambda: ran.append(1)))
    with clock.frozen(NOON):
        actions.work(once=True)
        assert models.Schedule.objects.get(name="t.night").next_run == datetime(2026, 11, 20, 18, 30, tzinfo=UTC)
    with clock.frozen(NOON + timedelta(days=2)):
        actions.work(once=True)
    assert len(ran) == runs
    with clock.frozen(datetime(2026, 11, 22, 18, 30, tzinfo=UTC)):
        actions.work(once=True)
    assert len(ran) == runs + 1


def test_a_paused_schedule_rests(room):
    ran = []
    room.every(seconds=60)(room.job("t.tick")(lambda: ran.append(1)))
    scheduling.write_down()
    row = models.Schedule.objects.get(name="t.tick")
    actions.set_schedule(row, enabled=False, actor=OPERATOR)
    actions.work(once=True)
    assert ran == []
    actions.set_schedule(row, enabled=True, actor=OPERATOR)
    actions.work(once=True)
    assert ran == [1]


def test_a_changed_period_starts_anew(room):
    scheduling.write_down()
    tick = room.every(seconds=3600)(room.job("t.tick")(lambda: None))
    scheduling.write_down()
    scheduling.start_due()
    room.every(seconds=5)(tick)
    scheduling.write_down()
    assert models.Schedule.objects.get(name="t.tick").next_run <= clock.now()


def test_decorators_stack_in_any_order(room):
    def one(): ...
    def two(): ...

    room.every(seconds=9)(room.job("t.one", attempts=2)(one))
    room.job("t.two", attempts=2)(room.every(seconds=9)(two))
    assert {(job.name, job.attempts, str(job.period)) for job in declare.jobs().values()} == {("t.one", 2, "every 9 s"), ("t.two", 2, "every 9 s")}


# -- leases and the running worker ---------------------------------------------------------------------------------


def test_one_holder_at_a_time():
    with actions.leased("t.thing") as mine, actions.leased("t.thing") as other:
        assert (mine, other) == (True, False)
    with actions.leased("t.thing") as again:
        assert again


@pytest.mark.django_db(transaction=True)
def test_a_running_worker_hears_quickly_and_stops_when_told(room):
    heard, stop = {}, threading.Event()
    room.on(Rang, name="t.hear")(lambda fact: heard.setdefault(fact.n, time.monotonic()))
    room.job("t.slow")(lambda: time.sleep(0.8))
    actions.enqueue("t.slow")
    worker = threading.Thread(target=actions.work, kwargs={"stop": stop, "lanes": 1})
    worker.start()
    time.sleep(0.3)
    told = time.monotonic()
    actions.publish(Rang(7))
    while 7 not in heard and time.monotonic() - told < 5:
        time.sleep(0.01)
    stop.set()
    worker.join(10)
    connection.close()
    assert heard[7] - told < 0.6, "a long job does not stand in the way of facts"
    assert not worker.is_alive()


def test_cancelled_is_not_an_error_of_anyone():
    assert not issubclass(Cancelled, Conflict)
    assert SYSTEM.may("jobs.job.view")
