"""How well the event tables are filled in: sums of what was counted per data file, as far as the viewer may know them.

In: checks, tables, a time, the viewer. Out: how many rows were asked and how many failed. Counts carry the organisation and
the level of their rows; of a check that looks at content only rows are counted whose content the viewer may see, so that a
made-up check tells nobody what is hidden.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from lianfang.engines.columns.measures import Check
from lianfang.engines.columns.query import Bounds
from lianfang.engines.columns.rollups import HOURS
from lianfang.kernel import clock
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake.queries import scope
from lianfang.rooms.lake.types import EVENT_TABLES, Coverage, Freshness, Gap, Tally

HOUR = timedelta(hours=1)
KNOWN, FRESH = timedelta(days=7), timedelta(days=1)
"""A source that spoke within a week is expected to go on; nothing newer than a day is nothing fresh."""


def measured(checks: Iterable[Check], *, since: datetime, until: datetime, viewer: Viewer, tables: Sequence[str] = EVENT_TABLES, seconds: int = 3600) -> list[Tally]:
    """What was counted last of events in ``[since, until)``, whole hours, in stretches of ``seconds`` (hours or more; 0: all in one), and the rows beside."""
    viewer.must("lake.event.view")
    width = seconds * 1_000_000
    stretch = f"make_timestamptz(epoch_us(time) // {width} * {width})" if seconds else "min(time)"
    allowed = " OR ".join((f"\"check\" = '{key}' AND {seen}" if seen else f"\"check\" = '{key}'") for key, seen in _allowed(checks, viewer).items())
    group = f'"table", "check"{f", {stretch}" if seconds else ""}'
    sql = f'SELECT "table", "check", {stretch} AS start, sum(n)::BIGINT AS n, sum(failed)::BIGINT AS failed FROM stored WHERE time >= ? AND time < ? AND ({scope.rows(viewer)}) AND ({allowed}) GROUP BY {group} ORDER BY start'  # noqa: S608
    return [Tally(row["table"], row["check"], row["start"], row["n"], row["failed"]) for row in scope.query().measured(sql, [since, until], tables=tables)]


def _allowed(checks: Iterable[Check], viewer: Viewer) -> dict[str, str]:
    """Key of a check → the condition under which its counts are shown; the key is made of hexadecimal digits."""
    shut = scope.closed(viewer)
    return {"": ""} | {check.key: " AND ".join(scope.readable(viewer, name, shut) for name in check.columns() if name not in scope.OPEN) for check in checks}


def freshness(table: str, *, viewer: Viewer) -> Freshness:
    """How new the newest event of a table is."""
    viewer.must("lake.event.view")
    since = clock.now() - FRESH
    (row,) = scope.query().rows(f"SELECT max(time) AS happened, max(received) AS received FROM stored WHERE time >= ? AND ({scope.rows(viewer)})", [since], bounds=Bounds((table,), since))  # noqa: S608
    return Freshness(row["happened"], row["received"])


def coverage(table: str, *, since: datetime, until: datetime, viewer: Viewer) -> Coverage:
    """Whether every source that spoke in a table during the week before ``until`` did so in every whole hour of ``[since, until)`` from its first on."""
    viewer.must("lake.event.view")
    low, high = _hour(since, up=True), _hour(until)
    sql = f"SELECT source, time_bucket(INTERVAL 1 HOUR, time) AS start FROM stored WHERE {scope.rows(viewer)} GROUP BY ALL"  # noqa: S608
    heard = defaultdict[str, set[datetime]](set)
    for row in scope.query().counted(HOURS, sql, bounds=Bounds((table,), min(high - KNOWN, low), high)):
        heard[row["source"]].add(row["start"])
    expected, gaps = 0, []
    for source, hours in heard.items():
        begin = max(low, min(hours))
        wanted = [begin + n * HOUR for n in range(max(0, (high - begin) // HOUR))]
        expected += len(wanted)
        gaps += [Gap(source, start) for start in wanted if start not in hours]
    return Coverage(expected, tuple(sorted(gaps, key=lambda gap: (gap.start, gap.source), reverse=True)))


def _hour(moment: datetime, *, up: bool = False) -> datetime:
    down = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return down + HOUR if up and down < moment else down
