"""Time has come → one action."""

from __future__ import annotations

from lianfang.commons.jobs.actions import Run
from lianfang.commons.jobs.declare import at, job
from lianfang.commons.people import actions
from lianfang.commons.people.types import OrganisationMoved


@job(name="people.settle", attempts=5)
def settle(organisation: str, axis: str, before: str, after: str) -> None:
    """After a move: carry rows that were being written under the old path meanwhile."""
    actions.rewrite(OrganisationMoved(organisation=organisation, axis=axis, before=before, after=after))


@job(name="people.send_notice", attempts=10)
def send_notice(reach: str, way: str, text: str, about: str, severity: int) -> None:
    """A notice goes out; tried ten times, the last about twenty minutes after the first."""
    actions.send_notice(reach, way, text, about, severity)


@at("03:40")
@job(name="people.forget_attempts")
def forget_attempts() -> None:
    """Failed logins are kept for a day."""
    actions.forget_attempts()


@job(name="people.reseal", attempts=20)
def reseal(*, run: Run) -> None:
    """What lies sealed under an older key moves to the newest; whatever ends it, it goes on where it was."""
    actions.reseal(progress=run.progress)
