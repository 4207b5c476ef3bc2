"""Preparing: a sealed segment becomes rows that can be stored: decoded, mapped, desensitised, levelled, examined. Nothing is written here.

In: a segment. Out: one ``Batch`` per source with its hits, the Arrow rows, the rejects. The same segment gives the same
event identifiers every time.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa

from lianfang.engines.columns import shape
from lianfang.engines.connect import codecs
from lianfang.engines.connect.flatten import NUL
from lianfang.engines.connect.mapping import Mapped, Templates
from lianfang.engines.connect.template import Template
from lianfang.engines.connect.text import readables
from lianfang.engines.masking import Examine, Rule
from lianfang.engines.policy import classify
from lianfang.engines.schema.events import table_of
from lianfang.rooms.lake.actions import spool
from lianfang.rooms.lake.actions.drifting import TODO, Noted, Watcher
from lianfang.rooms.lake.actions.spool import Seal, Segment
from lianfang.rooms.lake.declare import Examiner
from lianfang.rooms.lake.queries import scope, sealing, shielding
from lianfang.rooms.lake.queries.shielding import MARK
from lianfang.rooms.lake.types import AGAIN, HELD, Batch, Codec, event_id, event_ids, zone_of

log = logging.getLogger(__name__)

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
SLICE = 1_000
"""Frames that are worked on at a time: as rows of Python a thousand events fill some megabytes, which the next thousand fill again."""
AHEAD = timedelta(days=1)
"""A time before ``EARLIEST`` or further ahead than this is a broken clock: the time of receipt stands instead."""
MOST_REJECT_BYTES = 64 << 10
MOST_HELD_BYTES = MOST_REJECT_BYTES // 2
"""A longer record is not held back: among the rejects it could not be kept whole."""
HELD_MARK = ".h"
STORED, REJECTED = "stored", "rejected:"
HELD_BACK = f"{REJECTED}It no longer fits what is usual of the source"
CHARACTERS, CLOCK, NO_VALUE = "characters", "clock", "value:"
"""What becomes of a record, as the history of runs counts it: stored, rejected for a reason, or stored after a correction."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What preparing must know of a source."""

    name: str
    codec: str
    encoding: str
    header: str
    start: str
    template: str
    zone: str
    organisation: str
    territory: str
    industry: str
    era: int = 0
    hold: bool = True
    """How often it was read anew, and whether what no longer fits is held back."""
    mapping: Template | None = None
    version: int = 0
    """The node's own mapping that it names, compiled, and its version."""
    rules: tuple[Rule, ...] = ()
    sealed: frozenset[int] = frozenset()
    """Levels of events that are stored sealed."""
    counted: bool = False
    """Whether its runs are written down: then it is counted what became of each record, by when it was received."""

    @property
    def guarded(self) -> bool:
        """Whether what came in may lie nowhere as it came."""
        return bool(self.rules or self.sealed)


@dataclass(slots=True)
class Tally:
    """What one source brought in one segment. ``oldest`` is the receipt, in milliseconds, that waited longest; ``became``: moment of receipt and what became of it → records."""

    events: int = 0
    bytes: int = 0
    rejects: int = 0
    oldest: int = 1 << 62
    became: Counter[tuple[datetime, str]] = field(default_factory=Counter)


Hit = tuple[Batch, Mapping[str, Mapping[int, tuple[str, ...]]]]
"""The rows of a batch that were hit, and by what, for each examiner."""


