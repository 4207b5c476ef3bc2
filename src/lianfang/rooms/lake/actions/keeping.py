"""Keeping: what the writer of the event tables does between batches: join small files, forget old days, erase, carry.

In: the tables and the chores that other processes left in the database. Out: fewer files, less of what may not stay.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from pathlib import Path
from time import monotonic

from django.db import close_old_connections, connections, transaction

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import actions as ledger
from lianfang.engines.columns.store import LARGE, EventStore, equal
from lianfang.kernel import clock
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import SYSTEM, after
from lianfang.rooms.lake import models
from lianfang.rooms.lake.actions import parting, receiving, sealed, spool
from lianfang.rooms.lake.actions.storing import TABLES
from lianfang.rooms.lake.queries import generations
from lianfang.rooms.lake.queries.retention import LEVELS, retention
from lianfang.rooms.lake.types import EVENT_TABLES, SourceErased

log = logging.getLogger(__name__)

MANY, SOME, SOON = 48, 6, 60.0
TOO_MANY, WAITING = 400, 12 << 20
"""While more than ``WAITING`` bytes wait in the spool, joining files waits too, until there are ``TOO_MANY``."""
PATIENCE = 900.0
"""Seconds that the hourly work waits for a flood to end."""
BEAT = 2.0
HOUR = 3600.0


@contextmanager
def caretaker(store: EventStore, stop: threading.Event) -> Iterator[None]:
    """Look after the tables in a thread of its own for the length of a ``with`` block."""
    thread = threading.Thread(target=_care, args=(store, stop), name="lake-keep")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _care(store: EventStore, stop: threading.Event) -> None:
    joined = dict.fromkeys(TABLES, monotonic())
    hourly = monotonic() + 60.0
    while not stop.wait(BEAT):
        try:
            close_old_connections()
            do_chores(store)
            give_back()
            flooded = spool.backlog(receiving.root()) > WAITING
            many = TOO_MANY if flooded else MANY
            for name in TABLES:
                if _is_due(store.small_files(name), monotonic() - joined[name], many):
                    joined[name] = monotonic()
                    store.compact(name)
            if monotonic() >= hourly + PATIENCE * flooded:
                hourly = monotonic() + HOUR
                tidy(store)
        except Exception:
            log.exception("looking after the event tables failed; it is tried again")
    connections.close_all()


def give_back() -> None:
    """Free pages go back to the system: what one commit took is not kept beside what the next one takes (glibc; elsewhere nothing happens)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _is_due(small: int, age: float, many: int) -> bool:
    return small >= many or (many == MANY and small >= SOME and age >= SOON)


def tidy(store: EventStore) -> None:
    """Once an hour: whole files, their sums, files that nobody needs any more; once a day what is kept no longer."""
    for name in TABLES:
        store.compact(name, target=LARGE)
    store.count_up(EVENT_TABLES)  # rejects are few and do without
    for name in TABLES:
        store.vacuum(name)
    generations.events_by_generation()  # counts what is new, so that the page of keys need not
    policy = retention()
    for name in TABLES:
        for days, levels in policy.parts(name).items():
            _forget(store, name, days, levels)


def _forget(store: EventStore, name: str, days: int, levels: tuple[int, ...]) -> None:
    """Let go what is older than ``days``, and put it on record. What was looked at once today is not looked at again: days end at midnight (UTC)."""
    since = (clock.now() - timedelta(days=days)).date()
    key = store.root, name, levels
    if _forgotten.get(key) == since:
        return
    rows = store.retain(name, since=since, where="" if levels == LEVELS else f"coalesce(level, {LEVELS[-1]}) IN ({', '.join(map(str, levels))})")
    if rows:
        log.info("forgot %d rows of %s (levels %s) older than %s", rows, name, levels, since)
        ledger.record("lake.events_forgotten", Ref("lake", "table", name), actor=SYSTEM, label=name, detail={"rows": rows, "before": since.isoformat(), "levels": list(levels), "days": days})
    _forgotten[key] = since


_forgotten: dict[tuple[Path, str, tuple[int, ...]], date] = {}


def do_chores(store: EventStore) -> int:
    """Everything that was left for the writer; each chore may be done twice without harm. One that says ``False`` is gone on with the next time."""
    waiting = list(models.Chore.objects.filter(done=None))
    for chore in waiting:
        if _CHORES[chore.verb](store, **chore.arguments) is not False:
            models.Chore.objects.filter(pk=chore.pk).update(done=clock.now())
    return len(waiting)


def _erase(store: EventStore, *, source: str) -> None:
    """Remove a source's events from every table, then the source itself; say so once more for what came of late batches."""
    rows = sum(store.erase(name, equal("source", source)) for name in TABLES)
    with transaction.atomic():
        models.Receipt.objects.filter(source=source).delete()
        models.Replay.objects.filter(source=source).delete()
        row = models.Source.objects.filter(name=source).first()
        if row is not None:
            ledger.record("lake.source_emptied", row.ref, actor=SYSTEM, label=source, detail={"rows": rows}, territory=row.territory, industry=row.industry)
            row.delete()
        jobs.publish(SourceErased(source=source))


def _move(store: EventStore, *, axis: str, before: str, after_: str) -> None:
    """Events follow an organisation to its new path; where it had none on this axis, its sources say whose events they are."""
    for name in TABLES:
        if before:
            store.carry(name, axis, before=before, after=after_, end=after(before))
            continue
        for source in models.Source.objects.filter(**{f"{axis}__startswith": after_}):
            store.fill(name, axis, getattr(source, axis), where=equal("source", source.name))


_CHORES: dict[str, Callable[..., bool | None]] = {models.Chore.ERASE: _erase, models.Chore.MOVE: _move, models.Chore.DESTROY: parting.do_destroy, models.Chore.RESTORE: parting.do_restore, models.Chore.RESEAL: sealed.resealed}
