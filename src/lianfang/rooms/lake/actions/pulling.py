"""Sources that are asked: one thread each, which reads, receives, and only then notes how far it came.

In: a source, and a reader of its kind that gives one page after another. Out: calls of ``receive``. What is about to be
received is noted first (``pending``) under a number of its own; after a crash exactly those records are sent again under
the same number, and stored once. What goes wrong is told on the source's page and tried again, each time after a longer
while.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Protocol

from django.db import close_old_connections, connections

from lianfang.kernel import clock
from lianfang.kernel.errors import Fault
from lianfang.kernel.ids import new_id
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.lake import models
from lianfang.rooms.lake.actions import receiving
from lianfang.rooms.lake.adapters import Page
from lianfang.rooms.lake.types import Busy, lines_of

log = logging.getLogger(__name__)

EVERY = 60
SHORTEST, LONGEST = 1.0, 60.0
"""Seconds before the first and between later attempts after something went wrong."""


class Worker:
    """A thread that works for one source until it is closed; what it raises is told, and it begins again."""

    def __init__(self, row: models.Source):
        self.source, self.dropped = row, 0
        self._stop = threading.Event()
        self._told = row.trouble  # what the page says now
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name=f"source-{row.name}"[:40], daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after what is in hand."""
        self._stop.set()
        self._thread.join()

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
        self._stop.wait(pause)


class Reader(Protocol):
    """Reads pages of one source. Raises for a person, or whatever the other side's library raises."""

    def page(self, position: dict[str, Any], *, until: dict[str, Any] | None = None) -> Page:
        """What comes after ``position``; with ``until``, all that was there when that was the end."""
        ...

    def close(self) -> None: ...


class Pull(Worker):
    """Asks, page after page, then rests. ``place`` names what is read; ``open_reader`` makes the reader anew after each failure."""

    def __init__(self, row: models.Source, place: str, open_reader: Callable[[], Reader]):
        self.place, self._open_reader = blake2b(place.encode(), digest_size=16).hexdigest(), open_reader
        super().__init__(row)

    def work(self) -> None:
        """Read until stopped."""
        reader = self._open_reader()
        try:
            while not self._stop.is_set():
                more = self.step(reader)
                self.tell("")
                if not more:
                    self._stop.wait(self.source.every or EVERY)
                    close_old_connections()
        finally:
            reader.close()

    def step(self, reader: Reader) -> bool:
        """One page; returns whether there is more right now."""
        position, _ = models.Position.objects.get_or_create(source_id=self.source.pk, place=self.place)
        if position.pending:
            self._finish(reader, position)
            return True
        page = reader.page(position.value)
        if page.frames:
            self._note(position, pending={"key": str(new_id()), "names": list(page.names), "after": page.after})
            self._receive(page.frames, position.pending["key"])
        if page.frames or page.after != position.value:
            self._note(position, value=page.after, pending={})
        return page.more

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
