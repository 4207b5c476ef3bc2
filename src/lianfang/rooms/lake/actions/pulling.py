"""Sources that are asked: one thread each, which reads, receives, and only then notes how far it came.

In: a source, and a reader of its kind that gives one page after another. Out: calls of ``receive``, and the history of runs. What is about to be
received is noted first (``pending``) under a number of its own; after a crash exactly those records are sent again under
the same number, and stored once. What goes wrong is told on the source's page and tried again, each time after a longer
while.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from functools import cached_property
from hashlib import blake2b
from typing import Any, Protocol

from django.db import close_old_connections, connections, transaction

from lianfang.commons.jobs.declare import At
from lianfang.kernel import clock
from lianfang.kernel.errors import Fault
from lianfang.kernel.ids import new_id
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.lake import models
from lianfang.rooms.lake.actions import receiving
from lianfang.rooms.lake.actions.runs import Runs
from lianfang.rooms.lake.adapters import Page
from lianfang.rooms.lake.models.runs import UNENDED
from lianfang.rooms.lake.types import Busy, lines_of, times_of

log = logging.getLogger(__name__)

EVERY = 60
SHORTEST, LONGEST = 1.0, 60.0
"""Seconds before the first and between later attempts after something went wrong."""
HELD_OPEN = 300
"""A connection is kept through a rest of so many seconds; through a longer one the other side would close it."""


class Worker:
    """A thread that works for one source until it is closed; what it raises is told, and it begins again."""

    def __init__(self, row: models.Source):
        self.source, self.dropped = row, 0
        self._stop, self._wake = threading.Event(), threading.Event()
        self._told = row.trouble  # what the page says now
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name=f"source-{row.name}"[:40], daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after what is in hand."""
        self._stop.set()
        self._wake.set()
        self._thread.join()

    def hurry(self) -> None:
        """Do not wait any longer."""
        self._wake.set()

    def work(self) -> None:
        """Run until ``_stop`` is set; may raise."""
        raise NotImplementedError

    def tell(self, trouble: str) -> None:
        """Keep what is wrong on the source, or that nothing is."""
        if trouble[:300] != self._told:
            self._told = trouble[:300]
            models.Source.objects.filter(pk=self.source.pk).update(trouble=self._told)
        if not trouble:
            self._failures = 0

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                close_old_connections()
                self.work()
            except Busy as busy:
                self._stop.wait(busy.retry_after / 2)
            except Exception as error:
                self._failed(error)
        connections.close_all()

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        pause = max(min(SHORTEST * 2 ** (self._failures - 1), LONGEST), getattr(error, "retry_after", 0.0))
        (log.warning if isinstance(error, Fault) else log.exception)("source %s: %s; tried again in %.0f s", self.source.name, error, pause)
        try:
            self.tell(lines_of(error))
        except Exception:
            log.exception("the trouble of %s could not be kept", self.source.name)
        self._pause(pause)

    def _pause(self, seconds: float) -> None:
        """Wait, unless somebody is in a hurry."""
        if not self._stop.is_set():
            self._wake.wait(seconds)
            self._wake.clear()


class Reader(Protocol):
    """Reads pages of one source. Raises for a person, or whatever the other side's library raises."""

    def page(self, position: dict[str, Any], *, until: dict[str, Any] | None = None) -> Page:
        """What comes after ``position``; with ``until``, all that was there when that was the end."""
        ...

    def close(self) -> None: ...


