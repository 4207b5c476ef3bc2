"""Drifts of the sources in scope: what changed, since when, how it ended.

In: the viewer. Out: plain values; examples are raw logs and are shown from the level that unlevelled logs have.
"""

from __future__ import annotations

from typing import Any

from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models
from lianfang.rooms.lake.queries.rejects import UNLEVELLED

MOST = 100


def drifts(*, viewer: Viewer, source: str = "") -> list[dict[str, Any]]:
    """Newest first."""
    rows = models.Drift.objects.filter(source__in=models.Source.objects.seen_by(viewer), **({"source__name": source} if source else {})).select_related("source")[:MOST]
    return [
        {"source": row.source.name, "course": row.course, "since": row.since, "ended": row.ended, "ended_by": row.ended_by, "held": row.held, "changes": row.changes, "examples": row.examples if viewer.clearance >= UNLEVELLED else []}
        for row in rows
    ]
