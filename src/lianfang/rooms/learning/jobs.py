"""Time has come: what is due by its own schedule, versions whose time is over. Work that outlives a request: making a version, a training."""

from __future__ import annotations

from lianfang.commons.jobs.actions import Run
from lianfang.commons.jobs.declare import every, job
from lianfang.rooms.learning import actions


@every(seconds=60)
@job(name="learning.start_due", attempts=1)
def start_due() -> None:
    """Versions and trainings on a schedule."""
    actions.start_due()


@every(seconds=3600)
@job(name="learning.forget_expired", attempts=3)
def forget_expired() -> None:
    """Copies are kept as long as their level says."""
    actions.forget_expired()


@job(name="learning.make_version", attempts=3)
def make_version(version: str, *, run: Run) -> None:
    """A version of a data set."""
    actions.make_version(version, progress=run.progress)


@job(name="learning.train", attempts=2)
def train(run_id: str, *, run: Run) -> None:
    """A version, a model, its metrics."""
    actions.train(run_id, progress=run.progress)
