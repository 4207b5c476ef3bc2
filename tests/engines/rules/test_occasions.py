"""When marks become an alarm: windows, counts, silence, recovery, hours; in any order and in any cut."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianfang.engines.rules.hours import hours
from lianfang.engines.rules.occasions import Condition, Mark, State, Why, alive, look, step
from lianfang.kernel.errors import Invalid

NOON = datetime(2026, 11, 20, 4, tzinfo=UTC)
TRADING = hours("Asia/Shanghai", range(5), "09:00-11:30, 13:00-15:00, 20:55-02:30", "2026-10-01 – 2026-10-08\n2026-09-30 20:55-02:30\n2026-11-23 10:00-10:30", "2026-11-28")


def at(text):
    return datetime.fromisoformat(f"{text}+08:00")


def after(seconds, event="e", ends=False):
    return Mark(NOON + timedelta(seconds=seconds), event, ends)


def whats(turns):
    return [turn.what for turn in turns]


def test_one_word_is_enough_unless_more_are_asked():
    assert whats(step(Condition(), State(), [after(0)])[1]) == ["begun"]
    assert whats(step(Condition(times=3, within=timedelta(seconds=10)), State(), [after(0), after(6), after(12)])[1]) == []
    assert whats(step(Condition(times=3, within=timedelta(seconds=10)), State(), [after(0), after(6), after(12), after(13)])[1]) == ["begun"]


def test_what_is_said_during_an_alarm_belongs_to_it_and_its_end_starts_anew():
    state, turns = step(Condition(ends=True), State(), [after(0), after(5), after(9, ends=True), after(20)])
    assert whats(turns) == ["begun", "more", "recovered", "begun"]
    assert state.since == NOON + timedelta(seconds=20)


def test_what_comes_late_from_before_a_recovery_starts_nothing():
    state, _ = step(Condition(ends=True), State(), [after(0), after(9, ends=True)])
    assert step(Condition(ends=True), state, [after(4)])[1] == []
    assert whats(step(Condition(ends=True), state, [after(10)])[1]) == ["begun"]


def test_a_recovery_forgets_what_was_counted():
    assert step(Condition(times=2, ends=True), State(), [after(0), after(5, ends=True), after(8)])[1] == []


def test_without_a_word_that_ends_it_an_alarm_lapses_when_it_was_quiet_for_long():
    state, _ = step(Condition(), State(), [after(0)])
    assert look(Condition(), state, NOON + timedelta(minutes=15), floor=NOON)[1] == []
    assert whats(look(Condition(), state, NOON + timedelta(minutes=16), floor=NOON)[1]) == ["lapsed"]
    assert whats(step(Condition(), state, [after(1000)])[1]) == ["lapsed", "begun"]
    assert look(Condition(ends=True), state, NOON + timedelta(days=2), floor=NOON)[1] == []


def test_silence_counts_from_the_last_sign_of_life_and_from_the_beginning_of_a_session():
    watch = Condition(silence=timedelta(seconds=60), hours=TRADING)
    early = at("2026-11-20T08:00")
    assert look(watch, State(), at("2026-11-20T08:30"), floor=early)[1] == [], "before the session nothing is expected"
    assert look(watch, State(), at("2026-11-20T09:00:59"), floor=early)[1] == []
    state, turns = look(watch, State(), at("2026-11-20T09:01"), floor=early)
    assert (whats(turns), turns[0].why) == (["begun"], Why.ABSENT)
    state, turns = alive(state, at("2026-11-20T09:03"))
    assert whats(turns) == ["recovered"]
    assert look(watch, state, at("2026-11-20T09:03:59"), floor=early)[1] == []
    state, turns = look(watch, state, at("2026-11-20T09:04"), floor=early)
    assert whats(turns) == ["begun"]
    state, turns = look(watch, state, at("2026-11-20T11:30"), floor=early)
    assert whats(turns) == ["lapsed"]
    assert look(watch, state, at("2026-11-20T12:00"), floor=early)[1] == []
    assert whats(look(watch, state, at("2026-11-20T13:01"), floor=early)[1]) == ["begun"], "the next session begins anew"


def test_silence_while_nobody_listened_says_nothing():
    watch = Condition(silence=timedelta(seconds=60))
    assert look(watch, State(alive=NOON), NOON + timedelta(hours=1), floor=NOON + timedelta(minutes=59, seconds=30))[1] == []


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-11-20T09:00", True), ("2026-11-20T11:30", False), ("2026-11-20T20:55", True), ("2026-11-21T02:29", True), ("2026-11-21T02:30", False), ("2026-11-21T09:30", False),
        ("2026-11-28T09:30", True), ("2026-10-01T10:00", False), ("2026-09-30T14:00", True), ("2026-09-30T21:00", False), ("2026-10-01T01:00", False), ("2026-11-23T10:10", False), ("2026-11-23T10:30", True),
    ],
)  # fmt: skip
def test_hours_of_trading(moment, inside):
    assert (TRADING.session(at(moment)) is not None) is inside


def test_a_break_begins_the_session_anew():
    assert TRADING.session(at("2026-11-23T10:40"))[0] == at("2026-11-23T10:30")
    assert TRADING.session(at("2026-11-23T09:40"))[1] == at("2026-11-23T10:00")


@pytest.mark.parametrize("wrong", [{"sessions": "nine to five"}, {"sessions": "09:00-25:00"}, {"sessions": "09:61-10:00"}, {"off": "Christmas"}, {"off": "2026-13-01"}, {"off": "2026-10-08 – 2026-10-01"}, {"extra": "soon"}])
def test_what_cannot_be_read_is_said(wrong):
    with pytest.raises(Invalid):
        hours("Asia/Shanghai", range(5), **{"sessions": "09:00-15:00", **wrong})
    with pytest.raises(Invalid):
        hours("Nowhere/Land", range(5), "09:00-15:00")


@given(st.lists(st.tuples(st.integers(0, 300), st.booleans()), max_size=40), st.integers(1, 4), st.integers(1, 39))
def test_how_a_stream_is_cut_into_batches_changes_nothing(said, times, cut):
    marks = [after(seconds, f"{n}", ends) for n, (seconds, ends) in enumerate(sorted(said, key=lambda one: one[0]))]
    condition = Condition(times=times, within=timedelta(seconds=30), ends=True)
    whole = step(condition, State(), marks)
    state, turns = step(condition, State(), marks[:cut])
    state, more = step(condition, state, marks[cut:])
    assert (state, turns + more) == whole
