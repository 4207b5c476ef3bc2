"""Schedules: each period starts once, whoever looks first, however many look."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from lianfang.commons.jobs import declare, models
from lianfang.commons.jobs.actions.running import STANDING
from lianfang.commons.jobs.types import State
from lianfang.kernel import clock

ENDED = (State.DONE, State.DEAD, State.CANCELLED)


def write_down() -> None:
    """Every declared period has its row; a period that was changed in the code starts anew."""
    now = clock.now()
    known = dict(models.Schedule.objects.values_list("name", "period"))
    declared = {job.name: job.period for job in declare.jobs().values() if job.period}
    models.Schedule.objects.bulk_create([models.Schedule(name=name, period=str(period), next_run=_first(period, now)) for name, period in declared.items() if name not in known], ignore_conflicts=True)
    for name, period in declared.items():
        if known.get(name, str(period)) != str(period):
            models.Schedule.objects.filter(name=name).update(period=str(period), next_run=_first(period, now))


def _first(period: declare.Every | declare.At, now: datetime) -> datetime:
    """A fresh node beats at once; a time of day waits for its hour."""
    return now if isinstance(period, declare.Every) else period.after(now, now)


def start_due() -> datetime:
    """Start what is due; returns the moment when to look again."""
    now = clock.now()
    declared = {job.name: job for job in declare.jobs().values() if job.period}
    rows = models.Schedule.objects.filter(enabled=True, name__in=declared)
    for row in rows.filter(next_run__lte=now):
        _start(row, declared[row.name], now)
    return rows.order_by("next_run").values_list("next_run", flat=True).first() or datetime.max.replace(tzinfo=now.tzinfo)


@transaction.atomic
def _start(row: models.Schedule, job: declare.Job, now: datetime) -> None:
    assert job.period  # noqa: S101  (only jobs with a period have a row)
    following = job.period.after(row.next_run, now)
    if not models.Schedule.objects.filter(pk=row.pk, next_run=row.next_run, enabled=True).update(next_run=following):
        return  # another worker started this period
    wanted = job.catch_up or not job.period.missed(row.next_run, now)
    started = wanted and _wake(job, now)
    change = {"last_run": now, "runs": row.runs + 1} if started else {"skipped": row.skipped + 1}
    models.Schedule.objects.filter(pk=row.pk).update(**change)


def _wake(job: declare.Job, now: datetime) -> bool:
    """The schedule's standing job waits again; ``False`` while its last run still goes on, or took so long that it rests."""
    key = STANDING + job.name
    fresh = {"state": State.WAITING, "due": now, "attempts": 0, "percent": 0, "message": "", "created": now, "finished": None}
    last = models.Job.objects.filter(key=key).first()
    if last and last.started and last.finished and isinstance(job.period, declare.Every) and job.period.rests(last.started, last.finished, now):
        return False
    if models.Job.objects.filter(key=key, state__in=ENDED).update(**fresh):
        return True
    if last:
        return False
    models.Job.objects.bulk_create([models.Job(name=job.name, key=key, due=now, owner_name="schedule")], ignore_conflicts=True)
    return True
