"""Values of jobs that may leave the room: states, progress, lag, and the rules of waiting.

In: nothing. Out: frozen values, and the two exceptions a job's function may meet.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from lianfang.kernel.ref import Ref

FIRST_PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(hours=1)


class State(TextChoices):
    """Where a job or a delivery stands."""

    WAITING = "waiting", _("waiting")
    RUNNING = "running", _("running")
    DONE = "done", _("done")
    DEAD = "dead", _("failed for good")
    CANCELLED = "cancelled", _("cancelled")


class Cancelled(Exception):
    """Somebody cancelled the job; rises from ``Run.progress`` so that the function ends at a safe point."""


class Lost(Exception):
    """The job belongs to another worker now; what this one did in an atomic job is rolled back."""


@dataclass(frozen=True, slots=True)
class JobRef:
    """What ``enqueue`` hands back: enough to show progress and to find the work again."""

    id: UUID
    name: str

    @property
    def ref(self) -> Ref:
        return Ref("jobs", "job", str(self.id))


@dataclass(frozen=True, slots=True)
class Progress:
    """A job as a page shows it. ``percent`` is 0 … 100; ``due`` is when it is tried (again), if it waits."""

    id: UUID
    name: str
    state: State
    percent: int
    message: str
    error: str
    attempts: int
    created: datetime
    due: datetime | None
    finished: datetime | None

    @property
    def ended(self) -> bool:
        return self.state in (State.DONE, State.DEAD, State.CANCELLED)


def pause(attempt: int, *, chance: float | None = None) -> timedelta:
    """How long to wait after the failed attempt number ``attempt`` (1, 2, …): doubling, capped, spread by half either way.

    >>> [pause(n, chance=0.5).total_seconds() for n in (1, 2, 3, 30)]
    [2.0, 4.0, 8.0, 3600.0]
    """
    spread = 0.5 + (random.random() if chance is None else chance)  # noqa: S311  (spreads load, guards nothing)
    return min(FIRST_PAUSE * 2 ** min(attempt - 1, 20), LONGEST_PAUSE) * spread
