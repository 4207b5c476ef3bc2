"""Time, said one way: aware, in UTC, RFC 3339 on the wire.

In: nothing, text or epoch numbers. Out: aware ``datetime`` values or RFC 3339 text.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from lianfang.kernel.errors import Invalid

_frozen: ContextVar[datetime | None] = ContextVar("frozen_clock", default=None)


def now() -> datetime:
    """The present moment, aware and in UTC (or the moment a test has frozen)."""
    return _frozen.get() or datetime.now(UTC)


@contextmanager
def frozen(moment: datetime) -> Iterator[datetime]:
    """Hold the clock still for the length of a ``with`` block; for tests and replays."""
    token = _frozen.set(moment.astimezone(UTC))
    try:
        yield moment
    finally:
        _frozen.reset(token)


def text(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds.

    >>> text(datetime(2026, 11, 20, 8, 0, tzinfo=UTC))
    '2026-11-20T08:00:00.000Z'
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def parse(value: str) -> datetime:
    """RFC 3339 text (``Z`` or an offset) → aware UTC moment; raises ``Invalid`` on anything else.

    >>> parse("2026-11-20T16:00:00+08:00")
    datetime.datetime(2026, 11, 20, 8, 0, tzinfo=datetime.timezone.utc)
    """
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise Invalid(f"“{value[:40]}” is not a time", todo="Write it like 2026-11-20T08:00:00Z.") from error
    if moment.tzinfo is None:
        raise Invalid(f"“{value[:40]}” names no time zone", why="A time without a zone has no single meaning.", todo="Add Z or an offset such as +08:00.")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise Invalid(f"“{value[:40]}” is not a time", why="In UTC it lies outside the years 1 to 9999.", todo="Write it like 2026-11-20T08:00:00Z.") from error
