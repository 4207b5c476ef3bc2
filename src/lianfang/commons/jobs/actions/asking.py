"""Asking for work, telling facts, and what a person may do about work: cancel, try again, set aside, pause a schedule."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext

from lianfang.commons.frame import journal
from lianfang.commons.jobs import declare, models
from lianfang.commons.jobs.actions import bell
from lianfang.commons.jobs.types import JobRef, State
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict
from lianfang.kernel.facts import Fact
from lianfang.kernel.viewer import SYSTEM, Viewer

KEPT = timedelta(days=7)
DEAD_KEPT = timedelta(days=90)


def enqueue(name: str, arguments: Mapping[str, Any] | None = None, *, run_at: datetime | None = None, key: str | None = None, actor: Viewer = SYSTEM) -> JobRef:
    """Ask for a job, in the caller's transaction. While one with the same ``key`` waits, no second is queued and the first is returned.

    ``arguments`` are plain JSON values. Raises ``Missing`` when no open room declares ``name``.
    """
    declare.job_called(name)
    row = models.Job(name=name, arguments=dict(arguments or {}), key=key, due=run_at or clock.now(), owner=actor.id, owner_name=actor.name)
    with transaction.atomic():
        models.Job.objects.bulk_create([row], ignore_conflicts=key is not None)
        if key is not None:
            row = models.Job.objects.get(key=key)
        bell.ring_after_commit()
    return JobRef(row.pk, row.name)


def publish(fact: Fact) -> None:
    """Tell a fact, in the caller's transaction; each listener handles it once, in the order of telling."""
    said = models.OutboxFact(name=fact.name(), body=fact.body())
    due = said.created
    with transaction.atomic():
        said.save(force_insert=True)
        models.Delivery.objects.bulk_create([models.Delivery(fact=said, listener=listener.name, due=due) for listener in declare.listeners_to(said.name)])
        bell.ring_after_commit()


def _told(verb: str, row: Any, *, actor: Viewer, **detail: Any) -> None:
    journal.tell(verb, row.ref, actor=actor, label=str(row), detail=detail, territory=actor.path, industry=actor.industry_path)


@transaction.atomic
def cancel(job: models.Job, *, actor: Viewer) -> None:
    """A waiting job ends at once; a running one is asked to end at its next safe point."""
    rows = models.Job.objects.filter(pk=job.pk)
    if not rows.filter(state=State.WAITING).update(state=State.CANCELLED, due=None, key=None, finished=clock.now()) and not rows.filter(state=State.RUNNING).update(cancel=True):
        raise Conflict(gettext("%s has ended already") % job.name, todo=gettext("Look at its result."))
    _told("jobs.job_cancelled", job, actor=actor)


@transaction.atomic
def retry(job: models.Job, *, actor: Viewer) -> None:
    """Try a job that failed for good, or was cancelled, once more from the start."""
    fresh = {"state": State.WAITING, "due": clock.now(), "attempts": 0, "percent": 0, "message": "", "cancel": False, "finished": None}
    if not models.Job.objects.filter(pk=job.pk, state__in=(State.DEAD, State.CANCELLED)).update(**fresh):
        raise Conflict(gettext("%s has not failed") % job.name, why=gettext("It waits, runs, or is done."), todo=gettext("Nothing needs to be tried again."))
    bell.ring_after_commit()
    _told("jobs.job_retried", job, actor=actor, error=job.error[:500])


@transaction.atomic
def retry_delivery(delivery: models.Delivery, *, actor: Viewer) -> None:
    """Deliver a fact that was set aside; it is handled after all, later than its neighbours."""
    if not models.Delivery.objects.filter(pk=delivery.pk, state__in=(State.DEAD, State.CANCELLED)).update(state=State.WAITING, due=clock.now(), attempts=0):
        raise Conflict(gettext("This fact was not set aside"), why=gettext("It waits, or was handled."), todo=gettext("Nothing needs to be tried again."))
    bell.ring_after_commit()
    _told("jobs.delivery_retried", delivery, actor=actor, error=delivery.error[:500])


@transaction.atomic
def skip_delivery(delivery: models.Delivery, *, actor: Viewer) -> None:
    """Give a fact up for one listener, so that it no longer counts as failed."""
    if not models.Delivery.objects.filter(pk=delivery.pk, state__in=(State.DEAD, State.WAITING)).update(state=State.CANCELLED, due=None, finished=clock.now()):
        raise Conflict(gettext("This fact needs no decision"), why=gettext("It was handled already."), todo=gettext("Look at the list again."))
    _told("jobs.delivery_skipped", delivery, actor=actor, error=delivery.error[:500])


@transaction.atomic
def set_schedule(schedule: models.Schedule, *, enabled: bool, actor: Viewer) -> None:
    """Pause a schedule, or let it go on."""
    models.Schedule.objects.filter(pk=schedule.pk).update(enabled=enabled)
    _told("jobs.schedule_resumed" if enabled else "jobs.schedule_paused", schedule, actor=actor, period=schedule.period)


def sweep(*, limit: int = 5_000) -> int:
    """Forget what ended long ago: done work after a week, failures after ninety days. Returns how many rows went."""
    now = clock.now()
    gone = 0
    for kept, states in ((KEPT, (State.DONE, State.CANCELLED)), (DEAD_KEPT, (State.DEAD,))):
        old = models.Job.objects.filter(state__in=states, finished__lt=now - kept, key=None).values_list("pk", flat=True)[:limit]
        gone += models.Job.objects.filter(pk__in=list(old)).delete()[0]
    unfinished = models.Delivery.objects.filter(state__in=(State.WAITING, State.DEAD)).values("fact")
    old = models.OutboxFact.objects.filter(created__lt=now - KEPT).exclude(pk__in=unfinished).values_list("pk", flat=True)[:limit]
    return gone + models.OutboxFact.objects.filter(pk__in=list(old)).delete()[0]
