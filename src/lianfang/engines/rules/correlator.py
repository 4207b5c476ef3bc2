"""Correlator: matches in, firings out. It works over matches, not events: about one event in a hundred matches anything.

In: ``Marks``, the matches of one batch as columns, in whatever order batches come; and the present moment. Out: ``Firing``,
one for each correlation, group and cell of its timespan, with what made it; once more at the end of the cell if it went on.

*Time* is the time of events. Each source has a watermark, its latest event less the allowed ``lateness``; the frontier is
the least of those that spoke lately, so that an idle source holds nobody back. What comes later than its own source's watermark is
counted as late and judged all the same while its window is held, which is for twice the timespan. Conditions that more
matches cannot undo fire at once; the others, and absences, wait for the frontier.

*Groups* are exact: values are compared in full (in small letters, as all of Sigma), within one ``place``, so that what two
organisations tell is never mixed. *Memory* is bounded in bytes: the older half of the largest correlation goes first, counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import zstandard

from lianfang.engines.rules import correlation
from lianfang.engines.rules.correlation import ABSENCE, AMOUNTS, Correlation
from lianfang.engines.rules.held import Fired, Group, Held
from lianfang.engines.rules.windows import SCALE, SHIFT, TIME, Ints
from lianfang.kernel.errors import Invalid

LATENESS = 30_000
IDLE = 15_000
"""Milliseconds that an event may be late, and after which a source that says nothing is not waited for."""
BYTES = 64 << 20
KEPT = 50
FIELD = "field:"
_MAGIC = b"LFCORR1\n"
_NO_ROWS = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Marks:
    """Matches of one batch: a row for each rule and event. ``place``: whose they are.

    Columns: ``rule`` (uid), ``time`` (milliseconds since 1970), ``event`` (its id), ``field:<name>`` for each field that a
    correlation looks at (text, null where there is none); all others come back with the firing, unread.
    """

    source: str
    place: str
    table: pa.Table


@dataclass(frozen=True, slots=True)
class Step:
    """What one rule gave to a firing. ``matches`` counts what stands behind other correlations too; ``events`` are the first of them."""

    rule: str
    count: int
    matches: int
    first: int | None
    last: int | None
    events: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Firing:
    """A correlation that held: for which group, in which cell, since when; ``value`` is what was counted. Times in milliseconds.

    ``again``: it was told before, this is the whole of it at the end of its cell.
    """

    rule: str
    place: str
    group: tuple[tuple[str, str], ...]
    cell: int
    moment: int
    first: int
    last: int
    count: int
    value: float
    steps: tuple[Step, ...]
    again: bool = False


@dataclass(slots=True)
class Counters:
    """Matches taken, late, too late for a whole window, without a value that is asked for; let go for want of memory; firings."""

    matches: int = 0
    late: int = 0
    beyond: int = 0
    without: int = 0
    evicted: int = 0
    firings: int = 0


@dataclass(slots=True)
class _Pool:
    """What firings say of matches, by ``seq``, in the order in which they came."""

    parts: list[tuple[int, pa.Table]] = field(default_factory=list)
    next: int = 0

    def add(self, table: pa.Table) -> Ints:
        start, self.next = self.next, self.next + table.num_rows
        if table.num_rows:
            self.parts.append((start, table))
        return np.arange(start, self.next)

    def rows(self, seqs: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Those that are still there, each with its ``seq``."""
        wanted = np.unique(np.fromiter(seqs, np.int64))
        found: dict[int, dict[str, Any]] = {}
        for start, table in self.parts:
            low, high = np.searchsorted(wanted, (start, start + table.num_rows), "left")
            if low < high:
                mine = wanted[low:high]
                found.update((seq, {**row, "seq": seq}) for seq, row in zip(mine.tolist(), table.take(pa.array(mine - start)).to_pylist()))
        return found

    def trim(self, least: int) -> None:
        self.parts = [(start, table) for start, table in self.parts if start + table.num_rows > least]

    @property
    def size(self) -> int:
        return sum(int(table.nbytes) for _, table in self.parts)


