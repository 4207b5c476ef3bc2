"""Occasions: when marks that rules found in a stream become an alarm, and when it is over.

In: marks in time (a keyword was said, what ends it was said), the last sign of life, and the present moment. Out: turns:
an alarm begins, goes on, recovers or lapses. Three conditions: so many marks within so many seconds; no sign of life for
so many seconds; both only within the hours of a calendar. Marks may come late or twice in the same second: what lies
before the last recovery starts nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from lianfang.engines.rules.hours import Hours

QUIET = timedelta(minutes=15)
"""An alarm that nothing ends by a word is over when it was not said again for so long (or for its window, if that is longer)."""


class Why(StrEnum):
    """What an alarm is about."""

    SAID = "said"
    ABSENT = "absent"


class Mark(NamedTuple):
    """Something a rule found: when, in which event, and whether it ends an alarm."""

    time: datetime
    event: str
    ends: bool = False


class Turn(NamedTuple):
    """``what``: begun, more, recovered, lapsed. ``events``: of the marks that made it, with their times."""

    what: str
    why: Why
    time: datetime
    events: tuple[tuple[datetime, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """``times`` marks ``within``; no sign of life for ``silence``; ``ends``: a word ends it; ``hours``: when it counts at all."""

    times: int = 1
    within: timedelta = timedelta(minutes=1)
    silence: timedelta | None = None
    ends: bool = False
    hours: Hours | None = None


@dataclass(frozen=True, slots=True)
class State:
    """What is known of one condition. ``recent``: marks that do not make an alarm yet; ``last``: the last mark within hours."""

    alarm: Why | None = None
    since: datetime | None = None
    recent: tuple[tuple[datetime, str], ...] = ()
    last: datetime | None = None
    alive: datetime | None = None
    recovered: datetime | None = None


def step(condition: Condition, state: State, marks: Iterable[Mark]) -> tuple[State, list[Turn]]:
    """Marks in any order, one batch of them after the other.

    >>> at = datetime.fromisoformat("2026-11-20T09:31:00+08:00")
    >>> state, turns = step(Condition(times=2), State(), [Mark(at, "a"), Mark(at + timedelta(seconds=9), "b")])
    >>> [(turn.what, [event for _at, event in turn.events]) for turn in turns]
    [('begun', ['a', 'b'])]
    """
    turns: list[Turn] = []
    for mark in sorted(marks, key=lambda one: one.time):
        if mark.ends:
            state = _end(state, mark, turns)
        elif not (state.recovered and mark.time < state.recovered) and _counts(condition, mark.time):
            state = _said(condition, state, mark, turns)
    return state, turns


def _counts(condition: Condition, moment: datetime) -> bool:
    return condition.hours is None or condition.hours.session(moment) is not None


def _end(state: State, mark: Mark, turns: list[Turn]) -> State:
    if state.since and mark.time < state.since:
        return state
    if state.alarm:
        turns.append(Turn("recovered", state.alarm, mark.time, ((mark.time, mark.event),)))
    left = tuple(one for one in state.recent if one[0] > mark.time)
    return replace(state, alarm=None, since=None, recent=left, recovered=max(mark.time, state.recovered or mark.time))


def _said(condition: Condition, state: State, mark: Mark, turns: list[Turn]) -> State:
    here = (mark.time, mark.event)
    if state.alarm and lapsed(condition, state, mark.time):
        turns.append(Turn("lapsed", state.alarm, mark.time))
        state = replace(state, alarm=None, since=None, recent=())
    state = replace(state, last=max(mark.time, state.last or mark.time))
    if state.alarm:
        turns.append(Turn("more", Why.SAID, mark.time, (here,)))
        return replace(state, alarm=Why.SAID)
    recent = tuple(sorted((*state.recent, here)))[-2 * condition.times :]
    for start in range(len(recent) - condition.times + 1):
        enough = recent[start : start + condition.times]
        if enough[-1][0] - enough[0][0] <= condition.within:
            turns.append(Turn("begun", Why.SAID, mark.time, enough))
            return replace(state, alarm=Why.SAID, since=enough[-1][0], recent=())
    return replace(state, recent=tuple(one for one in recent if recent[-1][0] - one[0] <= condition.within))


def lapsed(condition: Condition, state: State, now: datetime) -> bool:
    """Whether an alarm that no word ends was not said again for long enough."""
    if state.alarm is not Why.SAID or condition.ends or state.last is None:
        return False
    return now - state.last > max(QUIET, condition.within)


def alive(state: State, moment: datetime) -> tuple[State, list[Turn]]:
    """A sign of life was received: it ends an alarm about its absence."""
    state = replace(state, alive=max(moment, state.alive or moment))
    if state.alarm is Why.ABSENT and not (state.since and moment < state.since - timedelta(seconds=1)):
        return replace(state, alarm=None, since=None), [Turn("recovered", Why.ABSENT, moment)]
    return state, []


def look(condition: Condition, state: State, now: datetime, *, floor: datetime) -> tuple[State, list[Turn]]:
    """Time has passed. ``floor``: the moment from which on somebody listened; silence before it says nothing.

    Silence is counted from the last sign of life, but not from before the session began; an alarm about silence is set
    aside when its session ends, and begins anew with the next.
    """
    if lapsed(condition, state, now):
        return replace(state, alarm=None, since=None, recent=()), [Turn("lapsed", Why.SAID, now)]
    session = condition.hours.session(now) if condition.hours else None
    outside = condition.hours is not None and session is None
    if state.alarm is Why.ABSENT and (outside or condition.silence is None):
        return replace(state, alarm=None, since=None), [Turn("lapsed", Why.ABSENT, now)]
    if condition.silence is None or outside or state.alarm:
        return state, []
    heard = max([floor, *([session[0]] if session else []), *([state.alive] if state.alive else [])])
    if now - heard < condition.silence:
        return state, []
    return replace(state, alarm=Why.ABSENT, since=now), [Turn("begun", Why.ABSENT, now)]
