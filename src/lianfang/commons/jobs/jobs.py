"""What jobs does by itself: forget what ended long ago."""

from __future__ import annotations

from lianfang.commons.jobs import actions
from lianfang.commons.jobs.declare import every, job


@every(seconds=3600)
@job(name="jobs.sweep")
def sweep() -> None:
    while actions.sweep():
        pass