@dataclass(frozen=True, slots=True)
class _Part:
    """What rows of one rule stand for: how many, how many matches behind them, from when to when, and some of those."""

    count: int
    matches: int
    first: int | None
    last: int | None
    seqs: list[int]


class _Taken:
    """The matches of some batches, side by side."""

    def __init__(self, marks: Sequence[Marks]):
        tables = [one.table.append_column("place", pa.array([one.place] * one.table.num_rows, pa.string())).append_column("source", pa.array([one.source] * one.table.num_rows, pa.string())) for one in marks]
        whole = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
        self.table = whole
        self.time = np.asarray(whole["time"].cast(pa.int64()).to_numpy(), np.int64)
        rules, names = _encoded(whole["rule"])
        order = np.argsort(rules, kind="stable")
        ends = np.searchsorted(rules[order], np.arange(len(names) + 1), "left")
        self.rows = {name: order[ends[number] : ends[number + 1]] for number, name in enumerate(names)}
        self._columns: dict[str, tuple[Ints, list[str]]] = {}

    def about(self) -> pa.Table:
        """What is handed back with firings."""
        return self.table.select([name for name in self.table.column_names if name not in ("rule", "place") and not name.startswith(FIELD)])

    def column(self, name: str) -> tuple[Ints, list[str]]:
        """Codes of a field's values in small letters (-1: none), and the values."""
        if name not in self._columns:
            self._columns[name] = _encoded(self.table[name], lower=name != "place") if name in self.table.column_names else (np.full(len(self.time), -1), [])
        return self._columns[name]


