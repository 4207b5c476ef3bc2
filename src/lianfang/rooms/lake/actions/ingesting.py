"""The ingest process: listens, watches folders, and carries the spool into the event tables. One per node, or several that share.

In: sealed segments of every writer. Out: stored events, seconds after receipt. Two threads share the work: one prepares
the next segments while the other stores the last (Parquet is written outside Python's lock). A third compacts, forgets
old days and does the writer's chores. After any failure everything unstored is read from the spool again.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

import pyarrow as pa
from django.conf import settings
from django.db import close_old_connections, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from lianfang.engines.connect.mapping import Templates
from lianfang.engines.connect.template import Template
from lianfang.kernel.errors import Conflict, Fault, Invalid
from lianfang.rooms.lake import declare, models, queries
from lianfang.rooms.lake.actions import keeping, listening, receiving, spool
from lianfang.rooms.lake.actions.preparing import Origin, Prepared, Preparer
from lianfang.rooms.lake.actions.spool import Segment
from lianfang.rooms.lake.actions.storing import Storer
from lianfang.rooms.lake.queries import places, protection, shielding
from lianfang.rooms.lake.types import READ_BY_US, Stage, Way, zone_of

log = logging.getLogger(__name__)

PACE = 0.4
"""Seconds between two commits while little comes in: a commit costs the same for one event as for ten thousand."""
FLUSH_BYTES = spool.SEGMENT_BYTES
"""So much is prepared at once: a full segment, or smaller ones together."""
IN_MEMORY = 4
"""Full segments in memory at once: two that are stored in one commit, which costs much before its first event (decision 15), and two that are prepared meanwhile."""
TOGETHER = 0.2
"""Seconds for which a full segment waits to be stored together with the next one."""
MEMO_BYTES = 20 << 20
LOOK = 0.05
SOURCES_EVERY = 2.0
CYCLES = 20_000, 20, 20
SWITCH = 0.001
"""When cycles are collected (objects, collections), and seconds after which one thread has to let another have Python's lock."""
RECOVER_EVERY = 5.0


@dataclass(frozen=True, slots=True)
class Part:
    """Which of the node's ingest processes this is. Each carries the slots of the spool whose number falls to it, whoever wrote there; the
    first one also has the doors that only one can have open, and looks after the tables."""

    number: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of <= receiving.MOST_SHARES:
            raise Invalid(f"There is no part {self.number} of {self.of}", todo=f"Write 1/4 to 4/4 for four processes; at most {receiving.MOST_SHARES}.")

    @classmethod
    def parse(cls, text: str) -> Part:
        """``2/4`` → the second of four; raises ``Invalid``."""
        number, _, of = text.partition("/")
        if not (number.isascii() and number.isdigit() and of.isascii() and of.isdigit()):
            raise Invalid(f"“{text[:20]}” names no part of the work", todo="Write 2/4 for the second of four processes.")
        return cls(int(number[:9]), int(of[:9]))

    def has(self, segment: Segment) -> bool:
        """Whether a segment is carried by this part: one slot, one carrier, so that its position in the tables only grows."""
        return int(segment.worker[1:]) % self.of == self.number - 1


ALONE = Part()


@contextmanager
def writing(part: Part = ALONE) -> Iterator[None]:
    """Be the only writer of the event tables, or this part of the writers; raises ``Conflict`` while another process is, or while
    the work is shared among another number of processes."""
    places.root().mkdir(mode=0o700, parents=True, exist_ok=True)
    held: list[int] = []
    try:
        held.append(_locked("writer.lock", fcntl.LOCK_EX if part == ALONE else fcntl.LOCK_SH))
        if part != ALONE:
            held.append(_locked(f"writers-of-{part.of}.lock", fcntl.LOCK_SH))
            for path in places.root().glob("writers-of-*.lock"):
                if path.name != f"writers-of-{part.of}.lock":
                    os.close(_locked(path.name, fcntl.LOCK_EX))
            held.append(_locked(f"writer-{part.number}.lock", fcntl.LOCK_EX))
        yield
    except BlockingIOError as error:
        raise Conflict("Another process stores events already", why="The event tables have one writer, or as many as share the work by the same number.", todo="Leave it running, or stop it first.", retry=True) from error
    finally:
        for fd in reversed(held):
            os.close(fd)


