"""The event store: one Delta table per class family, partitioned by day, appended to by one process or several, read by many.

In: Arrow tables and the positions of their origin (``transactions``). Out: lists of files that a question can touch.
A commit either happens wholly or not at all; ``committed`` tells how far an origin has come, so that a replay after a
crash knows what is already there.
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from lianfang.engines.columns import apart, joining
from lianfang.engines.columns.bucket import Bucket, Copies
from lianfang.kernel.errors import Invalid, Missing

SMALL = 512 << 10
LARGE = 32 << 20
"""What is joined while logs come in, and once an hour. An event takes about 80 bytes in a file and 4 kB in memory."""
SETTINGS: dict[str, str | None] = {
    "delta.dataSkippingStatsColumns": "event_id,time,received,source,territory,industry",
    "delta.checkpointInterval": "50",
    "delta.logRetentionDuration": "interval 2 hours",  # these two follow the store's history
    "delta.deletedFileRetentionDuration": "interval 1 hours",
    "delta.setTransactionRetentionDuration": "interval 3650 days",
}
"""Statistics only for what prunes (the log stays small); positions of origins are kept for ever."""
COPIES = 8 << 30
TRIES = 3
AT_ONCE = 8192
"""Rows of a day that are changed at a time."""
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
SECOND = 1.0
LOOK = 60.0
"""Seconds after which the log is read anew, whatever there is to see: entries are cleaned away after two hours at the earliest."""


@dataclass(frozen=True, slots=True)
class Stats:
    """A table in figures. ``first`` and ``last`` are moments of events, ``None`` when the table is empty."""

    name: str
    rows: int
    bytes: int
    files: int
    days: int
    version: int
    first: datetime | None
    last: datetime | None


class EventStore:
    """All event tables below one folder, each with its versions of the last ``history`` hours.

    With a ``bucket`` the tables lie there, and the folder holds copies of their files (``copies`` bytes) and what is derived from
    them. Safe for threads. Processes may append side by side, each with origins of its own; one at a time may join, vacuum and change.
    """

    def __init__(self, root: Path, *, history: int = 1, bucket: Bucket | None = None, copies: int = COPIES):
        self.root, self.history, self.bucket = Path(root).absolute(), history, bucket
        self._limit = copies
        self._copies = Copies(bucket, self.root, limit=copies) if bucket else None
        self._open: dict[str, _Open] = {}
        self._lock = threading.Lock()
        self._writing = threading.RLock()

    # ---- writing -----------------------------------------------------------------------------------------------

    def append(self, name: str, events: pa.Table, *, transactions: Mapping[str, int]) -> int:
        """Add rows in one commit that also notes how far each origin has come; returns the table's new version."""
        with self._writing, self._turn(fcntl.LOCK_SH):
            opened = self._table(name, events.schema)
            note = CommitProperties(max_commit_retries=joining.OFFERS, app_transactions=[Transaction(origin, position) for origin, position in transactions.items()])
            merge = "merge" if opened.differs(events.schema) else None
            write_deltalake(opened.delta, events, mode="append", schema_mode=merge, commit_properties=note, writer_properties=joining.properties(events.schema.names, rows=events.num_rows, group=joining.ROW_GROUP))
            if merge:
                opened.learn()
            return int(opened.delta.version())

    def committed(self, name: str, origin: str) -> int:
        """The last position of ``origin`` that this table holds; -1 when none."""
        opened = self._existing(name)
        if opened is None:
            return -1
        opened.refresh()
        position = opened.delta.transaction_version(origin)
        return -1 if position is None else int(position)

    def compact(self, name: str, *, target: int = SMALL) -> int:
        """Join files smaller than ``target`` bytes, day by day; returns how many files were replaced. Appends may go on meanwhile."""
        opened = self._existing(name)
        if opened is None:
            return 0
        question = {"address": self.address(name), "options": self._options, "target": target, "group": joining.ROW_GROUP}
        removed = apart.ask(joining.__name__, question, failed=f"The files of {name} were not joined", todo="They are joined with the next ones.")
        opened.refresh()
        return int(removed)

    def count_up(self, names: Sequence[str]) -> int:
        """Count the files of tables that were not counted yet, and give large ones their sieves; returns how many were counted. Only the writer calls this."""
        question = {"root": str(self.root), "bucket": asdict(self.bucket) if self.bucket else None, "copies": self._limit, "names": list(names)}
        return int(apart.ask("lianfang.engines.columns.counting", question, failed="Files were not counted", todo="They are counted with the next ones."))

    def vacuum(self, name: str, *, hours: int | None = None) -> int:
        """Remove files that no version of the last ``hours`` (the store's history) needs, also those that a crash left behind; readers finish in peace."""
        if self._existing(name) is None:
            return 0
        delta = self._delta(name)
        keep = {"delta.logRetentionDuration": f"interval {self.history + 1} hours", "delta.deletedFileRetentionDuration": f"interval {self.history} hours"}
        if any(delta.metadata().configuration.get(name) != value for name, value in keep.items()):
            delta.alter.set_table_properties(keep)
        removed = delta.vacuum(retention_hours=self.history if hours is None else hours, enforce_retention_duration=False, dry_run=False, full=True)
        delta.cleanup_metadata()
        return len(removed)

    def retain(self, name: str, *, since: date, where: str = "") -> int:
        """Drop days before ``since`` (of the rows that ``where`` names); returns how many rows went. An old log that arrived later stays as long as if it were new."""
        opened = self._existing(name)
        late = "" if opened is None or opened.lacks(pa.schema([("received", pa.string())])) else f" AND (received IS NULL OR received < arrow_cast('{since.isoformat()}T00:00:00Z', 'Timestamp(Microsecond, Some(\"UTC\"))'))"
        return self.erase(name, f"event_day < '{since.isoformat()}'{late}{where and f' AND ({where})'}")

    def carry(self, name: str, column: str, *, before: str, after: str, end: str) -> int:
        """Paths in ``column`` that begin with ``before`` (those in ``[before, end)``) begin with ``after`` from now on; returns how many rows."""
        if not (before.isdigit() and end.isdigit() and (after.isdigit() or not after)):
            raise Invalid(f"“{before[:40]}” is no path of digits", why="An empty path would mean every row.")
        return self._change(name, column, f"concat('{after}', substr({column}, {len(before) + 1}))", f"{column} >= '{before}' AND {column} < '{end}'")

    def fill(self, name: str, column: str, value: str, *, where: str) -> int:
        """Rows that ``where`` names and whose ``column`` is empty get ``value``; returns how many."""
        return self._change(name, column, equal("x", value).removeprefix("x = "), f"({where}) AND ({column} IS NULL OR {column} = '')")

    def rewrite(self, name: str, day: str, change: Callable[[pa.Table], pa.Table]) -> int:
        """Write one day (``2026-11-21``) of a table anew: the same rows in the same order, as ``change`` gives them back, some thousand at a time; returns how
        many. One commit, so that whatever ends it leaves the day as it was. Appends go on meanwhile and are not lost; when they keep coming first, they wait."""
        if not _DAY.fullmatch(day):
            raise Invalid(f"“{day[:20]}” is no day", todo="Write it like 2026-11-21.")
        for _try in range(TRIES):
            with suppress(CommitFailedError):
                return self._rewritten(name, day, change)
        with self._writing, self._turn(fcntl.LOCK_EX):
            return self._rewritten(name, day, change)

    def _rewritten(self, name: str, day: str, change: Callable[[pa.Table], pa.Table]) -> int:
        opened = self._existing(name)
        if opened is None:
            return 0
        delta, rows = self._delta(name), 0
        folder, schema = opened.folder, pa.schema(delta.schema().to_arrow())
        paths = [f"{folder}/{path}" for path, there in zip(*(pa.table(delta.get_add_actions(flatten=True))[column].to_pylist() for column in ("path", "partition.event_day"))) if there == day]
        self.bring(paths)

        def changed() -> Iterator[pa.RecordBatch]:
            nonlocal rows
            for path in paths:
                for batch in pq.ParquetFile(path).iter_batches(batch_size=AT_ONCE):
                    table = change(_shaped(pa.Table.from_batches([batch]), schema, day))
                    rows += table.num_rows
                    yield from table.cast(schema).to_batches()

        if paths:
            stream = pa.RecordBatchReader.from_batches(schema, changed())
            write_deltalake(delta, stream, mode="overwrite", predicate=equal("event_day", day), target_file_size=LARGE, writer_properties=joining.properties(schema.names, rows=joining.ROW_GROUP, group=joining.ROW_GROUP))
            opened.refresh()
        return rows

    def _change(self, name: str, column: str, expression: str, predicate: str) -> int:
        with self._writing, self._turn(fcntl.LOCK_EX):
            opened = self._existing(name)
            if opened is None or not column.isidentifier():
                return 0
            opened.refresh()
            done = opened.delta.update(updates={column: expression}, predicate=predicate)
            return int(done["num_updated_rows"])

    def erase(self, name: str, predicate: str) -> int:
        """Delete the rows that ``predicate`` (SQL; build values with ``equal``) names; returns how many. Rewrites files: rare."""
        with self._writing, self._turn(fcntl.LOCK_EX):
            opened = self._existing(name)
            if opened is None:
                return 0
            opened.refresh()
            done = opened.delta.delete(predicate)
            opened.refresh()
            return int(done.get("num_deleted_rows") or 0)

    # ---- reading -----------------------------------------------------------------------------------------------

    def tables(self) -> list[str]:
        """Names of the tables that exist, sorted."""
        if self.bucket:
            return [name for name in self.bucket.names() if self._existing(name)]
        return sorted(path.parent.name for path in self.root.glob("*/_delta_log"))

    def address(self, name: str = "") -> str:
        """Where a table (or all of them) lies, as other engines write it."""
        return "/".join(filter(None, (self.bucket.address if self.bucket else str(self.root), name)))

    def bring(self, paths: Iterable[str]) -> None:
        """See to it that files of a snapshot can be opened here: from a bucket they are copied, once."""
        if self._copies:
            self._copies.bring(paths)

    def files(self, names: Iterable[str], *, since: datetime | None = None, until: datetime | None = None, event_id: str | None = None, source: str | None = None) -> list[str]:
        """The files that may hold events of ``[since, until)``, of a source, or whose id begins with ``event_id``: pruned by day and statistics."""
        return self.snapshot(names).files(since=since, until=until, event_id=event_id, source=source)

    def snapshot(self, names: Iterable[str], *, as_of: datetime | None = None) -> Snapshot:
        """The tables as they are now (or were at ``as_of``), to be asked for files more than once. Raises ``Missing`` for a time that is no longer kept."""
        parts, versions = [], []
        for name in names:
            if opened := self._existing(name):
                opened.refresh(patient=True)
                version, listing = opened.now()
                parts.append((opened.folder, listing if as_of is None else Listing(self._past(name, as_of))))
                versions.append((name, version))
        return Snapshot(tuple(parts), tuple(versions) if as_of is None else ())

    def _past(self, name: str, as_of: datetime) -> pa.Table:
        """The files of a table's version at a moment; none when it did not exist yet."""
        try:
            past = self._delta(name)
            first = min(past.history(), key=lambda entry: entry["version"])
            if as_of.timestamp() * 1000 < first["timestamp"]:
                if first["version"]:
                    raise _forgotten(as_of)
                return pa.table(past.get_add_actions(flatten=True)).slice(0, 0)
            past.load_as_version(as_of.astimezone(UTC))
        except DeltaError as error:
            raise _forgotten(as_of) from error
        return pa.table(past.get_add_actions(flatten=True))

    def stats(self, name: str) -> Stats:
        """Figures from the log alone: no data file is opened."""
        opened = self._existing(name)
        if opened is None:
            return Stats(name, 0, 0, 0, 0, -1, None, None)
        opened.refresh()
        files = opened.files
        first, last = pc.min(files["min.time"]).as_py(), pc.max(files["max.time"]).as_py()
        rows, size = pc.sum(files["num_records"]).as_py() or 0, pc.sum(files["size_bytes"]).as_py() or 0
        return Stats(name, rows, size, files.num_rows, len(pc.unique(files["partition.event_day"])), opened.delta.version(), first, last)

    def small_files(self, name: str, *, target: int = SMALL) -> int:
        """How many files ``compact`` could join."""
        opened = self._existing(name)
        return 0 if opened is None else int(pc.sum(pc.less(opened.files["size_bytes"], target)).as_py() or 0)

    def refresh(self) -> None:
        """Forget what is known of the tables: after a file vanished under a reader."""
        with self._lock:
            self._open.clear()

    # ---- inside ------------------------------------------------------------------------------------------------

    @contextmanager
    def _turn(self, how: int) -> Iterator[None]:
        """Processes of this machine append side by side; who changes rows has the tables alone, as a change fails when rows come meanwhile."""
        self.root.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.root / "changing.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(fd, how)
            yield
        finally:
            os.close(fd)

    def _existing(self, name: str) -> _Open | None:
        with self._lock:
            if name not in self._open:
                if not name.isidentifier() or not DeltaTable.is_deltatable(self.address(name), self._options):
                    return None
                self._open[name] = _Open(self.root / name, self._delta(name), remote=self.bucket is not None)
            return self._open[name]

    def _delta(self, name: str) -> DeltaTable:
        return DeltaTable(self.address(name), storage_options=self._options)

    @property
    def _options(self) -> dict[str, str] | None:
        return self.bucket.options if self.bucket else None

    def _table(self, name: str, schema: pa.Schema) -> _Open:
        if not name.isidentifier():
            raise Invalid(f"“{name[:40]}” cannot name a table", todo="Use letters, digits and underscores.")
        opened = self._existing(name)
        if opened is None:
            (self.root / name).mkdir(parents=True, exist_ok=True)
            DeltaTable.create(self.address(name), schema, mode="ignore", partition_by=["event_day"], configuration=SETTINGS, storage_options=self._options)
            opened = self._existing(name)
        assert opened is not None  # noqa: S101  (made one line above)
        return opened


