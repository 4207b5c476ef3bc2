"""Questions about work: how a job is doing, and how far the node is behind."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext

from lianfang.commons.jobs import models
from lianfang.commons.jobs.types import Progress, State
from lianfang.kernel import clock
from lianfang.kernel.errors import Missing
from lianfang.kernel.viewer import Viewer


def _age(due: datetime | None, now: datetime) -> float:
    return max(0.0, (now - due).total_seconds()) if due else 0.0


def lag() -> dict[str, float]:
    """Seconds since the oldest waiting fact and job were due; for health and metrics."""
    now = clock.now()
    return {
        "facts": _age(models.Delivery.objects.filter(due__lte=now).order_by("due").values_list("due", flat=True).first(), now),
        "jobs": _age(models.Job.objects.filter(due__lte=now).order_by("due").values_list("due", flat=True).first(), now),
    }


def gauges() -> dict[str, float]:
    """How many facts and jobs failed for good and wait for a person."""
    return {"dead_facts": float(models.Delivery.objects.filter(state=State.DEAD).count()), "dead_jobs": float(models.Job.objects.filter(state=State.DEAD).count())}


def visible(viewer: Viewer) -> QuerySet[models.Job]:
    """The jobs a viewer may see: all of the node's for its operators, otherwise those they asked for themselves."""
    rows = models.Job.objects.all()
    return rows if viewer.may("jobs.job.view") and viewer.sees_node else rows.filter(owner=viewer.id).exclude(owner="")


def progress(job: UUID, viewer: Viewer) -> Progress:
    """How a job is doing; raises ``Missing`` for jobs the viewer may not see."""
    row = visible(viewer).filter(pk=job).first()
    if row is None:
        raise Missing(gettext("There is no such job"), why=gettext("It does not exist, it ended long ago, or somebody else asked for it."), todo=gettext("Look at the list of jobs."))
    return Progress(row.pk, row.name, State(row.state), row.percent, row.message, row.error, row.attempts, row.created, row.due if row.state == State.WAITING else None, row.finished)
