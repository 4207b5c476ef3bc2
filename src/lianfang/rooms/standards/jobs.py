"""Time has come: the event tables are measured. Work that outlives a request: the same, now."""

from __future__ import annotations

from lianfang.commons.jobs.actions import Run
from lianfang.commons.jobs.declare import every, job
from lianfang.rooms.standards import actions


@every(seconds=600)
@job(name="standards.measure", attempts=1)
def measure(*, run: Run) -> None:
    """Every rule, where it was not counted yet."""
    actions.measure(progress=run.progress)


@job(name="standards.measure_now", attempts=5)
def measure_now(*, run: Run) -> None:
    """The same, because somebody asked."""
    actions.measure(progress=run.progress)


@job(name="standards.archive", attempts=5)
def archive(disposal: str, *, run: Run) -> None:
    """An approved archive is written and checked."""
    actions.carry_out(disposal, progress=run.progress)