def _locked(name: str, how: int) -> int:
    fd = os.open(places.root() / name, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise
    return fd


def ingest(stop: threading.Event, *, part: Part = ALONE) -> None:
    """Run until ``stop`` is set: listen, watch, store, keep. What is in hand then is finished first."""
    with writing(part):
        _be_lean()
        line = Line(part)
        with _quick(), listening.open_doors(stop, first=part.number == 1), keeping.caretaker(line.storer.store, stop) if part.number == 1 else nullcontext():
            line.run(stop)


def _be_lean() -> None:
    """Give memory back: one arena for all threads instead of eight per core (glibc), Arrow from the same heap, the database read and not mapped."""
    pa.set_memory_pool(pa.system_memory_pool())
    connection_created.connect(_unmapped)
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(-8, 1)  # M_ARENA_MAX


@contextmanager
def _quick() -> Iterator[None]:
    """What was loaded stays: the collector of cycles need not walk through it again, nor look after every seven hundred rows. And the thread
    that stores, which gives Python's lock away at every statement and file, has it back after a millisecond instead of five."""
    usual, pause = gc.get_threshold(), sys.getswitchinterval()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*CYCLES)
    sys.setswitchinterval(SWITCH)
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*usual)
        sys.setswitchinterval(pause)


def _unmapped(connection: BaseDatabaseWrapper, **_kwargs: Any) -> None:
    if connection.vendor == "sqlite":
        connection.cursor().execute("PRAGMA mmap_size=0")


def drain(*, progress: Callable[[int], object] | None = None) -> int:
    """Store everything that waits, here and now; returns how many segments. Raises ``Conflict`` while an ingest process runs."""
    with writing():
        receiving.seal()
        spool.recover_all(receiving.root())
        line, count = Line(), 0
        while prepared := line.take():
            line.storer.keep(prepared)
            line.done(prepared)
            count += len(prepared)
            if progress:
                progress(len(spool.sealed(receiving.root())))
        keeping.do_chores(line.storer.store)
        return count


@dataclass(slots=True)
class _Sources:
    """What is known of the sources, looked up every other second."""

    due: float = 0.0
    known: dict[str, Origin] | None = None
    compiled: dict[tuple[str, int], Template | None] = field(default_factory=dict)

    def origin(self, name: str, fresh: bool) -> Origin | None:
        """``None`` for a source that is gone or going; ``fresh``: looked up now."""
        if self.known is None or fresh or monotonic() >= self.due or name not in self.known:
            rows = list(models.Source.objects.exclude(stage=Stage.ERASING))
            own = {row.name: row for row in models.Mapping.objects.filter(name__in={row.template for row in rows if row.template})}
            masks = shielding.switched_on(Way.IN)
            self.known = {row.name: self._origin(row, own.get(row.template), masks) for row in rows}
            self.due = monotonic() + SOURCES_EVERY
        return self.known.get(name)

    def _origin(self, row: models.Source, own: models.Mapping | None, masks: list[models.MaskRule]) -> Origin:
        known = Origin(row.name, row.codec, row.encoding, row.header, row.start, row.template, _zone(row), row.organisation, row.territory, row.industry, row.era, row.hold, rules=shielding.rules_in(row.name, row.territory, masks), sealed=protection.sealed_levels(row.territory), counted=row.kind in READ_BY_US)
        return known if own is None else replace(known, mapping=self._mapping(own), version=own.version)

    def _mapping(self, own: models.Mapping) -> Template | None:
        key = own.name, own.version
        if key not in self.compiled:
            try:
                self.compiled[key] = queries.compiled(own.text)
            except Fault:
                log.exception("the mapping %s (version %d) no longer compiles: its sources are stored with all fields unmapped", *key)
                self.compiled[key] = None
        return self.compiled[key]


def _zone(row: models.Source) -> str:
    """The source's zone; the node's own where this machine no longer knows it."""
    try:
        zone_of(row.zone)
    except Invalid as fault:
        log.error("source %s: %s; its local times are read in %s", row.name, fault, models.default_zone())
        return models.default_zone()
    return row.zone


