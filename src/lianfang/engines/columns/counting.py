"""Counting up, in a process apart: the roll-ups of tables and the sieves of their large files. DuckDB is loaded there, and not where logs come in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lianfang.engines.columns import apart
from lianfang.engines.columns.bucket import Bucket
from lianfang.engines.columns.query import Query
from lianfang.engines.columns.rollups import ROLLUPS
from lianfang.engines.columns.store import EventStore

MEMORY = "192MB"


def count_up(*, root: str, bucket: Mapping[str, str] | None, copies: int, names: Sequence[str]) -> int:
    """Count the files of tables that were not counted yet, by hours and by the days of entities, and note what large files do not hold; returns how many were
    counted. Only one process at a time does it, and none joins files meanwhile."""
    store = EventStore(Path(root), bucket=Bucket(**bucket) if bucket else None, copies=copies)
    query = Query(store, memory=MEMORY, threads=1)
    counted = sum(query.roll_up(rollup, name) for name in names for rollup in ROLLUPS)
    for name in names:
        query.sift(name)
    return counted


if __name__ == "__main__":
    apart.answer(count_up)
