"""Hours: when something is expected of a system, as its calendar says: days of the week, sessions of a day, times off.

In: what a person wrote. Out: the session in which a moment lies, or that it lies in none. A session may run over midnight
(a night session of 20:55-02:30); it then belongs to the day on which it begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from lianfang.kernel.errors import Invalid

Span = tuple[int, int]
"""Minutes after midnight from which, and to which, a session runs; beyond 1440 on the next day."""

_SPAN = re.compile(r"(\d{1,2}):(\d{2})\s*[-–—~至]\s*(\d{1,2}):(\d{2})")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
DAY = 24 * 60
LONGEST_RANGE = 400


@dataclass(frozen=True, slots=True)
class Off:
    """Days, from ``first`` to ``last``, on which no session begins; with a ``span`` only that part of each day is off."""

    first: date
    last: date
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Hours:
    """A calendar. ``days``: 0 is Monday; ``extra``: dates that are days of work whatever their day of the week."""

    zone: ZoneInfo
    days: frozenset[int]
    spans: tuple[Span, ...]
    off: tuple[Off, ...] = ()
    extra: frozenset[date] = frozenset()

    def session(self, moment: datetime) -> tuple[datetime, datetime] | None:
        """Begin and end of the session that holds ``moment``; ``None`` outside.

        >>> trading = hours("Asia/Shanghai", [0, 1, 2, 3, 4], "09:00-11:30, 20:55-02:30", "2026-10-01 – 2026-10-08")
        >>> [str(end) for end in trading.session(datetime.fromisoformat("2026-11-21T01:00+08:00"))]
        ['2026-11-20 20:55:00+08:00', '2026-11-21 02:30:00+08:00']
        >>> trading.session(datetime.fromisoformat("2026-11-21T10:00+08:00")), trading.session(datetime.fromisoformat("2026-10-05T10:00+08:00"))
        (None, None)
        """
        here = moment.astimezone(self.zone)
        for day in (here.date(), here.date() - timedelta(days=1)):
            if self._works(day):
                for span in self.spans:
                    first, last = self._at(day, span)
                    if first <= moment < last:
                        return self._cut(first, last, moment)
        return None

    def _works(self, day: date) -> bool:
        if any(one.span is None and one.first <= day <= one.last for one in self.off):
            return False
        return day in self.extra or day.weekday() in self.days

    def _cut(self, first: datetime, last: datetime, moment: datetime) -> tuple[datetime, datetime] | None:
        """The session without the times off within it, as far as it holds ``moment``."""
        for start, end in self._breaks(first):
            if start <= moment < end:
                return None
            if end <= moment:
                first = max(first, end)
            else:
                last = min(last, start)
        return first, last

    def _breaks(self, near: datetime) -> Iterator[tuple[datetime, datetime]]:
        today = near.astimezone(self.zone).date()
        for day in (today - timedelta(days=1), today, today + timedelta(days=1)):
            yield from (self._at(day, one.span) for one in self.off if one.span is not None and one.first <= day <= one.last)

    def _at(self, day: date, span: Span) -> tuple[datetime, datetime]:
        midnight = datetime.combine(day, time())
        first, last = ((midnight + timedelta(minutes=minutes)).replace(tzinfo=self.zone) for minutes in span)
        return first, last


def hours(zone: str, days: Iterable[int], sessions: str, off: str = "", extra: str = "") -> Hours:
    """A calendar as people write it.

    ``sessions``: ``09:00-11:30, 13:00-15:00``; empty: the whole day. ``off``: on each line a date, two dates, or a date with
    hours that are off. ``extra``: dates. Raises ``Invalid`` that says which part cannot be read.
    """
    try:
        place = ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise Invalid(f"There is no time zone {zone[:40]}", todo="Write one like Asia/Shanghai or UTC.") from error
    spans = tuple(_spans(sessions, sessions)) if sessions.strip() else ((0, DAY),)
    return Hours(place, frozenset(days), spans, tuple(_offs(off)), frozenset(day for line in _lines(extra) for day in _dates(line)))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in re.split(r"[\n;；]", text) if line.strip()]


def _spans(text: str, whole: str) -> Iterator[Span]:
    rest = _SPAN.sub("", text)
    if re.sub(r"[\s,，、和]", "", rest):
        raise Invalid(f"“{whole.strip()[:60]}” names no hours", why=f"“{rest.strip(' ,，、')[:30]}” cannot be read.", todo="Write 09:00-11:30, 13:00-15:00; a session over midnight is 20:55-02:30.")
    for found in _SPAN.finditer(text):
        first, last = (int(hour) * 60 + int(minute) for hour, minute in (found.groups()[:2], found.groups()[2:]))
        if max(first, last) > DAY or any(int(minute) > 59 for minute in (found[2], found[4])):
            raise Invalid(f"“{found[0]}” names no hours", why="A day ends at 24:00.", todo="Write 09:00-11:30.")
        yield first, last if last > first else last + DAY


def _dates(text: str) -> list[date]:
    try:
        found = [date.fromisoformat(one) for one in _DAY.findall(text)]
    except ValueError as error:
        raise Invalid(f"“{text[:60]}” names no date", why=str(error), todo="Write 2026-10-01.") from error
    if not found:
        raise Invalid(f"“{text[:60]}” names no date", todo="Write 2026-10-01.")
    return found


def _offs(text: str) -> Iterator[Off]:
    for line in _lines(text):
        days, rest = _dates(line), _DAY.sub(" ", line).strip(" ~–—-至到.")
        if len(days) > 2 or days[-1] < days[0] or (days[-1] - days[0]).days > LONGEST_RANGE:
            raise Invalid(f"“{line[:60]}” names no days", why="It is one date, or the first and the last of a range.", todo="Write 2026-10-01 – 2026-10-08, each range on a line of its own.")
        spans = list(_spans(rest, line)) if rest else [None]
        yield from (Off(days[0], days[-1], span) for span in spans)