class Pull(Worker):
    """Asks, page after page, then rests until the source's next time. ``place`` names what is read; ``open_reader`` makes the reader anew after each failure."""

    def __init__(self, row: models.Source, place: str, open_reader: Callable[[], Reader]):
        self.place, self._open_reader = blake2b(place.encode(), digest_size=16).hexdigest(), open_reader
        super().__init__(row)

    @cached_property
    def runs(self) -> Runs:
        """The history of this source."""
        return Runs(self.source)

    def work(self) -> None:
        """Read until stopped."""
        if self.source.times:  # by an interval the first look is at once
            self._rest()
        try:
            while not self._stop.is_set():
                self.runs.look()
                with closing(self._open_reader()) as reader:
                    while not self._stop.is_set() and self._look(reader) <= HELD_OPEN:
                        pass
        except Busy:
            pass  # only when we are to stop while the spool is full
        self.runs.stopped()

    def _look(self, reader: Reader) -> float:
        """Read what there is, then rest; returns for how many seconds that was meant to be."""
        self.runs.look()
        while not self._stop.is_set():
            more = self.step(reader)
            self.tell("")
            if not more:
                return self._rest()
        return 0.0

    def _rest(self) -> float:
        """Wait for the next time; returns for how many seconds that was meant to be."""
        seconds = max(0.0, (due(self.source, self.runs.last) - clock.now()).total_seconds())
        if seconds:
            self._pause(seconds)
            close_old_connections()
        return seconds

    def _failed(self, error: Exception) -> None:
        self.runs.failed(error)
        super()._failed(error)

    def step(self, reader: Reader) -> bool:
        """One page; returns whether there is more right now. The end of what is there ends the run."""
        position, _ = models.Position.objects.get_or_create(source_id=self.source.pk, place=self.place)
        if position.pending:
            self._finish(reader, position)
            return True
        page = reader.page(position.value)
        if page.frames:
            self._begin(position, page, pending={"key": str(new_id()), "names": list(page.names), "after": page.after})
            self._receive(page.frames, position.pending["key"])
        if page.frames or page.after != position.value:
            self._note(position, value=page.after, pending={})
        if not page.more:
            self.runs.done(known=0 if page.frames else page.known, at=mark_of(position.value))
        return page.more

    @transaction.atomic
    def _begin(self, position: models.Position, page: Page, **noted: Any) -> None:
        """Write down what is about to be received, for the history and for whoever comes after a crash."""
        self._note(position, **noted)
        self.runs.took(read=len(page.frames) + page.known, known=page.known, size=sum(map(len, page.frames)), before=mark_of(position.value), after=mark_of(page.after))

    def _finish(self, reader: Reader, position: models.Position) -> None:
        """Send what a crash left half received, under the number that it had."""
        pending = position.pending
        page, missing = reader.page(position.value, until=pending["after"]), Counter(pending["names"])
        again = []
        for frame, name in zip(page.frames, page.names):
            if missing[name] > 0:
                missing[name] -= 1
                again.append(frame)
        if again:
            self.runs.took(read=len(again), size=sum(map(len, again)), before=mark_of(position.value), after=mark_of(pending["after"]))
            self._receive(again, pending["key"])
        self._note(position, value=pending["after"], pending={})

    def _receive(self, frames: Sequence[bytes], key: str) -> None:
        """Until there is room; asking again would cost the other side more."""
        while True:
            try:
                receiving.receive(self.source.name, frames, actor=SYSTEM, key=key)
                return
            except Busy as busy:
                if self._stop.wait(busy.retry_after / 2):
                    raise

    @staticmethod
    def _note(position: models.Position, **values: Any) -> None:
        for name, value in values.items():
            setattr(position, name, value)
        position.changed = clock.now()
        position.save()


def due(row: models.Source, last: models.Run | None) -> datetime:
    """When a source is to be read next, by its times or its interval; at once where the last run did not come to its end."""
    if last is not None and last.state in UNENDED:
        return clock.now()
    times = times_of(row.times)
    if times:
        before = last.ended or last.began if last else row.created
        return min(At(one).after(before, before) for one in times)
    return (last.ended or last.began) + timedelta(seconds=row.every or EVERY) if last else clock.now()


def mark_of(position: dict[str, Any]) -> str:
    """A position as a person reads it: the watermark of a table, the page or cursor of an address.

    >>> mark_of({"at": ["whole", "1200"], "ties": []}), mark_of({"next": 3}), mark_of({})
    ('1200', '3', '')
    """
    return str(position["at"][1]) if "at" in position else str(position.get("next") or "")
