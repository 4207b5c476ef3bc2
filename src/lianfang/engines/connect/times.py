"""Time as the world writes it → aware UTC moments.

ISO 8601 and RFC 3339 in their dialects, RFC 3164 and Cisco (no year, perhaps no zone), web servers, RFC 5322, Unix
seconds to nanoseconds, Windows FILETIME, and dates with slashes or Chinese words in year-month-day order.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import parsedate_to_datetime

import re2

_MONTHS = {name: number for number, name in enumerate(("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1)}
_BSD = re2.compile(r"^[*.]?([A-Za-z]{3}) +(\d{1,2}) (?:(\d{4}) )?(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(?: (\d{4}))?(?: [A-Z]{3,5})?:?$")
_WEB = re2.compile(r"^\[?(\d{1,2})/([A-Za-z]{3})/(\d{4}):(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))? ?(?:([+-])(\d\d):?(\d\d))?\]?$")
_EASTERN = re2.compile(r"^(\d{4})[/.年](\d{1,2})[/.月](\d{1,2})日?[ T]+(\d{1,2})[:时](\d{1,2})[:分](\d{1,2})秒?(?:[.,](\d{1,9}))?$")
_NUMBER = re2.compile(r"^-?\d{1,20}(?:\.\d{1,9})?$")
_FILETIME_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN = frozenset((19, 20, 23, 24, 26, 27, 28))
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)


def moment(text: str, *, near: datetime, zone: tzinfo = UTC) -> datetime | None:
    """Any of the forms → aware UTC; ``None`` when it is no time.

    ``zone`` is for times that name none; ``near`` (the time of receipt) chooses the year where none is written.

    >>> near = datetime(2026, 1, 2, tzinfo=UTC)
    >>> str(moment("Dec 31 23:59:58", near=near)), str(moment("1767225599.5", near=near)), str(moment("133801632000000000", near=near))
    ('2025-12-31 23:59:58+00:00', '2025-12-31 23:59:59.500000+00:00', '2025-01-01 00:00:00+00:00')
    """
    text = text.strip()
    if not 4 < len(text) < 64:
        return None
    try:
        found = _iso(text, zone) or _numeric(text) or _bsd(text, near, zone) or _web(text, zone) or _eastern(text, zone) or _mail(text)
        return found.astimezone(UTC) if found else None
    except (ValueError, OverflowError):
        return None


def plausible(text: str, *, near: datetime, zone: tzinfo = UTC) -> datetime | None:
    """As ``moment``, but ``None`` also for times before 1990 or more than two days after receipt: broken clocks, or worse."""
    found = _plain(text, zone) or moment(text, near=near, zone=zone)
    return found if found and EARLIEST <= found <= near + timedelta(days=2) else None


def _plain(text: str, zone: tzinfo) -> datetime | None:
    """The form that most logs write, without a zone or with ``Z``, in UTC: nothing but the parser of the standard library."""
    if zone is not UTC or len(text) not in _PLAIN or text[4] != "-":
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if found.tzinfo is None:
        return found.replace(tzinfo=UTC)
    return found if found.tzinfo is UTC else None


def _iso(text: str, zone: tzinfo) -> datetime | None:
    if text[4:5] != "-" and text[8:9] not in "Tt":
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = datetime.fromisoformat(text.replace(" UTC", "Z").replace(" +", "+").replace(" Z", "Z"))
    return found if found.tzinfo else found.replace(tzinfo=zone)


def _numeric(text: str) -> datetime | None:
    """Unix time or FILETIME, told apart by magnitude: the ranges do not meet before the year 2286."""
    if not _NUMBER.match(text):
        return None
    number = float(text)
    if 1e17 <= number < 1e18:
        return _FILETIME_EPOCH + timedelta(microseconds=int(text.partition(".")[0]) // 10)
    for bound, scale in ((1e11, 1), (1e14, 10**3), (1e17, 10**6), (1e20, 10**9)):
        if number < bound:
            return _EPOCH + timedelta(microseconds=round(number * 10**6 / scale) if scale < 10**6 else int(text.partition(".")[0]) * 10**6 // scale)
    return None


def _bsd(text: str, near: datetime, zone: tzinfo) -> datetime | None:
    found = _BSD.match(text)
    if found is None or found[1].lower() not in _MONTHS:
        return None
    year = found[3] or found[8]
    years = (int(year),) if year else (near.year, near.year - 1, near.year + 1)
    month, day = _MONTHS[found[1].lower()], int(found[2])
    choices = [made for candidate in years if (made := _made(candidate, month, day, found[4], found[5], found[6], found[7], zone))]
    return min(choices, key=lambda choice: abs(choice - near)) if choices else None


def _made(year: int, month: int, day: int, hour: str, minute: str, second: str, fraction: str | None, zone: tzinfo) -> datetime | None:
    try:
        return datetime(year, month, day, int(hour), int(minute), min(int(second), 59), _microseconds(fraction), tzinfo=zone)
    except ValueError:
        return None  # 29 February of another year


def _microseconds(fraction: str | None) -> int:
    return int((fraction or "0").ljust(6, "0")[:6])


def _web(text: str, zone: tzinfo) -> datetime | None:
    found = _WEB.match(text)
    if found is None or found[2].lower() not in _MONTHS:
        return None
    made = _made(int(found[3]), _MONTHS[found[2].lower()], int(found[1]), found[4], found[5], found[6], found[7], UTC if found[8] else zone)
    if made is None or not found[8]:
        return made
    offset = timedelta(hours=int(found[9]), minutes=int(found[10]))
    return made - offset if found[8] == "+" else made + offset


def _eastern(text: str, zone: tzinfo) -> datetime | None:
    found = _EASTERN.match(text)
    return _made(int(found[1]), int(found[2]), int(found[3]), found[4], found[5], found[6], found[7], zone) if found else None


def _mail(text: str) -> datetime | None:
    """RFC 5322, as HTTP and mail headers write it."""
    if not text[:1].isalpha() or "," not in text[:5]:
        return None
    found = parsedate_to_datetime(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