class _Open:
    """One table as this process last saw it: the Delta handle and, when asked for, the list of its files with their statistics."""

    def __init__(self, folder: Path, delta: DeltaTable, *, remote: bool):
        self.folder, self.delta, self.remote = folder, delta, remote
        self._lock = threading.Lock()
        self._seen: tuple[int, pa.Table, Listing] | None = None
        self._looked = monotonic()
        self.learn()

    def learn(self) -> None:
        """Read the names of the columns."""
        self._names = frozenset(field.name for field in self.delta.schema().fields)

    def refresh(self, *, patient: bool = False) -> None:
        """Read the commits made since. On this machine the name of the next one tells whether there is any, for as long as no log is
        cleaned; in a bucket to look costs as much as to read, so the ``patient`` are told what was true a second ago."""
        with self._lock:
            age = monotonic() - self._looked
            if age > LOOK or (age > SECOND or not patient if self.remote else self._next().exists()):
                self._looked = monotonic()
                self.delta.update_incremental()

    def _next(self) -> Path:
        return self.folder / "_delta_log" / f"{int(self.delta.version()) + 1:020d}.json"

    @property
    def files(self) -> pa.Table:
        """One row per data file: path, size, rows, least and greatest values."""
        return self._now()[1]

    def now(self) -> tuple[int, Listing]:
        """The version, and its files made to be pruned."""
        version, _files, listing = self._now()
        return version, listing

    def _now(self) -> tuple[int, pa.Table, Listing]:
        with self._lock:
            version = int(self.delta.version())
            if self._seen is None or self._seen[0] != version:
                files = pa.table(self.delta.get_add_actions(flatten=True))
                self._seen = version, files, Listing(files)
            return self._seen

    def differs(self, schema: pa.Schema) -> bool:
        """Whether the table or the rows lack a column of the other: the table learns it, the rows hold null."""
        return self._names != frozenset(schema.names)

    def lacks(self, schema: pa.Schema) -> bool:
        """Whether the table has yet to learn a column."""
        return not self._names.issuperset(schema.names)


