"""Examining: the rules' place in the ingest process. Batches in, row → rule uids out; findings once the batch is durable.

The rules of all packs are loaded, on or off; what is off is left out of the answer, so that a switch needs no compiling.
What people of this node wrote has an engine of its own, so that a change of one rule compiles no other.
The words of keyword alarms are rules too, in an engine of their own that sees the batches of their sources alone: an alarm
over one source costs the others nothing, and making one compiles no other rule.
Changes are noticed by two small looks: at the edition (each second at most) and at the watch list's version (each three).
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction

from lianfang.engines.rules.compiled import Compiled
from lianfang.engines.rules.correlation import Correlation
from lianfang.engines.rules.examiner import Examiner
from lianfang.engines.rules.types import Rule
from lianfang.kernel import clock
from lianfang.rooms.detect import models
from lianfang.rooms.detect.actions import signalling, storing
from lianfang.rooms.detect.actions.editions import RULES
from lianfang.rooms.detect.actions.marking import STEP, Marker
from lianfang.rooms.detect.actions.noting import Kinds
from lianfang.rooms.detect.actions.sparing import Spared
from lianfang.rooms.detect.queries import loading, watch, wording
from lianfang.rooms.detect.types import IOC, NODE_RULES, OWN_LOGS, OWN_PACK
from lianfang.rooms.lake.types import Batch

log = logging.getLogger("lianfang.detect")

LOOK_AT_RULES = 1.0
LOOK_AT_WATCH = 3.0
SAY = 15.0
"""Seconds between two looks at the edition, at the watch list, and between two accounts of itself."""
EARLIEST = datetime.min.replace(tzinfo=UTC)
WORDS_BYTES = 8 << 20
CACHE_BYTES = 28 << 20
"""Much less than the engine takes by itself: here decoding, mapping and storing need memory beside it."""


class Watchman:
    """The examiner that detect declares to the lake. One per ingest process."""

    def __init__(self) -> None:
        self.edition, self.watch_version = -1, ""
        self.switches = Switches({}, {})
        self.digests: tuple[str, ...] = ()
        self.kinds = Kinds()
        self._rules_at = self._watch_at = self._said_at = 0.0
        self.engine = Examiner(Compiled((), (), ()), cache_bytes=CACHE_BYTES)
        self.written, self.written_digest = Examiner(Compiled((), (), ()), cache_bytes=WORDS_BYTES), ""
        self.words = Words()
        self.spared = Spared()
        self.marker = Marker((), ())
        self._installed, self._own = _Together((), ()), _Together((), ())
        self.keep_up()

    def examine(self, batch: Batch) -> dict[int, tuple[str, ...]]:
        """Row → uids of the rules and indicators that fired, as far as they are on for the batch's source."""
        self.keep_up()
        self.kinds.note(batch)
        on = self.switches.on_for(batch.source)
        found = ((row, tuple(uid for uid in uids if uid in on or uid.startswith(IOC))) for row, uids in self.engine.rows(batch.rows, batch.logsources))
        hits = {row: uids for row, uids in found if uids}
        if self.written.by_uid:
            for row, uids in self.written.rows(batch.rows, batch.logsources):
                if fired := tuple(uid for uid in uids if uid in on):
                    hits[row] = (*hits.get(row, ()), *fired)
        return self.words.examine(batch, hits, on)

    def conclude(self, batch: Batch, hits: Mapping[int, Sequence[str]]) -> None:
        """Store what was found, and mark what correlations look at; a batch that was concluded before changes nothing."""
        hits = self.words.conclude(batch, hits)
        if hits:
            spoken, taken = self.spared.split(hits, source=batch.source, territories=batch.columns["territory"], rows=batch.rows, origins=batch.logsources)
            self._store(batch, spoken, taken)
        self._account()

    @transaction.atomic
    def _store(self, batch: Batch, spoken: Mapping[int, Sequence[str]], taken: Mapping[UUID, Mapping[int, Sequence[str]]]) -> None:
        """Findings and marks together. Rules that only serve correlations make no finding, and are counted all the same; what an exception took is no mark."""
        loud, marked = self.marker.loud(spoken), self.marker.referred(spoken)
        storing.store(batch.ref, batch.source, batch.columns, loud, organisation=batch.organisation, taken=taken)
        if marked:
            fired = self.marker.keep(batch, marked)
            storing.count({uid: [(at, 1) for at in times] for uid, times in fired.items() if uid in self.marker.quiet})

    def keep_up(self) -> None:
        """Notice what changed since the last look."""
        now = monotonic()
        if now - self._watch_at >= LOOK_AT_WATCH:  # first, so that the rules are made ready once and not twice at the start
            self._watch_at = now
            self._look_at_watch()
        if now - self._rules_at >= LOOK_AT_RULES:
            self._rules_at = now
            self._look_at_rules()

    def _look_at_rules(self) -> None:
        edition = models.Edition.objects.filter(name=RULES).values_list("number", flat=True).first() or 0
        if edition == self.edition:
            return
        digests = tuple(pack.digest for pack in loading.packs())
        if digests != self.digests:
            compiled = loading.load_all()
            self.engine.replace(compiled)
            self._installed = _Together.of(compiled)
            log.info("%d rules loaded", self.engine.stats().rules)
        self._read_written()
        self.marker = Marker((*self._installed.correlations, *self._own.correlations), (*self._installed.steps, *self._own.steps))
        self.words.read()
        self.spared = Spared(self.spared)
        self.switches, self.edition, self.digests = Switches.read(), edition, digests

    def _read_written(self) -> None:
        """The rules that people of this node wrote, as they are in force now."""
        pack = models.Pack.objects.filter(name=NODE_RULES).first()
        if pack is not None and pack.digest != self.written_digest:
            compiled = loading.load_pack(pack)
            self.written.replace(compiled)
            self.written_digest, self._own = pack.digest, _Together.of(compiled)

    def _look_at_watch(self) -> None:
        version, sets = watch.changed_since(self.watch_version)
        if sets is not None:
            self.engine.rewatch(sets)
            self.watch_version = version

    def _account(self) -> None:
        """Say now and then how this examiner stands."""
        if monotonic() - self._said_at < SAY:
            return
        self._said_at = monotonic()
        stats = self.engine.stats()
        told: dict[str, Any] = {name: getattr(stats, name) for name in ("engine", "events", "hits", "values", "keys", "classes", "cached_bytes")}
        row = {"edition": self.edition, "watch": self.watch_version, "loaded": stats.rules, "stats": told, "said": clock.now()}
        with transaction.atomic():
            models.Examination.objects.update_or_create(worker=f"{socket.gethostname()[:60]}:{os.getpid()}", defaults=row)
        self.kinds.tell()


