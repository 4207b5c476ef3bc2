"""Data sets for programs: which there are, and one as a stream of Arrow or a file of Parquet, for whoever holds a key. Scope and masks as everywhere."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from lianfang.commons.frame.pages import Query, Schema, api
from lianfang.engines.masking import To
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid, Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import actions as lake_actions
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.types import EVENT_TABLES, Part, Touched

router = api("standards")
WEEK = timedelta(days=7)
MOST = 2_000_000
"""Rows of one Parquet file, which is made in memory; a stream has no end."""


class Stretch(Schema):
    """``[since, until)``, at most what the lake holds; by default the last seven days. ``form``: arrow (IPC stream) or parquet."""

    since: datetime | None = None
    until: datetime | None = None
    form: Literal["arrow", "parquet"] = "arrow"


@router.get("/datasets/", summary="What every log source holds in every event table", operation_id="standards_datasets", tags=["standards.dataset"])
def datasets(request: HttpRequest) -> list[dict[str, Any]]:
    """Rows, first and last hour, highest level, days kept."""
    viewer = request.viewer  # type: ignore[attr-defined]
    return [asdict(one) for one in lake.held(viewer=viewer)]


@router.get("/datasets/{source}/{table}", summary="A data set as Arrow or Parquet", operation_id="standards_dataset", tags=["standards.dataset"])
def dataset(request: HttpRequest, source: str, table: str, asked: Query[Stretch]) -> HttpResponse | StreamingHttpResponse:
    """Every column; rows of your scope, content above your clearance null, no row of a level that leaves only with approval. What was taken is on record."""
    viewer = request.viewer  # type: ignore[attr-defined]
    viewer.must("lake.event.export")
    if table not in EVENT_TABLES:
        raise Missing("There is no such table", todo="The catalogue lists the tables.")
    lake.way_in(source, viewer=viewer)
    until = asked.until or clock.now() + timedelta(hours=1)
    part = Part(source, (table,), asked.since or until - WEEK, until)
    if any(moment.tzinfo is None for moment in (part.since, part.until)):
        raise Invalid("A time names no time zone", why="A time without a zone has no single meaning.", todo="Add Z or an offset such as +08:00.")
    if part.since >= part.until:
        raise Invalid("The time ends before it begins", todo="Choose an earlier start.")
    rows = _counted(lake.seen_hours(part, table, viewer=viewer, to=To.API), f"{source} · {table}", viewer)
    lake_actions.note_export(f"{source} · {table} → {asked.form}: {clock.text(part.since)} – {clock.text(part.until)}", actor=viewer)
    if asked.form == "arrow":
        return StreamingHttpResponse(_stream(rows), content_type="application/vnd.apache.arrow.stream")
    answer = HttpResponse(_parquet(rows), content_type="application/vnd.apache.parquet")
    answer["Content-Disposition"] = f'attachment; filename="{source}-{table}.parquet"'
    return answer


def _counted(rows: Iterator[pa.Table], asked: str, viewer: Viewer) -> Iterator[pa.Table]:
    """Hour by hour within what this person may take; beyond that it ends with ``Refused``."""
    for hour in rows:
        levels, veiled = lake.levels_of(hour.select(["level", "masked"]).to_pylist())
        lake_actions.touch(Touched.EXPORT, levels, masked=veiled, asked=asked, actor=viewer)
        yield hour


def _stream(rows: Iterator[pa.Table]) -> Iterator[bytes]:
    """One IPC stream, an hour of events at a time; no hour at all gives an empty stream of no columns."""
    sink, writer = io.BytesIO(), None
    for hour in rows:
        writer = writer or pa.ipc.new_stream(sink, hour.schema)
        writer.write_table(hour)
        yield sink.getvalue()
        sink.seek(0)
        sink.truncate()
    (writer or pa.ipc.new_stream(sink, pa.schema([]))).close()
    yield sink.getvalue()


def _parquet(rows: Iterator[pa.Table]) -> bytes:
    sink, parts = io.BytesIO(), []
    for hour in rows:
        parts.append(hour)
        if sum(part.num_rows for part in parts) > MOST:
            raise Invalid("This is too much for one file", why=f"A file holds at most {MOST:,} events.", todo="Ask for less time, or take form=arrow.")
    pq.write_table(pa.concat_tables(parts) if parts else pa.table({}), sink, compression="zstd")
    return sink.getvalue()
