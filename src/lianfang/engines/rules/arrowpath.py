"""Arrow tables → fired rules: distinct values are matched, everything else is arithmetic on codes.

A column is dictionary-encoded if it is not already; its distinct values become atom-set numbers, rows take them by code.
Combinations of numbers are told apart by exact mixed-radix keys, never by a hash alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lianfang.engines.rules.judging import Key, acquaint
from lianfang.engines.rules.kernel import CHANNEL, EVENT_ID, UNKNOWN, WATCHED, WINDOWS, Class, Field, Kernel, Verdict
from lianfang.engines.rules.memory import text
from lianfang.engines.rules.trees import KEYWORDS
from lianfang.engines.rules.types import Hits, LogSource
from lianfang.engines.rules.watch import worth

SLICE = 1 << 18

_RADIX_LIMIT = 1 << 62
_USUAL = 6_000
_MANY = 20
Numbers = npt.NDArray[np.int64]
Indexes = npt.NDArray[np.int64]


def distinct(values: Numbers) -> tuple[Numbers, Numbers, Indexes]:
    """(the distinct values, the place of each value among them, the index where each is first seen)."""
    encoded = pa.array(values).dictionary_encode()
    codes = encoded.indices.to_numpy()
    firsts = np.empty(len(encoded.dictionary), np.int64)
    firsts[codes[::-1]] = np.arange(len(values) - 1, -1, -1)
    return encoded.dictionary.to_numpy(), codes, firsts


def combine(columns: list[Numbers]) -> Numbers:
    """One number for each combination across the columns: mixed radix, made dense again before it could overflow.

    >>> combine([np.array([0, 1, 1]), np.array([5, 0, 5])]).tolist()
    [5, 6, 11]
    """
    combined, size = columns[0].astype(np.int64), int(columns[0].max(initial=0)) + 1
    for column in columns[1:]:
        radix = int(column.max(initial=0)) + 1
        if size * radix >= _RADIX_LIMIT:
            known, combined, _ = distinct(combined)
            combined, size = combined.astype(np.int64), len(known)
        combined, size = combined * radix + column, size * radix
    return combined


class Seen(NamedTuple):
    """What a dictionary was worked out to, so that the same dictionary need not be looked at again."""

    era: int
    values: Any
    numbers: Numbers

    def fits(self, values: Any, era: int) -> bool:
        return self.era == era and (self.values is values or self.values.equals(values))


class Tables:
    """The Arrow path of one kernel. Remembers the last dictionary of each column, as far as half of the cache's bytes reach: streams repeat theirs."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.seen: dict[tuple[object, ...], Seen] = {}

    def examine(self, table: pa.Table, logsources: Sequence[LogSource] | None) -> Hits:
        """Hits of all rows of a table, by index."""
        hits: Hits = []
        for start in range(0, table.num_rows, SLICE):
            self.kernel.tidy()
            part = table.slice(start, SLICE)
            given = None if logsources is None else logsources[start : start + SLICE]
            hits += sorted((start + index, verdict) for index, verdict in _Part(self, part, given).hits())
        self._forget()
        return hits

    def numbers(self, key: tuple[object, ...], values: Any, work_out: Callable[[Any], Numbers]) -> Numbers:
        """The set numbers of distinct values, and one more, 0, for null."""
        found = self.seen.get(key)
        if found is None or not found.fits(values, self.kernel.era):
            found = self.seen[key] = Seen(self.kernel.era, values, work_out(values))
        return found.numbers

    def _forget(self) -> None:
        """The largest first; what several fields have worked out of one dictionary lies there once."""
        sizes: dict[int, int] = {}
        keys: dict[int, list[tuple[object, ...]]] = {}
        for key, seen in self.seen.items():
            place = _place(seen.values)
            sizes[place] = sizes.get(place, seen.values.nbytes) + seen.numbers.nbytes
            keys.setdefault(place, []).append(key)
        total = sum(sizes.values())
        for place in sorted(sizes, key=lambda place: -sizes[place]):
            if total * 2 <= self.kernel.budget.limit:
                break
            total -= sizes[place]
            for key in keys[place]:
                del self.seen[key]


