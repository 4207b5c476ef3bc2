"""Judging: which settled cells of a baseline depart from what was usual before them, and by how much.

In: a ``Baseline`` and the time. Out: ``Departure``s. Everything is decided from the buckets before the one that is judged, so a judgement does not depend on
the order in which events came. Robust statistics: median and median absolute deviation (Rousseeuw and Croux 1993: scaled by 1.4826 it estimates a
standard deviation and half of the samples may be anything), never less than the chance of a Poisson count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import sqrt
from typing import Any

import numpy as np
import pyarrow as pa

from lianfang.engines.series.baselines import DAY, HOUR, INTS, LATE, Baseline, Kind

SCALE = 1.4826
WEEK = 168
SHOWN, LONGEST_CURVE = 8, 48
"""Known values, and points of a curve, that a departure tells."""
MOST = 500
"""Departures of one judgement; the cells of what comes after wait for the next one."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the curve beside a departure: when (milliseconds) or of whom (``label``), how many, and between what it is usual."""

    at: int
    n: float
    low: float | None = None
    high: float | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class Departure:
    """What was seen, and what was expected from how much.

    ``seen``, ``usual``, ``spread``: rate and peer: counts; rarity: members that have the value, and how many may have a rare one; otherwise the day's
    events and the number of values known. ``far``: in spreads. ``samples`` from ``since`` to ``until`` (milliseconds), on ``days`` different days (rarity, peer: ``members``). ``known``:
    the usual values, or the members, with their numbers. ``at``: begin of the bucket, ``first``: of its first event. ``level``: the highest data level of what
    ``known`` and ``curve`` tell.
    """

    kind: Kind
    place: str
    group: str
    entity: str
    value: str
    at: int
    until_at: int
    first: int
    n: int
    seen: float
    usual: float
    spread: float
    far: float
    samples: int
    days: int
    members: int
    since: int
    until: int
    known: tuple[tuple[str, float], ...]
    curve: tuple[Point, ...]
    level: int


def robust(samples: Any) -> tuple[float, float]:
    """Median and spread of counts.

    >>> robust([10, 12, 11, 90])
    (11.5, 3.391164991562634)
    """
    usual = float(np.median(samples))
    return usual, max(SCALE * float(np.median(np.abs(np.asarray(samples, float) - usual))), sqrt(max(usual, 1.0)))


def judge(base: Baseline, *, now: int) -> list[Departure]:
    """What departs among the cells that have settled; each is told once. The earliest first."""
    found = list(_rates(base, now) if base.spec.kind is Kind.RATE else _days(base, now))
    base.told["departures"] += len(found)
    return sorted(found, key=lambda one: (one.first, one.place, one.entity, one.value))


class _Cells:
    """The cells as arrays, ordered by bucket."""

    def __init__(self, base: Baseline):
        order = np.argsort(base.cells["bucket"].to_numpy(), kind="stable")
        self.order = order
        for name in base.cells.column_names:
            setattr(self, name, base.cells[name].to_numpy()[order])

    group: INTS
    entity: INTS
    value: INTS
    bucket: INTS
    n: INTS
    first: INTS
    due: INTS
    said: INTS
    level: INTS

    def between(self, low: int, high: int) -> slice:
        """Cells of the buckets ``[low, high)``."""
        return slice(int(np.searchsorted(self.bucket, low)), int(np.searchsorted(self.bucket, high)))


def _mark(base: Baseline, cells: _Cells, ready: INTS, fit: INTS, said: Sequence[int]) -> None:
    """What was judged is no longer due, what was told is told; when there was too much, the rest stays due."""
    if not len(ready):
        return
    done = ready if len(said) < MOST else np.concatenate([ready[~np.isin(ready, fit)], np.asarray(said, np.int64)])
    due, told = base.cells["due"].to_numpy().copy(), base.cells["said"].to_numpy().copy()
    due[cells.order[done]] = 0
    told[cells.order[np.asarray(said, int)]] = 1
    base.cells = base.cells.set_column(6, "due", pa.array(due, pa.int8())).set_column(7, "said", pa.array(told, pa.int8()))


# ---- by days: first seen, new pair, rarity, peers -----------------------------------------------------------------


