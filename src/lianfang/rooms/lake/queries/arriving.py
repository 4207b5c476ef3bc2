"""What arrived: events in the order of their identifiers, a piece at a time, counted by who and what; and what was there before, a day at a time.

In: how far somebody has read (the last event of each writer), and what to count. Out: the next piece, and counts as columns. Identifiers grow with each writer, so late events
come with late identifiers, and each is in exactly one piece. Events of one segment go into several tables, one after the other: what still lies in the spool may
stand in some of them and not in others, and is not read before it left. What lies sealed is left out: it would lie open where counts are kept.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from lianfang.engines.columns.query import Bounds
from lianfang.engines.envelope import STEADILY
from lianfang.engines.schema.events import BY_NAME, Kind, table_of
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake.queries import figures, places, scope
from lianfang.rooms.lake.types import EVENT_TABLES

BEGIN = timedelta(days=1)
"""The first time: events that came in during the last day. Afterwards writers that were silent for longer do not hold the others back."""
SLOW = timedelta(minutes=5)
"""A writer that is quite new may bring its first events so much later than others theirs."""
SEGMENTS = 20_000
"""How many segments of the spool one question looks at; what follows them is for the next."""
READERS = 8
MILLI = timedelta(milliseconds=1)
SAMPLE = "sample-"
SHOWN = ("event_id", "time", "source", "territory", "industry", "level", "host", "user", "actor_user", "src_host", "dst_host", "process", "file", "url", "ips", "hashes", "domains", "raw")


@dataclass(frozen=True, slots=True)
class Tally:
    """What is counted: events in which all of ``where`` holds (column → its values), by the columns of ``group``, ``entity`` and ``value``, in stretches of ``span`` milliseconds."""

    entity: tuple[str, ...]
    value: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    where: tuple[tuple[str, tuple[str | int, ...]], ...] = ()
    span: int = 86_400_000

    def __post_init__(self) -> None:
        """Raises ``Invalid`` for columns that events do not have."""
        for name in self.columns:
            if name not in BY_NAME or BY_NAME[name].kind in (Kind.TIME, Kind.LIST):
                raise Invalid(f"Events have no column “{name}” to count by", why="It is unknown, a time, or a list.", todo="Choose one of the columns of the catalogue.")

    @property
    def tables(self) -> tuple[str, ...]:
        """The event tables in which such events are."""
        classes = next((values for name, values in self.where if name == "class_uid"), ())
        return tuple(dict.fromkeys(table_of(int(one)) for one in classes)) or EVENT_TABLES

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it is counted by, and those of its condition."""
        return (*self.group, *self.entity, *self.value, *(name for name, _values in self.where))


def moment_of(event_id: str) -> int:
    """When its segment was begun, in milliseconds."""
    return int(event_id.split("-")[0], 16)


