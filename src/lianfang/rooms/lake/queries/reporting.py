"""What may be reported: destinations by what they take, and events as they go there.

In: a question, a destination, the viewer. Out: lines of JSON, after the rules of desensitising for somebody who is cleared as the
destination is, without what lies above its level; and how many rows of which level go.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from django.db.models import Q

from lianfang.commons.frame.scoped import ranges
from lianfang.engines.masking import To
from lianfang.engines.schema.events import BY_NAME
from lianfang.kernel.errors import Conflict, Missing
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models
from lianfang.rooms.lake.queries import leaving, scope, searching
from lianfang.rooms.lake.types import Goal, Question

MOST = 10_000
"""Events of one report."""
PAGE = 500
OWN = frozenset(("event_id", "event_day", "received", "source", "territory", "industry", "level", "rules", "template", "unmapped", "masked"))
"""Columns of this node: they go under ``lianfang``, or not at all."""


@dataclass(slots=True)
class Outgoing:
    """Events as they may go: a line of JSON each, rows by level, how many stay here, and whether there were more than go at once."""

    lines: list[bytes] = field(default_factory=list)
    levels: dict[int, int] = field(default_factory=dict)
    kept_back: int = 0
    cut: bool = False

    @property
    def level(self) -> int:
        """The highest level that goes; 1 where nothing does."""
        return max(self.levels, default=1)


def destinations(what: str, *, viewer: Viewer) -> list[Goal]:
    """Where the viewer may report things of this kind: their own organisation's destinations and those of the units above it."""
    return [Goal(str(row.pk), row.name, row.tlp, row.level) for row in _within_reach(viewer) if row.takes(what)]


def destination(pk: Any, what: str, *, viewer: Viewer) -> models.Destination:
    """One of them; raises ``Missing``, ``Conflict`` where such things may not go there."""
    row = next((row for row in _within_reach(viewer) if str(row.pk) == str(pk)), None)
    if row is None:
        raise Missing("There is no such destination", why="It does not exist, or it lies outside your scope.", todo="Have an administrator set it up under “Destinations of reports”.")
    if not row.takes(what):
        raise Conflict(f"This may not be reported to {row.name}", why="The destination is not set up for it.", todo="Have an administrator allow it there.")
    return row


def _within_reach(viewer: Viewer) -> list[models.Destination]:
    rows = models.Destination.objects.filter(ranges(viewer) | _above(viewer)) if viewer.path else models.Destination.objects.seen_by(viewer)
    return list(rows.order_by("name", "id"))


def _above(viewer: Viewer) -> Q:
    """Of units above the viewer's own."""
    return Q(territory__in=[viewer.path[: 5 * depth] for depth in range(1, len(viewer.path) // 5)])


def outgoing(question: Question, to: models.Destination, *, viewer: Viewer) -> Outgoing:
    """The events of a question as they may go there, the newest first, at most ten thousand."""
    whom, found, more = replace(viewer, clearance=DataLevel(min(int(viewer.clearance), to.level))), Outgoing(), question.after
    veil = scope.veil(whom)
    while len(found.lines) < MOST:
        page = searching.search(replace(question, after=more, limit=min(PAGE, MOST - len(found.lines))), viewer=whom, whole=True)
        rows = [row for row in page.events if (row["level"] or DataLevel.L4) <= whom.clearance]
        found.kept_back += len(page.events) - len(rows)
        for row, before in zip(leaving.left(rows, To.EXPORT, whom), rows):
            level = int(before["level"])
            found.levels[level] = found.levels.get(level, 0) + 1
            shut = {name for name in row if name not in scope.OPEN and veil.hides(name, level=level, territory=before["territory"] or "")}
            found.lines.append(line({name: value for name, value in row.items() if name not in shut}))
        more = page.more
        if not more:
            break
    found.cut = bool(more)
    return found


def line(row: dict[str, Any]) -> bytes:
    """An event on the wire, as the mapping ``lianfang.report`` reads it.

    >>> line({"event_id": "1-2", "source": "edr", "class_uid": 1007, "host": "pc-1", "user": None, "unmapped": '{"Id":"4"}'})
    b'{"lianfang":{"event":"1-2","source":"edr"},"class_uid":1007,"host":"pc-1","unmapped":{"Id":"4"}}'
    """
    own = {"event": row.get("event_id"), "source": row.get("source"), "rules": row.get("rules"), "template": row.get("template")}
    told: dict[str, Any] = {"lianfang": {name: value for name, value in own.items() if value}}
    told |= {name: value for name, value in row.items() if name in BY_NAME and name not in OWN and value not in (None, "", [])}
    if row.get("unmapped"):
        told["unmapped"] = _object(row["unmapped"])
    return msgspec.json.encode(told)


def _object(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