class _Part:
    """A slice of a table, with the numbers of its fields worked out as they are asked for."""

    def __init__(self, path: Tables, table: pa.Table, logsources: Sequence[LogSource] | None) -> None:
        self.path, self.kernel, self.table, self.logsources = path, path.kernel, table, logsources
        self.kernel.spelling.learn(table.column_names)
        self.columns = {name: table.column(name) for name in dict.fromkeys(table.column_names)}
        self.encoded: dict[str, list[Any]] = {}
        self.classes: list[tuple[Class, Indexes]] = []
        self.asking: dict[frozenset[int], Indexes] = {}
        self.together: dict[frozenset[int], frozenset[int]] = {}
        self.suspects: dict[frozenset[int], tuple[Indexes, Numbers]] = {}

    # ---- numbers ----

    def numbers(self, name: str, rows: Indexes) -> Numbers:
        """Set numbers of a field of the rules in some rows (ascending); 0 where it is absent."""
        present = [spelt for spelt in self.kernel.spelling.of(name) if spelt in self.columns]
        if not present:
            return np.zeros(len(rows), np.int64)
        field = self.kernel.field(name)
        numbers, codes = self._looked_up(field, present[0], rows)
        for spelt in present[1:]:
            others, other_codes = self._looked_up(field, spelt, rows)
            numbers, codes = np.where(codes < 0, others, numbers), np.where(codes < 0, other_codes, codes)
        return numbers

    def _chunks(self, name: str) -> list[Any]:
        if name not in self.encoded:
            self.encoded[name] = _encoded(self.columns[name])
        return self.encoded[name]

    def _looked_up(self, field: Field, name: str, rows: Indexes) -> tuple[Numbers, Numbers]:
        """(set numbers, codes) of one column."""
        numbers, codes, start = [], [], 0
        for place, chunk in enumerate(self._chunks(name)):
            inside = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + len(chunk))] - start
            if len(inside):
                codes.append(_codes(chunk, inside))
                numbers.append(self.path.numbers((field.name, name, place), chunk.dictionary, partial(_learned, field))[codes[-1]])
            start += len(chunk)
        return (np.concatenate(numbers), np.concatenate(codes)) if numbers else (np.zeros(0, np.int64), np.zeros(0, np.int64))

    def values(self, name: str, rows: Indexes) -> list[Any]:
        """The values of a field in some rows."""
        found = [self.columns[spelt].take(pa.array(rows)).to_pylist() for spelt in self.kernel.spelling.of(name) if spelt in self.columns]
        return [next((value for value in row if value is not None), None) for row in zip(*found)] if found else [None] * len(rows)

    def keyword_numbers(self, each: Class, rows: Indexes) -> Numbers:
        """The keyword set of each row; 0 where it holds none that the class asks for."""
        keywords = self._looked_at_with(each.columns.keywords)
        if keywords not in self.suspects:
            asking = self.asking[keywords]
            found = self._anywhere(keywords) if len(asking) * _MANY > self.table.num_rows else self._among(keywords, asking)
            self.suspects[keywords] = self._united(list(found))
        hot, numbers = self.suspects[keywords]
        sets = self.kernel.field(KEYWORDS).sets
        wanted = np.array([not sets[number].isdisjoint(each.columns.keywords) for number in numbers.tolist()], bool)
        found_here = np.zeros(len(rows), np.int64)
        if wanted.any():
            places = np.searchsorted(rows, hot[wanted])
            inside = (places < len(rows)) & (rows[np.minimum(places, len(rows) - 1)] == hot[wanted])
            found_here[places[inside]] = numbers[wanted][inside]
        return found_here

    def _united(self, found: list[tuple[Indexes, Numbers]]) -> tuple[Indexes, Numbers]:
        """(rows, the set of all their keywords) from the rows and keyword sets of single columns."""
        field = self.kernel.field(KEYWORDS)
        of_row: dict[int, set[int]] = {}
        for rows, numbers in found:
            for row, number in zip(rows.tolist(), numbers.tolist()):
                of_row.setdefault(row, set()).add(number)
        united = {row: field.number(frozenset().union(*(field.sets[number] for number in numbers))) for row, numbers in of_row.items()}
        rows = np.array(sorted(united), np.int64)
        return rows, np.array([united[row] for row in rows.tolist()], np.int64)

    def _looked_at_with(self, keywords: frozenset[int]) -> frozenset[int]:
        """Classes with few rows are looked at together: their keywords as one set."""
        if not self.asking:
            for each, rows in self.classes:
                self.asking[each.columns.keywords] = np.concatenate([self.asking.get(each.columns.keywords, rows[:0]), rows])
            few = [key for key, rows in self.asking.items() if len(rows) * _MANY <= self.table.num_rows]
            together = frozenset().union(*few)
            self.together = dict.fromkeys(few, together)
            self.asking[together] = np.unique(np.concatenate([np.zeros(0, np.int64), *(self.asking[key] for key in few)]))
        return self.together.get(keywords, keywords)

    def _anywhere(self, keywords: frozenset[int]) -> Iterator[tuple[Indexes, Numbers]]:
        """Rows with a keyword and their sets, by one pass over all distinct values, remembered with their dictionary."""
        for name in self.columns:
            start = 0
            for place, chunk in enumerate(self._chunks(name)):
                hot = self.path.numbers((keywords, name, place), chunk.dictionary, partial(self._hold, keywords))
                if len(hot):
                    numbers = hot[_codes(chunk, None)]
                    rows = np.flatnonzero(numbers)
                    yield rows + start, numbers[rows]
                start += len(chunk)

    def _among(self, keywords: frozenset[int], asking: Indexes) -> Iterator[tuple[Indexes, Numbers]]:
        """The same for some rows, by a pass over the values that these rows have."""
        for name in self.columns:
            start = 0
            for chunk in self._chunks(name):
                inside = asking[np.searchsorted(asking, start) : np.searchsorted(asking, start + len(chunk))] - start
                codes = _codes(chunk, inside) if len(inside) else inside
                named = np.unique(codes[codes >= 0])
                hot = self._hold(keywords, chunk.dictionary.take(pa.array(named))) if len(named) else named
                if len(hot):
                    numbers = np.where(codes < 0, 0, hot[np.searchsorted(named, codes)])
                    rows = np.flatnonzero(numbers)
                    yield inside[rows] + start, numbers[rows]
                start += len(chunk)

    def _hold(self, keywords: frozenset[int], values: Any) -> Numbers:
        """The keyword set of each value that holds one of these keywords, 0 for others, and one more 0; empty if none does."""
        field, sieve = self.kernel.field(KEYWORDS), self.kernel.sieve(keywords, json=False, usual=self._usual)
        found = np.zeros(len(values) + 1, np.int64)
        for at in range(len(values)) if sieve is None else sieve.spotter.spot_laid(*_laid(values)):
            value = values[at].as_py()
            number = 0 if value is None else field.memo[_value(value)]
            found[at] = 0 if field.sets[number].isdisjoint(keywords) else number
        return found if found.any() else found[:0]

    def _usual(self) -> Sequence[bytes]:
        """Some values of every column, the long ones first: that is where keywords would be met by chance."""
        found = [bytes(_laid(chunk.dictionary.slice(0, 2))[0][:_USUAL]) for name in self.columns for chunk in self._chunks(name)[:1]]
        return sorted(found, key=len, reverse=True)

    # ---- classes ----

    def hits(self) -> Iterator[tuple[int, Verdict]]:
        self.classes = [(each, rows) for each, rows in self._classes() if not each.idle]
        for each, rows in self.classes:
            yield from self._judged(each, rows)

    def _classes(self) -> Iterator[tuple[Class, Indexes]]:
        every = np.arange(self.table.num_rows)
        keys = [self._origins(), self.numbers(CHANNEL, every), self.numbers(EVENT_ID, every)]
        _, codes, firsts = distinct(combine(keys))
        order = np.argsort(codes.astype(np.int32), kind="stable")
        starts = np.searchsorted(codes[order], np.arange(len(firsts) + 1))
        for at, index in enumerate(firsts):
            origin, channel, event = (int(column[index]) for column in keys)
            yield self.kernel.class_of((origin, channel, event)), order[starts[at] : starts[at + 1]]

    def _origins(self) -> Numbers:
        if self.logsources is not None:
            return np.fromiter(map(self.kernel.origin, self.logsources), np.int64, self.table.num_rows)
        absent = np.ones(self.table.num_rows, bool)
        for spelt in self.kernel.spelling.of(CHANNEL):
            if spelt in self.columns:
                absent &= self.columns[spelt].is_null().to_numpy()
        return np.where(absent, self.kernel.origin(UNKNOWN), self.kernel.origin(WINDOWS))

    def _judged(self, each: Class, rows: Indexes) -> Iterator[tuple[int, Verdict]]:
        glance = each.plans.get("glance")
        if glance is not None:
            rows = self._near(each, rows)
        if not len(rows):
            return
        columns = self._key_columns(each, rows)
        if "glance" not in each.plans:
            acquaint(each, len(rows), list(zip(*(column[:256].tolist() for column in columns))), list)
        for at, verdict in self._verdicts(each, columns, len(rows)):
            yield int(rows[at]), verdict

    def _near(self, each: Class, rows: Indexes) -> Indexes:
        glance = each.plans["glance"]
        near = np.zeros(len(rows), bool)
        if glance.long.sources:
            columns = [self.numbers(field.name, rows) for field in glance.long.sources]
            _, codes, firsts = distinct(combine(columns))
            opened = [glance.long.keys[key] for key in zip(*(column[firsts].tolist() for column in columns))]
            near |= np.array(opened, bool)[codes]
        if each.columns.keywords:
            near |= self.keyword_numbers(each, rows) > 0
        glance.count(len(rows), int(near.sum()))
        return rows[near]

    def _key_columns(self, each: Class, rows: Indexes) -> list[Numbers]:
        """The columns of a class's keys, in the order of ``Columns``."""
        kernel, columns = self.kernel, each.columns
        numbers = [self.numbers(name, rows) for name in columns.fields]
        for atom in columns.references:
            left, right = (self.values(name, rows) for name in (kernel.atoms[atom].field, kernel.atoms[atom].pattern))
            numbers.append(np.fromiter((kernel.reference(atom, one, other) for one, other in zip(left, right)), np.int64, len(rows)))
        if columns.keywords:
            numbers.append(self.keyword_numbers(each, rows))
        if each.watch:
            numbers += self._watched(each, rows)
        return numbers

    def _watched(self, each: Class, rows: Indexes) -> list[Numbers]:
        asked = {name for name in each.columns.fields if worth(name)}
        memo = self.kernel.field(WATCHED)
        return [self._looked_up(memo, name, rows)[0] for name in self.columns if worth(name) and name not in asked]

    @staticmethod
    def _verdicts(each: Class, columns: list[Numbers], size: int) -> Iterator[tuple[int, Verdict]]:
        if not columns:
            verdict = each.keys[()]
            yield from ((at, verdict) for at in range(size if verdict else 0))
            return
        _, codes, firsts = distinct(combine(columns))
        keys: list[Key] = list(zip(*(column[firsts].tolist() for column in columns)))
        verdicts = [each.keys[key] for key in keys]
        fired = np.fromiter(map(bool, verdicts), bool, len(verdicts))
        for at in np.flatnonzero(fired[codes]):
            yield int(at), verdicts[codes[at]]