@dataclass(slots=True)
class Prepared:
    """A segment, ready to be stored."""

    segment: Segment
    batches: list[Hit] = field(default_factory=list)
    events: list[tuple[pa.Table, Sequence[str]]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    keys: list[tuple[str, str]] = field(default_factory=list)
    tallies: dict[str, Tally] = field(default_factory=dict)
    owners: set[str] = field(default_factory=set)
    taken: dict[tuple[str, str, str, str, str], str] = field(default_factory=dict)
    noted: list[Noted] = field(default_factory=list)


@dataclass(slots=True)
class _Frames:
    """The frames of one source in one segment with their numbers and times of receipt (milliseconds)."""

    frames: list[bytes] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    faults: list[tuple[int, int, bytes, str, str]] = field(default_factory=list)
    read: set[int] = field(default_factory=set)
    """Moments at which came what the source's own reader sent, which numbers its parts."""
    again: bool = False
    """Sent through again after something was mended: the mended settings have to be the ones it meets."""

    def slices(self, size: int) -> Iterator[_Frames]:
        """The same, so many frames at a time; the faults come with the first."""
        faults = self.faults
        for start in range(0, len(self.frames) or 1, size):
            end = start + size
            yield _Frames(self.frames[start:end], self.numbers[start:end], self.received[start:end], faults, self.read, self.again)
            faults = []


class _Rows(NamedTuple):
    """Decoded rows of one source with their bytes, receipts and identifiers."""

    rows: Sequence[Mapping[str, str]]
    raws: Sequence[bytes]
    received: list[datetime]
    names: list[str]

    @property
    def latest(self) -> datetime:
        return self.received[-1] if self.received else EARLIEST

    def without(self, gone: Container[int]) -> _Rows:
        left = [at for at in range(len(self.rows)) if at not in gone]
        return _Rows(*([values[at] for at in left] for values in self))


class Preparer:
    """Prepares segments, one after another. ``origin(name, fresh)`` is ``None`` for a source that is gone: its frames are dropped; ``fresh``: as it is at this moment. ``zone``: that of most sources; ``unseal``: opens groups; ``hide``: seals rejects of sources that are desensitised."""

    def __init__(self, *, templates: Templates, examiners: Mapping[str, Examiner], origin: Callable[[str, bool], Origin | None], is_new: Callable[[str, str, Segment], bool], zone: str = "UTC", unseal: spool.Unseal | None = None, hide: Seal | None = None):
        self.templates, self.examiners, self.origin, self.is_new, self.unseal, self.hide = templates, examiners, origin, is_new, unseal, hide
        self.watcher = Watcher()
        self._chosen: dict[tuple[str, int, str], tuple[Templates, tzinfo]] = {("", 0, zone): (templates, zone_of(zone))}

    def prepare(self, segment: Segment) -> Prepared:
        """All groups of a segment."""
        groups, good = spool.read(segment.path, unseal=self.unseal)
        if good < segment.size:
            log.error("spool %s/%s: %d bytes at its end are damaged and were left out", segment.worker, segment.path.name, segment.size - good)
        done = Prepared(segment)
        for name, part in self._by_source(groups, done).items():
            origin = self.origin(name, part.again)
            if origin is not None:
                first = len(done.batches)
                for slice_ in part.slices(SLICE if origin.codec in codecs.APART else max(1, len(part.frames))):
                    self._one(origin, slice_, done)
                done.batches[first:] = _joined(done.batches[first:])
        return done

    def _by_source(self, groups: Iterable[spool.Group], done: Prepared) -> dict[str, _Frames]:
        parts: dict[str, _Frames] = {}
        number = 0
        for group in groups:
            start, number = number, number + len(group)
            if group.key:
                if (group.source, group.key) in done.keys or not self.is_new(group.source, group.key, done.segment):
                    continue
                done.keys.append((group.source, group.key))
            part = parts.setdefault(group.source, _Frames())
            part.again = part.again or group.key.startswith(AGAIN)
            if group.key and not group.key.startswith(AGAIN):
                part.read.add(group.received)
            part.frames += group.frames
            part.numbers += range(start, start + len(group.frames))
            part.received += [group.received] * len(group.frames)
            part.faults += [(start + len(group.frames) + n, group.received, *fault) for n, fault in enumerate(group.faults)]
        return parts

    def _one(self, origin: Origin, part: _Frames, done: Prepared) -> None:
        """Some frames of one source."""
        segment = done.segment
        tally = done.tallies.setdefault(origin.name, Tally())
        tally.bytes += sum(map(len, part.frames))
        tally.oldest = min([tally.oldest, *part.received[:1], *(fault[1] for fault in part.faults[:1])])
        decoded = codecs.decode(origin.codec, part.frames, encoding=origin.encoding, header=origin.header, start=origin.start)
        rejects = [(part.numbers[one.index], part.received[one.index], "decode", one.raw, one.reason, one.todo) for one in decoded.rejects]
        rejects += [(number, received, "open", raw, reason, todo) for number, received, raw, reason, todo in part.faults]
        if origin.guarded:
            rejects = [(number, received, stage, self._hidden(raw), _told(origin, reason), todo) for number, received, stage, raw, reason, todo in rejects]
        done.rejects += _rejects(origin, segment, rejects)
        tally.rejects += len(rejects)
        if origin.counted:
            tally.became.update((_moment(received), f"{REJECTED}{_kind(reason)}") for _, received, _, _, reason, _ in rejects if received in part.read)
        done.owners.add(origin.territory)
        if decoded.rows or rejects:
            self._rows(origin, part, decoded, done, broken=[raw for _, _, _, raw, _, _ in rejects])

    def _rows(self, origin: Origin, part: _Frames, decoded: codecs.Decoded, done: Prepared, *, broken: Sequence[bytes]) -> None:
        """What could be read: mapped, judged by what is usual of the source, and stored as far as it fits."""
        moments = {one: datetime.fromtimestamp(one / 1000, UTC) for one in set(part.received)}
        names = event_ids(done.segment.worker, done.segment.sequence, [part.numbers[at] for at in decoded.origin])
        rows = _Rows(decoded.rows, decoded.raws, [moments[part.received[at]] for at in decoded.origin], names)
        fit, mapped = self._fitting(origin, rows, done, broken=broken, again=part.again)
        if origin.counted:
            done.tallies[origin.name].became.update(_became(rows, fit, mapped, {_moment(one) for one in part.read}))
        if mapped is not None:
            self._keep(origin, fit, mapped, done)

    def _fitting(self, origin: Origin, rows: _Rows, done: Prepared, *, broken: Sequence[bytes], again: bool) -> tuple[_Rows, Mapped | None]:
        """The rows that fit what is usual of the source, mapped; the others are held back among the rejects."""
        mapped = self._mapped(origin, rows)
        held, noted = self.watcher.judge(origin.name, origin.era, rows.rows, mapped, raws=rows.raws, broken=broken, received=rows.latest, strict=bool(origin.template), hold=origin.hold, again=again)
        held = {at: why for at, why in held.items() if len(rows.raws[at]) <= MOST_HELD_BYTES}
        if noted.says:
            done.noted.append(replace(noted, examples=()) if origin.guarded else noted)
        if not held:
            return rows, mapped
        alone = {at: _alone(origin, rows.rows[at], rows.raws[at]) for at in held}
        done.rejects += [_held(origin, rows.names[at], rows.received[at], self._hidden(alone[at]) if origin.guarded else alone[at], why) for at, why in held.items()]
        done.tallies[origin.name].rejects += len(held)
        fit = rows.without(held)
        return fit, self._mapped(origin, fit)

    def _mapped(self, origin: Origin, rows: _Rows) -> Mapped | None:
        templates, zone = self._templates(origin)
        return templates.map(rows.rows, received=rows.latest, zone=zone) if rows.rows else None

    def _keep(self, origin: Origin, rows: _Rows, mapped: Mapped, done: Prepared) -> None:
        """Desensitised, levelled, examined, sealed: in the order that each rule asks for."""
        tally = done.tallies[origin.name]
        first, tally.events = tally.events, tally.events + len(rows.rows)
        columns: dict[str, Any] = mapped.columns | {
            "event_id": rows.names, "received": rows.received, "time": sane(mapped.columns.get("time"), rows.received), "raw": readables(rows.raws, origin.encoding),
            **{name: [value] * len(rows.rows) for name, value in (("source", origin.name), ("territory", origin.territory), ("industry", origin.industry))},
        }  # fmt: skip
        batch = Batch(f"{done.segment.name}:{origin.name}", origin.name, rows.rows, rows.raws, mapped.logsources, columns, origin.organisation)
        batch = _levelled(_shielded(batch, origin, [rule for rule in origin.rules if rule.examine is Examine.STORED], done))
        hits = self._examine(batch)
        stored = _shielded(batch, origin, [rule for rule in origin.rules if rule.examine is Examine.ORIGINAL], done, only=frozenset(row for one in hits.values() for row in one))
        columns = {**(batch if stored is batch else _levelled(stored)).columns, "rules": _rules(len(rows.rows), hits.values())}
        shut = [row for row, level in enumerate(columns["level"]) if level in origin.sealed]
        found, hits = _hit(replace(stored, columns=columns), hits, first=first)
        done.batches.append((_veiled(found, [first + row for row in shut]), hits))
        if shut:
            columns = sealing.columns_sealed(columns, shut, scope.SEALABLE)
        done.owners.add(origin.territory)
        done.events.append((shape.table(columns), [table_of(uid or 0) for uid in columns.get("class_uid") or [0] * len(rows.rows)]))

    def _hidden(self, raw: bytes) -> bytes:
        """A reject of a source that is desensitised: sealed where it can be kept whole, otherwise not kept; nobody could say what stands in it."""
        return MARK + self.hide(raw) if self.hide and 0 < len(raw) <= MOST_REJECT_BYTES else b""

    def _templates(self, origin: Origin) -> tuple[Templates, tzinfo]:
        """All templates, or the one that the source names (what does not fit it is kept unmapped); one set per zone, since memos of times hold for one zone."""
        key = origin.template, origin.version, origin.zone
        if key not in self._chosen:
            for old in [one for one in self._chosen if one[0] == origin.template and one[1] != origin.version]:
                del self._chosen[old]
            found = [origin.mapping] if origin.mapping else [one for one in self.templates.templates if origin.template in ("", one.name)]
            self._chosen[key] = (Templates(found, cache_bytes=8 << 20), zone_of(origin.zone))
        return self._chosen[key]

    def _examine(self, batch: Batch) -> dict[str, Mapping[int, tuple[str, ...]]]:
        """Every examiner's hits. One that fails costs its hits and is heard in the log, never the events."""
        hits: dict[str, Mapping[int, tuple[str, ...]]] = {}
        for name, examiner in self.examiners.items():
            try:
                hits[name] = examiner.examine(batch)
            except Exception:
                log.exception("the examiner %s failed on batch %s: its %d events are stored without its rules", name, batch.ref, len(batch))
        return hits


def _levelled(batch: Batch) -> Batch:
    """The batch with the data level of every row as its columns now are."""
    return replace(batch, columns={**batch.columns, "level": [int(level) for level in classify(batch.columns)]})


def _shielded(batch: Batch, origin: Origin, rules: Sequence[Rule], done: Prepared, *, only: frozenset[int] | None = None) -> Batch:
    """The batch as some rules leave it; what leads pseudonyms back is noted. ``only``: the rows whose native fields are still needed."""
    if not rules:
        return batch
    work = shielding.shield(rules).run(batch.columns, batch.rows)
    done.taken.update({(origin.organisation, origin.territory, origin.industry, domain, token): value for (domain, token), value in work.taken.items()})
    raws = [str(raw or "").encode() if number in work.touched else batch.raws[number] for number, raw in enumerate(work.columns["raw"])]
    return replace(batch, columns=work.columns, rows=[work.native(number, row) if only is None or number in only else {} for number, row in enumerate(batch.rows)], raws=raws)


def _veiled(batch: Batch, rows: Sequence[int]) -> Batch:
    """What ``conclude`` gets of rows that are stored sealed: masked, since findings lie in the database in the clear. ``batch``: as ``_hit`` left it."""
    shut = set(rows).intersection(batch.rows)
    if not shut:
        return batch

    def kept(values: Any, hide: Callable[[Any], Any]) -> Any:
        return {row: hide(value) if row in shut else value for row, value in values.items()}

    columns = {name: kept(values, partial(scope.masked, name)) if name in scope.SEALABLE else values for name, values in batch.columns.items()}
    return replace(batch, rows=kept(batch.rows, lambda _row: {}), raws=kept(batch.raws, lambda _raw: b""), columns=columns)


def _told(origin: Origin, reason: str) -> str:
    """Why a reject was none of ours to read, without values that its rules know."""
    return shielding.shield(origin.rules).text(reason)


def _hit(batch: Batch, hits: Mapping[str, Mapping[int, tuple[str, ...]]], *, first: int) -> Hit:
    """The batch with nothing but the rows that were hit: all that ``conclude`` needs, a small part of the memory. They are numbered from ``first`` on."""
    numbers = sorted({row for one in hits.values() for row in one})

    def kept(values: Any) -> Any:
        return {first + number: values[number] for number in numbers}

    small = replace(batch, rows=kept(batch.rows), raws=kept(batch.raws), logsources=kept(batch.logsources), columns={name: kept(values) for name, values in batch.columns.items()})
    return small, {name: {first + row: uids for row, uids in one.items()} for name, one in hits.items()}


def _joined(slices: Sequence[Hit]) -> list[Hit]:
    """The slices of a batch as one, so that what fires in several of them is concluded together. A column that a slice does not have is empty there."""
    if len(slices) < 2:
        return list(slices)

    def whole(parts: Iterable[Mapping[Any, Any]]) -> Any:
        return {row: value for part in parts for row, value in part.items()}

    batches: list[Any] = [batch for batch, _ in slices]
    rows = whole(batch.rows for batch in batches)
    columns = {name: dict.fromkeys(rows) | whole(batch.columns.get(name, {}) for batch in batches) for name in whole(batch.columns for batch in batches)}
    joined = replace(batches[0], rows=rows, raws=whole(batch.raws for batch in batches), logsources=whole(batch.logsources for batch in batches), columns=columns)
    return [(joined, {name: whole(hits[name] for _, hits in slices if name in hits) for name in whole(hits for _, hits in slices)})]


def sane(times: Sequence[datetime | None] | None, received: Sequence[datetime]) -> list[datetime]:
    """The event's own time where it can be right, else the time of receipt."""
    if times is None:
        return list(received)
    latest = max(received) + AHEAD
    return [moment if moment is not None and EARLIEST <= moment < latest else arrived for moment, arrived in zip(times, received)]


def _rules(length: int, hits: Iterable[Mapping[int, tuple[str, ...]]]) -> list[list[str]]:
    found: list[list[str]] = [[] for _ in range(length)]
    for one in hits:
        for row, uids in one.items():
            found[row].extend(uids)
    return found


def _alone(origin: Origin, row: Mapping[str, str], raw: bytes) -> bytes:
    """A record that can be sent through again by itself: a line of a table takes its names with it."""
    if origin.codec in (Codec.CSV, Codec.TSV, Codec.ZEEK) and not origin.header and not raw.startswith(b'{"'):
        return json.dumps(row, ensure_ascii=False).encode("utf-8", "replace")
    return raw


def _held(origin: Origin, name: str, received: datetime, raw: bytes, reason: str) -> dict[str, Any]:
    """A record that could be read but no longer fits, as a row of the table of rejects; it carries the name that its event would have had."""
    return {
        "event_id": f"{name}{HELD_MARK}", "time": received, "source": origin.name, "territory": origin.territory, "industry": origin.industry,
        "stage": HELD, "kind": reason[:300], "reason": reason[:1000], "todo": TODO, "bytes": len(raw), "raw": raw,
    }  # fmt: skip


_NUMBERS = re.compile(r"\d[\d,.]*")


def _kind(reason: str) -> str:
    """A reason without its numbers, so that like counts with like."""
    return _NUMBERS.sub("#", reason)[:300]


def _moment(received: int) -> datetime:
    """Milliseconds of the epoch as a moment."""
    return datetime.fromtimestamp(received / 1000, UTC)


def _became(rows: _Rows, fit: _Rows, mapped: Mapped | None, read: Container[datetime]) -> Iterator[tuple[datetime, str]]:
    """What became of the records that the source's reader sent: stored, held back, and what was corrected in which."""
    kept = set(fit.names)
    yield from ((at, HELD_BACK) for at, name in zip(rows.received, rows.names) if name not in kept and at in read)
    if mapped is None:
        return
    moments = fit.received
    yield from ((at, STORED) for at in moments if at in read)
    yield from ((at, CHARACTERS) for at, row in zip(moments, fit.rows) if at in read and any("\ufffd" in text or NUL in text for text in row.values()))
    times = mapped.columns.get("time")
    yield from ((at, CLOCK) for at, said, meant in zip(moments, times or (), sane(times, moments)) if said is not meant and at in read)
    yield from ((moments[number], f"{NO_VALUE}{name[:60]}") for number, names in mapped.failed.items() for name in names if moments[number] in read)


def _rejects(origin: Origin, segment: Segment, found: Sequence[tuple[int, int, str, bytes, str, str]]) -> Iterable[dict[str, Any]]:
    """Rows of the table of rejects; ``kind`` is the reason without its numbers."""
    seen: Counter[int] = Counter()
    for number, received, stage, raw, reason, todo in found:
        seen[number] += 1
        yield {
            "event_id": f"{event_id(segment.worker, segment.sequence, number)}.r{seen[number]}",
            "time": _moment(received),
            "source": origin.name,
            "territory": origin.territory,
            "industry": origin.industry,
            "stage": stage,
            "kind": _kind(reason),
            "reason": reason[:1000],
            "todo": todo[:1000],
            "bytes": len(raw),
            "raw": raw[:MOST_REJECT_BYTES],
        }
