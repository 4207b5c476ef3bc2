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

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import zstandard

from lianfang.engines.rules import correlation, windows
from lianfang.engines.rules.correlation import ABSENCE, AMOUNTS, Correlation
from lianfang.engines.rules.held import Fired, Held
from lianfang.engines.rules.names import Groups, Words
from lianfang.engines.rules.pool import Events, Pool, Rows
from lianfang.engines.rules.windows import SCALE, SHIFT, TIME, Bools, Ints
from lianfang.kernel.errors import Invalid

LATENESS = 30_000
IDLE = 15_000
"""Milliseconds that an event may be late, and after which a source that says nothing is not waited for."""
BYTES = 64_000_000
KEPT = 50
FIELD = "field:"
_MAGIC = b"LFCORR2\n"
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
    events: Sequence[dict[str, Any]] = ()


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


class _Part(NamedTuple):
    """What rows of one rule stand for: how many matches, from when to when, and some of those; ``rows``: how many of the correlation itself."""

    rows: int
    matches: int
    first: int | None
    last: int | None
    seqs: Ints


class _Parts(NamedTuple):
    """The same for many at once: ``seqs`` of all, one after the other; those of each end at its ``ends``. Without matches, first and last say nothing."""

    rows: Ints
    matches: Ints
    first: Ints
    last: Ints
    seqs: Ints
    ends: Ints


class _Told(NamedTuple):
    """What is told of cells of one correlation, before the events of all are looked up; all stand side by side, ``steps`` by rule."""

    held: Held
    fired: Fired
    groups: Ints
    moments: Ints
    values: list[Any]
    steps: list[_Parts]
    last: Ints

    @property
    def first(self) -> Ints:
        """When the first of the matches behind each was."""
        return np.asarray(np.minimum.reduce([self.last, *(np.where(step.matches > 0, step.first, self.last) for step in self.steps)]), np.int64)


class _Taken:
    """The matches of some batches, side by side, their texts as numbers. ``looks``: which rules' rows are asked for a column."""

    def __init__(self, marks: Sequence[Marks], words: Words, looks: Mapping[str, set[str]]):
        tables = [one.table for one in marks]
        lengths = [table.num_rows for table in tables]
        whole = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
        numbers = np.repeat(np.arange(len(marks), dtype=np.int32), lengths)
        self.table = whole.append_column("source", pa.DictionaryArray.from_arrays(numbers, pa.array([one.source for one in marks])).cast(pa.string())) if "source" not in whole.column_names else whole
        self.time = np.asarray(whole["time"].cast(pa.int64()).to_numpy(), np.int64)
        self.places = np.repeat(words.take([one.place for one in marks]), lengths)
        rules, names = _encoded(whole["rule"])
        order = np.argsort(rules, kind="stable")
        ends = np.searchsorted(rules[order], np.arange(len(names) + 1), "left")
        self.rows = {name: order[ends[number] : ends[number + 1]] for number, name in enumerate(names)}
        self.words, self.looks = words, looks
        self._read: dict[str, tuple[Ints, list[str]]] = {}
        self._numbers: dict[str, Ints] = {}
        self._amounts: dict[str, tuple[Ints, Bools]] = {}
        self._groups: dict[Any, Ints] = {}

    def about(self) -> pa.Table:
        """What is handed back with firings."""
        return self.table.select([name for name in self.table.column_names if name not in ("rule", "place") and not name.startswith(FIELD)])

    def of(self, refs: Iterable[str]) -> Ints:
        """The rows of these rules."""
        found = [self.rows[ref] for ref in refs if ref in self.rows]
        return np.concatenate(found) if found else _NO_ROWS

    def read(self, name: str) -> tuple[Ints, list[str]]:
        """Codes of a field's texts (-1: none, or nobody asks there), and the texts, in small letters."""
        if name not in self._read:
            codes, texts = np.full(len(self.time), -1), list[str]()
            if FIELD + name in self.table.column_names:
                rows, column = self.of(self.looks[name]), self.table[FIELD + name]
                codes[rows], texts = _encoded(column.take(pa.array(rows)), lower=True)
            self._read[name] = (codes, texts)
        return self._read[name]

    def numbers(self, name: str) -> Ints:
        """A field as numbers of its words, -1 where there is none."""
        if name not in self._numbers:
            codes, texts = self.read(name)
            self._numbers[name] = np.append(self.words.take(texts), -1)[codes]
        return self._numbers[name]

    def amounts(self, name: str) -> tuple[Ints, Bools]:
        """A field in whole thousandths, and where it is a number."""
        if name not in self._amounts:
            codes, texts = self.read(name)
            amounts = [*map(_thousandths, texts), None]
            self._amounts[name] = np.array([amount or 0 for amount in amounts], np.int64)[codes], np.array([amount is not None for amount in amounts])[codes]
        return self._amounts[name]

    def known(self, groups: Groups) -> list[Ints]:
        """The groups that were found for these rows."""
        return [codes[codes >= 0] for (whose, _), codes in self._groups.items() if whose == id(groups)]

    def groups(self, groups: Groups, names: tuple[str, ...], refs: set[str], room: Callable[[Groups], None]) -> Ints:
        """The group of each row of these rules: -1 where a value is missing, -2 where no more groups can be told apart."""
        key = (id(groups), names)
        if key not in self._groups:
            rows, found = self.of(refs), np.full(len(self.time), -1)
            columns = [self.places[rows], *(self.numbers(name)[rows] for name in names)]
            whole = np.logical_and.reduce([column >= 0 for column in columns])
            columns = [column[whole] for column in columns]
            codes = groups.take(columns)
            if (codes < 0).any():
                room(groups)
                codes = groups.take(columns)
            found[rows[whole]] = np.where(codes < 0, -2, codes)
            self._groups[key] = found
        return self._groups[key]


