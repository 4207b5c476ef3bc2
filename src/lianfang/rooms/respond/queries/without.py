"""Without: what the queue would have been, had some findings not spoken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count

from lianfang.kernel.viewer import Viewer
from lianfang.rooms.respond import models
from lianfang.rooms.respond.queries.asking import seen
from lianfang.rooms.respond.types import Verdict

AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Without:
    """``gone``: alerts that would not have been raised at all; ``less``: how many would have held less; ``real``: those of either kind that a person closed as a true positive."""

    gone: tuple[models.Alert, ...]
    less: int
    real: tuple[models.Alert, ...]


def without(findings: Iterable[Any], viewer: Viewer) -> Without:
    """The alerts in the viewer's scope that hold one of these findings, those with the highest score first."""
    ids = list(findings)
    held: dict[Any, int] = {}
    for start in range(0, len(ids), AT_ONCE):
        for row in models.Folded.objects.filter(finding__in=ids[start : start + AT_ONCE]).order_by().values("alert").annotate(n=Count("pk")):
            held[row["alert"]] = held.get(row["alert"], 0) + row["n"]
    rows: list[models.Alert] = []
    keys = list(held)
    for start in range(0, len(keys), AT_ONCE):
        rows += seen(viewer).filter(pk__in=keys[start : start + AT_ONCE]).annotate(whole=Count("folded"))
    rows.sort(key=lambda row: (-row.score, str(row.pk)))
    gone = tuple(row for row in rows if row.whole <= held[row.pk])  # type: ignore[attr-defined]
    return Without(gone, len(rows) - len(gone), tuple(row for row in rows if row.verdict == Verdict.TRUE_POSITIVE))