class _Together(NamedTuple):
    """What a marker has to know of a pack: its correlations, and the rules that are but steps of some."""

    correlations: tuple[Correlation, ...]
    steps: tuple[Rule, ...]

    @classmethod
    def of(cls, compiled: Compiled) -> _Together:
        return cls(compiled.correlations, tuple(rule for rule in compiled.rules if STEP in rule.tags))


class Words:
    """The words of keyword alarms: found in the batches of their sources, and told to the alarms when the batch is durable.

    A sign of life is remembered until then and marks no event: of what is said all day nobody wants to be shown each time.
    """

    def __init__(self) -> None:
        self.engine = Examiner(Compiled((), (), ()), cache_bytes=WORDS_BYTES)
        self.digest = ""
        self.by_source: dict[str, dict[str, Word]] = {}
        self._alive: dict[str, dict[UUID, datetime]] = {}
        """By batch; its slices add to each other."""

    def read(self) -> None:
        """As the tables say now."""
        pack = models.Pack.objects.filter(name=OWN_PACK).first()
        if pack is not None and pack.digest != self.digest:
            self.engine.replace(loading.load_pack(pack))
            self.digest = pack.digest
        found: dict[str, dict[str, Word]] = {}
        for row in models.Monitor.objects.filter(enabled=True):
            for part in wording.parts_of(row):
                found.setdefault(row.source, {})[wording.uid_of(row.pk, part)] = Word(row.pk, part, row.host)
        self.by_source = found

    def examine(self, batch: Batch, hits: dict[int, tuple[str, ...]], on: frozenset[str]) -> dict[int, tuple[str, ...]]:
        """``hits`` with the rows in which words were found."""
        words = self.by_source.get(batch.source)
        if not words:
            return hits
        hosts, received = batch.columns.get("host"), batch.columns.get("received")
        for row, uids in self.engine.rows(batch.rows, OWN_LOGS):
            for uid in uids:
                word = words.get(uid)
                if word is None or uid not in on or (word.host and (hosts is None or str(hosts[row] or "").casefold() != word.host.casefold())):
                    continue
                if word.part != wording.ALIVE:
                    hits[row] = (*hits.get(row, ()), uid)
                else:
                    alive = self._alive.setdefault(batch.ref, {})
                    alive[word.monitor] = max(received[row] if received else clock.now(), alive.get(word.monitor, EARLIEST))
        return hits

    def conclude(self, batch: Batch, hits: Mapping[int, Sequence[str]]) -> Mapping[int, Sequence[str]]:
        """Tell the alarms what their words found; returns the other hits."""
        alive, words = self._alive.pop(batch.ref, {}), self.by_source.get(batch.source, {})
        found: dict[UUID, list[tuple[int, bool]]] = {}
        others: dict[int, Sequence[str]] = {}
        for row, uids in hits.items():
            for uid in uids:
                if word := words.get(uid):
                    found.setdefault(word.monitor, []).append((row, word.part == wording.ENDS))
                elif uid not in self.engine.by_uid:  # words of an alarm that was just removed say nothing any more
                    others[row] = (*others.get(row, ()), uid)
        if found or alive:
            signalling.take(batch, found, alive)
        return others


class Word(NamedTuple):
    """Which alarm a rule of the node's own pack belongs to, as what, and on which host alone (empty: on any)."""

    monitor: UUID
    part: str
    host: str


class Switches:
    """Which rules are on: in general, and for sources that differ."""

    def __init__(self, general: Mapping[str, bool], special: Mapping[str, Mapping[str, bool]]):
        self._general = frozenset(uid for uid, on in general.items() if on)
        self._by_source = {source: (self._general | {uid for uid, on in own.items() if on}) - {uid for uid, on in own.items() if not on} for source, own in special.items()}

    @classmethod
    def read(cls) -> Switches:
        """As the tables say now. A rule that vanished from its pack is off everywhere."""
        general = dict(models.Rule.objects.filter(gone=False).values_list("uid", "enabled"))
        special: dict[str, dict[str, bool]] = {}
        for source, uid, on in models.RuleSwitch.objects.filter(rule__gone=False).values_list("source", "rule__uid", "on"):
            special.setdefault(source, {})[uid] = on
        return cls(general, special)

    def on_for(self, source: str) -> frozenset[str]:
        """The uids that are on for a source."""
        return self._by_source.get(source, self._general)
