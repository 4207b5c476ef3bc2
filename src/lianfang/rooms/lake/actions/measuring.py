"""Measuring: what a higher room wants to know of every row is counted, each data file once for each check.

In: checks by table. Out: counts beside the tables. Whoever calls sees to it that one process at a time does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lianfang.engines.columns.measures import Check
from lianfang.engines.columns.query import Query
from lianfang.rooms.lake.queries import places, scope, sealing

MEMORY = "192MB"


def measure(checks: Mapping[str, Sequence[Check]], *, progress: Callable[[float, str], object] = lambda _percent, _table: None) -> int:
    """Count ``checks`` (by event table) where they were not counted yet; returns how many data files were read. ``progress`` is told percent and table."""
    query, read = Query(places.store(), memory=MEMORY, threads=1, opener=sealing.opener(scope.SEALABLE)), 0
    for number, (table, asked) in enumerate(checks.items()):
        begin, part = 100 * number / len(checks), 100 / len(checks)
        progress(begin, table)
        read += query.measure(table, asked, progress=lambda share, begin=begin, part=part, table=table: progress(begin + share * part, table))  # type: ignore[misc]
    return read