def floor_of(reached: Iterable[str]) -> str:
    """Nothing that is new has an identifier up to this one."""
    latest = max((moment_of(one) for one in reached), default=None)
    if latest is None:
        return f"{int((clock.now() - BEGIN).timestamp() * 1000):011x}"
    slowest = min(moment for moment in map(moment_of, reached) if moment >= latest - BEGIN // MILLI)
    return f"{slowest - SLOW // MILLI:011x}"


def beyond(reached: Mapping[str, str]) -> tuple[str, list[str], str]:
    """The condition under which an event comes after what was reached, its parameters, and the identifier that prunes files."""
    floor = floor_of(list(reached.values()))
    where = "event_id > ?" + "".join(" AND NOT (split_part(event_id, '-', 2) = ? AND event_id <= ?)" for _writer in reached)
    return where, [floor, *(part for pair in reached.items() for part in pair)], floor


def settled() -> tuple[str, list[str], str]:
    """The condition under which all events of an event's segment are in their tables, its parameters, and the identifier before which that is so for every writer.
    To be asked before the tables are: what begins from now on is not among them."""
    now = f"{time.time_ns() // 1_000_000:011x}"
    waiting = {writer: f"{number:011x}" for writer, number in figures.spooled().items()}
    where = "event_id < ?" + "".join(" AND NOT (split_part(event_id, '-', 2) = ? AND event_id >= ?)" for _writer in waiting)
    return where, [now, *(part for pair in waiting.items() for part in pair)], min([now, *waiting.values()])


def last_events(*, viewer: Viewer) -> dict[str, str]:
    """The last event of each writer that came in lately; a new reader begins after them."""
    viewer.must("lake.event.view")
    floor, (whole, params, _before) = floor_of(()), settled()
    sql = f"SELECT split_part(event_id, '-', 2) AS writer, max(event_id) AS last FROM stored WHERE event_id > ? AND {whole} GROUP BY 1"  # noqa: S608  (a condition of ours)
    rows = scope.query(sealed=True).rows(sql, [floor, *params], bounds=Bounds(EVENT_TABLES, later=floor))
    return {row["writer"]: row["last"] for row in rows} or {"": floor_of(()) + "-"}


@dataclass(frozen=True, slots=True)
class Piece:
    """How far some events lead (the last one of each writer), how many they are, and whether more is there behind them."""

    to: dict[str, str]
    number: int
    more: bool


def pieces(reached: Mapping[str, str], *, most: int, viewer: Viewer, end: Mapping[str, str] | None = None) -> Iterator[Piece]:
    """What came after there (up to ``end``), in pieces of ``most`` events or some more: each ends with a segment of the spool, so that one question finds them all.
    At least one piece, of no events where none came. Those that begin at different places and are given the same end stand together afterwards."""
    viewer.must("lake.event.view")
    where, params, floor = beyond(reached)
    upto, last = _up_to(end) if end else ("TRUE", [])
    whole, until, before = settled()
    query = scope.query(sealed=True)
    there = query.store.snapshot(EVENT_TABLES)
    sql = f"SELECT split_part(event_id, '-', 1) AS sequence, split_part(event_id, '-', 2) AS writer, max(event_id) AS last, count(*) AS n FROM stored WHERE {where} AND {upto} AND {whole} GROUP BY ALL ORDER BY sequence, writer LIMIT {SEGMENTS}"  # noqa: S608  (numbers of ours)
    rows = query.rows(sql, [*params, *last, *until], bounds=_unread(reached, EVENT_TABLES, floor))
    if len(rows) < SEGMENTS and end is None:
        unsettled = {path for path, _inside in there.pruned(later=before)}
        _read.note({**reached, **{row["writer"]: row["last"] for row in rows}}, floor, (path for path, _inside in there.pruned(later=floor) if path not in unsettled))
    to, number = dict(reached), 0
    for at, row in enumerate(rows, 1):
        to[row["writer"]] = row["last"]
        number += row["n"]
        if number >= most and at < len(rows):
            yield Piece(dict(to), number, more=True)
            number = 0
    if len(rows) < SEGMENTS:
        to |= {writer: max(event, to.get(writer, "")) for writer, event in (end or {}).items()}
    yield Piece(to, number, more=len(rows) == SEGMENTS)


class _Read:
    """Files of which a reader that came so far has seen everything above a floor. Files never change, so that it need not open them again; only this process knows, and of the last ``READERS`` only."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[Path, str, tuple[tuple[str, str], ...]], frozenset[str]] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, to: Mapping[str, str], floor: str, files: Iterable[str]) -> None:
        with self._lock:
            self._known[places.root(), floor, tuple(sorted(to.items()))] = frozenset(files)
            while len(self._known) > READERS:
                self._known.popitem(last=False)

    def files(self, reached: Mapping[str, str], floor: str) -> frozenset[str]:
        with self._lock:
            return frozenset().union(*(files for (root, lowest, to), files in self._known.items() if root == places.root() and lowest <= floor and all(reached.get(writer, "") >= last for writer, last in to)))


_read = _Read()


def _unread(reached: Mapping[str, str], tables: tuple[str, ...], floor: str, upto: str | None = None) -> Bounds:
    return Bounds(tables, later=floor, upto=upto, without=_read.files(reached, floor))


def between(columns: str, reached: Mapping[str, str], to: Mapping[str, str], *, viewer: Viewer, tables: tuple[str, ...] = EVENT_TABLES, where: str = "TRUE", params: Sequence[Any] = ()) -> pa.Table:
    """The events of one piece: ``columns`` of the rows that ``viewer`` may see and for which ``where`` holds (both SQL of ours)."""
    viewer.must("lake.event.view")
    after, first, floor = beyond(reached)
    upto, last = _up_to(to)
    sql = f"SELECT {columns} FROM stored WHERE {scope.rows(viewer)} AND {after} AND {upto} AND ({where})"  # noqa: S608  (columns of ours)
    return scope.query(sealed=True).arrow(sql, [*first, *last, *params], bounds=_unread(reached, tables, floor, max(to.values())))


class Arrivals:
    """The events of one piece as ``tallies`` see them: read once, when the first of them is counted."""

    def __init__(self, tallies: Sequence[Tally], reached: Mapping[str, str], to: Mapping[str, str], *, viewer: Viewer):
        viewer.must("lake.event.view")
        self._tallies, self._reached, self._to, self._viewer = tuple(tallies), reached, to, viewer
        self._rows: pa.Table | None = None

    def count(self, tally: Tally) -> pa.Table:
        """Its events as counts: ``place``, ``group``, ``entity``, ``value`` (text), ``first`` (milliseconds), ``n``, ``level`` (the highest)."""
        if self._rows is None:
            self._rows = self._read()
        return scope.query(sealed=True).arrow(_counting(tally, f"given WHERE {_where(tally)}"), _values(tally), bounds=Bounds((), pieces=()), given=self._rows)

    def _read(self) -> pa.Table:
        names = dict.fromkeys(["territory", "source", "level", "time", *(name for tally in self._tallies for name in tally.columns)])
        tables = tuple(dict.fromkeys(table for tally in self._tallies for table in tally.tables))
        any_of = " OR ".join(f"({' AND '.join(_among(tally)) or 'TRUE'})" for tally in self._tallies)
        values = [one for tally in self._tallies for one in _values(tally)]
        return between(", ".join(f'"{name}"' for name in names), self._reached, self._to, viewer=self._viewer, tables=tables, where=any_of, params=values)


def stored_before(tally: Tally, to: Mapping[str, str], *, since: datetime, until: datetime, viewer: Viewer) -> pa.Table:
    """All events during ``[since, until)`` that came up to there, as the same counts."""
    viewer.must("lake.event.view")
    upto, params = _up_to(to)
    known = ", ".join("?" for _ in to)
    when = f"({upto} OR (split_part(event_id, '-', 2) NOT IN ({known}) AND event_id <= ?))"
    sql = _counting(tally, f"stored WHERE {scope.rows(viewer)} AND {when} AND {_where(tally)}")
    return scope.query(sealed=True).arrow(sql, [*params, *to, floor_of(list(to.values())), *_values(tally)], bounds=Bounds(tally.tables, since, until))


def behind(tally: Tally, texts: Mapping[str, Sequence[str]], *, territory: str, sample: bool, since: datetime, until: datetime, most: int, viewer: Viewer, newest: bool = False) -> list[dict[str, Any]]:
    """The events that were counted for one entity (and value): ``texts`` by ``group``, ``entity`` and ``value``; the earliest first."""
    viewer.must("lake.event.view")
    pairs = [(f"{_said(columns)} = ?", text) for name, columns in (("group", tally.group), ("entity", tally.entity), ("value", tally.value)) if columns for text in texts.get(name, ())]
    where = " AND ".join([_where(tally), "coalesce(territory, '') = ?", f"{'' if sample else 'NOT '}starts_with(source, '{SAMPLE}')", *(condition for condition, _text in pairs)])
    names = ", ".join(f'"{name}"' for name in SHOWN)
    sql = f"SELECT {names} FROM stored WHERE {scope.rows(viewer)} AND {where} ORDER BY time {'DESC' if newest else ''}, event_id LIMIT {int(most)}"  # noqa: S608  (columns of ours)
    return scope.query().rows(sql, [*_values(tally), territory, *(text for _condition, text in pairs)], bounds=Bounds(tally.tables, since, until))


def tallied(tally: Tally, columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    """The same of events that are not stored, given as the columns that would be; one row each."""
    rows = []
    for at, moment in enumerate(columns["time"]):
        said = {name: _text(columns, name, at) for name in (*tally.group, *tally.entity, *tally.value)}
        if all(_value_at(columns, name, at) in values for name, values in tally.where) and all(text not in ("", "-") for text in said.values()):
            parts = (" · ".join(said[name].lower() for name in names) for names in (tally.group, tally.entity, tally.value))
            rows.append((str(_value_at(columns, "territory", at) or ""), *parts, int(moment.timestamp() * 1000), 1, int(_value_at(columns, "level", at) or DataLevel.L4)))
    names = ("place", "group", "entity", "value", "first", "n", "level")
    return pa.table({name: pa.array([row[number] for row in rows], pa.int64() if number > 3 else pa.string()) for number, name in enumerate(names)})


def _value_at(columns: Mapping[str, Sequence[Any]], name: str, at: int) -> Any:
    column = columns.get(name)
    return column[at] if column is not None else None


def _text(columns: Mapping[str, Sequence[Any]], name: str, at: int) -> str:
    value = _value_at(columns, name, at)
    return "" if value is None else str(value)


def _up_to(to: Mapping[str, str]) -> tuple[str, list[str]]:
    return "(" + " OR ".join("(split_part(event_id, '-', 2) = ? AND event_id <= ?)" for _writer in to) + ")", [part for pair in to.items() for part in pair]


def _counting(tally: Tally, rows: str) -> str:
    """SQL that counts ``rows``: a relation with its condition."""
    group, entity, value = (_said(columns) for columns in (tally.group, tally.entity, tally.value))
    place = f"coalesce(territory, '') || CASE WHEN starts_with(source, '{SAMPLE}') THEN '~' ELSE '' END"
    open_ = " AND ".join(f"NOT regexp_matches({said}, '{STEADILY}')" for said in (entity, value, group) if said != "''") or "TRUE"
    inner = f"SELECT {place} AS place, {group} AS \"group\", {entity} AS entity, {value} AS value, epoch_ms(time) AS first, coalesce(level, {int(DataLevel.L4)}) AS level FROM {rows} AND {open_}"  # noqa: S608
    return f"SELECT place, \"group\", entity, value, min(first)::BIGINT AS first, count(*)::BIGINT AS n, max(level)::BIGINT AS level FROM ({inner}) GROUP BY place, \"group\", entity, value, first // {int(tally.span)}"  # noqa: S608


def _said(columns: Sequence[str]) -> str:
    """Columns as one text, in small letters."""
    return " || ' · ' || ".join(f'lower(CAST("{name}" AS VARCHAR))' for name in columns) or "''"


def _among(tally: Tally) -> list[str]:
    return [f'"{name}" IN ({", ".join("?" for _ in values)})' for name, values in tally.where]


def _where(tally: Tally) -> str:
    filled = [f"coalesce(CAST(\"{name}\" AS VARCHAR), '') NOT IN ('', '-')" for name in (*tally.group, *tally.entity, *tally.value)]
    return " AND ".join([*_among(tally), *filled]) or "TRUE"


def _values(tally: Tally) -> list[Any]:
    return [one for _name, values in tally.where for one in values]