def _encoded(column: Any, *, lower: bool = False) -> tuple[Ints, list[str]]:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    array = array if pa.types.is_dictionary(array.type) else array.cast(pa.string()).dictionary_encode()
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    values = array.dictionary.cast(pa.string())
    codes = np.asarray(array.indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
    return codes, list((pc.ascii_lower(values) if lower else values).to_numpy(zero_copy_only=False).tolist())


class Correlator:
    """All correlations of a node. One at a time advances; ``snapshot`` and ``restored`` carry it over a restart.

    >>> one = Correlation(correlation.Rule("guessing", "Guessing"), "event_count", ("failed",), 60_000, ("ip",), "gte", 2)
    >>> marks = pa.table({"rule": ["failed"] * 2, "time": [1_000_000, 1_005_000], "event": ["a", "b"], "field:ip": ["::1"] * 2})
    >>> [(firing.group, firing.count) for firing in Correlator([one]).advance([Marks("edge", "", marks)], 1_010_000)]
    [((('ip', '::1'),), 2)]
    """

    def __init__(self, correlations: Iterable[Correlation], *, lateness: int = LATENESS, idle: int = IDLE, limit: int = BYTES):
        self.lateness, self.idle, self.limit = lateness, idle, limit
        ordered = correlation.in_order({one.uid: one for one in correlations})
        self.words, self.groups = Words(), {one.group_by: Groups(len(one.group_by)) for one in ordered}
        self.held = {one.uid: Held(one, self.groups[one.group_by]) for one in ordered}
        self.sources: dict[str, list[int]] = {}
        self.counters, self.pool = Counters(), Pool()
        self.through: dict[int, tuple[str, int, int]] = {}
        """Matches that are firings of other correlations: of which, of which group, and since when its matches count."""
        self._gone = self._swept = 0
        self._taken: _Taken | None = None
        self._pending: dict[str, list[_Told]] = {}
        self._looks: dict[str, set[str]] = {}
        self._shapes: dict[tuple[tuple[str, ...], tuple[str, ...]], set[str]] = {}
        for one in ordered:
            for ref in one.refs:
                names = tuple(one.name_in(name, ref) for name in one.group_by)
                self._shapes.setdefault((one.group_by, names), set()).add(ref)
                for name in one.names(ref):
                    self._looks.setdefault(name, set()).add(ref)

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
        return sum(held.size for held in self.held.values()) + sum(groups.size for groups in self.groups.values()) + self.words.size + self.pool.size

    def advance(self, marks: Sequence[Marks], now: int) -> list[Firing]:
        """Take matches in, and let time pass until ``now`` (milliseconds). The firings in the order of their correlations."""
        marks = [one for one in marks if one.table.num_rows]
        taken = _Taken(marks, self.words, self._looks) if marks else None
        if taken is not None:
            self._hear(marks, now)
            self.counters.matches += len(taken.time)
        frontier, seqs = self.frontier(now), self.pool.add(taken.about()) if taken is not None else _NO_ROWS
        self._taken, self._pending = taken, told = taken, dict[str, list[_Told]]()
        for uid, held in self.held.items():
            fresh = self._take(held, taken, seqs, told, frontier)
            if len(fresh) or held.waits:
                told[uid] = [self._told(held, fired) for fired in held.fire(fresh, frontier)]
        self._taken, self._pending = None, {}
        found = self._firings([one for several in told.values() for one in several])
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

    def _take(self, held: Held, taken: _Taken | None, seqs: Ints, told: Mapping[str, list[_Told]], frontier: int) -> Ints:
        """The matches of a correlation, and the firings of those it is built upon, into its rows; where the new ones stand."""
        one, parts = held.one, []
        for kind, ref in enumerate(one.refs):
            if taken is not None and ref in taken.rows:
                parts.append(self._rows(held, taken, kind, ref, seqs))
            parts += [self._chained(held, kind, below) for below in told.get(ref, ())]
        parts = [part for part in parts if len(part[0])]
        if not parts:
            return _NO_ROWS
        columns = [np.concatenate(column) for column in zip(*parts)] if len(parts) > 1 else parts[0]
        self.counters.beyond += int(((columns[0] & TIME) < frontier - 2 * one.width).sum())
        return held.insert(*columns)

    def _rows(self, held: Held, taken: _Taken, kind: int, ref: str, seqs: Ints) -> tuple[Ints, ...]:
        one, rows = held.one, taken.rows[ref]
        names = tuple(one.name_in(name, ref) for name in one.group_by)
        groups = taken.groups(held.groups, names, self._shapes[one.group_by, names], self._make_room)[rows]
        values, there = self._values(taken, one, [one.name_in(name, ref) for name in one.fields], rows)
        whole = (groups >= 0) & there
        if not whole.all():
            self.counters.evicted += int((groups == -2).sum())
            self.counters.without += int((~whole & (groups != -2)).sum())
            rows, groups, values = rows[whole], groups[whole], values[whole]
        return (groups << SHIFT) | np.clip(taken.time[rows], 0, TIME), seqs[rows], np.full(len(rows), kind, np.int16), values

    def _values(self, taken: _Taken, one: Correlation, names: Sequence[str], rows: Ints) -> tuple[Ints, Any]:
        """What is counted or summed, and where there is something."""
        if not names:
            return np.zeros(len(rows), np.int64), np.True_
        if one.kind in AMOUNTS:
            amounts, fit = taken.amounts(names[0])
            return amounts[rows], fit[rows]
        columns = [taken.numbers(name)[rows] for name in names]
        there = np.logical_and.reduce([column >= 0 for column in columns])
        if len(columns) == 1:
            return columns[0], there
        texts = self.words.texts
        joined = ["\x1f".join(texts[number] for number in numbers) for numbers in zip(*(column.tolist() for column in columns))]
        return self.words.take(joined), there

    def _chained(self, held: Held, kind: int, told: _Told) -> tuple[Ints, ...]:
        """Firings of another correlation as matches: their fields are those it was grouped by."""
        below, one = told.held.one, held.one
        names = [one.name_in(name, below.uid) for name in one.group_by]
        if told.fired.again or one.fields or not set(names) <= set(below.group_by):
            return (_NO_ROWS,) * 4
        place, *values = told.held.groups.parts(told.groups)
        columns = [place, *(values[below.group_by.index(name)] for name in names)]
        codes = held.groups.take(columns)
        if (codes < 0).any():
            self._make_room(held.groups)
            codes = held.groups.take(columns)
        fit = codes >= 0
        self.counters.evicted += len(fit) - int(fit.sum())
        seqs = self.pool.numbers(int(fit.sum()))
        self.through.update(zip(seqs.tolist(), zip([below.uid] * len(seqs), told.groups[fit].tolist(), told.first[fit].tolist())))
        return (codes[fit] << SHIFT) | told.moments[fit], seqs, np.full(len(seqs), kind, np.int16), np.zeros(len(seqs), np.int64)

    # ---- out ----

    def _told(self, held: Held, fired: Fired) -> _Told:
        """What is told of cells: of each, by rule, what made it."""
        low, high = held.ranges(fired.first, fired.last)
        steps, last = self._steps(held, low, high) if len(held.one.refs) > 1 or held.one.refs[0] in self.held else ([_parts(held, None, low, high, KEPT)], held.keys[high - 1] & TIME)
        return _Told(held, fired, fired.cells >> SHIFT, held.moments(fired), held.measured(fired).tolist(), steps, last)

    def _steps(self, held: Held, low: Ints, high: Ints) -> tuple[list[_Parts], Ints]:
        """Ranges of rows, by rule; and the time of the last row of each that counts."""
        rows, owners = windows.expanded(low, high), np.repeat(np.arange(len(low)), high - low)
        kinds = held.kinds[rows]
        if held.one.kind == ABSENCE:
            rows, owners, kinds = rows[kinds == 0], owners[kinds == 0], kinds[kinds == 0]
        numbers = np.arange(len(low) + 1)
        last = held.keys[rows[np.searchsorted(owners, numbers[:-1], "right") - 1]] & TIME
        most, steps = max(2, KEPT // len(held.one.refs)), list[_Parts]()
        for kind, ref in enumerate(held.one.refs):
            mine = rows[kinds == kind]
            edges = np.searchsorted(owners[kinds == kind], numbers)
            if ref in self.held:
                steps.append(_together([self._part(held, mine[start:end], until) for start, end, until in zip(edges, edges[1:], last.tolist())], most))
            else:
                steps.append(_parts(held, mine, edges[:-1], edges[1:], most))
        return steps, last

    def _part(self, held: Held, rows: Ints, until: int) -> _Part:
        """What some rows of a correlation stand for. A firing of another correlation stands for all its matches up to ``until``, not only those known when it fired."""
        plain: list[int] = []
        behind: dict[tuple[str, int], int] = {}
        for row, seq in zip(rows.tolist(), held.seq[rows].tolist()):
            if seq in self.through:
                uid, group, since = self.through[seq]
                behind[uid, group] = min(since, behind.get((uid, group), since))
            else:
                plain.append(row)
        parts = [_only(_parts(held, np.array(plain, np.int64), np.array([0]), np.array([len(plain)]), KEPT))] if plain or not behind else []
        for (uid, group), since in behind.items():
            below = self.held[uid]
            parts.append(self._part(below, below.of(group, since, until), until))
        return _joined(len(rows), parts)

    def _firings(self, told: Sequence[_Told]) -> list[Firing]:
        """The events of all of them are looked up at once."""
        seqs = [step.seqs for one in told for step in one.steps]
        rows = self.pool.rows(np.unique(np.concatenate(seqs))) if seqs else None
        return [firing for one in told for firing in self._firings_of(one, rows)] if rows is not None else []

    def _firings_of(self, told: _Told, rows: Rows) -> Iterable[Firing]:
        one, texts = told.held.one, self.words.texts
        places, *columns = ([texts[number] for number in part.tolist()] for part in told.held.groups.parts(told.groups))
        groups = [tuple(zip(one.group_by, values)) for values in zip(*columns)] if columns else [()] * len(places)
        steps = zip(*(_steps(ref, step, rows) for ref, step in zip(one.refs, told.steps)))
        counts = np.sum([step.matches for step in told.steps], axis=0)
        numbers = [array.tolist() for array in (told.fired.cells & TIME, told.moments, told.first, np.maximum(told.last, told.moments), counts)]
        for place, group, cell, moment, first, last, count, value, made in zip(places, groups, *numbers, told.values, steps):
            yield Firing(one.uid, place, group, cell, moment, first, last, count, value, made, told.fired.again)

    # ---- bounds ----

    def _forget(self, frontier: int) -> None:
        """Let go what no window can hold any more; and, if memory is at its bound, the oldest of what takes most."""
        self._gone += sum(held.pass_by(frontier - 2 * held.one.width) for held in self.held.values() if len(held) or len(held.told))
        if 4 * self._gone > sum(map(len, self.held.values())) + 1000 or len(self.words.numbers) > 2 * self._swept + 10_000:
            self._sweep()
        while self.size > self.limit and any(len(held) for held in self.held.values()):
            self._sweep()
            if self.size > self.limit:
                self.counters.evicted += max(self.held.values(), key=lambda held: held.size).halve()
                self._sweep()

    def _make_room(self, groups: Groups) -> None:
        """All groups that can be told apart are given out: those without matches go, then the older ones."""
        self._keep_groups(groups)
        if len(groups.levels[-1]) > groups.levels[-1].most // 2:
            self.counters.evicted += sum(held.halve() for held in self.held.values() if held.groups is groups)
            self._keep_groups(groups)

    def _keep_groups(self, groups: Groups) -> None:
        """What has rows, stands behind other correlations, or is at work just now, keeps its number."""
        mine = {held.one.uid: held for held in self.held.values() if held.groups is groups}
        live = [held.live() for held in mine.values()]
        live.append(np.array([group for uid, group, _ in self.through.values() if uid in mine], np.int64))
        live += [one.groups for uid, told in self._pending.items() if uid in mine for one in told]
        live += self._taken.known(groups) if self._taken is not None else []
        groups.keep(np.unique(np.concatenate(live)))

    def _sweep(self) -> None:
        """Groups, words and events that nothing names any more go."""
        words = np.zeros(len(self.words.texts), np.bool_)
        for groups in self.groups.values():
            self._keep_groups(groups)
            for numbers in groups.words():
                words[numbers] = True
        for held in self.held.values():
            if held.one.kind == "value_count":
                words[held.value] = True
        self.words.keep(words)
        least = min((int(held.seq.min()) for held in self.held.values() if len(held)), default=self.pool.next)
        seqs = np.zeros(self.pool.next - least, np.bool_)
        for held in self.held.values():
            seqs[held.seq - least] = True
        self.pool.keep(seqs, least)
        self.through = {seq: said for seq, said in self.through.items() if seq >= least and seqs[seq - least]}
        self._gone, self._swept = 0, len(self.words.numbers)

    # ---- kept ----

    def snapshot(self) -> bytes:
        """All that is known, so that whoever goes on from it says the same. Correlations are kept with a digest of what they ask."""
        held = {uid: [_digest(one.one), one.state()] for uid, one in self.held.items() if len(one) or len(one.told)}
        groups = [[list(names), groups.state()] for names, groups in self.groups.items()]
        body = {"held": held, "groups": groups, "words": self.words.state(), "sources": self.sources, "counters": asdict(self.counters), "pool": self.pool.state(), "next": self.pool.next, "through": list(self.through.items())}
        return _MAGIC + zstandard.ZstdCompressor(level=1).compress(msgspec.msgpack.encode(body))

    def restore(self, content: bytes) -> None:
        """As it was; a correlation that was changed since begins anew. Raises ``Invalid`` for what is no snapshot of this version."""
        if not content.startswith(_MAGIC):
            raise Invalid("This is no state of correlations of this version", why="It was written by another version, or is damaged.", todo="Begin anew: what is in a window now is not known.")
        body = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(content[len(_MAGIC) :]))
        for uid, (digest, state) in body["held"].items():
            if uid in self.held and _digest(self.held[uid].one) == digest:
                self.held[uid].restore(state)
        for names, state in body["groups"]:
            if tuple(names) in self.groups:
                self.groups[tuple(names)].restore(state)
        self.words.restore(body["words"])
        self.sources, self.counters = {name: list(said) for name, said in body["sources"].items()}, Counters(**body["counters"])
        self.pool.restore(body["pool"], body["next"])
        self.through = {seq: (uid, group, since) for seq, (uid, group, since) in body["through"] if uid in self.held and len(self.held[uid])}
        self._sweep()


def _steps(ref: str, parts: _Parts, rows: Rows) -> list[Step]:
    places = rows.places(parts.seqs)
    about = zip(*(array.tolist() for array in (parts.rows, parts.matches, parts.first, parts.last, np.append(0, parts.ends[:-1]), parts.ends)))
    return [Step(ref, count, matches, first if matches else None, last if matches else None, Events(rows.table, places, start, end)) for count, matches, first, last, start, end in about]


def _parts(held: Held, rows: Ints | None, starts: Ints, ends: Ints, most: int) -> _Parts:
    """What plain matches are, range by range of ``rows`` (of all rows, where none are given), each in the order of time: the first of them are named, and the last."""
    counts = ends - starts
    shown = np.minimum(counts, most)
    picks, some, until = windows.expanded(starts, starts + shown), shown > 0, np.cumsum(shown)
    picks[until[some] - 1] = ends[some] - 1
    chosen = picks if rows is None else rows[picks]
    times = np.append(held.keys[chosen] & TIME, 0)
    return _Parts(counts, counts, times[until - shown], times[until - 1], held.seq[chosen], until)


def _only(parts: _Parts) -> _Part:
    """The first of them alone."""
    rows, matches, first, last = (int(array[0]) for array in parts[:4])
    return _Part(rows, matches, first if matches else None, last if matches else None, parts.seqs)


def _together(parts: Sequence[_Part], most: int) -> _Parts:
    """Single ones side by side; each names its first and its last."""
    seqs = [part.seqs if len(part.seqs) <= most else np.append(part.seqs[: most - 1], part.seqs[-1]) for part in parts]
    rows, matches, first, last = (np.array(column, np.int64) for column in ([part.rows for part in parts], [part.matches for part in parts], [part.first or 0 for part in parts], [part.last or 0 for part in parts]))
    return _Parts(rows, matches, first, last, np.concatenate(seqs), np.cumsum([len(one) for one in seqs]))


def _joined(count: int, parts: Sequence[_Part]) -> _Part:
    """Several parts as one, of ``count`` rows."""
    firsts, lasts = [part.first for part in parts if part.first is not None], [part.last for part in parts if part.last is not None]
    return _Part(count, sum(part.matches for part in parts), min(firsts, default=None), max(lasts, default=None), np.concatenate([part.seqs for part in parts]))


def _thousandths(text: str) -> int | None:
    """A number in whole thousandths; ``None`` for what is none, or larger than can be summed."""
    try:
        found = float(text)
    except ValueError:
        return None
    return round(found * SCALE) if abs(found) < 1e13 else None


def _digest(one: Correlation) -> str:
    return repr((one.kind, one.refs, one.width, one.group_by, one.op, one.bound, one.fields, one.percentile, sorted((name, sorted(said.items())) for name, said in (one.aliases or {}).items()), one.expression))