class Listing:
    """The data files of a table, to be pruned by day and statistics; no statistics means: look inside.

    Moments are microseconds. The log knows them to the millisecond, rounded down, so a greatest one may be a millisecond later.
    """

    def __init__(self, files: pa.Table):
        self._files = files
        self.paths: list[str] = files["path"].to_pylist()
        self._days = np.array(files["partition.event_day"].to_pylist(), dtype=np.str_)
        self._first = _micros(files["min.time"], -(1 << 63))
        self._last = _micros(files["max.time"], (1 << 63) - 1_000) + 999

    def pruned(self, *, since: datetime | None = None, until: datetime | None = None, event_id: str | None = None, source: str | None = None, later: str | None = None, upto: str | None = None) -> list[tuple[str, bool]]:
        """Paths that the question cannot rule out, each with whether all its events lie in ``[since, until)``."""
        keep, inside = np.ones(len(self.paths), np.bool_), np.ones(len(self.paths), np.bool_)
        if since is not None:
            low = _moment(since)
            keep &= (self._days >= since.astimezone(UTC).date().isoformat()) & (self._last >= low)
            inside &= self._first >= low
        if until is not None:
            high = _moment(until)
            keep &= (self._days <= until.astimezone(UTC).date().isoformat()) & (self._first < high)
            inside &= self._last < high
        for column, least, greatest in (("event_id", event_id, f"{event_id}\x7f"), ("source", source, source)):
            if least is not None:
                found = pc.and_(_maybe(pc.less_equal(self._files[f"min.{column}"], greatest)), _maybe(pc.greater_equal(self._files[f"max.{column}"], least[: _CUT - 1])))
                keep &= found.to_numpy()
        if later is not None:
            keep &= _maybe(pc.greater_equal(self._files["max.event_id"], later[: _CUT - 1])).to_numpy()
        if upto is not None:
            keep &= _maybe(pc.less_equal(self._files["min.event_id"], upto)).to_numpy()
        return [(self.paths[number], bool(inside[number])) for number in np.flatnonzero(keep)]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Tables at one version each: folder and list of files with their statistics. ``versions``: table and version, where the tables are as they are now."""

    parts: tuple[tuple[Path, Listing], ...]
    versions: tuple[tuple[str, int], ...] = ()

    def files(self, *, since: datetime | None = None, until: datetime | None = None, event_id: str | None = None, source: str | None = None) -> list[str]:
        """Paths of the files whose day and statistics do not rule the question out."""
        return [path for path, _ in self.pruned(since=since, until=until, event_id=event_id, source=source)]

    def pruned(self, *, since: datetime | None = None, until: datetime | None = None, event_id: str | None = None, source: str | None = None, later: str | None = None, upto: str | None = None) -> list[tuple[str, bool]]:
        """The same, each with whether all its events lie in ``[since, until)``."""
        return [(f"{folder}/{path}", inside) for folder, listing in self.parts for path, inside in listing.pruned(since=since, until=until, event_id=event_id, source=source, later=later, upto=upto)]


_CUT = 64
"""Parquet statistics of text may be cut to 64 bytes; a greatest value is then rounded up, so a prefix is compared."""


def _shaped(rows: pa.Table, schema: pa.Schema, day: str) -> pa.Table:
    """Rows of a data file with all columns of the table: those that it lacks null, the day from its path."""
    columns = [rows[field.name].cast(field.type) if field.name in rows.column_names else pa.nulls(rows.num_rows, field.type) for field in schema if field.name != "event_day"]
    at = schema.get_field_index("event_day")
    columns.insert(at, pa.array([day] * rows.num_rows, pa.string()).cast(schema.field(at).type))
    return pa.Table.from_arrays(columns, schema=schema)


def _forgotten(as_of: datetime) -> Missing:
    return Missing(f"How the tables were at {as_of:%Y-%m-%d %H:%M:%S %Z} is no longer known", why="Older versions are kept for a short time only.", todo="Choose a later moment.")


def _moment(value: datetime) -> int:
    return (value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _micros(moments: pa.ChunkedArray, absent: int) -> Any:
    return np.asarray(pc.fill_null(moments.cast(pa.timestamp("us", "UTC")).cast(pa.int64()), absent).to_numpy())


def _maybe(found: pa.ChunkedArray) -> pa.ChunkedArray:
    """No statistics means: look inside."""
    return pc.fill_null(found, True)


def equal(column: str, value: str) -> str:
    """``column = 'value'`` with the value quoted, for ``erase``.

    >>> equal("source", "it's")
    "source = 'it''s'"
    """
    if not column.isidentifier():
        raise Invalid(f"“{column[:40]}” is not a column")
    return f"{column} = '" + value.replace("'", "''") + "'"
