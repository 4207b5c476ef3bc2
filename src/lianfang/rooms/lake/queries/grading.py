"""Questions of grading: the classes of data, and distinct values of the event tables to judge.

In: the viewer, whose rows are looked at and nobody else's. Out: columns for the engine; nothing is kept here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from django.conf import settings

from lianfang.commons.frame.language import either
from lianfang.engines import grading
from lianfang.engines.columns.query import Bounds
from lianfang.engines.schema.events import COLUMNS, Kind
from lianfang.kernel import clock
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models
from lianfang.rooms.lake.queries import scope
from lianfang.rooms.lake.types import EVENT_TABLES

LOOKED_AT = timedelta(days=30)
SAMPLE, LONGEST = 10_000, 1_000
"""Rows of each table that are looked at, and characters of a text: a look costs tens of megabytes, whatever the lake holds."""


def classes() -> grading.Taxonomy:
    """The classes of data of this node: the file that ships, or the one that ``LIANFANG_DATA_CLASSES`` names; raises ``Invalid``."""
    path = Path(os.environ.get("LIANFANG_DATA_CLASSES") or settings.CONTENT / "taxonomies/data-classes.yaml")
    return _loaded(path, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=2)
def _loaded(path: Path, _changed: int) -> grading.Taxonomy:
    return grading.load(path)


def reviewed(*, viewer: Viewer) -> int:
    """How many columns of the viewer's scope a reviewer has graded."""
    return models.Grade.objects.seen_by(viewer).exclude(state=models.Review.OPEN).count()


def model_in_use(territory: str) -> models.GradingModel | None:
    """The model that somebody put in use for an organisation, or for the nearest above it; ``None``: what reviewers taught is counted anew at every look."""
    rows = [row for row in models.GradingModel.objects.all() if territory.startswith(row.territory)]
    return max(rows, key=lambda row: len(row.territory), default=None)


def class_name(code: str) -> str:
    """An item in the reader's language; nothing for none."""
    item = classes().items.get(code)
    if item is None:
        return code
    return either(item.zh, item.en)


def columns_of_events(*, viewer: Viewer, progress: Callable[[float], object] = lambda _percent: None) -> Iterator[grading.Column]:
    """Every column with content, with the distinct values of a sample of the viewer's rows; columns that always stay open are left out."""
    viewer.must("lake.event.view")
    chosen = [column for column in COLUMNS if column.kind in (Kind.TEXT, Kind.LIST) and column.name not in scope.OPEN]
    listed = ", ".join(f'"{column.name}"' if column.kind is Kind.LIST else f'left("{column.name}", {LONGEST}) AS "{column.name}"' for column in chosen)
    parts = [_sampled(table, listed, viewer) for table in EVENT_TABLES]
    for number, column in enumerate(chosen):
        progress(100 * number / len(chosen))
        values = [_flat(sample.column(column.name)) for sample, _rows in parts]
        records = sum(round(rows * _filled(sample.column(column.name))) for sample, rows in parts)
        yield grading.Column(column.name, column.zh, pc.unique(pa.chunked_array([chunk for value in values for chunk in value.chunks], pa.string()).drop_null()), records)


def _sampled(table: str, listed: str, viewer: Viewer) -> tuple[pa.Table, int]:
    """Up to ``SAMPLE`` rows of the last days, and how many rows there are in all."""
    bounds = Bounds((table,), clock.now() - LOOKED_AT)
    (counted,) = scope.query().rows(f"SELECT count(*) AS n FROM stored WHERE {scope.rows(viewer)}", bounds=bounds)  # noqa: S608  (columns of ours; paths are digits)
    return scope.query().arrow(f"SELECT {listed} FROM stored WHERE {scope.rows(viewer)} LIMIT {SAMPLE}", bounds=bounds), int(counted["n"])  # noqa: S608


def _flat(values: pa.ChunkedArray) -> pa.ChunkedArray:
    flat = pc.list_flatten(values) if pa.types.is_list(values.type) else values
    return flat.cast(pa.string())


def _filled(values: pa.ChunkedArray) -> float:
    lengths = pc.list_value_length(values) if pa.types.is_list(values.type) else pc.utf8_length(values)
    return float(pc.mean(pc.cast(pc.greater(pc.fill_null(lengths, 0), 0), pa.float64())).as_py() or 0.0)
