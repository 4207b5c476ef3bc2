"""The same tables asked on other machines: by Apache Spark, or by Sail, which speaks Spark's protocol without a JVM.

In: the address of a Spark Connect server (``sc://host:port``) and the folder of the tables as that server sees it. Out:
an Arrow table. Nothing is copied: the server reads the very Delta tables that the node writes, and the log of each table
says which files belong to it. For operators: Spark's SQL can call more than our guard allows, so no page leads here.

Work of ours can be spread over Spark's executors: what goes there are splits (a stretch of time and the files that may hold
events of it) and one file, never rows; each executor opens the files itself (``reading``).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from lianfang.engines.columns.shape import EVENTS
from lianfang.kernel.errors import Invalid, Missing
from lianfang.rooms.lake.adapters.spark.reading import Split, pages

PORT = 15002
"""Where Spark Connect listens when nothing else is said."""
PATIENCE = 10.0
"""Seconds to wait for a server to take a connection."""


class Remote:
    """Event tables on a Spark Connect server.

    ``root``: the folder of the tables, or its address in an object store (``s3a://bucket/lake``); ``tables``: their names.
    Raises ``Missing`` where the client library is not installed, ``Invalid`` for an address that is none.
    """

    def __init__(self, address: str, root: str, tables: Sequence[str]):
        if not address.startswith("sc://"):
            raise Invalid(f"“{address[:80]}” is no address of a Spark Connect server", todo="Write sc://host:port; Spark and Sail both print it when they start.")
        if not tables:
            raise Missing("No events are stored yet", todo="Let logs come in first.")
        self.address, self.root, self.tables = address, root.rstrip("/"), tables

    def arrow(self, sql: str, *, events: str, limit: int) -> pa.Table:
        """The first ``limit`` rows of what ``sql`` answers over the relation ``events``, whose body reads ``stored``: all columns of all tables."""
        with self._session() as session:
            for at, name in enumerate(self.tables):
                frame = session.read.format("delta").load(f"{self.root}/{name}")
                frame.select(*self._present(frame)).createOrReplaceTempView(f"stored_{at}")
            session.sql(" UNION ALL ".join(f"SELECT * FROM stored_{at}" for at in range(len(self.tables)))).createOrReplaceTempView("stored")  # noqa: S608  (names of ours)
            session.sql(events).createOrReplaceTempView("events")
            try:
                return session.sql(sql).limit(limit).toArrow()
            except _failures() as error:
                raise Invalid("The server could not answer", why=str(error).split("\n", 1)[0][:500], todo="Spark's SQL differs a little from the embedded engine's; names with odd signs stand in `backticks`.") from error

    @contextmanager
    def spread(self, kit: Path, work: Callable[[str, Iterable[list[dict[str, Any]]]], bytes]) -> Iterator[Callable[[Sequence[Split]], list[bytes]]]:
        """A way to have splits worked on by executors: ``work(kit, pages)`` is called there with the file ``kit`` and the pages of a split; its answers come
        back in the order of the splits. ``work`` is found there by its name: the executors have this package installed."""
        with self._session() as session:
            session.addArtifacts(str(kit), file=True)

            def done(splits: Sequence[Split]) -> list[bytes]:
                found = session.range(0, len(splits), 1, len(splits)).mapInArrow(_task(kit.name, list(splits), work), "number long, answer binary").toArrow()
                return [answer for _number, answer in sorted(zip(found["number"].to_pylist(), found["answer"].to_pylist(), strict=True))]

            try:
                yield done
            except _failures() as error:
                raise Invalid("The server could not do its part", why=str(error).split("\n", 1)[0][:500], todo="Its executors need this package installed, and must see the folder of the tables.") from error

    def _present(self, frame: Any) -> list[Any]:
        """All columns of the schema in its order; a table that is older than a column gives nulls."""
        from pyspark.sql.connect import functions as f

        there = set(frame.columns)
        return [f.col(field.name) if field.name in there else f.lit(None).cast(_spark_type(field.type)).alias(field.name) for field in EVENTS]

    @contextmanager
    def _session(self) -> Iterator[Any]:
        try:
            from pyspark.sql.connect.session import SparkSession
        except ImportError as error:
            raise Missing("The client of Spark is not installed", why=str(error), todo="Install lianfang[spark]: it serves Spark and Sail.") from error
        self._knock()
        session = SparkSession.builder.remote(self.address).create()
        try:
            session.conf.set("spark.sql.session.timeZone", "UTC")
            yield session
        except _failures() as error:
            raise Invalid(f"{self.address} does not answer as a Spark Connect server should", why=str(error).split("\n", 1)[0][:500], todo="Start it, or check the address and that it sees the tables.") from error
        finally:
            session.stop()

    def _knock(self) -> None:
        """A server that is not there is said at once: the client by itself would try for minutes."""
        place = urlsplit(self.address)
        try:
            socket.create_connection((place.hostname or "", place.port or PORT), timeout=PATIENCE).close()
        except OSError as error:
            raise Invalid(f"{self.address} does not answer", why=str(error), todo="Start the server, or check the address.") from error


def _task(kit: str, splits: list[Split], work: Callable[[str, Iterable[list[dict[str, Any]]]], bytes]) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """What runs in an executor: each of the numbers that it is given is one of the splits."""

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import SparkFiles

        place = str(Path(SparkFiles.getRootDirectory()) / kit)
        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield pa.RecordBatch.from_pydict({"number": pa.array([number], pa.int64()), "answer": pa.array([work(place, pages(splits[number]))], pa.binary())})

    return task


def _failures() -> tuple[type[Exception], ...]:
    from grpc import RpcError
    from pyspark.errors import PySparkException

    return PySparkException, RpcError


def _spark_type(kind: pa.DataType) -> str:
    """A column's type as Spark writes it."""
    if pa.types.is_list(kind):
        return f"array<{_spark_type(kind.value_type)}>"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_integer(kind):
        return "bigint" if kind.bit_width > 32 else "int"
    return "string"
