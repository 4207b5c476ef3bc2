"""What feeds what: how many events of each kind which source brought, day by day.

In: a stretch of time, a viewer. Out: counts, from the roll-up by hours, so that a month is asked in a moment.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from lianfang.engines.columns.query import Bounds
from lianfang.engines.columns.rollups import HOURS
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake.queries import scope
from lianfang.rooms.lake.types import EVENT_TABLES, Fed


def fed(*, since: datetime, until: datetime, viewer: Viewer) -> list[Fed]:
    """Events in the viewer's scope by class, activity, source and day (UTC) of event time; the earliest day first."""
    viewer.must("lake.event.view")
    day = "epoch_us(time) // 86400000000"
    sql = f"SELECT class_uid, activity_id, source, {day} AS day, sum(n)::BIGINT AS n FROM stored WHERE {scope.rows(viewer)} GROUP BY ALL ORDER BY day, class_uid, activity_id, source"  # noqa: S608
    rows = scope.query().counted(HOURS, sql, bounds=Bounds(EVENT_TABLES, since, until))
    return [Fed(int(row["class_uid"] or 0), int(row["activity_id"] or 0), row["source"], date(1970, 1, 1) + timedelta(days=int(row["day"])), int(row["n"])) for row in rows]


def hours(*, since: datetime, until: datetime, viewer: Viewer) -> list[tuple[datetime, int]]:
    """The hours of event time in which the viewer's scope has events, with their number; the earliest first."""
    viewer.must("lake.event.view")
    sql = f"SELECT epoch_us(time) // 3600000000 AS hour, sum(n)::BIGINT AS n FROM stored WHERE {scope.rows(viewer)} GROUP BY 1 ORDER BY 1"  # noqa: S608
    rows = scope.query().counted(HOURS, sql, bounds=Bounds(EVENT_TABLES, since, until))
    return [(datetime.fromtimestamp(int(row["hour"]) * 3600, UTC), int(row["n"])) for row in rows]