class Line:
    """From the spool to the tables.

    ``_round`` counts failures of storing. What was prepared in an earlier round is dropped unstored and prepared again,
    with the tables asked anew what they hold.
    """

    def __init__(self, part: Part = ALONE) -> None:
        self.part = part
        self.examiners = {name: factory() for name, factory in declare.examiners().items()}
        self.storer = Storer(examiners=self.examiners)
        self.preparer = Preparer(templates=Templates.load(settings.CONTENT / "mappings", cache_bytes=MEMO_BYTES), examiners=self.examiners, origin=_Sources().origin, is_new=self._is_new, zone=models.default_zone(), unseal=receiving.unseal, hide=receiving.hide)
        self._in_hand: set[Segment] = set()
        self._keys: set[tuple[str, str]] = set()
        self._round = 0
        self._recovered = 0.0

    def run(self, stop: threading.Event) -> None:
        """Prepare in this thread, store in another, until stopped."""
        waiting: queue.Queue[tuple[int, list[Prepared]] | None] = queue.Queue()
        self._room = threading.Semaphore(IN_MEMORY)
        keeper = threading.Thread(target=self._keep_all, args=(waiting,), name="lake-store")
        keeper.start()
        try:
            round_ = self._round
            while not stop.is_set():
                started = monotonic()
                if round_ != self._round:
                    round_ = self._begin_again()
                self._room.acquire()
                prepared = self._take_safely(stop)
                if prepared:
                    waiting.put((round_, prepared))
                else:
                    self._room.release()
                full, found = _is_full(prepared), bool(prepared)
                del prepared
                stop.wait(LOOK if not found else 0.0 if full else max(0.0, PACE - (monotonic() - started)))
        finally:
            waiting.put(None)
            keeper.join()
            connections.close_all()

    def take(self) -> list[Prepared]:
        """The next segments, prepared: as many as fill one commit."""
        self._recover()
        done: list[Prepared] = []
        try:
            for segment in self._next():
                done.append(self._prepared(segment))
                if sum(one.segment.size for one in done) >= FLUSH_BYTES:
                    break
        except BaseException:
            self.done(done)
            raise
        return done

    def done(self, prepared: list[Prepared]) -> None:
        """They are no longer in hand: stored, or given back to the spool."""
        self._in_hand.difference_update([one.segment for one in prepared])
        self._keys.difference_update([key for one in prepared for key in one.keys])

    # ---- inside ------------------------------------------------------------------------------------------------

    def _next(self) -> list[Segment]:
        """Waiting segments; what a crash left half stored comes first, so that of two with the same client's number the same one wins again."""
        found = []
        for segment in spool.sealed(receiving.root()):
            if segment in self._in_hand or not self.part.has(segment):
                continue
            if self.storer.is_over(segment):
                self.storer.remove(segment)
            else:
                found.append(segment)
        return sorted(found, key=lambda segment: (not self.storer.may_be_stored(segment), segment))

    def _prepared(self, segment: Segment) -> Prepared:
        prepared = self.preparer.prepare(segment)
        self._in_hand.add(segment)
        self._keys.update(prepared.keys)
        return prepared

    def _begin_again(self) -> int:
        self._in_hand.clear()
        self._keys.clear()
        self.preparer.watcher.forget()
        self.storer.look_again()
        return self._round

    def _take_safely(self, stop: threading.Event) -> list[Prepared]:
        """As ``take``; a failure is said and tried again."""
        try:
            close_old_connections()
            return self.take()
        except Exception:
            log.exception("preparing failed; the segments stay in the spool and are tried again")
            stop.wait(1.0)
            return []

    def _keep_all(self, waiting: queue.Queue[tuple[int, list[Prepared]] | None]) -> None:
        """All that waits goes into one commit: the slower storing is, the more it does at once, and two segments of a flood in any case."""
        more = True
        while more:
            items = [waiting.get(), *(waiting.get() for _ in range(waiting.qsize()))]
            if len(items) == 1 and items[0] and _is_full(items[0][1]):
                with suppress(queue.Empty):
                    items.append(waiting.get(timeout=TOGETHER))
            more = items[-1] is not None
            prepared = [one for item in items if item and item[0] == self._round for one in item[1]]
            if prepared:
                self._keep_safely(prepared)
            count = len(items)
            del items, prepared
            self._room.release(count)
        connections.close_all()

    def _keep_safely(self, prepared: list[Prepared]) -> None:
        try:
            close_old_connections()
            self.storer.keep(prepared)
            self.done(prepared)
        except Exception:
            log.exception("storing failed; the segments stay in the spool and are tried again")
            self._round += 1

    def _is_new(self, source: str, key: str, segment: Segment) -> bool:
        """Whether a client's number is not stored yet. Among several processes the first to see it claims it for its segment, which is
        durable: whatever happens, that one will be stored."""
        if (source, key) in self._keys:
            return False
        if self.part == ALONE:
            return not models.Receipt.objects.filter(source=source, key=key).exclude(segment=segment.name).exists()
        receipt, _ = models.Receipt.objects.get_or_create(source=source, key=key, defaults={"segment": segment.name})
        return bool(receipt.segment == segment.name)

    def _recover(self) -> None:
        if monotonic() - self._recovered > RECOVER_EVERY:
            self._recovered = monotonic()
            spool.recover_all(receiving.root())


def _is_full(prepared: list[Prepared]) -> bool:
    """Whether more is likely to come at once."""
    return sum(one.segment.size for one in prepared) >= FLUSH_BYTES // 2


def settle(*, progress: Callable[[int], object] | None = None, seconds: float = 600.0) -> None:
    """Return when everything that was received is searchable: by the ingest process if one runs, else stored here.

    ``progress(segments that wait)`` is called along the way. Raises ``Conflict`` after ``seconds``.
    """
    receiving.seal()
    deadline = monotonic() + seconds
    while monotonic() < deadline:
        try:
            drain(progress=progress)
            return
        except Conflict:  # an ingest process runs: it does the work, we watch
            left = len(spool.sealed(receiving.root()))
            if progress:
                progress(left)
            if not left:
                return
            threading.Event().wait(0.2)
    raise Conflict("What was received is not stored yet", why="The ingest process is busy, or it is stuck.", todo="Look at the page “log sources”, or wait.", retry=True)
