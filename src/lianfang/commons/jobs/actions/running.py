"""Running jobs: take one that is due, run its function, write down how it ended."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction

from lianfang.commons.jobs import declare, models
from lianfang.commons.jobs.types import Cancelled, Lost, State, pause
from lianfang.kernel import clock
from lianfang.kernel.errors import Fault

log = logging.getLogger("lianfang.jobs")
LOOK = 8
TELL_EVERY = 0.5
STANDING = "schedule:"
"""Keys that begin so belong to schedules: such a row is used again for the next period instead of making a new one."""


class Run:
    """The handle of a running job: tell how far it is, learn that it should end."""

    def __init__(self, job: models.Job):
        self.job, self._told = job, 0.0

    @property
    def _row(self) -> Any:
        return models.Job.objects.filter(pk=self.job.pk, token=self.job.token)

    def progress(self, percent: float, message: str = "") -> None:
        """Tell progress (0 … 100); cheap to call often. Raises ``Cancelled`` when somebody cancelled, ``Lost`` when another worker has the job."""
        if time.monotonic() - self._told < TELL_EVERY and percent < 100:
            return
        self._told = time.monotonic()
        if not self._row.update(percent=max(0, min(100, int(percent))), message=message[:200]):
            raise Lost(f"{self.job.name} was taken over")
        if self._row.filter(cancel=True).exists():
            raise Cancelled


def take_due(*, lease: float) -> models.Job | None:
    """Take one job that is due: waiting, or left behind by a worker that died."""
    now = clock.now()
    for job in models.Job.objects.filter(due__lte=now).order_by("due", "id")[:LOOK]:
        token = uuid4()
        mine = models.Job.objects.filter(pk=job.pk, state=job.state, token=job.token, due=job.due)
        if mine.update(state=State.RUNNING, token=token, due=now + timedelta(seconds=lease), attempts=job.attempts + 1, started=now, **_released(job)):
            job.token, job.attempts, job.state = token, job.attempts + 1, State.RUNNING
            return job
    return None


def _released(job: models.Job) -> dict[str, Any]:
    """A job that has started lets go of its key, so that the next request for the same thing is not lost on it."""
    return {} if job.key is None or job.key.startswith(STANDING) else {"key": None}


def extend_all(tokens: list[UUID], *, lease: float) -> None:
    """The heartbeat: hold the leases of what is running."""
    models.Job.objects.filter(token__in=tokens, state=State.RUNNING).update(due=clock.now() + timedelta(seconds=lease))


def run(job: models.Job) -> None:
    """Run a taken job to its end, its failure, or its next attempt. Never raises for what the job's function raises."""
    try:
        declared = declare.job_called(job.name)
        if job.attempts > declared.attempts:
            return _end(job, State.DEAD, error=f"The worker died {declared.attempts} times while it ran.")
        _call(job, declared)
    except Cancelled:
        _end(job, State.CANCELLED)
    except Lost as lost:
        log.warning("%s", lost)
    except Exception as error:
        _set_back(job, error)


def _call(job: models.Job, declared: declare.Job) -> None:
    with transaction.atomic() if declared.atomic else nullcontext():
        if declared.atomic:
            _end(job, State.DONE)  # first: it takes the row's lock, so that a second worker waits here and then finds it done
        declared.function(**job.arguments, **({"run": Run(job)} if declared.wants_run else {}))
        if not declared.atomic:
            _end(job, State.DONE)


def _end(job: models.Job, state: State, *, error: str = "") -> None:
    change = {"percent": 100, "error": ""} if state == State.DONE else {"error": error[:4000]}
    if not models.Job.objects.filter(pk=job.pk, token=job.token, state=State.RUNNING).update(state=state, due=None, finished=clock.now(), cancel=False, **change):
        raise Lost(f"{job.name} was taken over by another worker")


def _set_back(job: models.Job, error: Exception) -> None:
    known = declare.jobs().get(job.name)
    final = job.attempts >= (known.attempts if known else 1) or (isinstance(error, Fault) and not error.retry)
    log.warning("%s: attempt %d failed%s: %s", job.name, job.attempts, " for good" if final else "", error, exc_info=not isinstance(error, Fault))
    change = {"state": State.DEAD, "due": None, "finished": clock.now()} if final else {"state": State.WAITING, "due": clock.now() + pause(job.attempts)}
    models.Job.objects.filter(pk=job.pk, token=job.token, state=State.RUNNING).update(error=f"{type(error).__name__}: {error}"[:4000], **change)
