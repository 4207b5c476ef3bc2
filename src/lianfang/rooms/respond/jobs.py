"""Time has come: alerts that changed are grouped into incidents anew."""

from __future__ import annotations

from lianfang.commons.jobs.declare import every, job
from lianfang.rooms.respond import actions


@every(seconds=5)
@job(name="respond.group_alerts", attempts=1)
def group_alerts() -> None:
    """Days of organisations whose alerts changed."""
    actions.group_alerts()
