"""Rows (flat mappings of native field names to text) → fired rules."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from lianfang.engines.rules.judging import Glance, judge
from lianfang.engines.rules.kernel import CHANNEL, EVENT_ID, WATCHED, Class, ClassKey, Kernel, Verdict, origins
from lianfang.engines.rules.memory import text
from lianfang.engines.rules.patterns import raw
from lianfang.engines.rules.types import Hits, LogSource
from lianfang.engines.rules.watch import worth

Row = Mapping[str, Any]

CHUNK = 1024
_USUAL = 16


def examine(kernel: Kernel, rows: Sequence[Row], logsources: Sequence[LogSource] | None) -> Hits:
    """Hits of all rows, by index; the indexes count from 0."""
    hits: Hits = []
    for start in range(0, len(rows), CHUNK):
        kernel.tidy()
        chunk = rows[start : start + CHUNK]
        given = None if logsources is None else logsources[start : start + CHUNK]
        hits += [(start + index, verdict) for index, verdict in examine_chunk(kernel, chunk, given)]
    return hits


def examine_chunk(kernel: Kernel, rows: Sequence[Row], logsources: Sequence[LogSource] | None) -> list[tuple[int, Verdict]]:
    """Hits of one chunk. Caches do not change generation within it."""
    kernel.spelling.learn(set().union(*rows))
    hits: list[tuple[int, Verdict]] = []
    for key, indexes in _grouped(kernel, rows, logsources).items():
        batch = RowBatch(kernel, [rows[index] for index in indexes])
        hits += [(indexes[at], verdict) for at, verdict in judge(kernel.class_of(key), batch)]
    return sorted(hits)


def _grouped(kernel: Kernel, rows: Sequence[Row], logsources: Sequence[LogSource] | None) -> dict[ClassKey, list[int]]:
    channels = column(kernel, rows, CHANNEL)
    events = map(kernel.event_id.memo.__getitem__, column(kernel, rows, EVENT_ID))
    groups: dict[ClassKey, list[int]] = {}
    for index, key in enumerate(zip(origins(kernel, logsources, channels), map(kernel.channel.memo.__getitem__, channels), events)):
        groups.setdefault(key, []).append(index)
    return groups


def column(kernel: Kernel, rows: Sequence[Row], name: str) -> list[Any]:
    """One field of all rows, under whatever spelling it has there; ``None`` where it is absent."""
    names = kernel.spelling.of(name)
    if len(names) == 1:
        return [row.get(name) for row in rows]
    return [first(row, names) for row in rows]


def first(row: Row, names: Iterable[str]) -> Any:
    """The value under the first of the names that the row has."""
    for name in names:
        value = row.get(name)
        if value is not None:
            return value
    return None


class RowBatch:
    """Rows of one class."""

    def __init__(self, kernel: Kernel, rows: Sequence[Row]) -> None:
        self.kernel, self.rows = kernel, rows

    def __len__(self) -> int:
        return len(self.rows)

    def pick(self, indexes: list[int]) -> RowBatch:
        return RowBatch(self.kernel, [self.rows[index] for index in indexes])

    def column(self, name: str) -> Iterable[Any]:
        return column(self.kernel, self.rows, name)

    def keywords(self, each: Class) -> Sequence[int]:
        """Only rows that a sieve lets through are looked at value by value."""
        sieve = self.kernel.sieve(each.columns.keywords, json=False, usual=lambda: self.texts(_USUAL))
        suspects = range(len(self.rows)) if sieve is None else sieve.suspects(self.texts(len(self.rows)))
        numbers = [0] * len(self.rows)
        for index in suspects:
            numbers[index] = self.kernel.keyword(value for value in self.rows[index].values() if value is not None)
        return numbers

    def spotted(self, each: Class) -> Collection[int]:
        return [at for at, number in enumerate(self.keywords(each)) if number] if each.columns.keywords else ()

    def traces(self, glance: Glance) -> None:
        return None  # reading a field of a row costs less than laying its text out

    def texts(self, most: int) -> list[bytes]:
        return [_joined(row) for row in self.rows[:most]]

    def watched(self, each: Class) -> list[Iterable[int]]:
        """Fields that no rule of the class reads but that may hold an indicator."""
        watched = each.columns.watched
        asked = {name for name in each.columns.fields if worth(name)}
        for name in set().union(*self.rows) - watched.keys() - asked:
            if worth(name):
                watched[name] = None
        memo = self.kernel.field(WATCHED).memo
        return [map(memo.__getitem__, [row.get(name) for row in self.rows]) for name in watched]


def _joined(row: Row) -> bytes:
    try:
        return raw("\0".join(row.values()))
    except TypeError:
        return raw("\0".join(text(value) for value in row.values() if value is not None))
