"""Storing: prepared segments become durable, are concluded, told and counted, and only then leave the spool.

In: prepared segments, in order. Out: events in the tables. The order of steps is the promise: tables (each commit notes
the segments it holds) → examiners conclude → one transaction of the database (figures, receipts, ledger, fact, how far
we are) → the segment is removed. A crash between any two steps is mended by doing the rest again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic, time

import pyarrow as pa
import pyarrow.compute as pc
from django.db import transaction
from django.db.models import F

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import actions as ledger
from lianfang.engines.columns import shape
from lianfang.engines.columns.query import Bounds, Query
from lianfang.kernel import clock
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import SYSTEM, WIDTH
from lianfang.rooms.lake import models
from lianfang.rooms.lake.actions import drifting, runs
from lianfang.rooms.lake.actions.masking import keep_pseudonyms
from lianfang.rooms.lake.actions.preparing import HELD_MARK, Prepared, Tally
from lianfang.rooms.lake.actions.spool import Segment
from lianfang.rooms.lake.declare import Examiner
from lianfang.rooms.lake.queries import places
from lianfang.rooms.lake.types import EVENT_TABLES, REJECT_TABLE, BatchStored

TABLES = (*EVENT_TABLES, REJECT_TABLE)


class Storer:
    """The only writer of the event tables."""

    def __init__(self, *, examiners: Mapping[str, Examiner]):
        self.store = places.store()
        self.examiners = examiners
        self._rates: dict[str, tuple[float, float]] = {}
        self.look_again()

    def look_again(self) -> None:
        """Ask tables and database how far each spool has come: at the start, and after any failure."""
        self._committed: dict[str, int] = {}
        self._removed: list[str] = []
        self._concluded = set(models.Concluded.objects.values_list("name", flat=True))

    def is_over(self, segment: Segment) -> bool:
        """Whether nothing is left to do but to remove the segment."""
        return segment.name in self._concluded

    def may_be_stored(self, segment: Segment) -> bool:
        """Whether a crash may have left some of it in some tables."""
        if segment.worker not in self._committed:
            self._committed[segment.worker] = max(self.store.committed(name, segment.worker) for name in TABLES)
        return segment.sequence <= self._committed[segment.worker]

    def keep(self, prepared: Sequence[Prepared]) -> None:
        """Store segments together, in one commit per table."""
        tables = self._tables(prepared)
        reached = _reached(prepared)
        versions = {name: self.store.append(name, tables.pop(name), transactions=reached) for name in list(tables)}
        for one in prepared:
            for batch, hits in one.batches:
                for name, found in hits.items():
                    self.examiners[name].conclude(batch, found)
        self._tell(prepared, versions)
        self._concluded.update(one.segment.name for one in prepared)
        for one in prepared:
            self.remove(one.segment)

    def remove(self, segment: Segment) -> None:
        """Take a concluded segment out of the spool; the note that it was concluded goes with the next transaction."""
        segment.path.unlink(missing_ok=True)
        self._removed.append(segment.name)

    def _tables(self, prepared: Sequence[Prepared]) -> dict[str, pa.Table]:
        """Rows by table, without those that a crash left stored already. They are taken out of ``prepared``, so that they lie in memory once."""
        parts: dict[str, list[pa.Table]] = defaultdict(list)
        for one in prepared:
            again = self.may_be_stored(one.segment)
            stored = self._stored_of(one.segment, EVENT_TABLES, shape.EVENTS) if again else frozenset()
            kept = self._stored_of(one.segment, (REJECT_TABLE,), shape.REJECTS) if again else frozenset()
            there = stored | {name.removesuffix(HELD_MARK) for name in kept if name.endswith(HELD_MARK)}  # held back the first time: not an event the second
            while one.events:
                for name, chosen in _split(*one.events.pop(0)):
                    parts[name].append(_without(chosen, there))
            if one.rejects:
                parts[REJECT_TABLE].append(_without(_rejects(one.rejects), kept | {f"{name}{HELD_MARK}" for name in stored}))
        joined = {name: pa.concat_tables(tables) for name, tables in parts.items()}
        return {name: table for name, table in joined.items() if table.num_rows}

    def _stored_of(self, segment: Segment, names: tuple[str, ...], schema: pa.Schema) -> frozenset[str]:
        """The identifiers of this segment that some of these tables hold."""
        prefix = f"{segment.name}-"
        rows = Query(self.store, schema=schema).arrow("SELECT event_id FROM stored WHERE starts_with(event_id, ?)", [prefix], bounds=Bounds(names, event_id=prefix))
        return frozenset(rows["event_id"].to_pylist())

    @transaction.atomic
    def _tell(self, prepared: Sequence[Prepared], versions: Mapping[str, int]) -> None:
        """Figures, receipts, ledger, fact and position: all or nothing."""
        now = clock.now()
        models.Receipt.objects.bulk_create([models.Receipt(source=source, key=key) for one in prepared for source, key in one.keys], ignore_conflicts=True)
        for one in prepared:
            keep_pseudonyms(one.taken)
        tallies = _together(prepared)
        for name, tally in tallies.items():
            models.Source.objects.filter(name=name).update(
                last_seen=now, events=F("events") + tally.events, bytes=F("bytes") + tally.bytes, rejects=F("rejects") + tally.rejects, rate=self._rate(name, tally.events), lag=max(0.0, time() - tally.oldest / 1000)
            )
        runs.tell({name: tally.became for name, tally in tallies.items() if tally.became})
        for noted in (noted for one in prepared for noted in one.noted):
            drifting.keep(noted)
        models.Concluded.objects.bulk_create([models.Concluded(name=one.segment.name) for one in prepared])
        self._forget_removed()
        if versions:
            self._record(prepared, versions, tallies)

    def _forget_removed(self) -> None:
        gone, self._removed = self._removed, []
        models.Concluded.objects.filter(name__in=gone).delete()
        self._concluded.difference_update(gone)

    def _record(self, prepared: Sequence[Prepared], versions: Mapping[str, int], tallies: Mapping[str, Tally]) -> None:
        events, rejects = sum(tally.events for tally in tallies.values()), sum(tally.rejects for tally in tallies.values())
        tables = [f"{name}@{version}" for name, version in versions.items()]
        first = prepared[0].segment
        owners = [owner for one in prepared for owner in one.owners]
        ledger.record(
            "lake.stored", Ref("lake", "batch", first.name), actor=SYSTEM, label=f"{events} events", territory=_shared(owners),
            detail={"events": events, "rejects": rejects, "tables": tables, "segments": len(prepared), "sources": sorted(tallies)},
        )  # fmt: skip
        jobs.publish(BatchStored(batches=[batch.ref for one in prepared for batch, _ in one.batches], tables=tables, events=events, rejects=rejects))

    def _rate(self, name: str, events: int) -> float:
        """Events per second, the last ten seconds weighing most."""
        now = monotonic()
        before, rate = self._rates.get(name, (now - 10.0, 0.0))
        weight = min(1.0, max(now - before, 1e-3) / 10.0)
        rate += weight * (events / max(now - before, 1e-3) - rate)
        self._rates[name] = now, rate
        return round(rate, 3)


def _reached(prepared: Iterable[Prepared]) -> dict[str, int]:
    reached: dict[str, int] = {}
    for one in prepared:
        reached[one.segment.worker] = max(one.segment.sequence, reached.get(one.segment.worker, -1))
    return reached


def _split(rows: pa.Table, names: Sequence[str]) -> Iterable[tuple[str, pa.Table]]:
    """Rows by the table they belong in: put in order once, then cut without copying."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        places[name].append(place)
    if len(places) == 1:
        yield names[0], rows
        return
    ordered, start = rows.take(pa.array([place for found in places.values() for place in found], pa.int32())), 0
    for name, found in places.items():
        yield name, ordered.slice(start, len(found))
        start += len(found)


