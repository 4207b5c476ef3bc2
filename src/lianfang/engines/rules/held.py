"""The matches of one correlation that may still matter, sorted by group and time, and what it has already told of them.

A firing belongs to a *cell*: group and ``moment // width``. Windows slide and are judged at every match; the cell only says
that a storm is told once, and again, at its end, with what came after. So neither the size of batches nor their order changes
what fires, and nothing falls between two cells.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lianfang.engines.rules import windows
from lianfang.engines.rules.correlation import ABSENCE, Correlation
from lianfang.engines.rules.names import Groups
from lianfang.engines.rules.windows import SCALE, SHIFT, TIME, Bools, Ints

TOLD = ("told", "told_size", "told_open")
_TYPES = {"kind": np.int16, "told_open": np.bool_}
WORTH = 8
"""Rows are let go each time that a part of the timespan has passed."""


class Fired(NamedTuple):
    """Cells in which the condition held: their keys (rising), rows of the first and last match of each, and whether they were told before."""

    cells: Ints
    first: Ints
    last: Ints
    again: bool


class Held:
    """Rows of one correlation. ``seq`` names a match for good, ``kind`` is the place of its rule in ``refs`` (where there are several), ``value`` what is counted or summed (if anything is)."""

    def __init__(self, one: Correlation, groups: Groups):
        self.one, self.groups = one, groups
        self.keys, self.seq, self.value, self.told, self.told_size = (np.zeros(0, np.int64) for _ in range(5))
        self.kind, self.told_open = np.zeros(0, np.int16), np.zeros(0, np.bool_)
        self.columns = ("keys", "seq", *(("kind",) if len(one.refs) > 1 else ()), *(("value",) if one.fields else ()))
        self.judged = self.cleared = self.size = 0

    def __len__(self) -> int:
        return len(self.keys)

    def _weigh(self) -> None:
        self.size = self.keys.nbytes + self.seq.nbytes + self.kind.nbytes + self.value.nbytes + 17 * len(self.told)

    @property
    def kinds(self) -> Any:
        return self.kind if "kind" in self.columns else np.zeros(len(self.keys), np.int16)

    # ---- in ----

    def insert(self, keys: Ints, seq: Ints, kind: Any, value: Ints) -> Ints:
        """Take rows in; returns where they stand now."""
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        places = np.searchsorted(self.keys, keys, "right") + np.arange(len(keys))
        old = np.ones(len(self.keys) + len(keys), np.bool_)
        old[places] = False
        given = {"keys": keys, "seq": seq, "kind": kind, "value": value}
        for name in self.columns:
            before = getattr(self, name)
            joined = np.empty(len(old), before.dtype)
            joined[old], joined[places] = before, given[name] if name == "keys" else given[name][order]
            setattr(self, name, joined)
        self._weigh()
        return places

    # ---- judged ----

    @property
    def waits(self) -> bool:
        """Whether time alone may make it fire, or end a cell."""
        return len(self.keys) > 0 and (not self.one.eager or bool(self.told_open.any()))

    def fire(self, fresh: Ints, frontier: int) -> list[Fired]:
        """What is to be told now. ``frontier``: the moment before which nothing is expected any more; ``fresh``: rows that just came."""
        found, at = [], self._holding(self._due(fresh, frontier))
        if len(at):
            cells, first, last = self._cells(at)
            news = ~_among(cells, self.told)
            if news.any():
                found.append(Fired(cells[news], first[news], last[news], False))
                self._note(cells[news], self._sizes(first[news], last[news]))
        self.judged = frontier
        over = self._closing(frontier)
        return [*found, over] if over is not None and len(over.cells) else found

    def _due(self, fresh: Ints, frontier: int) -> Ints:
        """Rows whose windows are to be judged."""
        if self.one.eager:
            return windows.reached(self.keys, fresh, self.one.width) if len(fresh) else fresh
        ends = (self.keys & TIME) + self._wait
        ripe = (ends <= frontier) & (ends > self.judged)
        if len(fresh):
            late = fresh if self.one.kind == ABSENCE else windows.reached(self.keys, fresh, self.one.width)
            ripe[late[ends[late] <= frontier]] = True
        return np.flatnonzero(ripe)

    @property
    def _wait(self) -> int:
        """How long after a match its window ends."""
        return self.one.width if self.one.kind == ABSENCE else 0

    def _holding(self, at: Ints) -> Ints:
        return at[self._judge(at)] if len(at) else at

    def _judge(self, at: Ints) -> Bools:
        one, keys = self.one, self.keys
        if one.kind == ABSENCE:
            return windows.unfollowed(keys, self.kinds, at, one.width, same=len(one.refs) == 1)
        low, high = windows.bounds(keys, at, one.width)
        if one.kind == "temporal_ordered":
            return self._judge_order(at, low, high)
        if one.kind == "temporal":
            rows = windows.within(low, high)
            low, high = np.searchsorted(rows, low), np.searchsorted(rows, high)
            present = [windows.counted(self.kind[rows] == number, low, high) > 0 for number in range(len(one.refs))]
            return windows.expressed(one.expression, present) if one.expression is not None else windows.holds(one.op, np.sum(present, axis=0), one.bound)
        if one.kind == "event_count":
            return windows.holds(one.op, high - low, one.bound)
        if one.kind == "value_count":
            return self._judge_distinct(low, high)
        return self._judge_amount(low, high)

    def _judge_order(self, at: Ints, low: Ints, high: Ints) -> Bools:
        """No window shorter than its steps holds them all: most are out before anything is followed."""
        held = high - low >= len(self.one.refs)
        at = at[held]
        if len(at):
            rows = windows.within(low[held], high[held])
            held[held] = windows.ordered(self.keys[rows], self.kind[rows], np.searchsorted(rows, at), self.one.width, len(self.one.refs))
        return held

    def _judge_distinct(self, low: Ints, high: Ints) -> Bools:
        """No window holds more values than rows: most are out before anything is sorted."""
        one = self.one
        held = np.zeros(len(low), np.bool_)
        worth = np.flatnonzero(high - low >= one.bound) if one.op in ("gte", "gt", "eq") else np.arange(len(low))
        if len(worth):
            held[worth] = windows.holds(one.op, windows.distinct(self.keys, self.value, low[worth], high[worth]), one.bound)
        return held

    def _judge_amount(self, low: Ints, high: Ints) -> Bools:
        one, bound = self.one, self.one.bound * SCALE
        if one.kind == "value_sum":
            return windows.holds(one.op, windows.summed(self.value, low, high), bound)
        if one.kind == "value_avg":
            return windows.holds(one.op, windows.summed(self.value, low, high), bound * (high - low))
        if one.kind == "value_median":
            return windows.holds(one.op, windows.twice_median(self.value, low, high), 2 * bound)
        under, up_to = (windows.below_rank(self.value, low, high, one.percentile, bound, or_equal=equal) for equal in (False, True))
        return {"lt": under, "lte": up_to, "gte": ~under, "gt": ~up_to, "eq": up_to & ~under, "neq": under | ~up_to}[one.op]

    def measured(self, fired: Fired) -> Any:
        """What the window of each comes to, in the words of its condition: the first one, or all of them together for those that were told before."""
        one = self.one
        low, high = self.ranges(fired.first, fired.last if fired.again else fired.first)
        if one.kind == "value_count":
            return windows.distinct(self.keys, self.value, low, high)
        if one.kind == "value_percentile":
            return windows.ranked(self.value, low, high, one.percentile) / SCALE
        if one.kind == "value_median":
            return windows.twice_median(self.value, low, high) / (2 * SCALE)
        if one.kind in ("value_sum", "value_avg"):
            return windows.summed(self.value, low, high) / SCALE / (high - low if one.kind == "value_avg" else 1)
        if one.kind == "event_count":
            return high - low
        rows = windows.within(low, high)
        low, high = np.searchsorted(rows, low), np.searchsorted(rows, high)
        return np.sum([windows.counted(self.kinds[rows] == number, low, high) > 0 for number in range(len(one.refs))], axis=0)

    # ---- told ----

    def _cells(self, rows: Ints) -> tuple[Ints, Ints, Ints]:
        """Cells of rows (sorted), with the first and the last row of each."""
        keys = self.keys[rows]
        cells = keys - (keys & TIME) % self.one.width
        begins = np.flatnonzero(np.diff(cells, prepend=-1))
        ends = np.append(begins[1:], len(cells))
        return cells[begins], rows[begins], rows[ends - 1] if len(begins) else rows[:0]

    def _note(self, cells: Ints, sizes: Ints) -> None:
        places = np.searchsorted(self.told, cells)
        self.told, self.told_size = np.insert(self.told, places, cells), np.insert(self.told_size, places, sizes)
        self.told_open = np.insert(self.told_open, places, True)
        self._weigh()

    def _closing(self, frontier: int) -> Fired | None:
        """Cells that are over: told once more if more makes them than was told."""
        over = np.flatnonzero(self.told_open & ((self.told & TIME) + self.one.width + self._wait <= frontier))
        if not len(over):
            return None
        self.told_open[over] = False
        low, high = np.searchsorted(self.keys, self.told[over], "left"), np.searchsorted(self.keys, self.told[over] + self.one.width, "left")
        cells, first, last = self._cells(self._holding(windows.within(low, high)))
        more = self._sizes(first, last) != self.told_size[np.searchsorted(self.told, cells)]
        return Fired(cells[more], first[more], last[more], True)

    def ranges(self, first: Ints, last: Ints) -> tuple[Ints, Ints]:
        """The rows that made each: from the beginning of its first window to the end of its last."""
        if self.one.kind == ABSENCE:
            return first, last + 1
        return windows.bounds(self.keys, first, self.one.width)[0], windows.bounds(self.keys, last, self.one.width)[1]

    def _sizes(self, first: Ints, last: Ints) -> Ints:
        low, high = self.ranges(first, last)
        return high - low

    def of(self, group: int, since: int, until: int) -> Ints:
        """The rows of a group from one moment to another."""
        return np.arange(np.searchsorted(self.keys, (group << SHIFT) | since, "left"), np.searchsorted(self.keys, (group << SHIFT) | until, "right"))

    def moments(self, fired: Fired) -> Ints:
        """When each first held."""
        return (self.keys[fired.first] & TIME) + self._wait

    # ---- out ----

    def live(self) -> Ints:
        """The groups that are held."""
        return np.concatenate([_runs(self.keys >> SHIFT), _runs(self.told >> SHIFT)])

    def pass_by(self, before: int) -> int:
        """Time went on: let rows go that are older, when it is worth it. Returns how many went."""
        if before - self.cleared < self.one.width // WORTH:
            return 0
        return self.forget(before)

    def forget(self, before: int) -> int:
        """Let rows go that are older. Returns how many went."""
        self.cleared = max(self.cleared, before)
        stays = (self.keys & TIME) >= before
        count = len(stays) - int(stays.sum())
        if count:
            for name in self.columns:
                setattr(self, name, getattr(self, name)[stays])
        kept = (self.told & TIME) + 2 * self.one.width >= before
        if not kept.all():
            for name in TOLD:
                setattr(self, name, getattr(self, name)[kept])
        self._weigh()
        return count

    def halve(self) -> int:
        """Let the older half go: memory is at its bound. Returns how many rows went."""
        times = self.keys & TIME
        return self.forget(int(np.partition(times, len(times) // 2)[len(times) // 2]) + 1) if len(times) else 0

    # ---- kept ----

    def state(self) -> dict[str, Any]:
        """Plain values and bytes."""
        return {"arrays": {name: getattr(self, name).tobytes() for name in (*self.columns, *TOLD)}, "judged": self.judged}

    def restore(self, state: dict[str, Any]) -> None:
        """As ``state`` was."""
        for name, content in state["arrays"].items():
            setattr(self, name, np.frombuffer(content, _TYPES.get(name, np.int64)).copy())
        self.judged = state["judged"]
        self._weigh()


def _among(some: Ints, all_: Ints) -> Bools:
    """Which of some numbers are among others; both rise."""
    return np.asarray(np.append(all_, -1)[np.searchsorted(all_, some)] == some, np.bool_)


def _runs(numbers: Ints) -> Ints:
    """Sorted numbers, each once."""
    return np.asarray(numbers[np.diff(numbers, prepend=-1) != 0], np.int64)