def _days(base: Baseline, now: int) -> Iterator[Departure]:
    cells, spec = _Cells(base), base.spec
    if not len(cells.bucket):
        return
    ready = np.flatnonzero((cells.due == 1) & (cells.first <= now - spec.settle * 1000))
    fit = ready[(cells.said[ready] == 0) & (cells.bucket[ready] > now // DAY - LATE)]
    told = list[int]()
    for day in np.unique(cells.bucket[fit]):
        mine = fit[cells.bucket[fit] == day]
        work = {Kind.RARITY: _rare, Kind.PEER: _peers}.get(spec.kind, _unseen)
        for row, one in islice(work(base, cells, int(day), mine), MOST - len(told)):
            told.append(row)
            yield one
    _mark(base, cells, ready, fit, told)


_RIGHT = 0xFFFFFFFF


def _pair(left: INTS, right: INTS) -> INTS:
    return left.astype(np.int64) << 32 | right.astype(np.int64)


def _firsts(keys: INTS, buckets: INTS) -> tuple[INTS, INTS]:
    """Each key with its earliest bucket; ``buckets`` are in order."""
    unique, at = np.unique(keys, return_index=True)
    return unique, buckets[at]


def _known_for(asked: INTS, keys: INTS, firsts: INTS, day: int, learning: int) -> Any:
    """Which of ``asked`` were there so many days before."""
    if not len(keys):
        return np.zeros(len(asked), bool)
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return (keys[at] == asked) & (firsts[at] <= day - learning)


def _unseen(base: Baseline, cells: _Cells, day: int, rows: INTS) -> Iterator[tuple[int, Departure]]:
    """Values that an entity never had; of a new pair both sides must have been known."""
    spec = base.spec
    before = cells.between(day - spec.back, day)
    pairs = np.unique(_pair(cells.entity[before], cells.value[before]))
    entities, firsts = _firsts(cells.entity[before], cells.bucket[before])
    rows = rows[~np.isin(_pair(cells.entity[rows], cells.value[rows]), pairs)]
    rows = rows[_known_for(cells.entity[rows], entities, firsts, day, spec.learning)]
    if spec.kind is Kind.NEW_PAIR:
        rows = rows[_known_for(cells.value[rows], *_firsts(cells.value[before], cells.bucket[before]), day, spec.learning)]
    owns: dict[int, tuple[INTS, INTS, INTS]] = {}
    for row in rows:
        entity = int(cells.entity[row])
        if entity not in owns:  # one that meets very many new values is looked at once
            own = np.flatnonzero(cells.entity[before] == entity) + before.start
            owns[entity] = own, np.unique(cells.value[own]), np.unique(cells.bucket[own])
        own, values, active = owns[entity]
        if len(active) < spec.least or len(values) > spec.most:
            base.told["varied" if len(values) > spec.most else "few"] += 1
            continue
        counts = np.zeros(int(cells.bucket[own].max()) - day + spec.back + 1, np.int64)
        np.add.at(counts, cells.bucket[own] - (day - spec.back), cells.n[own])
        curve = [Point((day - spec.back + number) * DAY, float(count)) for number, count in enumerate(counts) if number >= int(active[0]) - (day - spec.back)]
        curve += [Point(at * DAY, 0.0) for at in range(int(active[-1]) + 1, day)] + [Point(day * DAY, float(cells.n[row]))]
        known = _largest(base, cells, own, "value")
        yield int(row), _departure(base, cells, row, seen=float(cells.n[row]), usual=float(len(values)), spread=0.0, far=0.0, samples=int(cells.n[own].sum()), days=len(active), members=0, since=int(active[0]), known=known, curve=curve, behind=own)


def _rare(base: Baseline, cells: _Cells, day: int, rows: INTS) -> Iterator[tuple[int, Departure]]:
    """Values that hardly anybody has, and this entity never had."""
    spec = base.spec
    before, within = cells.between(day - spec.back, day), cells.between(day - spec.back, day + 1)
    rows = rows[~np.isin(_pair(cells.entity[rows], cells.value[rows]), np.unique(_pair(cells.entity[before], cells.value[before])))]
    groups, firsts = _firsts(cells.group[before], cells.bucket[before])
    rows = rows[_known_for(cells.group[rows], groups, firsts, day, spec.learning)]
    entities, at = np.unique(cells.entity[within], return_index=True)
    whose = cells.group[within][at]
    members = dict(zip(*(each.tolist() for each in np.unique(whose, return_counts=True)), strict=True))
    pairs = np.unique(_pair(cells.value[within], cells.entity[within]))
    having, numbers = np.unique(_pair(whose[np.searchsorted(entities, pairs & _RIGHT)], pairs >> 32), return_counts=True)
    has_each = dict(zip(having.tolist(), numbers.tolist(), strict=True))
    for row in rows:
        group, value = int(cells.group[row]), int(cells.value[row])
        has, all_of = has_each[group << 32 | value], members[group]
        if all_of < spec.least or has > spec.share * all_of:
            continue
        same = np.flatnonzero(cells.group[within] == group) + within.start
        values, counts = having[having >> 32 == group] & _RIGHT, numbers[having >> 32 == group]
        top = sorted(((base.name(code)[-1], float(count)) for code, count in zip(values, counts, strict=True)), key=lambda one: (-one[1], one[0]))[:SHOWN]
        mine = base.name(value)[-1]
        curve = [Point(0, count, label=name) for name, count in top if name != mine] + [Point(0, float(has), high=spec.share * all_of, label=mine)]
        own_days = np.unique(cells.bucket[same])
        yield int(row), _departure(base, cells, row, seen=float(has), usual=spec.share * all_of, spread=0.0, far=0.0, samples=int(cells.n[same].sum()), days=len(own_days), members=all_of, since=int(own_days[0]), known=tuple(top), curve=curve, behind=same)


def _peers(base: Baseline, cells: _Cells, day: int, rows: INTS) -> Iterator[tuple[int, Departure]]:
    """An entity's day against the days of the others of its group."""
    spec = base.spec
    before, today = cells.between(day - spec.back, day), cells.between(day, day + 1)
    groups, firsts = _firsts(cells.group[before], cells.bucket[before])
    rows = rows[_known_for(cells.group[rows], groups, firsts, day, spec.learning)]
    keys, numbers = _daily(cells, today, distinct=spec.distinct)
    pools = dict[int, _Pool]()
    for entity in np.unique(cells.entity[rows]).tolist():
        seen = int(numbers[np.searchsorted(keys, entity << 32 | day)])
        if seen < spec.floor:
            continue
        mine = rows[cells.entity[rows] == entity]
        group = int(cells.group[mine[0]])
        if group not in pools:
            pools[group] = _Pool(*_daily(cells, before, distinct=spec.distinct, group=group))
        pool = pools[group]
        members = len(pool.members) - int(entity in pool.members)
        if members < spec.least:
            base.told["few"] += 1
            continue
        if not pool.may_stand_out(entity, seen, spec.far):
            continue
        others = pool.of >> 32 != entity
        usual, spread = robust(pool.samples[others])
        far = (seen - usual) / spread
        same = np.flatnonzero(cells.entity[today] == entity) + today.start
        if far < spec.far or cells.said[same].any():
            continue
        row = int(mine[np.argmin(cells.first[mine])])
        whole = np.flatnonzero(cells.group[before] == group) + before.start
        each = {one: float(np.median(pool.samples[pool.of >> 32 == one])) for one in pool.members if one != entity}
        known = tuple(sorted(((base.name(code)[-1], number) for code, number in each.items()), key=lambda one: (-one[1], one[0])))
        low, high = max(0.0, usual - spec.far * spread), usual + spec.far * spread
        curve = [Point(0, number, low, high, name) for name, number in known[: LONGEST_CURVE - 1]] + [Point(0, float(seen), low, high, base.name(entity)[-1])]
        active = np.unique(pool.of[others] & _RIGHT)
        yield row, _departure(base, cells, row, seen=float(seen), usual=usual, spread=spread, far=far, samples=int(others.sum()), days=len(active), members=members, since=int(active[0]), known=known[:SHOWN], curve=curve, behind=whole, whole=same)


class _Pool:
    """The days of a group: (entity, day) in one number, and how much each was."""

    def __init__(self, of: INTS, samples: INTS):
        self.of, self.samples = of, samples
        members, numbers = np.unique(of >> 32, return_counts=True)
        self.members: dict[int, int] = dict(zip(members.tolist(), numbers.tolist(), strict=True))
        self._sorted = np.sort(samples)

    def may_stand_out(self, entity: int, seen: int, far: float) -> bool:
        """Whether it can be far from the others at all: without its own days, what stands at any place in their order is no less than with them."""
        least = float(self._sorted[(len(self._sorted) - self.members.get(entity, 0) - 1) // 2])
        return seen - least >= far * sqrt(max(least, 1.0)) * (1 - 1e-9)


def _daily(cells: _Cells, part: slice, *, distinct: bool, group: int | None = None) -> tuple[INTS, INTS]:
    """(entity, day) in one number, and how much it was."""
    rows = np.arange(part.start, part.stop)
    rows = rows if group is None else rows[cells.group[rows] == group]
    keys, at = np.unique(_pair(cells.entity[rows], cells.bucket[rows]), return_inverse=True)
    return keys, np.bincount(at, weights=None if distinct else cells.n[rows], minlength=len(keys)).astype(np.int64)


def _largest(base: Baseline, cells: _Cells, rows: INTS, column: str) -> tuple[tuple[str, float], ...]:
    codes, at = np.unique(getattr(cells, column)[rows], return_inverse=True)
    sums = np.bincount(at, weights=cells.n[rows])
    return tuple(sorted(((base.name(code)[-1], float(number)) for code, number in zip(codes, sums, strict=True)), key=lambda one: (-one[1], one[0]))[:SHOWN])


# ---- by hours: rate ------------------------------------------------------------------------------------------------


def _rates(base: Baseline, now: int) -> Iterator[Departure]:
    """Hours that are over: those in which something came, and for what may fall all entities in every hour."""
    cells, spec = _Cells(base), base.spec
    closed = (now - spec.settle * 1000) // HOUR
    begin = base.judged_to if base.judged_to is not None else closed
    base.judged_to = max(begin, closed)
    if not len(cells.bucket):
        return
    ready = np.flatnonzero((cells.due == 1) & (cells.bucket < closed))
    fit = ready[(cells.said[ready] == 0) & (cells.bucket[ready] > now // HOUR - LATE * 24)]
    told = list[int]()
    entities, starts = _firsts(cells.entity, cells.bucket)
    for hour in np.unique(cells.bucket[fit]) if not spec.below else ():
        rows = fit[cells.bucket[fit] == hour]
        for row, one in islice(_above(base, cells, int(hour), rows, entities, starts), MOST - len(told)):
            told.append(row)
            yield one
    if spec.below:
        left = MOST
        for hour in range(max(begin, closed - LATE * 24), closed):
            fallen = list(_fallen(base, cells, hour, entities, starts, left))
            yield from fallen
            left -= len(fallen)
            if not left:
                base.judged_to = hour + 1
                break
    _mark(base, cells, ready, fit, told)


def _weeks(cells: _Cells, hour: int, entities: INTS, starts: INTS, back: int) -> Any:
    """For each entity its counts at this hour of the week, one column a week; NaN before it was known."""
    number = back // WEEK
    found = np.zeros((len(entities), number))
    for week in range(1, number + 1):
        at = hour - week * WEEK
        part = cells.between(at, at + 1)
        np.add.at(found[:, week - 1], np.searchsorted(entities, cells.entity[part]), cells.n[part])
        found[starts > at, week - 1] = np.nan
    return found


def _above(base: Baseline, cells: _Cells, hour: int, rows: INTS, entities: INTS, starts: INTS) -> Iterator[tuple[int, Departure]]:
    spec = base.spec
    weeks = _weeks(cells, hour, entities, starts, spec.back)
    for entity in np.unique(cells.entity[rows]):
        mine = rows[cells.entity[rows] == entity]
        same = np.flatnonzero(cells.entity[cells.between(hour, hour + 1)] == entity) + cells.between(hour, hour + 1).start
        seen, samples = int(cells.n[same].sum()), weeks[np.searchsorted(entities, entity)]
        samples = samples[~np.isnan(samples)]
        if len(samples) < spec.weeks:
            base.told["few"] += 1
            continue
        usual, spread = robust(samples)
        if seen >= spec.least and seen - usual >= spec.far * spread and not cells.said[same].any():
            row = int(mine[np.argmin(cells.first[mine])])
            yield row, _rate(base, cells, hour, int(entity), seen, usual, spread, samples, int(cells.first[row]), int(starts[np.searchsorted(entities, entity)]))


def _fallen(base: Baseline, cells: _Cells, hour: int, entities: INTS, starts: INTS, most: int) -> Iterator[Departure]:
    """Who was heard much less than usual in an hour in which others were; when nothing came from anybody it is the way here that is broken. Of very many those that fell farthest."""
    spec = base.spec
    part = cells.between(hour, hour + 1)
    if part.start == part.stop:
        base.told["silent hours"] += 1
        return
    now = np.zeros(len(entities))
    np.add.at(now, np.searchsorted(entities, cells.entity[part]), cells.n[part])
    weeks = _weeks(cells, hour, entities, starts, spec.back)
    found = []
    for at in np.flatnonzero((~np.isnan(weeks)).sum(axis=1) >= spec.weeks).tolist():
        usual, spread = robust(samples := weeks[at][~np.isnan(weeks[at])])
        if usual >= spec.least and usual - now[at] >= spec.far * spread:
            found.append(((now[at] - usual) / spread, at, usual, spread, samples))
    base.told["more"] += max(0, len(found) - most)
    for _far, at, usual, spread, samples in sorted(found, key=lambda one: one[:2])[:most]:
        yield _rate(base, cells, hour, int(entities[at]), int(now[at]), usual, spread, samples, hour * HOUR, int(starts[at]))


def _rate(base: Baseline, cells: _Cells, hour: int, entity: int, seen: int, usual: float, spread: float, samples: Any, first: int, start: int) -> Departure:
    place, group, name = base.name(entity)
    weeks = range(1, base.spec.back // WEEK + 1)
    own = np.flatnonzero(cells.entity == entity)
    counts: dict[int, int] = {}
    for bucket, n in zip(cells.bucket[own].tolist(), cells.n[own].tolist(), strict=True):
        counts[bucket] = counts.get(bucket, 0) + n
    curve = []
    for at in range(hour - LONGEST_CURVE + 1, hour + 1):
        past = [counts.get(at - week * WEEK, 0) for week in weeks if at - week * WEEK >= start]
        low = high = None
        if len(past) >= base.spec.weeks:
            middle, wide = robust(past)
            low, high = max(0.0, middle - base.spec.far * wide), middle + base.spec.far * wide
        curve.append(Point(at * HOUR, float(counts.get(at, 0)), low, high))
    since = hour - len(samples) * WEEK
    return Departure(Kind.RATE, place, group, name, "", hour * HOUR, (hour + 1) * HOUR, first, seen, float(seen), usual, spread, (seen - usual) / spread, len(samples), len(samples), 0, since * HOUR, (hour - WEEK) * HOUR, tuple((str((hour - (len(samples) - number) * WEEK) * HOUR), float(one)) for number, one in enumerate(samples[::-1])), tuple(curve), _level(cells, own))


def _departure(base: Baseline, cells: _Cells, row: int, *, seen: float, usual: float, spread: float, far: float, samples: int, days: int, members: int, since: int, known: tuple[tuple[str, float], ...], curve: Iterable[Point], behind: INTS, whole: INTS | None = None) -> Departure:
    place, group, entity = base.name(cells.entity[row])
    value = "" if base.spec.kind is Kind.PEER else base.name(cells.value[row])[-1]
    at = int(cells.bucket[row]) * DAY
    n = int(cells.n[whole].sum()) if whole is not None else int(cells.n[row])
    first = int(cells.first[whole].min()) if whole is not None else int(cells.first[row])
    return Departure(base.spec.kind, place, group, entity, value, at, at + DAY, first, n, seen, usual, spread, far, samples, days, members, since * DAY, at, known, tuple(curve)[-LONGEST_CURVE:], _level(cells, behind))


def _level(cells: _Cells, rows: INTS) -> int:
    return int(cells.level[rows].max(initial=0))
