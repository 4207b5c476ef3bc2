"""Alerts as viewers see them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max, QuerySet

from lianfang.kernel import clock
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.respond import models
from lianfang.rooms.respond.types import OPEN, AlertLine


def seen(viewer: Viewer) -> QuerySet[models.Alert]:
    """The alerts in a viewer's scope; none without the permission to see alerts."""
    rows: QuerySet[models.Alert] = models.Alert.objects.seen_by(viewer)
    return rows if viewer.may("respond.alert.view") else rows.none()


def line_of(row: models.Alert) -> AlertLine:
    """A row as a value."""
    return row.line()


def alert(pk: Any, viewer: Viewer) -> models.Alert:
    """One alert; raises ``Refused`` without the permission, ``Missing`` outside the scope."""
    viewer.must("respond.alert.view")
    row: models.Alert = models.Alert.objects.fetch(pk, viewer)
    return row


def took_part(row: models.Alert, viewer: Viewer) -> dict[str, list[str]]:
    """What took part in an alert, by kind, as far as the viewer may read it in the events."""
    from lianfang.rooms.detect import queries as detect

    return detect.entities_of(row.entities, host=row.host, level=row.level, territory=row.territory, viewer=viewer)


def alerts(viewer: Viewer, *, states: Iterable[str] = OPEN, limit: int = 50) -> list[AlertLine]:
    """The alerts to look at first."""
    return [row.line() for row in seen(viewer).filter(state__in=list(states))[:limit]]


def of_batch(batch: str, viewer: Viewer) -> list[AlertLine]:
    """The alerts into which the findings of a batch were folded."""
    from lianfang.rooms.detect import queries as detect

    findings = [finding.id for finding in detect.findings_of(batch)]
    return [row.line() for row in seen(viewer).filter(folded__finding__in=findings).distinct()]


def version(viewer: Viewer) -> tuple[Any, ...]:
    """Something that changes when any alert in the viewer's scope does; for ETags. The minute is in it, so that ages stay true."""
    rows = seen(viewer)
    return (rows.aggregate(last=Max("changed"))["last"], rows.filter(state__in=OPEN).count(), clock.now().replace(second=0, microsecond=0))


def newest_since(moment: datetime, viewer: Viewer, *, severity: int = 4, limit: int = 3) -> tuple[list[models.Alert], int]:
    """Serious alerts raised after ``moment`` and nobody's yet: the first few, and how many there are."""
    rows = seen(viewer).filter(raised__gt=max(moment, clock.now() - timedelta(hours=1)), severity__gte=severity, state="new", backfilled=False)
    return list(rows.order_by("-score", "-raised", "-id")[:limit]), rows.count()
