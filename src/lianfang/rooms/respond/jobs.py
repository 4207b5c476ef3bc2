"""Time has come: alerts that changed are grouped into incidents anew, and weighed anew by what people said."""

from __future__ import annotations

from lianfang.commons.jobs.declare import every, job
from lianfang.rooms.respond import actions


@every(seconds=5, share=0.1)
@job(name="respond.group_alerts", attempts=1)
def group_alerts() -> None:
    """Days of organisations whose alerts changed."""
    actions.group_alerts()


@every(seconds=5)
@job(name="respond.rank_anew", attempts=1)
def rank_anew() -> None:
    """Open alerts whose like was judged, or of what somebody said how important it is."""
    actions.rank_anew()
