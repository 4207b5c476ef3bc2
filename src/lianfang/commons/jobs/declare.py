"""What rooms declare: jobs, schedules, and listeners to facts.

In: decorated functions of a room's ``jobs.py`` and ``handlers.py``. Out: the registers that the worker reads.

A job is a function with keyword arguments of plain values. One that takes ``run`` receives the handle through which it
tells its progress and learns that it was cancelled::

    @job(name="lake.compact", attempts=5)
    def compact(table: str, *, run): ...

    @every(seconds=60)
    def cut_checkpoint(): ...

    @on(BatchStored)
    def examine(fact): ...
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from functools import cache
from typing import Any, TypeVar

from django.utils import timezone
from django.utils.module_loading import autodiscover_modules

from lianfang.kernel.errors import Invalid, Missing
from lianfang.kernel.facts import Fact

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Every:
    """A period. Missed periods are made up by one run, never by many. ``share``: of the time that its runs may take; after a long one it rests."""

    seconds: float
    share: float = 1.0

    def __str__(self) -> str:
        return f"every {self.seconds:g} s"

    def rests(self, started: datetime, finished: datetime, now: datetime) -> bool:
        """Whether the last run took so long that the next must wait.

        >>> at = datetime(2026, 1, 1, tzinfo=UTC)
        >>> [Every(5, share=0.1).rests(at, at + timedelta(seconds=3), at + timedelta(seconds=after)) for after in (29, 30)]
        [True, False]
        """
        return now - started < (finished - started) / self.share

    def after(self, last: datetime, now: datetime) -> datetime:
        """The first beat of this period after ``now``, in step with ``last``."""
        period = timedelta(seconds=self.seconds)
        return last + period * max(1, (now - last) // period + 1)

    def missed(self, due: datetime, now: datetime) -> bool:
        return now - due >= timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class At:
    """A time of day in the node's time zone, every day."""

    time: time

    def __str__(self) -> str:
        return f"at {self.time:%H:%M}"

    def after(self, last: datetime, now: datetime) -> datetime:
        """The next such moment after ``now``."""
        zone = timezone.get_default_timezone()
        local = now.astimezone(zone)
        day = local.date() + timedelta(days=local.time().replace(tzinfo=None) >= self.time)
        return datetime.combine(day, self.time, zone).astimezone(UTC)

    def missed(self, due: datetime, now: datetime) -> bool:
        return now - due >= timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Job:
    """A declared job. ``atomic``: the effect and "done" are one transaction, so its effect happens exactly once; keep such jobs short."""

    function: Callable[..., Any]
    name: str
    attempts: int = 5
    atomic: bool = False
    period: Every | At | None = None
    catch_up: bool = True

    @property
    def wants_run(self) -> bool:
        return "run" in inspect.signature(self.function).parameters


@dataclass(frozen=True, slots=True)
class Listener:
    """A declared listener to one kind of fact. ``atomic``: its effect and "handled" are one transaction."""

    function: Callable[[Any], Any]
    name: str
    fact: type[Fact]
    attempts: int
    atomic: bool = True


_jobs: dict[str, Job] = {}
_listeners: dict[str, Listener] = {}


def default_name(function: Callable[..., Any]) -> str:
    """``lianfang.rooms.lake.jobs.compact`` is called ``lake.compact``."""
    parts = function.__module__.split(".")
    return f"{parts[-2] if len(parts) > 1 else parts[0]}.{function.__name__}"


def _same(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    return (one.__module__, one.__qualname__) == (other.__module__, other.__qualname__)


def _declared(function: Callable[..., Any]) -> Job:
    return next((job for job in _jobs.values() if job.function is function), Job(function, default_name(function)))


def _put(declared: Job, **changes: Any) -> None:
    changed = replace(declared, **changes)
    known = _jobs.get(changed.name)
    if known and not _same(known.function, changed.function):
        raise Invalid(f"Two jobs are called {changed.name}", why=f"{known.function.__module__} declares it already.", todo="Give one of them another name.")
    if _jobs.get(declared.name) is declared:
        del _jobs[declared.name]  # decorators stack in any order: the last name wins
    _jobs[changed.name] = changed


def job(name: str = "", *, attempts: int = 5, atomic: bool = False) -> Callable[[F], F]:
    """Declare a function as a job. Without ``atomic`` it runs at least once: make its action one that may be repeated."""

    def declare(function: F) -> F:
        _put(_declared(function), name=name or default_name(function), attempts=attempts, atomic=atomic)
        return function

    return declare


def every(*, seconds: float, share: float = 1.0) -> Callable[[F], F]:
    """Run a job once per period, by one worker; a run that still goes on is not joined by a second. ``share`` (0…1]: it takes no more of the time than this."""

    def declare(function: F) -> F:
        _put(_declared(function), period=Every(seconds, share))
        return function

    return declare


def at(clock_time: str, *, catch_up: bool = True) -> Callable[[F], F]:
    """Run a job once a day at ``HH:MM`` of the node's time zone. ``catch_up``: a day missed while the node was down is made up once."""
    moment = time.fromisoformat(clock_time)

    def declare(function: F) -> F:
        _put(_declared(function), period=At(moment), catch_up=catch_up)
        return function

    return declare


def on(fact: type[Fact], *, name: str = "", attempts: int = 8, atomic: bool = True) -> Callable[[F], F]:
    """Listen to a fact. The function runs in the transaction that marks the fact as handled by it: keep it to one action of the database.

    Without ``atomic`` it runs in none, and once more after a crash: for one that has much to work out before it writes, in transactions of its own.
    """

    def declare(function: F) -> F:
        listener = Listener(function, name or default_name(function), fact, attempts, atomic)
        known = _listeners.get(listener.name)
        if known and not _same(known.function, function):
            raise Invalid(f"Two listeners are called {listener.name}", why=f"{known.function.__module__} declares it already.", todo="Give one of them another name.")
        _listeners[listener.name] = listener
        return function

    return declare


@cache
def discover() -> None:
    """Read ``jobs.py`` and ``handlers.py`` of every open room, once, when they are first needed."""
    autodiscover_modules("jobs", "handlers")


def jobs() -> dict[str, Job]:
    """All declared jobs by name."""
    discover()
    return _jobs


def job_called(name: str) -> Job:
    """The declared job; raises ``Missing`` when no open room declares it."""
    found = jobs().get(name)
    if found is None:
        raise Missing(f"No job is called {name}", why="No open room of this node declares it.", todo="Check the node's profile and version.")
    return found


def listener_called(name: str) -> Listener:
    """The declared listener; raises ``Missing`` when no open room declares it."""
    discover()
    found = _listeners.get(name)
    if found is None:
        raise Missing(f"No listener is called {name}", why="No open room of this node declares it.", todo="Check the node's profile and version.")
    return found


def listeners_to(fact: str) -> list[Listener]:
    """Who listens to the fact with this wire name."""
    discover()
    return [listener for listener in _listeners.values() if listener.fact.name() == fact]
