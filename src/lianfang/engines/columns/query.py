"""Questions to the event tables: SQL over the files that the question can touch.

In: SQL that reads views, and the bounds that prune files. Out: rows. DuckDB reads the Parquet files named by the table's
log; it never writes, and any number of processes ask at once. A file that compaction took away between naming and
opening it is no error: the log is read again.
"""

from __future__ import annotations

import hashlib
import inspect
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from lianfang.engines.columns import guard, measures, rollups, sieves
from lianfang.engines.columns.measures import QUALITY, ROWS, Check
from lianfang.engines.columns.rollups import Rollup
from lianfang.engines.columns.shape import EVENTS
from lianfang.engines.columns.sieves import Holds
from lianfang.engines.columns.store import EventStore, Snapshot
from lianfang.kernel import lazy
from lianfang.kernel.errors import Conflict, Invalid, Refused

if TYPE_CHECKING:
    import duckdb
else:
    duckdb = lazy.Library("duckdb")

ATTEMPTS = 4
MOST_RANGES = 64
KNOWN_FILES = 100_000
MEASURED = 16
"""Data files that one measuring question reads."""
LOCKS: dict[str, Any] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A file, or some of its ``rows`` (from, until). ``inside``: all its events lie in the time that is asked for."""

    path: str
    inside: bool = True
    rows: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """What rows ``stored`` has: of these tables and moments ``[since, until)``. What prunes files beside: one event, one source, ``later``: only
    events after this one in the order of their identifiers, ``upto``: only those up to this one; ``holds``: texts that the rows hold; ``without``: files in which nothing of it is, as the asker knows. ``as_of``: the tables as they were then. ``pieces``: these files instead, of a snapshot that was taken before or of a copy; columns that they lack read as null."""

    tables: tuple[str, ...]
    since: datetime | None = None
    until: datetime | None = None
    event_id: str | None = None
    source: str | None = None
    as_of: datetime | None = None
    holds: Holds = ()
    pieces: tuple[Piece, ...] | None = None
    later: str | None = None
    upto: str | None = None
    without: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Function:
    """A function of ours that a view uses: Arrow columns of the SQL types ``takes`` → one of the type ``gives``."""

    work: Callable[..., pa.Array]
    takes: tuple[str, ...] = ("VARCHAR",)
    gives: str = "VARCHAR"


@dataclass(frozen=True, slots=True)
class Opener:
    """Columns that may lie sealed, how a sealed text begins, and the texts again: ``work(column, texts)``."""

    columns: frozenset[str]
    begins: str
    work: Callable[[str, Sequence[str | None]], Sequence[str | None]]

    def functions(self) -> dict[str, Function]:
        """One for each column, by its kind."""
        return {f"unsealed_{name}": Function(partial(self._lists, name), ("VARCHAR[]",), "VARCHAR[]") if pa.types.is_list(EVENTS.field(name).type) else Function(partial(self._texts, name)) for name in self.columns}

    def shown(self, name: str) -> str:
        """The column as SQL reads it."""
        if name not in self.columns:
            return f'"{name}"'
        first = f'"{name}"[1]' if pa.types.is_list(EVENTS.field(name).type) else f'"{name}"'
        return f"CASE WHEN starts_with({first}, '{self.begins}') THEN unsealed_{name}(\"{name}\") ELSE \"{name}\" END AS \"{name}\""

    def _texts(self, name: str, column: pa.Array) -> pa.Array:
        return pa.array(self.work(name, column.to_pylist()), pa.string())

    def _lists(self, name: str, column: pa.Array) -> pa.Array:
        return pa.array([None if texts is None else self.work(name, texts) for texts in column.to_pylist()], pa.list_(pa.string()))


class Query:
    """Asks one ``EventStore``. ``memory`` and ``threads`` bound each process, whatever is asked; ``opener`` shows what lies sealed."""

    def __init__(self, store: EventStore, *, schema: pa.Schema = EVENTS, memory: str = "384MB", threads: int = 2, opener: Opener | None = None):
        self.store, self.schema, self.opener = store, schema, opener
        self._limits: dict[str, Any] = {"memory_limit": memory, "threads": threads, **LOCKS}
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._names = frozenset(schema.names) - {"event_day"}
        self._whole: dict[str, bool] = {}

    def rows(self, sql: str, params: Sequence[Any] = (), *, bounds: Bounds, views: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """Rows as dictionaries. ``sql`` reads ``stored`` (all columns of the tables in bounds) or the given ``views`` over it."""
        return self.arrow(sql, params, bounds=bounds, views=views).to_pylist()  # type: ignore[no-any-return]

    def arrow(self, sql: str, params: Sequence[Any] = (), *, bounds: Bounds, views: Mapping[str, str] | None = None, given: pa.Table | None = None) -> pa.Table:
        """The same as an Arrow table. Our own SQL only: values go in ``params``, never in the text; many go in the relation ``given``."""
        for attempt in range(ATTEMPTS):
            parts = {"stored": self._stored(self._pieces(bounds), bounds), **(views or {})}
            head = ", ".join(f"{name} AS NOT MATERIALIZED ({body})" for name, body in parts.items())
            try:
                own = self._own()
                if given is not None:
                    own.register("given", given)
                return own.sql(f"WITH {head} {sql}", params=list(params)).to_arrow_table()
            except duckdb.IOException as error:
                self._again(attempt, error)
            except duckdb.OutOfMemoryException as error:
                raise _too_much(error) from error
        raise AssertionError("unreachable")

    def counted(self, rollup: Rollup, sql: str, params: Sequence[Any] = (), *, bounds: Bounds) -> list[dict[str, Any]]:
        """What ``sql`` says over ``stored`` with the columns ``time`` (begin of a stretch, or the moment), the roll-up's keys and ``n``.

        The sum of ``n`` is what a scan would count, whatever was rolled up so far. ``bounds`` must have a beginning and an end.
        """
        for attempt in range(ATTEMPTS):
            stored, given = self._added_up(rollup, bounds)
            try:
                own = self._own()
                own.register("given", given)
                return own.sql(f"WITH stored AS NOT MATERIALIZED ({stored}) {sql}", params=list(params)).to_arrow_table().to_pylist()  # type: ignore[no-any-return]
            except duckdb.IOException as error:
                self._again(attempt, error)
            except duckdb.OutOfMemoryException as error:
                raise _too_much(error) from error
        raise AssertionError("unreachable")

    def roll_up(self, rollup: Rollup, name: str) -> int:
        """Count the files of a table that were not counted yet, and leave out those that are gone; returns how many were new. Only the writer calls this."""
        root, now = self.store.root, self.store.snapshot([name]).files()
        before = rollups.newest(root, name, rollup)
        done = rollups.counted(before) if before else frozenset()
        fresh = [path for path in now if rollups.name_of(path) not in done]
        if not fresh and len(done) == len(now):
            return 0
        path = rollups.next_path(root, name, rollup)
        path.parent.mkdir(parents=True, exist_ok=True)
        with rollups.writing(path, files=[rollups.name_of(each) for each in now]) as write:
            for rows in self._counts(rollup, before, now, fresh):
                write(rows)
        rollups.sweep(path)
        return len(fresh)

    def measure(self, name: str, checks: Sequence[Check], *, progress: Callable[[float], object] = lambda _share: None) -> int:
        """Count what checks say of the files of a table, each file and check once; returns how many files were read. One process at a time calls this."""
        root, now = self.store.root, {rollups.name_of(path): path for path in self.store.snapshot([name]).files()}
        before = rollups.newest(root, name, QUALITY)
        had = measures.done(before) if before else {}
        wanted = frozenset(check.key for check in checks)
        fresh = measures.missing(checks, now, had)
        if not fresh and set(had) == set(now) and all(keys == wanted for keys in had.values()):
            return 0
        path = rollups.next_path(root, name, QUALITY)
        path.parent.mkdir(parents=True, exist_ok=True)
        with rollups.writing(path, done=measures.footer(dict.fromkeys(now, wanted))) as write:
            for rows in self._measures(before, now, wanted, fresh, progress):
                write(rows)
        rollups.sweep(path)
        return len({file for files in fresh.values() for file in files})

    def measured(self, sql: str, params: Sequence[Any] = (), *, tables: Sequence[str]) -> list[dict[str, Any]]:
        """What ``sql`` says over ``stored`` as it was measured last: the columns ``table``, ``time`` (begin of the hour), ``source``, ``territory``, ``industry``, ``level``, ``check``, ``n`` (rows asked), ``failed``."""
        for attempt in range(ATTEMPTS):
            paths = {name: path for name in tables if (path := rollups.newest(self.store.root, name, QUALITY))}
            if not paths:
                return []
            parts = " UNION ALL BY NAME ".join(f"SELECT {_quoted(name)} AS \"table\", * EXCLUDE (file) FROM read_parquet({_quoted(str(path))})" for name, path in paths.items())  # noqa: S608
            try:
                return self._own().sql(f"WITH stored AS NOT MATERIALIZED ({parts}) {sql}", params=list(params)).to_arrow_table().to_pylist()  # type: ignore[no-any-return]
            except duckdb.IOException as error:
                self._again(attempt, error)
        raise AssertionError("unreachable")

    def sift(self, name: str) -> int:
        """Give large files their sieves and take those of files that are gone; returns how many were made. Only the writer calls this."""
        now = self.store.snapshot([name]).files()
        sieves.sweep(self.store.root, name, now)
        made = 0
        for path in now:
            if not sieves.place(self.store.root, path).exists():
                self.store.bring([path])
                made += sieves.make(self.store.root, path)
        return made

    def _counts(self, rollup: Rollup, before: Path | None, now: list[str], fresh: list[str]) -> Iterator[pa.RecordBatch]:
        """What was counted of files that are still there, then what fresh files hold, one after another: memory is bounded by one file."""
        own, width = self._own(), rollup.seconds * 1_000_000
        if before:
            own.register("given", pa.table({"value": pa.array([rollups.name_of(each) for each in now], pa.string())}))
            yield from _batches(own.sql(f"SELECT * FROM read_parquet({_quoted(str(before))}) WHERE file IN (SELECT value FROM given)"))  # noqa: S608
        inner = rollup.select(count="1", moment=f"make_timestamptz(epoch_us(time) // {width} * {width})")
        for path in fresh:
            sql = f"SELECT ? AS file, * EXCLUDE (n), count(*) AS n FROM (SELECT {inner} FROM ({self._relation([path])})) GROUP BY ALL ORDER BY time"  # noqa: S608  (columns of ours)
            yield from _batches(own.sql(sql, params=[rollups.name_of(path)]))

    def _measures(self, before: Path | None, now: Mapping[str, str], wanted: frozenset[str], fresh: Mapping[tuple[Check, ...], list[str]], progress: Callable[[float], object]) -> Iterator[pa.RecordBatch]:
        """What is still true of the last measure, then one question for every few fresh files."""
        own, width = self._own(), QUALITY.seconds * 1_000_000
        if before:
            own.register("given", pa.table({"value": pa.array(list(now), pa.string())}))
            own.register("asked", pa.table({"value": pa.array([ROWS, *wanted], pa.string())}))
            yield from _batches(own.sql(f"SELECT * FROM read_parquet({_quoted(str(before))}) WHERE file IN (SELECT value FROM given) AND \"check\" IN (SELECT value FROM asked)"))  # noqa: S608
        known = measures.done(before) if before else {}
        parts = [(checks, files[at : at + MEASURED]) for checks, files in fresh.items() for at in range(0, len(files), MEASURED)]
        for number, (checks, files) in enumerate(parts):
            progress(number / len(parts))
            counted = measures.counting(checks, moment=f"make_timestamptz(epoch_us(time) // {width} * {width})", relation=self._relation([now[file] for file in files], named=True))
            again = [file for file in files if file in known]
            if again:
                own.register("again", pa.table({"value": pa.array(again, pa.string())}))
                counted = f"SELECT * FROM ({counted}) WHERE \"check\" <> '' OR file NOT IN (SELECT value FROM again)"  # noqa: S608  (columns of ours)
            yield from _batches(own.sql(counted))

    def guarded(self, text: str, *, bounds: Bounds, views: Mapping[str, str], functions: Mapping[str, Function] | None = None, limit: int = 1000, seconds: float = 20.0) -> pa.Table:
        """What a person's SQL answers, at most ``limit`` rows plus one. It sees ``views`` (bodies over ``stored``, with ``functions``) and nothing else."""
        for attempt in range(ATTEMPTS):
            with self._cell(self._pieces(bounds), bounds, views, functions) as cell:
                text = guard.check(cell, text, views=views)
                try:
                    return self._timed(cell, text, limit, seconds)
                except duckdb.IOException as error:
                    self._again(attempt, error)
        raise AssertionError("unreachable")

    # ---- inside ------------------------------------------------------------------------------------------------

    def _pieces(self, bounds: Bounds) -> list[Piece]:
        """The files that the question can touch, or those of their rows."""
        if bounds.pieces is not None:
            return list(bounds.pieces)
        found = self.store.snapshot(bounds.tables, as_of=bounds.as_of).pruned(since=bounds.since, until=bounds.until, event_id=bounds.event_id, source=bounds.source, later=bounds.later, upto=bounds.upto)
        found = [one for one in found if one[0] not in bounds.without] if bounds.without else found
        if not bounds.holds:
            return [Piece(path, inside) for path, inside in found]
        sifted = [(path, inside, sieves.ranges(self.store.root, path, bounds.holds)) for path, inside in found]
        if sum(len(ranges or ()) for _, _, ranges in sifted) > MOST_RANGES:  # each is a scan of its own to be planned
            return [Piece(path, inside) for path, inside, ranges in sifted if ranges is None or ranges]
        return [Piece(path, inside, rows) for path, inside, ranges in sifted for rows in ((None,) if ranges is None else ranges)]

    def _added_up(self, rollup: Rollup, bounds: Bounds) -> tuple[str, pa.Table]:
        """Whole stretches from the roll-ups, the edges and what is not counted yet from the events; and the files whose counts are valid."""
        if bounds.since is None or bounds.until is None:
            raise Invalid("A sum needs a beginning and an end")
        low, high = rollup.inside(bounds.since, bounds.until)
        paths, valid, scans = [], list[str](), list[tuple[list[str], str]]()
        for part in self.store.snapshot(bounds.tables).parts:
            one = Snapshot((part,))
            path = rollups.newest(self.store.root, part[0].name, rollup) if low < high else None
            done = rollups.counted(path) if path else frozenset()
            found = one.files(since=bounds.since, until=bounds.until)
            known = {each for each in found if rollups.name_of(each) in done}
            if path and known:
                paths.append(str(path))
                valid += [rollups.name_of(each) for each in known]
                scans += [([each for each in one.files(since=since, until=until) if each in known], _within(since, until)) for since, until in ((bounds.since, low), (high, bounds.until)) if since < until]
            scans.append(([each for each in found if each not in known], _within(bounds.since, bounds.until)))
        parts = [f"SELECT {rollup.select(count='1', moment='time')} FROM ({self._relation(files)}) WHERE {when}" for files, when in scans if files]  # noqa: S608
        if paths:
            names = ", ".join(_quoted(path) for path in paths)
            keys = ", ".join(self._column(key) for key in rollup.keys)
            parts.append(f"SELECT time, {keys}, n FROM read_parquet([{names}]) WHERE {_within(low, high)} AND file IN (SELECT value FROM given)")  # noqa: S608
        nothing = f"SELECT {rollup.select(count='1', moment='time')} FROM ({self._relation([])})"  # noqa: S608
        return " UNION ALL BY NAME ".join(parts or [nothing]), pa.table({"value": pa.array(valid, pa.string())})

    def _shape_file(self) -> Path:
        """An empty file with all columns: columns that old files lack read as null, and no files at all read as no rows."""
        shape = hashlib.sha256(str(self.schema).encode()).hexdigest()[:16]
        path = self.store.root / f"shape-{shape}.parquet"
        if not path.exists():
            self.store.root.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(f".{uuid.uuid4().hex}")
            pq.write_table(self.schema.empty_table(), draft)
            draft.replace(path)
        return path

    def _stored(self, pieces: Iterable[Piece], bounds: Bounds) -> str:
        """The relation over ``pieces``: only where a file reaches beyond the time that is asked for is the time of its rows read."""
        when = _within(bounds.since, bounds.until)
        inside, edge, parts = list[str](), list[str](), list[str]()
        for piece in pieces:
            if piece.rows is not None:
                rows = "file_row_number >= {} AND file_row_number < {}".format(*piece.rows)
                parts.append(self._relation([piece.path], where=rows if piece.inside else f"{rows} AND {when}"))
            else:
                (inside if piece.inside else edge).append(piece.path)
        if edge:
            parts.append(self._relation(edge, where=when))
        if inside or not parts:
            parts.append(self._relation(inside))
        return " UNION ALL ".join(parts)

    def _relation(self, files: Iterable[str], *, where: str = "TRUE", named: bool = False) -> str:
        """The relation over ``files``, all columns of the shape; the day is computed, as the partition column lies in the path only.

        To lay columns out by name costs as much as to find a row, so that is done only for files that lack some. The empty file
        comes last: DuckDB judges by the first how many rows there are, and builds its hash tables of the side that is smaller.
        ``named``: with a column ``data_file``, the name of the file.
        """
        files, whole, narrow = list(files), list[str](), list[str]()
        self.store.bring(files)
        for path in files:
            (whole if self._is_whole(path) else narrow).append(path)
        columns = ", ".join("strftime(time, '%Y-%m-%d') AS event_day" if field.name == "event_day" else self._column(field.name) for field in self.schema)
        scans = [(whole, "")] if whole else []
        scans += [([*narrow, str(self._shape_file())], ", union_by_name=true")] if narrow or not whole else []
        number = ", file_row_number=true" if "file_row_number" in where else ""
        if named:
            columns, number = f"{columns}, parse_filename(filename) AS data_file", f"{number}, filename=true"
        return " UNION ALL ".join(f"SELECT {columns} FROM read_parquet([{', '.join(map(_quoted, paths))}]{how}{number}, hive_partitioning=false) WHERE {where}" for paths, how in scans)  # noqa: S608  (paths are quoted)

    def _column(self, name: str) -> str:
        return self.opener.shown(name) if self.opener else f'"{name}"'

    def _is_whole(self, path: str) -> bool:
        """Whether a file has all columns; a file never changes, so its footer is read once."""
        known = self._whole.get(path)
        if known is None:
            try:
                known = self._names.issubset(pq.read_schema(path).names)
            except FileNotFoundError:  # just joined with others: the question will be asked again
                return False
            if len(self._whole) >= KNOWN_FILES:
                self._whole.clear()
            self._whole[path] = known
        return known

    def _own(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            if self._connection is None:
                self._connection = self._connect(parquet_metadata_cache=True)
            return self._connection.cursor()

    def _connect(self, **more: Any) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(":memory:", config={**self._limits, "temp_directory": ""})
        connection.execute("SET GLOBAL TimeZone='UTC'")
        for name, value in more.items():
            connection.execute(f"SET {name}={value}")
        _teach(connection, self.opener.functions() if self.opener else {})
        return connection

    @contextmanager
    def _cell(self, pieces: list[Piece], bounds: Bounds, views: Mapping[str, str], functions: Mapping[str, Function] | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of its own that can open exactly the files of ``pieces``, cannot be reconfigured, and is thrown away."""
        connection, files = self._connect(), [str(self._shape_file()), *(piece.path for piece in pieces)]
        try:
            _teach(connection, functions or {})
            for name, body in views.items():
                connection.execute(f'CREATE VIEW "{name}" AS WITH stored AS NOT MATERIALIZED ({self._stored(pieces, bounds)}) {body}')
            connection.execute(f"SET allowed_paths=[{', '.join(_quoted(path) for path in files)}]")
            connection.execute("SET enable_external_access=false")
            connection.execute("SET lock_configuration=true")
            yield connection
        finally:
            connection.close()

    def _timed(self, cell: duckdb.DuckDBPyConnection, text: str, limit: int, seconds: float) -> pa.Table:
        alarm = threading.Timer(seconds, cell.interrupt)
        alarm.start()
        try:
            return cell.sql(text).limit(limit + 1).to_arrow_table()
        except duckdb.InterruptException as error:
            raise Conflict(f"The query took longer than {seconds:.0f} s and was stopped", why="It reads too much.", todo="Narrow the time or add conditions.") from error
        except duckdb.OutOfMemoryException as error:
            raise _too_much(error) from error
        except duckdb.PermissionException as error:
            raise Refused("The query may not do this", why=str(error).splitlines()[0], todo="Read the tables of the catalogue.") from error
        except duckdb.IOException:
            raise
        except duckdb.Error as error:
            raise Invalid("The query cannot be answered", why=str(error).splitlines()[0], todo="Mend it and ask again.") from error
        finally:
            alarm.cancel()

    def _again(self, attempt: int, error: Exception) -> None:
        if attempt == ATTEMPTS - 1:
            raise Conflict("The tables changed too fast to be read", why=str(error).splitlines()[0], todo="Ask again.", retry=True) from error
        self.store.refresh()


def _teach(connection: duckdb.DuckDBPyConnection, functions: Mapping[str, Function]) -> None:
    for name, function in functions.items():
        connection.create_function(name, _counted(function), list(function.takes), function.gives, type="arrow", null_handling="special")  # type: ignore[call-overload]


def _counted(function: Function) -> Callable[..., pa.Array]:
    """The work with as many named parameters as it takes: DuckDB counts them."""

    def work(*columns: pa.Array) -> pa.Array:
        return function.work(*columns)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    work.__signature__ = inspect.Signature([inspect.Parameter(f"column_{number}", kind) for number in range(len(function.takes))])  # type: ignore[attr-defined]
    return work


def _batches(found: duckdb.DuckDBPyRelation) -> Iterator[pa.RecordBatch]:
    """Rows as batches, at least an empty one, which says what columns there are."""
    reader = found.to_arrow_reader()
    yield pa.RecordBatch.from_pylist([], schema=reader.schema)
    yield from reader


def _within(since: datetime | None, until: datetime | None) -> str:
    return " AND ".join(f"time {sign} TIMESTAMPTZ '{moment.astimezone(UTC).isoformat()}'" for sign, moment in ((">=", since), ("<", until)) if moment) or "TRUE"


def _quoted(path: str) -> str:
    return "'" + path.replace("'", "''") + "'"


def _too_much(error: Exception) -> Conflict:
    return Conflict("The question needs more memory than one question may take", why=str(error).splitlines()[0], todo="Narrow the time or add conditions.")
