"""Notices: a word to whoever looks after a source, told once to each person by the bell.

In: a source and what happened to it. Out: rows that the bell reads; up to when each person was told.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils.translation import gettext_lazy as _

from lianfang.commons.people import actions as people
from lianfang.kernel import clock
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models

KEPT = timedelta(days=30)
UNHEARD = timedelta(days=7)
"""How far back a person is told who was not there."""
MOST = 5
WORDS: dict[str, Any] = {"silent": _("has fallen silent"), "spoke": _("speaks again"), "drifted": _("writes otherwise than usual"), "fits": _("fits again")}
SEVERITY = {"silent": 4, "drifted": 4, "spoke": 2, "fits": 2}
"""How loud each is for who is told by mail or webhook."""


def tell(row: models.Source, what: str, **detail: Any) -> None:
    """Leave a notice, in the caller's transaction. ``what``: silent, spoke, drifted, fits."""
    people.reach(lambda: f"{row.name} {WORDS[what]}", key=f"source:{row.pk}:{what}:{clock.text(clock.now())}", permission="lake.source.change", severity=SEVERITY[what], about=row.ref, territory=row.territory, industry=row.industry)
    models.Notice.objects.create(source=row, what=what, detail=detail, organisation=row.organisation, territory=row.territory, industry=row.industry)


def hear(viewer: Viewer) -> tuple[list[models.Notice], int]:
    """What this person was not told yet, newest first, and how many there are in all; from now on they were told."""
    if not viewer.id or not viewer.may("lake.source.change"):
        return [], 0
    now = clock.now()
    heard = models.Heard.objects.filter(person=viewer.id).first()
    since = max(heard.moment, now - UNHEARD) if heard else now - UNHEARD
    found = models.Notice.objects.seen_by(viewer).filter(moment__gt=since, moment__lte=now).select_related("source").order_by("-moment", "-id")
    count = found.count()
    if count:
        shown = list(found[:MOST])
        models.Heard.objects.update_or_create(person=viewer.id, defaults={"moment": shown[0].moment})
        return shown, count
    return [], 0


def forget_notices() -> int:
    """Notices are kept for a month; the ledger keeps what happened."""
    return models.Notice.objects.filter(moment__lt=clock.now() - KEPT).delete()[0]