def _encoded(column: Any, *, lower: bool = False) -> tuple[Ints, list[str]]:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    array = array if pa.types.is_dictionary(array.type) else array.cast(pa.string()).dictionary_encode()
    values = array.dictionary.cast(pa.string())
    codes = np.asarray(array.indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
    return codes, (pc.ascii_lower(values) if lower else values).to_pylist()


class Correlator:
    """All correlations of a node. One at a time advances; ``snapshot`` and ``restored`` carry it over a restart.

    >>> one = Correlation(correlation.Rule("guessing", "Guessing"), "event_count", ("failed",), 60_000, ("ip",), "gte", 2)
    >>> marks = pa.table({"rule": ["failed"] * 2, "time": [1_000_000, 1_005_000], "event": ["a", "b"], "field:ip": ["::1"] * 2})
    >>> [(firing.group, firing.count) for firing in Correlator([one]).advance([Marks("edge", "", marks)], 1_010_000)]
    [((('ip', '::1'),), 2)]
    """

    def __init__(self, correlations: Iterable[Correlation], *, lateness: int = LATENESS, idle: int = IDLE, limit: int = BYTES):
        self.lateness, self.idle, self.limit = lateness, idle, limit
        self.held = {one.uid: Held(one) for one in correlation.in_order({one.uid: one for one in correlations})}
        self.sources: dict[str, list[int]] = {}
        self.counters, self.pool = Counters(), _Pool()
        self.through: dict[int, list[Any]] = {}
        """Matches that are firings of other correlations: of which, of which group, and since when its matches count."""

    def frontier(self, now: int) -> int:
        """The moment before which nothing is expected any more."""
        speaking = [latest for latest, spoke in self.sources.values() if now - spoke < self.idle]
        return min([now, *speaking]) - self.lateness

    @property
    def waits(self) -> bool:
        """Whether time alone may make something fire, or end."""
        return any(len(held) for held in self.held.values())

    @property
    def size(self) -> int:
        """Bytes that it takes in memory."""
        return sum(held.size for held in self.held.values()) + self.pool.size

    def advance(self, marks: Sequence[Marks], now: int) -> list[Firing]:
        """Take matches in, and let time pass until ``now`` (milliseconds). The firings in the order of their correlations."""
        marks = [one for one in marks if one.table.num_rows]
        taken = _Taken(marks) if marks else None
        if taken is not None:
            self._hear(marks, now)
            self.counters.matches += len(taken.time)
        frontier, seqs = self.frontier(now), self.pool.add(taken.about()) if taken is not None else _NO_ROWS
        told: dict[str, list[tuple[Firing, Group]]] = {}
        for uid, held in self.held.items():
            fresh = self._take(held, taken, seqs, {ref: told[ref] for ref in held.one.refs if ref in told}, frontier)
            if len(fresh) or (len(held) and (not held.one.eager or held.told_open.any())):
                told[uid] = self._firings(held, held.fire(fresh, frontier))
        found = [firing for firings in told.values() for firing, _ in firings]
        self.counters.firings += len(found)
        self._forget(frontier)
        return found

    def _hear(self, marks: Sequence[Marks], now: int) -> None:
        """Watermarks move on; what is older than its own source's is late."""
        for one in marks:
            times = np.asarray(one.table["time"].cast(pa.int64()).to_numpy(), np.int64)
            latest, _ = self.sources.get(one.source, (0, 0))
            self.counters.late += int((times < latest - self.lateness).sum())
            self.sources[one.source] = [max(latest, int(times.max())), now]
        if len(self.sources) > 10_000:
            self.sources = dict(sorted(self.sources.items(), key=lambda item: item[1][1])[-5_000:])

    # ---- in ----

    def _take(self, held: Held, taken: _Taken | None, seqs: Ints, below: dict[str, list[tuple[Firing, Group]]], frontier: int) -> Ints:
        """The matches of a correlation, and the firings of those it is built upon, into its rows; where the new ones stand."""
        one, parts = held.one, []
        if taken is not None:
            for kind, ref in enumerate(one.refs):
                rows = taken.rows.get(ref)
                if rows is not None and len(rows):
                    parts.append(self._rows(held, taken, rows, kind, ref, seqs))
        parts += [part for kind, ref in enumerate(one.refs) if ref in below for part in self._chained(held, kind, below[ref])]
        parts = [part for part in parts if len(part[0])]
        if not parts:
            return _NO_ROWS
        columns = [np.concatenate(column) for column in zip(*parts)]
        self.counters.beyond += int(((columns[0] & TIME) < frontier - 2 * one.width).sum())
        return held.insert(*columns)

    def _rows(self, held: Held, taken: _Taken, rows: Ints, kind: int, ref: str, seqs: Ints) -> tuple[Ints, ...]:
        one = held.one
        columns = [taken.column("place"), *(taken.column(FIELD + one.name_in(name, ref)) for name in one.group_by)]
        counted = [taken.column(FIELD + one.name_in(name, ref)) for name in one.fields]
        values, whole = self._values(held, [(codes[rows], texts) for codes, texts in counted], len(rows))
        for codes, _ in columns:
            whole = whole & (codes[rows] >= 0)
        self.counters.without += len(rows) - int(whole.sum())
        rows, values = rows[whole], values[whole]
        groups, combinations = _combined([codes[rows] for codes, _ in columns])
        while len(combinations) > held.room():
            self.counters.evicted += held.halve() or 1
            combinations, groups, rows, values = combinations[: held.room()], *(part[groups < held.room()] for part in (groups, rows, values))
        named = (tuple(texts[code] for (_, texts), code in zip(columns, codes)) for codes in combinations)
        codes = np.array(held.codes(named), np.int64)
        keys = (codes[groups] << SHIFT) | np.clip(taken.time[rows], 0, TIME) if len(rows) else _NO_ROWS
        return keys, seqs[rows], np.full(len(rows), kind, np.int16), values

    @staticmethod
    def _values(held: Held, columns: Sequence[tuple[Ints, list[str]]], length: int) -> tuple[Ints, Any]:
        """What is counted or summed, and where there is something."""
        if not columns:
            return np.zeros(length, np.int64), np.ones(length, np.bool_)
        whole = np.logical_and.reduce([codes >= 0 for codes, _ in columns])
        if held.one.kind in AMOUNTS:
            codes, texts = columns[0]
            amounts = [_thousandths(text) for text in texts]
            fit = np.array([amount is not None for amount in amounts] or [False])
            return np.array([amount or 0 for amount in amounts] or [0], np.int64)[codes], whole & fit[codes]
        groups, combinations = _combined([np.maximum(codes, 0) for codes, _ in columns])
        names = ["\x1f".join(texts[code] if texts else "" for (_, texts), code in zip(columns, codes)) for codes in combinations]
        return np.array(held.numbers(names), np.int64)[groups], whole

    def _chained(self, held: Held, kind: int, firings: Sequence[tuple[Firing, Group]]) -> Iterable[tuple[Ints, ...]]:
        """Firings of another correlation as matches: their fields are those it was grouped by."""
        for firing, group in firings:
            fields = dict(firing.group)
            names = [held.one.name_in(name, firing.rule) for name in held.one.group_by]
            if firing.again or any(name not in fields for name in names) or held.one.fields:
                continue
            seq = self.pool.add(pa.Table.from_pylist([firing.steps[-1].events[-1]] if firing.steps[-1].events else [{"event": ""}]))
            self.through[int(seq[0])] = [firing.rule, list(group), firing.first]
            code = held.codes([(firing.place, *(fields[name] for name in names))])[0]
            yield np.array([(code << SHIFT) | firing.moment]), seq, np.array([kind], np.int16), _NO_VALUE

    # ---- out ----

    def _firings(self, held: Held, all_: Sequence[Fired]) -> list[tuple[Firing, Group]]:
        """What is told of cells. The events of all of them are looked up at once."""
        told = [(fired, self._rows_of(held, fired)) for fired in all_]
        steps = [[self._part(held, rows[held.kind[rows] == kind], int(held.keys[rows[-1]] & TIME)) for kind in range(len(held.one.refs))] for _, rows in told]
        events = self.pool.rows(seq for parts in steps for part in parts for seq in part.seqs)
        return [(self._firing(held, fired, rows, parts, events), held.named[fired.cell >> SHIFT]) for (fired, rows), parts in zip(told, steps)]

    @staticmethod
    def _rows_of(held: Held, fired: Fired) -> Ints:
        rows = np.arange(*held.range(fired))
        return rows[held.kind[rows] == 0] if held.one.kind == ABSENCE else rows

    def _part(self, held: Held, rows: Ints, until: int) -> _Part:
        """What some rows of a correlation stand for. A firing of another correlation stands for all its matches up to ``until``, not only those known when it fired."""
        plain: list[int] = []
        behind: dict[tuple[str, Group], int] = {}
        for row, seq in zip(rows.tolist(), held.seq[rows].tolist()):
            if seq in self.through:
                uid, group, since = self.through[seq]
                name = (uid, tuple(group))
                behind[name] = min(since, behind.get(name, since))
            else:
                plain.append(row)
        parts = [_named(held, np.array(plain, np.int64))] if plain or not behind else []
        for (uid, group), since in behind.items():
            below = self.held[uid]
            parts.append(self._part(below, below.of(group, since, until), until))
        return _joined(len(rows), parts)

    @staticmethod
    def _firing(held: Held, fired: Fired, rows: Ints, parts: Sequence[_Part], events: dict[int, dict[str, Any]]) -> Firing:
        place, *values = held.named[fired.cell >> SHIFT]
        times, moment = held.keys[rows] & TIME, held.moment(fired)
        window = held.range(fired if fired.again else fired._replace(last=fired.first))
        most = max(2, KEPT // len(parts))
        steps = tuple(Step(ref, part.count, part.matches, part.first, part.last, tuple(events[seq] for seq in _some(part.seqs, most) if seq in events)) for ref, part in zip(held.one.refs, parts))
        first = min((step.first for step in steps if step.first is not None), default=int(times.min()))
        return Firing(held.one.uid, place, tuple(zip(held.one.group_by, values)), fired.cell & TIME, moment, first, max(int(times.max()), moment), sum(step.matches for step in steps), held.measured(*window), steps, fired.again)

    def _forget(self, frontier: int) -> None:
        """Let go what no window can hold any more; and, if memory is at its bound, the oldest of what takes most."""
        gone = sum(held.forget(frontier - 2 * held.one.width) for held in self.held.values() if len(held))
        over = self.size > self.limit
        while self.size > self.limit and any(len(held) for held in self.held.values()):
            self.counters.evicted += max(self.held.values(), key=lambda held: held.size).halve()
            self._trim()
        if gone and not over:
            self._trim()

    def _trim(self) -> None:
        live = [int(held.seq.min()) for held in self.held.values() if len(held)]
        least = min(live, default=self.pool.next)
        self.through = {seq: seqs for seq, seqs in self.through.items() if seq >= least}
        self.pool.trim(least)

    # ---- kept ----

    def snapshot(self) -> bytes:
        """All that is known, so that whoever goes on from it says the same. Correlations are kept with a digest of what they ask."""
        held = {uid: [_digest(one.one), one.state()] for uid, one in self.held.items() if len(one) or len(one.told)}
        pool = [[start, _ipc(table)] for start, table in self.pool.parts]
        body = {"held": held, "sources": self.sources, "counters": asdict(self.counters), "pool": pool, "next": self.pool.next, "through": list(self.through.items())}
        return _MAGIC + zstandard.ZstdCompressor(level=1).compress(msgspec.msgpack.encode(body))

    def restore(self, content: bytes) -> None:
        """As it was; a correlation that was changed since begins anew. Raises ``Invalid`` for what is no snapshot of this version."""
        if not content.startswith(_MAGIC):
            raise Invalid("This is no state of correlations of this version", why="It was written by another version, or is damaged.", todo="Begin anew: what is in a window now is not known.")
        body = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(content[len(_MAGIC) :]))
        for uid, (digest, state) in body["held"].items():
            if uid in self.held and _digest(self.held[uid].one) == digest:
                self.held[uid].restore(state)
        self.sources, self.counters = {name: list(said) for name, said in body["sources"].items()}, Counters(**body["counters"])
        self.pool = _Pool([(start, pa.ipc.open_stream(table).read_all()) for start, table in body["pool"]], body["next"])
        self.through = dict(body["through"])


def _named(held: Held, rows: Ints) -> _Part:
    """Matches as they are."""
    if not len(rows):
        return _Part(0, 0, None, None, [])
    times = held.keys[rows] & TIME
    return _Part(len(rows), len(rows), int(times.min()), int(times.max()), _some(held.seq[rows].tolist(), KEPT))


def _joined(count: int, parts: Sequence[_Part]) -> _Part:
    """Several parts as one, of ``count`` rows."""
    firsts, lasts = [part.first for part in parts if part.first is not None], [part.last for part in parts if part.last is not None]
    return _Part(count, sum(part.matches for part in parts), min(firsts, default=None), max(lasts, default=None), [seq for part in parts for seq in part.seqs])


def _some(seqs: list[int], most: int) -> list[int]:
    """The first of them, and the last."""
    return seqs if len(seqs) <= most else [*seqs[: most - 1], seqs[-1]]


_NO_VALUE = np.zeros(1, np.int64)


def _thousandths(text: str) -> int | None:
    """A number in whole thousandths; ``None`` for what is none, or larger than can be summed."""
    try:
        found = float(text)
    except ValueError:
        return None
    return round(found * SCALE) if abs(found) < 1e13 else None


def _combined(columns: Sequence[Ints]) -> tuple[Ints, list[tuple[int, ...]]]:
    """Rows of codes as one number each, dense from 0, and the combination that each number stands for. Exact: a mixed radix, made dense before it overflows."""
    combined, parts = columns[0], [columns[0]]
    span = int(combined.max()) + 1 if len(combined) else 1
    for column in columns[1:]:
        width = int(column.max()) + 1 if len(column) else 1
        if span * width >= 1 << 62:
            combined = np.unique(combined, return_inverse=True)[1]
            span = int(combined.max()) + 1
        combined, span = combined * width + column, span * width
        parts.append(column)
    if span <= 8 * len(combined) + 65_536:
        some = np.full(span, -1)
        some[combined] = np.arange(len(combined))
        present = np.flatnonzero(some >= 0)
        first, dense = some[present], np.empty(span, np.int64)
        dense[present] = np.arange(len(present))
        numbers = dense[combined]
    else:
        _, first, numbers = np.unique(combined, return_index=True, return_inverse=True)
    return numbers, list(zip(*(part[first].tolist() for part in parts)))


def _digest(one: Correlation) -> str:
    return repr((one.kind, one.refs, one.width, one.group_by, one.op, one.bound, one.fields, one.percentile, sorted((name, sorted(said.items())) for name, said in (one.aliases or {}).items()), one.expression))


def _ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())
