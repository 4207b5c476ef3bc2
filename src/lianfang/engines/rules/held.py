"""The matches of one correlation that may still matter, sorted by group and time, and what it has already told of them.

A firing belongs to a *cell*: group and ``moment // width``. Windows slide and are judged at every match; the cell only says
that a storm is told once, and again, at its end, with what came after. So neither the size of batches nor their order changes
what fires, and nothing falls between two cells.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from lianfang.engines.rules import windows
from lianfang.engines.rules.correlation import ABSENCE, Correlation
from lianfang.engines.rules.windows import MOST_GROUPS, SCALE, SHIFT, TIME, Bools, Ints

COLUMNS = ("keys", "seq", "kind", "value")
TOLD = ("told", "told_size", "told_open")
GROUP_BYTES = 240
_TYPES = {"kind": np.int16, "told_open": np.bool_}

Group = tuple[str, ...]


class Fired(NamedTuple):
    """A cell in which the condition held: rows of its first and last match, its key, and whether it was told before."""

    cell: int
    first: int
    last: int
    again: bool


class Held:
    """Rows of one correlation. ``seq`` names a match for good, ``kind`` is the place of its rule in ``refs``, ``value`` what is counted or summed."""

    def __init__(self, one: Correlation):
        self.one = one
        self.keys, self.seq, self.value, self.told, self.told_size = (np.zeros(0, np.int64) for _ in range(5))
        self.kind, self.told_open = np.zeros(0, np.int16), np.zeros(0, np.bool_)
        self.groups: dict[Group, int] = {}
        self.named: dict[int, Group] = {}
        self.free: list[int] = []
        self.values: dict[str, int] = {}
        self.judged = 0

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def size(self) -> int:
        """Bytes that it takes in memory."""
        return sum(int(getattr(self, name).nbytes) for name in (*COLUMNS, *TOLD)) + GROUP_BYTES * len(self.groups) + 100 * len(self.values)

    # ---- in ----

    def codes(self, groups: Iterable[Group]) -> list[int]:
        """The number of each group, given out when it is met first."""
        found = []
        for group in groups:
            code = self.groups.get(group)
            if code is None:
                code = self.free.pop() if self.free else len(self.groups)
                self.groups[group], self.named[code] = code, group
            found.append(code)
        return found

    def room(self) -> int:
        """How many more groups can be told apart."""
        return MOST_GROUPS - len(self.groups)

    def numbers(self, values: Iterable[str]) -> list[int]:
        """Codes of values that are only told apart."""
        return [self.values.setdefault(value, len(self.values)) for value in values]

    def insert(self, keys: Ints, seq: Ints, kind: Any, value: Ints) -> Ints:
        """Take rows in; returns where they stand now."""
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        places = np.searchsorted(self.keys, keys, "right") + np.arange(len(keys))
        old = np.ones(len(self.keys) + len(keys), np.bool_)
        old[places] = False
        for name, fresh in zip(COLUMNS, (keys, seq[order], kind[order], value[order])):
            before = getattr(self, name)
            joined = np.empty(len(old), before.dtype)
            joined[old], joined[places] = before, fresh
            setattr(self, name, joined)
        return places

    # ---- judged ----

    def fire(self, fresh: Ints, frontier: int) -> list[Fired]:
        """What is to be told now. ``frontier``: the moment before which nothing is expected any more; ``fresh``: rows that just came."""
        fired = self._cells(self._holding(self._due(fresh, frontier)))
        known = np.isin(fired[0], self.told, assume_unique=True)
        found = [Fired(cell, first, last, False) for cell, first, last in zip(*(part[~known].tolist() for part in fired))]
        self._note(fired[0][~known], self._sizes(fired[1][~known], fired[2][~known]))
        self.judged = frontier
        return found + self._closing(frontier)

    def _due(self, fresh: Ints, frontier: int) -> Ints:
        """Rows whose windows are to be judged."""
        if self.one.eager:
            return windows.reached(self.keys, fresh, self.one.width) if len(fresh) else fresh
        ends = (self.keys & TIME) + self._wait
        ripe = (ends <= frontier) & (ends > self.judged)
        late = np.zeros(len(ripe), np.bool_)
        if len(fresh):
            late[fresh if self.one.kind == ABSENCE else windows.reached(self.keys, fresh, self.one.width)] = True
        return np.flatnonzero(ripe | (late & (ends <= frontier)))

    @property
    def _wait(self) -> int:
        """How long after a match its window ends."""
        return self.one.width if self.one.kind == ABSENCE else 0

    def _holding(self, at: Ints) -> Ints:
        return at[self._judge(at)] if len(at) else at

    def _judge(self, at: Ints) -> Bools:
        one, keys = self.one, self.keys
        if one.kind == ABSENCE:
            return windows.unfollowed(keys, self.kind, at, one.width, same=len(one.refs) == 1)
        if one.kind == "temporal_ordered":
            return windows.ordered(keys, self.kind, at, one.width, len(one.refs))
        low, high = windows.bounds(keys, at, one.width)
        if one.kind == "temporal":
            present = [windows.counted(self.kind == number, low, high) > 0 for number in range(len(one.refs))]
            return windows.expressed(one.expression, present) if one.expression is not None else windows.holds(one.op, np.sum(present, axis=0), one.bound)
        if one.kind == "event_count":
            return windows.holds(one.op, high - low, one.bound)
        if one.kind == "value_count":
            return self._judge_distinct(low, high)
        return self._judge_amount(low, high)

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

    def measured(self, low: int, high: int) -> float:
        """What a window comes to, in the words of its condition."""
        one, values = self.one, self.value[low:high]
        edges = (np.array([0]), np.array([high - low]))
        if one.kind == "value_count":
            return len(np.unique(values))
        if one.kind == "value_percentile":
            return int(windows.ranked(values, *edges, one.percentile)[0]) / SCALE
        if one.kind == "value_median":
            return int(windows.twice_median(values, *edges)[0]) / (2 * SCALE)
        if one.kind in ("value_sum", "value_avg"):
            return int(values.sum()) / SCALE / (high - low if one.kind == "value_avg" else 1)
        return high - low if one.kind == "event_count" else len(np.unique(self.kind[low:high]))

    # ---- told ----

    def _cells(self, rows: Ints) -> tuple[Ints, Ints, Ints]:
        """Cells of rows (sorted), with the first and the last row of each."""
        times = self.keys[rows] & TIME
        cells = (self.keys[rows] & ~TIME) | (times - times % self.one.width)
        begins = np.flatnonzero(np.diff(cells, prepend=-1))
        ends = np.append(begins[1:], len(cells))
        return cells[begins], rows[begins], rows[ends - 1] if len(begins) else rows[:0]

    def _note(self, cells: Ints, sizes: Ints) -> None:
        keys = np.concatenate((self.told, cells))
        order = np.argsort(keys, kind="stable")
        self.told, self.told_size = keys[order], np.concatenate((self.told_size, sizes))[order]
        self.told_open = np.concatenate((self.told_open, np.ones(len(cells), np.bool_)))[order]

    def _closing(self, frontier: int) -> list[Fired]:
        """Cells that are over: told once more if more makes them than was told."""
        over = np.flatnonzero(self.told_open & ((self.told & TIME) + self.one.width + self._wait <= frontier))
        if not len(over):
            return []
        self.told_open[over] = False
        low, high = np.searchsorted(self.keys, self.told[over], "left"), np.searchsorted(self.keys, self.told[over] + self.one.width, "left")
        cells, first, last = self._cells(self._holding(windows.within(low, high, len(self.keys))))
        more = self._sizes(first, last) != self.told_size[np.searchsorted(self.told, cells)]
        return [Fired(*one, True) for one in zip(cells[more].tolist(), first[more].tolist(), last[more].tolist())]

    def range(self, fired: Fired) -> tuple[int, int]:
        """The rows that made it: from the beginning of its first window to the end of its last."""
        low, high = self._ranges(np.array([fired.first]), np.array([fired.last]))
        return int(low[0]), int(high[0])

    def _ranges(self, first: Ints, last: Ints) -> tuple[Ints, Ints]:
        if self.one.kind == ABSENCE:
            return first, last + 1
        return windows.bounds(self.keys, first, self.one.width)[0], windows.bounds(self.keys, last, self.one.width)[1]

    def _sizes(self, first: Ints, last: Ints) -> Ints:
        low, high = self._ranges(first, last)
        return high - low

    def of(self, group: Group, since: int, until: int) -> Ints:
        """The rows of a group from one moment to another."""
        code = self.groups.get(group)
        if code is None:
            return np.zeros(0, np.int64)
        low, high = np.searchsorted(self.keys, (code << SHIFT) | since, "left"), np.searchsorted(self.keys, (code << SHIFT) | until, "right")
        return np.arange(low, high)

    def moment(self, fired: Fired) -> int:
        """When it first held."""
        return int(self.keys[fired.first] & TIME) + self._wait

    # ---- out ----

    def forget(self, before: int, *, least: float = 0.125) -> int:
        """Let rows go that are older; unless they are too few to be worth it. Returns how many went."""
        gone = (self.keys & TIME) < before
        count = int(gone.sum())
        if count <= least * len(gone):
            return 0
        for name in COLUMNS:
            setattr(self, name, getattr(self, name)[~gone])
        kept = ~((self.told & TIME) + 2 * self.one.width < before)
        for name in TOLD:
            setattr(self, name, getattr(self, name)[kept])
        self._free()
        return count

    def _free(self) -> None:
        """Numbers of groups without rows are given out again; values are numbered anew when most are gone."""
        live = set(np.unique(np.concatenate((self.keys, self.told)) >> SHIFT).tolist())
        for code in [code for code in self.named if code not in live]:
            del self.groups[self.named.pop(code)]
            self.free.append(code)
        if len(self.values) > 1000 + 2 * len(self.keys):
            used, self.value = np.unique(self.value, return_inverse=True)
            texts = dict(zip(self.values.values(), self.values))
            self.values = {texts[code]: number for number, code in enumerate(used.tolist())}

    def halve(self) -> int:
        """Let the older half go: memory is at its bound. Returns how many rows went."""
        times = self.keys & TIME
        return self.forget(int(np.partition(times, len(times) // 2)[len(times) // 2]) + 1, least=0.0) if len(times) else 0

    # ---- kept ----

    def state(self) -> dict[str, Any]:
        """Plain values and bytes."""
        arrays = {name: getattr(self, name).tobytes() for name in (*COLUMNS, *TOLD)}
        return {"arrays": arrays, "groups": [[code, list(group)] for code, group in self.named.items()], "free": self.free, "values": list(self.values), "judged": self.judged}

    def restore(self, state: dict[str, Any]) -> None:
        """As ``state`` was."""
        for name, content in state["arrays"].items():
            setattr(self, name, np.frombuffer(content, _TYPES.get(name, np.int64)).copy())
        self.named = {code: tuple(group) for code, group in state["groups"]}
        self.groups = {group: code for code, group in self.named.items()}
        self.values = {value: number for number, value in enumerate(state["values"])}
        self.free, self.judged = list(state["free"]), state["judged"]
