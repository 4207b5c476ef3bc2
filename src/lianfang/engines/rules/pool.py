"""What firings say of matches: rows by ``seq``, in the order in which they came, as long as a window may still name them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lianfang.engines.rules.windows import Bools, Ints

JOINED = 16_384
"""Rows of a part up to which it is joined with its neighbour: single tables cost more than their rows."""
FEW = 4
"""A column in which each text comes at least so often is kept as numbers of its texts; a sample of ``LOOKED`` rows says whether to try."""
LOOKED = 256


class Part(NamedTuple):
    """``seqs`` (rising) of the rows of ``table``, and the bytes of both."""

    seqs: Ints
    table: pa.Table
    size: int


class Rows(NamedTuple):
    """Rows that were looked up, by their numbers (rising)."""

    seqs: Ints
    table: pa.Table

    def places(self, seqs: Ints) -> Ints:
        """Where rows of these numbers stand in ``table``; -1 for one that is gone."""
        places = np.searchsorted(self.seqs, seqs)
        return np.where(np.append(self.seqs, -1)[places] == seqs, places, -1)


class Events(Sequence[dict[str, Any]]):
    """Some rows that were looked up, as plain values when somebody reads them: most of what fires is read by nobody."""

    __slots__ = ("_end", "_places", "_read", "_start", "_table")

    def __init__(self, table: pa.Table, places: Ints, start: int, end: int):
        self._table, self._places, self._start, self._end = table, places, start, end
        self._read: list[dict[str, Any]] | None = None

    def _all(self) -> list[dict[str, Any]]:
        if self._read is None:
            places = self._places[self._start : self._end]
            self._read = list(self._table.take(pa.array(places[places >= 0])).to_pylist()) if len(places) else []
        return self._read

    def __len__(self) -> int:
        return len(self._all())

    @overload
    def __getitem__(self, place: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, place: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, place: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        return self._all()[place]


class Pool:
    """Rows that come in with rising numbers.

    >>> pool = Pool()
    >>> pool.add(pa.table({"event": ["a", "b"]})).tolist()
    [0, 1]
    >>> pool.rows(np.array([1])).table.to_pylist()
    [{'event': 'b'}]
    """

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.next = self.size = 0

    def numbers(self, count: int) -> Ints:
        """Numbers for what has no row of its own."""
        self.next += count
        return np.arange(self.next - count, self.next)

    def add(self, table: pa.Table) -> Ints:
        """Take rows in; returns their numbers."""
        seqs = self.numbers(table.num_rows)
        if len(seqs):
            self._put(_part(seqs, table))
            while len(self.parts) > 1 and len(self.parts[-2].seqs) <= min(2 * len(self.parts[-1].seqs), JOINED):
                one, other = self._drop(-2), self._drop(-1)
                self._put(_part(np.concatenate((one.seqs, other.seqs)), pa.concat_tables([plain(one.table), plain(other.table)], promote_options="permissive")))
        return seqs

    def _put(self, part: Part) -> None:
        self.parts.append(part)
        self.size += part.size

    def _drop(self, place: int) -> Part:
        part = self.parts.pop(place)
        self.size -= part.size
        return part

    def rows(self, seqs: Ints) -> Rows:
        """Those of these numbers (rising) that are still there."""
        found, tables = [], []
        for part in self.parts:
            low, high = np.searchsorted(seqs, (part.seqs[0], part.seqs[-1] + 1))
            if low < high:
                places = np.searchsorted(part.seqs, seqs[low:high])
                there = part.seqs[places] == seqs[low:high]
                found.append(seqs[low:high][there])
                tables.append(plain(part.table.take(pa.array(places[there]))))
        return Rows(np.concatenate(found), pa.concat_tables(tables, promote_options="permissive").combine_chunks()) if found else Rows(np.zeros(0, np.int64), pa.table({}))

    def keep(self, live: Bools, least: int) -> None:
        """Let go of rows that nobody names: ``live`` says yes or no for each number from ``least`` on, none before it is."""
        before, self.parts, self.size = self.parts, [], 0
        for part in before:
            stays = np.zeros(len(part.seqs), np.bool_)
            later = part.seqs >= least
            stays[later] = live[part.seqs[later] - least]
            count = int(stays.sum())
            if count > 0.9 * len(stays):
                self._put(part)
            elif count:
                self._put(_weighed(part.seqs[stays], part.table.filter(pa.array(stays))))

    def state(self) -> list[list[bytes]]:
        return [[part.seqs.tobytes(), _ipc(part.table)] for part in self.parts]

    def restore(self, state: list[list[bytes]], next_: int) -> None:
        self.parts, self.size, self.next = [], 0, next_
        for seqs, content in state:
            self._put(_weighed(np.frombuffer(seqs, np.int64).copy(), pa.ipc.open_stream(content).read_all()))


def _part(seqs: Ints, table: pa.Table) -> Part:
    """Texts that come often are kept once."""
    table = table.combine_chunks()
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type) and len(seqs) >= LOOKED and pc.count_distinct(table[field.name].slice(0, LOOKED)).as_py() * 8 < LOOKED * 7:
            array = table[field.name].combine_chunks().dictionary_encode()
            chunk = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
            if len(chunk.dictionary) * FEW <= len(seqs):
                narrow = pa.int8() if len(chunk.dictionary) < 128 else pa.int16() if len(chunk.dictionary) < 32_768 else pa.int32()
                table = table.set_column(place, field.name, pa.DictionaryArray.from_arrays(chunk.indices.cast(narrow), chunk.dictionary))
    return _weighed(seqs, table)


def _weighed(seqs: Ints, table: pa.Table) -> Part:
    return Part(seqs, table, int(table.nbytes) + seqs.nbytes + 96 * table.num_columns)


def plain(table: pa.Table) -> pa.Table:
    """The same with its texts written out."""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, table[field.name].cast(field.type.value_type))
    return table


def _ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())