def _without(rows: pa.Table, there: frozenset[str]) -> pa.Table:
    if not there:
        return rows
    return rows.filter(pc.invert(pc.is_in(rows["event_id"], pa.array(sorted(there), pa.string()))))


def _rejects(rows: Sequence[Mapping[str, object]]) -> pa.Table:
    return shape.table({field.name: [row.get(field.name) for row in rows] for field in shape.REJECTS}, schema=shape.REJECTS)


def _together(prepared: Iterable[Prepared]) -> dict[str, Tally]:
    total: dict[str, Tally] = {}
    for one in prepared:
        for name, tally in one.tallies.items():
            sum_ = total.setdefault(name, Tally())
            sum_.events, sum_.bytes, sum_.rejects, sum_.oldest = sum_.events + tally.events, sum_.bytes + tally.bytes, sum_.rejects + tally.rejects, min(sum_.oldest, tally.oldest)
            sum_.became.update(tally.became)
    return total


def _shared(paths: Sequence[str]) -> str:
    """The path of the organisation below which all of these lie.

    >>> _shared(["000010000200001", "0000100002", "000010000200007"])
    '0000100002'
    """
    least, greatest = min(paths, default=""), max(paths, default="")
    length = next((n for n in range(len(least)) if n >= len(greatest) or least[n] != greatest[n]), len(least))
    return least[: length - length % WIDTH]
