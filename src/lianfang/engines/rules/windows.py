"""Windows over matches: what held within so long before each match, for all matches at once.

In: ``keys``, sorted, each ``group << SHIFT | milliseconds``, so that one array tells group and time exactly; columns in the
same order; and ``at``, the rows (sorted) at which windows end. A window holds the matches of its group from ``width``
milliseconds before its last one, those of the same millisecond included. Out: one number, or one yes, for each window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SHIFT = 42
TIME = (1 << SHIFT) - 1
"""Milliseconds since 1970 fit into 42 bits until the year 2109; a million groups fit above them."""
MOST_GROUPS = 1 << (62 - SHIFT)
SCALE = 1000
"""Amounts are whole thousandths, so that sums are exact in whatever order they are made."""


def bounds(keys: Ints, at: Ints, width: int) -> tuple[Ints, Ints]:
    """First row of each window, and the row after its last.

    >>> bounds(np.array([0, 5, 5, 20]), np.array([2, 3]), 10)
    (array([0, 3]), array([3, 4]))
    """
    here = keys[at]
    return np.searchsorted(keys, np.maximum(here - width, here & ~TIME), "left"), np.searchsorted(keys, here, "right")


def reached(keys: Ints, fresh: Ints, width: int) -> Ints:
    """The rows whose windows hold one of the rows ``fresh`` (sorted)."""
    here = keys[fresh]
    return within(np.searchsorted(keys, here, "left"), np.searchsorted(keys, np.minimum(here + width, here | TIME), "right"))


def within(low: Ints, high: Ints) -> Ints:
    """The rows of all these ranges, each once. Both ends of ranges only move forward.

    >>> within(np.array([0, 1, 7]), np.array([2, 3, 8])).tolist()
    [0, 1, 2, 7]
    """
    if not len(low):
        return low
    begin = np.maximum(low, np.concatenate((low[:1], high[:-1])))
    return expanded(begin, np.maximum(begin, high))


def expanded(low: Ints, high: Ints) -> Ints:
    """The rows of all these ranges, one range after the other.

    >>> expanded(np.array([0, 0]), np.array([2, 1])).tolist()
    [0, 1, 0]
    """
    lengths = high - low
    ends = np.cumsum(lengths)
    return np.asarray(np.arange(ends[-1] if len(ends) else 0) + np.repeat(low - ends + lengths, lengths), np.int64)


def distinct(keys: Ints, values: Ints, low: Ints, high: Ints) -> Ints:
    """How many different values each window holds.

    A value counts once, so what is taken from the number of rows is each pair (row, next row of the same value) that lies
    wholly in the window. Both ends of windows only move forward, hence a pair lies in a run of neighbouring windows.
    """
    rows = within(low, high)
    order = rows[np.lexsort((values[rows], keys[rows] >> SHIFT))]
    alike = (keys[order[1:]] >> SHIFT == keys[order[:-1]] >> SHIFT) & (values[order[1:]] == values[order[:-1]])
    before, after = order[:-1][alike], order[1:][alike]
    begin, end = np.searchsorted(high, after, "right"), np.searchsorted(low, before, "right")
    inside = begin < end
    change = np.bincount(begin[inside], minlength=len(low) + 1) - np.bincount(end[inside], minlength=len(low) + 1)
    return high - low - np.cumsum(change)[: len(low)]


def summed(values: Ints, low: Ints, high: Ints) -> Ints:
    """The sum of each window."""
    total = np.concatenate(([0], np.cumsum(values)))
    return np.asarray(total[high] - total[low], np.int64)


def counted(chosen: Bools, low: Ints, high: Ints) -> Ints:
    """How many chosen rows each window holds."""
    return summed(chosen.astype(np.int64), low, high)


def ordered(keys: Ints, kinds: npt.NDArray[Any], at: Ints, width: int, steps: int) -> Bools:
    """Whether in the window a match of kind 0 is followed by one of kind 1, and so on to the last. Matches of one millisecond may stand in either order.

    Carried from kind to kind is the latest possible beginning; the key of a beginning also says in which group it lies.
    """
    nothing = np.int64(-1)
    start = np.where(kinds == 0, keys, nothing)
    peers = np.searchsorted(keys, keys, "right") - 1
    for step in range(1, steps):
        start = np.where(kinds == step, np.maximum.accumulate(start)[peers], nothing)
    latest = np.maximum.accumulate(start)[peers[at]]
    here = keys[at]
    return np.asarray(latest >= np.maximum(here - width, here & ~TIME), np.bool_)


def unfollowed(keys: Ints, kinds: npt.NDArray[Any], at: Ints, width: int, *, same: bool) -> Bools:
    """Whether no match of kind 1 follows within ``width`` after each row of kind 0; ``same``: the next of kind 0 would do, at a later moment."""
    others = keys[kinds == (0 if same else 1)]
    here = keys[at]
    after = np.searchsorted(others, here, "right" if same else "left")
    following = np.append(others, np.iinfo(np.int64).max)[after]
    return np.asarray((kinds[at] == 0) & ((following >> SHIFT != here >> SHIFT) | (following - here > width)), np.bool_)


def ranked(values: Ints, low: Ints, high: Ints, percent: int) -> Ints:
    """The value at the nearest rank of a percentile, window by window."""
    ranks = np.maximum(1, -(-percent * (high - low) // 100))
    return np.array([np.partition(values[a:b], k - 1)[k - 1] for a, b, k in zip(low.tolist(), high.tolist(), ranks.tolist())], np.int64)


def below_rank(values: Ints, low: Ints, high: Ints, percent: int, bound: int, *, or_equal: bool) -> Bools:
    """Whether the value at the nearest rank is smaller than ``bound`` (or equal to it): counted, without sorting any window."""
    ranks = np.maximum(1, -(-percent * (high - low) // 100))
    return np.asarray(counted(values <= bound if or_equal else values < bound, low, high) >= ranks, np.bool_)


def twice_median(values: Ints, low: Ints, high: Ints) -> Ints:
    """Twice the median of each window: the sum of the two in the middle, so that it is whole."""
    found = []
    for a, b in zip(low.tolist(), high.tolist()):
        left, right = (b - a - 1) // 2, (b - a) // 2
        part = np.partition(values[a:b], (left, right))
        found.append(int(part[left]) + int(part[right]))
    return np.array(found, np.int64)


def holds(op: str, left: Any, right: Any) -> Bools:
    """A comparison as Sigma names it."""
    return np.asarray({"gt": np.greater, "gte": np.greater_equal, "lt": np.less, "lte": np.less_equal, "eq": np.equal, "neq": np.not_equal}[op](left, right), np.bool_)


def expressed(tree: Any, present: Sequence[Bools]) -> Bools:
    """A condition over kinds: a number, or ``[and | or | not, branches…]``."""
    if isinstance(tree, int):
        return present[tree]
    parts = [expressed(branch, present) for branch in tree[1:]]
    if tree[0] == "not":
        return ~parts[0]
    return np.asarray((np.logical_and if tree[0] == "and" else np.logical_or).reduce(parts), np.bool_)
