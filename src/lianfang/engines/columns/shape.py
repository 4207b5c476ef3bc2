"""The Arrow shape of events at rest, made from the one list of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lianfang.engines.schema.events import COLUMNS, Kind

TIME = pa.timestamp("us", "UTC")
ARROW: dict[Kind, pa.DataType] = {Kind.TEXT: pa.string(), Kind.INT: pa.int64(), Kind.TIME: TIME, Kind.LIST: pa.list_(pa.string())}

EVENTS: pa.Schema = pa.schema([pa.field(column.name, ARROW[column.kind]) for column in COLUMNS])
"""An event. Every column may be null; ``event_day`` is the partition and always the UTC day of ``time``."""

REJECTS: pa.Schema = pa.schema(
    [
        ("event_id", pa.string()),
        ("event_day", pa.string()),
        ("time", TIME),
        ("source", pa.string()),
        ("territory", pa.string()),
        ("industry", pa.string()),
        ("stage", pa.string()),
        ("kind", pa.string()),
        ("reason", pa.string()),
        ("todo", pa.string()),
        ("bytes", pa.int64()),
        ("raw", pa.binary()),
    ]
)
"""A frame that could not be read: ``kind`` is the reason without its numbers, ``bytes`` the true length when ``raw`` was cut."""


def days(times: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Moments → their UTC days as text, each distinct day formatted once.

    >>> from datetime import UTC, datetime
    >>> days(pa.array([datetime(2026, 11, 20, 23, 30, tzinfo=UTC)], TIME)).to_pylist()
    ['2026-11-20']
    """
    numbers = np.asarray(times.cast(pa.int64()).to_numpy(zero_copy_only=False)) // 86_400_000_000
    distinct, codes = np.unique(numbers, return_inverse=True)
    names = pa.array([np.datetime64(int(day), "D").astype(str).item() for day in distinct], pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), names).cast(pa.string())


def table(columns: Mapping[str, Sequence[Any] | pa.Array], *, schema: pa.Schema = EVENTS) -> pa.Table:
    """Columns by name → a table of the whole shape; absent columns are null, ``event_day`` follows from ``time``.

    >>> from datetime import UTC, datetime
    >>> events = table({"event_id": ["a"], "time": [datetime(2026, 11, 20, tzinfo=UTC)], "rules": [["r1"]]})
    >>> events.num_columns == len(COLUMNS), events["event_day"][0].as_py()
    (True, '2026-11-20')
    """
    length = len(columns["event_id"])
    arrays = {field.name: _array(columns.get(field.name), field.type, length) for field in schema}
    arrays["event_day"] = days(arrays["time"])
    return pa.Table.from_arrays([arrays[field.name] for field in schema], schema=schema)


def _array(values: Sequence[Any] | pa.Array | None, kind: pa.DataType, length: int) -> pa.Array:
    if values is None:
        return pa.nulls(length, kind)
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values.cast(kind)
    if not pa.types.is_integer(kind) and not any(values):  # most columns of most batches are empty: told apart ten times faster than converted
        return _empty_lists(length, kind) if pa.types.is_list(kind) else pa.nulls(length, kind) if set(values) == {None} else pa.array(values, kind)
    return pa.array(values, kind)


def _empty_lists(length: int, kind: pa.DataType) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(np.zeros(length + 1, np.int32)), pa.array([], pa.string())).cast(kind)
