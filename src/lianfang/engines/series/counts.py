"""Counts: whether a template is said much more, or much less, than it usually is at this time of day.

In: counts by hours since 1970 and the hour that is judged. Out: what is usual and what is, or nothing. Usual is the median of the same hour and its
neighbours on the days before (of the hours before, while fewer than three days are known), with the median absolute deviation, but never less than
the chance of a Poisson count, as its spread. What was likewise a week ago at this time, or at this hour on two days, is usual,
too: a weekend is no failure, a nightly run no flood.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median

DAYS, FEW_DAYS, FEW_HOURS = 7, 3, 12
FAR = 5.0
"""So many spreads from the usual count are far."""
LEAST_MORE, LEAST_USUAL = 10, 20
"""Fewer lines in an hour are never many; where fewer are usual, none is not few."""
_SCALE = 1.4826
DAY, WEEK = 24, 168


@dataclass(frozen=True, slots=True)
class Unusual:
    """``count`` lines in an hour in which ``usual`` are usual, at most ``spread`` more or less as a rule."""

    more: bool
    count: int
    usual: float
    spread: float


def unusual(hours: Mapping[int, int], hour: int, *, first: int) -> Unusual | None:
    """Judge one hour; ``first`` is the hour from which on anything is known.

    >>> hours = {at: 40 + at % 5 for at in range(0, 96)} | {95: 900}
    >>> unusual(hours, 95, first=0)
    Unusual(more=True, count=900, usual=42.0, spread=6.48074069840786)
    >>> unusual(hours, 94, first=0) is None
    True
    """
    known = usual_at(hours, hour, first=first)
    if known is None:
        return None
    count, (usual, spread) = hours.get(hour, 0), known
    more = count > usual + FAR * spread and count >= max(LEAST_MORE, 2 * usual)
    less = usual >= LEAST_USUAL and count < usual - min(FAR * spread, usual / 2) and count <= usual / 4
    if not (more or less) or _was_so(hours, hour, first, count, more):
        return None
    return Unusual(more, count, usual, spread)


def usual_at(hours: Mapping[int, int], hour: int, *, first: int) -> tuple[float, float] | None:
    """What is usual in an hour, and its spread; nothing while too little is known."""
    before = _comparable(hours, hour, first)
    if not before:
        return None
    usual = float(median(before))
    return usual, max(_SCALE * float(median(abs(one - usual) for one in before)), sqrt(max(usual, 1.0)))


def strange_hours(hours: Mapping[int, int], until: int, *, first: int, within: int) -> tuple[int, ...]:
    """Which of the last ``within`` hours up to ``until`` were not as usual, the earliest first; ``until`` itself only where it is too many already.

    >>> strange_hours({at: 40 + at % 5 for at in range(0, 96)} | {80: 900, 90: 0}, 96, first=0, within=48)
    (80, 90)
    """
    most = max(hours.values(), default=0)
    if most < LEAST_MORE:
        return ()
    asked = (hour for hour in range(max(first, until - within + 1), until + 1) if hours.get(hour, 0) >= LEAST_MORE or (most >= LEAST_USUAL and hour < until))
    return tuple(hour for hour in asked if unusual(hours, hour, first=first))


def _comparable(hours: Mapping[int, int], hour: int, first: int) -> Sequence[int]:
    if hour - first >= FEW_DAYS * DAY:
        return [hours.get(at, 0) for day in range(1, DAYS + 1) for at in range(hour - day * DAY - 1, hour - day * DAY + 2) if at >= first]
    return [hours.get(at, 0) for at in range(max(first, hour - DAY), hour)] if hour - first >= FEW_HOURS else ()


def _was_so(hours: Mapping[int, int], hour: int, first: int, count: int, more: bool) -> bool:
    """Whether it was likewise a week ago about this time, or at this hour on two of the days before."""
    week = [hours.get(at, 0) for at in range(hour - WEEK - 1, hour - WEEK + 2) if at >= first]
    days = sorted((hours.get(at, 0) for at in range(hour - DAYS * DAY, hour, DAY) if at >= first), reverse=more)
    then = [*week, *days[1:]]
    return bool(then) and (count <= 1.5 * max(then) if more else count >= min(then) / 2)
