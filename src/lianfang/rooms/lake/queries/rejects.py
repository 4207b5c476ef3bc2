"""What could not be read, by source and reason, and the frames themselves.

In: the viewer. Out: groups and rows. The raw bytes of a reject were never levelled, so they are shown from the level that
unlevelled logs have; who sees less learns how many there are and why.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from lianfang.engines.columns.query import Bounds
from lianfang.engines.columns.shape import REJECTS
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models
from lianfang.rooms.lake.queries import scope
from lianfang.rooms.lake.types import REJECT_TABLE, RejectGroup

UNLEVELLED = DataLevel.L2
BOUNDS = Bounds((REJECT_TABLE,))


def reject_groups(*, viewer: Viewer, source: str = "") -> list[RejectGroup]:
    """Rejects by source and kind of reason, most frequent first; those that were sent through again are left out."""
    viewer.must("lake.reject.view")
    where, params = _open(viewer, source)
    sql = f"SELECT source, stage, kind, any_value(todo) AS todo, count(*) AS n, min(time) AS first, max(time) AS last FROM stored WHERE {where} GROUP BY source, stage, kind ORDER BY n DESC, source, kind LIMIT 500"  # noqa: S608
    return [RejectGroup(row["source"], row["stage"], row["kind"], row["todo"] or "", int(row["n"]), row["first"], row["last"]) for row in _ask(sql, params)]


def rejects(source: str, kind: str, *, viewer: Viewer, limit: int = 50, after: str = "") -> tuple[list[dict[str, Any]], str]:
    """Rejects of one kind, newest first, and what to ask ``after`` for more."""
    viewer.must("lake.reject.view")
    where, params = _open(viewer, source)
    if after:
        where, params = f"{where} AND event_id < ?", [*params, after]
    raw = "raw" if viewer.clearance >= UNLEVELLED else "NULL"
    sql = f"SELECT event_id, time, source, stage, reason, todo, bytes, {raw} AS raw FROM stored WHERE {where} AND kind = ? ORDER BY event_id DESC LIMIT {limit + 1}"  # noqa: S608
    rows = _ask(sql, [*params, kind])
    return rows[:limit], rows[limit - 1]["event_id"] if len(rows) > limit else ""


def whole_rejects(source: str, kind: str, *, until: datetime, viewer: Viewer, part: int, most: int) -> Iterator[list[tuple[str, bytes]]]:
    """Name and bytes of the rejects of one kind that were kept whole, oldest first, in parts."""
    last = ""
    for _ in range(0, most, part):
        where, params = _open(viewer, source)
        sql = f"SELECT event_id, raw FROM stored WHERE {where} AND kind = ? AND time <= ? AND event_id > ? AND bytes <= octet_length(raw) AND bytes > 0 ORDER BY event_id LIMIT {part}"  # noqa: S608
        rows = _ask(sql, [*params, kind, until, last])
        if not rows:
            return
        yield [(row["event_id"], row["raw"]) for row in rows]
        last = rows[-1]["event_id"]


def reject_ref(replay: models.Replay) -> Ref:
    """What a replay is called in the ledger."""
    return Ref("lake", "replay", str(replay.pk))


def _open(viewer: Viewer, source: str) -> tuple[str, list[Any]]:
    """Scope, and what was not yet sent through again."""
    parts, params = [scope.rows(viewer)], []
    if source:
        parts.append("source = ?")
        params.append(source)
    for replay in models.Replay.objects.filter(**({"source": source} if source else {})).order_by("-created", "-id")[:1000]:
        parts.append("NOT (source = ? AND kind = ? AND time <= ? AND bytes <= octet_length(raw) AND bytes > 0)")
        params += [replay.source, replay.kind, replay.until]
    return " AND ".join(parts), params


def _ask(sql: str, params: list[Any]) -> list[dict[str, Any]]:
    return scope.query(REJECTS).rows(sql, params, bounds=BOUNDS)
