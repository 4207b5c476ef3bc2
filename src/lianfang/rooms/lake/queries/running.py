"""The history of runs in figures: what came of them over time, and what was corrected and refused.

In: a source in the viewer's scope. Out: sums by hour or day, and by reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.utils import timezone

from lianfang.kernel import clock
from lianfang.rooms.lake import models
from lianfang.rooms.lake.models.runs import MOST, together

DAYS = 30
BY_HOUR = timedelta(hours=48)
"""A history that is no longer is shown by hour."""


@dataclass(frozen=True, slots=True)
class History:
    """What the runs of the last ``DAYS`` days brought: ``spans`` (beginning of an hour or a day → stored, rejected, known already), and sums by reason."""

    runs: int = 0
    failed: int = 0
    stored: int = 0
    rejected: int = 0
    known: int = 0
    spans: Mapping[datetime | date, tuple[int, int, int]] = field(default_factory=dict)
    corrected: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)


def history(row: models.Source) -> History:
    """The runs of a source, summed up."""
    rows = list(models.Run.objects.filter(source=row, began__gte=clock.now() - timedelta(days=DAYS)).order_by("began", "id")[:MOST])
    if not rows:
        return History()
    hourly = rows[-1].began - rows[0].began <= BY_HOUR
    spans: defaultdict[datetime | date, list[int]] = defaultdict(lambda: [0, 0, 0])
    for one in rows:
        local = timezone.localtime(one.began)
        span = spans[local.replace(minute=0, second=0, microsecond=0) if hourly else local.date()]
        for place, count in enumerate((one.stored, one.rejected, one.known)):
            span[place] += count
    stored, rejected, known = (sum(span[place] for span in spans.values()) for place in range(3))
    failed = sum(one.state in (models.RunState.FAILED, models.RunState.BROKEN) for one in rows)
    return History(
        len(rows), failed, stored, rejected, known, {at: (span[0], span[1], span[2]) for at, span in spans.items()}, together(one.corrected for one in rows), together(one.refused for one in rows)
    )
