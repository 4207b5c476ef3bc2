"""Log anomaly alarms: which one is about a source, which one an alert came of, and what each judges now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lianfang.kernel import clock
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.types import ANOMALY
from lianfang.rooms.lake import queries as lake


@dataclass(frozen=True, slots=True)
class Judged:
    """A source that an alarm judges: how many templates are known and since when; ``ready``: from when on a line of it can be new."""

    source: str
    templates: int
    since: datetime
    ready: datetime
    learning: bool


def about(source: str, viewer: Viewer) -> models.AnomalyAlarm | None:
    """The alarm in use that is about just this source, or about its layer."""
    if not viewer.may("detect.anomalyalarm.view"):
        return None
    layer = next((one.layer for one in lake.layers(viewer=viewer) if source in one.sources), "")
    rows = [row for row in models.AnomalyAlarm.objects.seen_by(viewer).filter(enabled=True) if row.source == source or (not row.source and row.layer in ("", layer))]
    return next((row for row in rows if row.source), rows[0] if rows else None)


def judged(row: models.AnomalyAlarm, viewer: Viewer) -> list[Judged]:
    """The sources in the viewer's scope that it is about and that write lines."""
    now = clock.now()
    known = lake.template_spans(source=row.source, layer=row.layer, within=row.territory, viewer=viewer)
    return [Judged(name, number, since, since + row.span, since + row.span > now) for name, number, since in known]


def uid_of(alarm: Any, odd: str = "", template: str = "") -> str:
    """By what name an alarm's findings about a template go instead of a rule's; without a template: how all of its names begin."""
    return ":".join((ANOMALY, str(alarm), *([odd, template] if template else [""])))


def origin(uid: str, viewer: Viewer) -> tuple[models.AnomalyAlarm | None, str]:
    """The alarm and the template (its identifier) behind such a name; no alarm where it is gone or the viewer does not see it."""
    _kind, alarm, _odd, template = uid.split(":")
    rows = models.AnomalyAlarm.objects.seen_by(viewer).filter(pk=alarm) if viewer.may("detect.anomalyalarm.view") else models.AnomalyAlarm.objects.none()
    return rows.first(), template
