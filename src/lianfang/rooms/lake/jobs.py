"""Time has come: forget receipts that no client will send again, watch over sources. Work that outlives a request: read what was uploaded."""

from __future__ import annotations

from lianfang.commons.jobs.actions import Run
from lianfang.commons.jobs.declare import every, job
from lianfang.rooms.lake import actions


@every(seconds=3600)
@job(name="lake.forget_receipts", attempts=3)
def forget_receipts() -> None:
    """Receipts live thirty days, samples that somebody looked at one, notices thirty, who touched what a year, what was never sent 25 days, runs 90."""
    actions.forget_receipts()
    actions.forget_trials()
    actions.forget_notices()
    actions.forget_touches()
    actions.forget_reports()
    actions.forget_runs()


@every(seconds=60)
@job(name="lake.watch_sources", attempts=1)
def watch_sources() -> None:
    """Readings for the chart of the last hour; sources that fell silent."""
    actions.watch_sources()


@every(seconds=60)
@job(name="lake.find_templates", attempts=1)
def find_templates() -> None:
    """Templates of the logs that came in since the last look."""
    actions.find_templates()


@job(name="lake.read_upload", attempts=5)
def read_upload(folder: str, source: str, *, run: Run) -> None:
    """Uploaded files go into the spool."""
    actions.read_upload(folder, source, progress=run.progress)


@job(name="lake.grade", attempts=3)
def grade(run_id: str, *, run: Run) -> None:
    """A data set is looked at, column by column."""
    actions.grade(run_id, progress=run.progress)


@job(name="lake.report", attempts=14)
def report(report_id: str, *, run: Run) -> None:
    """A report goes to its destination, piece by piece; about four hours of trying before a person is asked."""
    actions.send_report(report_id, last=run.job.attempts >= 14, progress=run.progress)
