"""Noting which kinds of events come in, and which fields they have, so that a node can say which of its rules can fire at all.

A field counts for its kind alone (log source, channel, event id): ``User`` in logs of Linux helps no rule about Windows. Once a second
one row of every kind in a batch is looked at; of the other batches of a flood some rows, others in each, so that what is rare is met in
time. The tables hear only of what is new, and once a day that a kind still comes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from time import monotonic
from typing import Any

from django.db import transaction

from lianfang.kernel import clock
from lianfang.rooms.detect import models
from lianfang.rooms.detect.actions.editions import KINDS, next_edition
from lianfang.rooms.lake.types import Batch

LOOKED_AT = 40
"""Rows of a batch that are looked at beside one of each kind."""
WHOLE_EVERY = 1.0
"""Seconds between two batches of which every kind is looked at: that costs some tenths of a microsecond for each row."""
KINDS_KEPT, FIELDS_KEPT, SOURCES_KEPT = 2000, 400, 20
"""Beyond these nothing more is noted: whoever sends endless new names fills no memory."""

Key = tuple[str, str, str, str, str]


@dataclass(slots=True)
class Noted:
    """What was met of one kind."""

    fields: set[str] = field(default_factory=set)
    sources: set[str] = field(default_factory=set)
    day: date | None = None


class Kinds:
    """The kinds of events that one examiner met."""

    def __init__(self) -> None:
        self.met: dict[tuple[Any, Any, Any], Noted] = {}
        self._untold: dict[Key, Noted] = {}
        self._turn, self._whole_at = 0, -WHOLE_EVERY

    def note(self, batch: Batch) -> None:
        """Look at some rows of a batch."""
        rows, today, now = batch.rows, clock.now().date(), monotonic()
        step = max(1, len(rows) // LOOKED_AT)
        self._turn += 1
        looked: Iterable[int] = range(self._turn % step, len(rows), step)
        if now - self._whole_at >= WHOLE_EVERY:
            self._whole_at = now
            every = zip(batch.logsources, [row.get("Channel") for row in rows], [row.get("EventID") for row in rows])
            looked = (*dict(zip(every, range(len(rows)))).values(), *looked)
        for at in looked:
            row = rows[at]
            kind = batch.logsources[at], row.get("Channel"), row.get("EventID")
            noted = self.met.get(kind)
            if noted is None or noted.day != today or not row.keys() <= noted.fields or batch.source not in noted.sources:
                self._learn(kind, row, batch.source, today)

    def _learn(self, kind: tuple[Any, Any, Any], row: Mapping[str, Any], source: str, today: date) -> None:
        noted = self.met.get(kind)
        if noted is None:
            if len(self.met) >= KINDS_KEPT:
                return
            noted = self.met[kind] = Noted()
        before = (len(noted.fields), len(noted.sources), noted.day)
        if len(noted.fields) < FIELDS_KEPT:
            noted.fields.update(name for name, value in row.items() if value is not None)
        if len(noted.sources) < SOURCES_KEPT:
            noted.sources.add(source)
        noted.day = today
        if (len(noted.fields), len(noted.sources), noted.day) != before:
            (product, category, service), channel, event_id = kind
            self._untold[product[:60], category[:60], service[:60], str(channel or "")[:200], str(event_id or "")[:40]] = noted

    def tell(self) -> None:
        """Write down what is new since the last time."""
        if not self._untold:
            return
        untold, self._untold = self._untold, {}
        with transaction.atomic():
            if _write({_id(key): (key, noted) for key, noted in untold.items()}):
                next_edition(KINDS)


def _id(key: Key) -> str:
    return hashlib.blake2b("\0".join(key).encode("utf-8", "replace"), digest_size=16).hexdigest()


def _write(untold: Mapping[str, tuple[Key, Noted]]) -> bool:
    """Add what was met to the rows of other examiners and earlier days; returns whether that told anything but the day."""
    now, new, known = clock.now(), [], []
    found = {row.pk: row for row in _rows(list(untold))}
    fresh = False
    for pk, (key, noted) in untold.items():
        row = found.get(pk)
        if row is None:
            new.append(models.EventKind(id=pk, product=key[0], category=key[1], service=key[2], channel=key[3], event_id=key[4], fields=sorted(noted.fields), sources=sorted(noted.sources), first=now, last=now))
        else:
            fields, sources = sorted({*row.fields, *noted.fields})[:FIELDS_KEPT], sorted({*row.sources, *noted.sources})[:SOURCES_KEPT]
            fresh = fresh or fields != row.fields or sources != row.sources
            row.fields, row.sources, row.last = fields, sources, now
            known.append(row)
    models.EventKind.objects.bulk_create(new, batch_size=200, ignore_conflicts=True)
    models.EventKind.objects.bulk_update(known, ["fields", "sources", "last"], batch_size=100)
    return fresh or bool(new)


def _rows(ids: list[str]) -> Iterable[models.EventKind]:
    for start in range(0, len(ids), 500):
        yield from models.EventKind.objects.select_for_update().filter(pk__in=ids[start : start + 500])
