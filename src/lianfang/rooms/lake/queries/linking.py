"""What an entity was met in: the event tables hold every event with its host, user, addresses, hashes and domains, so they are the edges.

In: entities, a time, the viewer. Out: for each how many events and hosts had it, and the lines that say most: events of one kind at one
host, counted, with the nearest of them. One question for each kind of entity; sieves and statistics leave out files without them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from lianfang.engines.columns.query import Bounds
from lianfang.engines.columns.sieves import LISTS
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake.queries import scope, sealing
from lianfang.rooms.lake.types import EVENT_TABLES, Met, MetLine

COLUMNS = {"hosts": "host", "users": "user", "ips": "ips", "hashes": "hashes", "domains": "domains"}
"""Kinds of entities, and the column each stands in."""
LINES = 12
"""Lines of an entity that are told: those on which rules fired first, then the rare ones."""
PARTED = ("class_uid", "activity_id", "event_code", "host", "rules")


def met(entities: Iterable[tuple[str, str]], *, at: datetime, since: datetime, until: datetime, viewer: Viewer) -> dict[tuple[str, str], Met]:
    """What each (kind, value) was met in during ``[since, until)``, as written; lines nearest to ``at`` stand for their like. Raises ``Refused``."""
    viewer.must("lake.event.view")
    by_kind: dict[str, list[str]] = defaultdict(list)
    for kind, value in entities:
        if kind in COLUMNS and value:
            by_kind[kind].append(value)
    found: dict[tuple[str, str], Met] = {}
    for kind, values in by_kind.items():
        for row in _asked(COLUMNS[kind], values, at=at, since=since, until=until, viewer=viewer):
            before = found.get((kind, row["value"]), Met(row["places"], row["events"], ()))
            line = MetLine(str(row["one"]["event_id"]), row["one"]["time"], row["n"], row["begun"], row["ended"], row["class_uid"], row["activity_id"], row["event_code"], row["host"] or "", tuple(row["rules"] or ()), took_part(row["one"] | {"host": row["host"]}), int(row["one"]["level"] or 4))
            found[kind, row["value"]] = Met(before.places, before.events, (*before.lines, line))
    return found


def took_part(event: dict[str, Any]) -> frozenset[tuple[str, str]]:
    """The entities of an event, as (kind, value)."""
    return frozenset((kind, str(one)) for kind, column in COLUMNS.items() for one in _values(event.get(column)) if one)


def _values(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _asked(column: str, values: Sequence[str], *, at: datetime, since: datetime, until: datetime, viewer: Viewer) -> list[dict[str, Any]]:
    shut = scope.closed(viewer)
    shown = {name: f'"{name}"' if name in scope.OPEN else f'CASE WHEN {scope.readable(viewer, name, shut)} THEN "{name}" END' for name in COLUMNS.values()}
    marks, is_list = ", ".join("?" * len(values)), column in LISTS
    value = f'unnest(list_intersect("{column}", [{marks}]))' if is_list else f'"{column}"'
    where = f'list_has_any("{column}", [{marks}])' if is_list else f'"{column}" IN ({marks})'
    readable = "TRUE" if column in scope.OPEN else scope.readable(viewer, column, shut)
    told = ", ".join(f"'{name}': {shown[name]}" for name in COLUMNS.values() if name != "host")
    width = f"abs(epoch_us(time) - {int(at.timestamp() * 1_000_000)})"
    hit = f"SELECT {value} AS value, {', '.join(PARTED)}, time, {width} AS gap, {{'event_id': event_id, 'time': time, 'level': level, {told}}} AS one FROM stored WHERE ({scope.rows(viewer)}) AND ({readable}) AND {where}"  # noqa: S608  (columns of ours, values as parameters)
    line = f"SELECT value, {', '.join(PARTED)}, count(*) AS n, min(time) AS begun, max(time) AS ended, min(gap) AS gap, arg_min(one, gap) AS one FROM ({hit}) GROUP BY value, {', '.join(PARTED)}"  # noqa: S608
    sql = f"""
        SELECT *, (sum(n) OVER (PARTITION BY value))::BIGINT AS events, count(DISTINCT host) OVER (PARTITION BY value) AS places FROM ({line})
        QUALIFY row_number() OVER (PARTITION BY value ORDER BY coalesce(len(rules), 0) = 0, n, gap) <= {LINES} ORDER BY value, n, gap
    """  # noqa: S608
    holds = ((column, tuple(values)),) if is_list and not sealing.may_be_sealed() else ()
    return scope.query().rows(sql, [*(values if is_list else ()), *values], bounds=Bounds(EVENT_TABLES, since, until, holds=holds))
