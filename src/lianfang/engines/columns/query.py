"""Questions to the event tables: SQL over the files that the question can touch.

In: SQL that reads views, and the bounds that prune files. Out: rows. DuckDB reads the Parquet files named by the table's
log; it never writes, and any number of processes ask at once. A file that compaction took away between naming and
opening it is no error: the log is read again.
"""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from lianfang.engines.columns import guard
from lianfang.engines.columns.shape import EVENTS
from lianfang.engines.columns.store import EventStore
from lianfang.kernel.errors import Conflict, Invalid, Refused

ATTEMPTS = 4
LOCKS: dict[str, Any] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What prunes files: tables, moments ``[since, until)``, one event, one source."""

    tables: tuple[str, ...]
    since: datetime | None = None
    until: datetime | None = None
    event_id: str | None = None
    source: str | None = None


class Query:
    """Asks one ``EventStore``. ``memory`` and ``threads`` bound each process, whatever is asked."""

    def __init__(self, store: EventStore, *, schema: pa.Schema = EVENTS, memory: str = "384MB", threads: int = 2):
        self.store, self.schema = store, schema
        self._limits: dict[str, Any] = {"memory_limit": memory, "threads": threads, **LOCKS}
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None

    def rows(self, sql: str, params: Sequence[Any] = (), *, bounds: Bounds, views: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """Rows as dictionaries. ``sql`` reads ``stored`` (all columns of the tables in bounds) or the given ``views`` over it."""
        return self.arrow(sql, params, bounds=bounds, views=views).to_pylist()  # type: ignore[no-any-return]

    def arrow(self, sql: str, params: Sequence[Any] = (), *, bounds: Bounds, views: Mapping[str, str] | None = None) -> pa.Table:
        """The same as an Arrow table. Our own SQL only: values go in ``params``, never in the text."""
        for attempt in range(ATTEMPTS):
            parts = {"stored": self._stored(self._files(bounds)), **(views or {})}
            head = ", ".join(f"{name} AS NOT MATERIALIZED ({body})" for name, body in parts.items())
            try:
                return self._own().sql(f"WITH {head} {sql}", params=list(params)).to_arrow_table()
            except duckdb.IOException as error:
                self._again(attempt, error)
            except duckdb.OutOfMemoryException as error:
                raise _too_much(error) from error
        raise AssertionError("unreachable")

    def guarded(self, text: str, *, bounds: Bounds, views: Mapping[str, str], limit: int = 1000, seconds: float = 20.0) -> pa.Table:
        """What a person's SQL answers, at most ``limit`` rows plus one. It sees ``views`` (bodies over ``stored``) and nothing else."""
        for attempt in range(ATTEMPTS):
            files = self._files(bounds)
            with self._cell(files, views) as cell:
                text = guard.check(cell, text, views=views)
                try:
                    return self._timed(cell, text, limit, seconds)
                except duckdb.IOException as error:
                    self._again(attempt, error)
        raise AssertionError("unreachable")

    # ---- inside ------------------------------------------------------------------------------------------------

    def _files(self, bounds: Bounds) -> list[str]:
        found = self.store.files(bounds.tables, since=bounds.since, until=bounds.until, event_id=bounds.event_id, source=bounds.source)
        return [str(self._shape_file()), *found]

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

    def _stored(self, files: Iterable[str]) -> str:
        """The relation over ``files``; the day is computed, as the partition column lies in the path only."""
        names = ", ".join(_quoted(path) for path in files)
        columns = ", ".join("strftime(time, '%Y-%m-%d') AS event_day" if field.name == "event_day" else f'"{field.name}"' for field in self.schema)
        return f"SELECT {columns} FROM read_parquet([{names}], union_by_name=true, hive_partitioning=false)"  # noqa: S608  (paths are quoted)

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
        return connection

    @contextmanager
    def _cell(self, files: list[str], views: Mapping[str, str]) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of its own that can open exactly ``files``, cannot be reconfigured, and is thrown away."""
        connection = self._connect()
        try:
            for name, body in views.items():
                connection.execute(f'CREATE VIEW "{name}" AS WITH stored AS NOT MATERIALIZED ({self._stored(files)}) {body}')
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


def _quoted(path: str) -> str:
    return "'" + path.replace("'", "''") + "'"


def _too_much(error: Exception) -> Conflict:
    return Conflict("The question needs more memory than one question may take", why=str(error).splitlines()[0], todo="Narrow the time or add conditions.")
