"""Reading event tables where neither Django nor our database is: a stretch of time from the files that may hold events of it.

In: a split. Out: pages of events. Files are opened by row groups whose statistics do not rule the stretch out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

PAGE = 5_000


class Split(NamedTuple):
    """Events of ``[since, until)`` in ``files``, their ``columns``; none of the ``left_out`` sources."""

    since: datetime
    until: datetime
    files: tuple[str, ...]
    columns: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def pages(split: Split) -> Iterator[list[dict[str, Any]]]:
    """The events of a split; columns that a file lacks are null."""
    for path in split.files:
        with pq.ParquetFile(path) as file:
            there = [name for name in split.columns if name in file.schema_arrow.names]
            groups = [number for number in range(file.num_row_groups) if _may_hold(file, number, split)]
            for batch in file.iter_batches(batch_size=PAGE, row_groups=groups, columns=there) if groups else ():
                rows = _within(pa.Table.from_batches([batch]), split)
                if rows.num_rows:
                    yield [dict.fromkeys(split.columns) | row for row in rows.to_pylist()]


def _may_hold(file: pq.ParquetFile, number: int, split: Split) -> bool:
    group = file.metadata.row_group(number)
    at = next((column for column in range(group.num_columns) if group.column(column).path_in_schema == "time"), None)
    said = group.column(at).statistics if at is not None else None
    return said is None or not said.has_min_max or (said.max >= split.since and said.min < split.until)


def _within(rows: pa.Table, split: Split) -> pa.Table:
    kept = pc.and_(pc.greater_equal(rows["time"], pa.scalar(split.since, rows["time"].type)), pc.less(rows["time"], pa.scalar(split.until, rows["time"].type)))
    if split.left_out:
        kept = pc.and_not(kept, pc.is_in(rows["source"], pa.array(split.left_out, pa.string())))
    return rows.filter(kept)


def moved(files: Sequence[str], before: str, after: str) -> tuple[str, ...]:
    """The same files below another folder.

    >>> moved(["/srv/lake/process/a.parquet"], "/srv/lake", "/mnt/lake/")
    ('/mnt/lake/process/a.parquet',)
    """
    return tuple(after.rstrip("/") + path.removeprefix(before.rstrip("/")) for path in files)