def _place(values: Any) -> int:
    """Where an array's data lies in memory."""
    data = values.buffers()[-1]
    return data.address if data is not None else id(values)


def _learned(field: Field, values: Any) -> Numbers:
    numbers = np.zeros(len(values) + 1, np.int64)
    numbers[:-1] = np.fromiter(map(field.memo.__getitem__, map(_value, values.to_pylist())), np.int64, len(values))
    return numbers


def _encoded(column: pa.ChunkedArray) -> list[Any]:
    """The chunks of a column as dictionary arrays whose dictionaries are not much longer than they are."""
    chunks = []
    for chunk in column.chunks:
        if not pa.types.is_dictionary(chunk.type):
            chunk = _flat(chunk).dictionary_encode()
        elif len(chunk.dictionary) > 2 * len(chunk):
            chunk = _flat(chunk.cast(chunk.type.value_type)).dictionary_encode()
        chunks.append(chunk)
    return chunks


def _flat(chunk: Any) -> Any:
    """Lists and structures as text: their elements laid under one another."""
    return pa.array([None if value is None else text(_value(value)) for value in chunk.to_pylist()], pa.string()) if pa.types.is_nested(chunk.type) else chunk


def _value(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | list | None) else str(value)


def _codes(chunk: Any, rows: Indexes | None) -> Numbers:
    """Codes of a dictionary array in some rows (``None``: in all), -1 where it is null."""
    codes = chunk.indices if rows is None else chunk.indices.take(pa.array(rows))
    if not codes.null_count:
        return cast(Numbers, codes.to_numpy())
    signed = codes if pa.types.is_signed_integer(codes.type) else pc.cast(codes, pa.int64())
    return cast(Numbers, pc.fill_null(signed, -1).to_numpy())


def _laid(values: Any) -> tuple[memoryview, npt.NDArray[np.int64]]:
    """The bytes of all distinct values laid end to end, and where each ends: the buffers of the array itself."""
    if not pa.types.is_string(values.type):
        values = pa.array([None if value is None else text(_value(value)) for value in values.to_pylist()], pa.string())
    _, offsets, data = values.buffers()
    ends = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1].astype(np.int64)
    return memoryview(data or b"")[ends[0] : ends[-1]], ends[1:] - ends[0]
