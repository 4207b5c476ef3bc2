"""Joining small files, in a process apart: what it needs of memory is given back when it ends, and all other work goes before it.

In, on its standard input: one JSON object with ``address``, ``options`` of the store (or null), ``target`` (bytes) and ``group`` (rows). Out, on its
standard output: ``{"removed": files}``, or ``{"fault": text}``. Its standard input stays open while whoever asked is alive; when
it closes, the process ends. Nothing but Delta Lake is loaded, so that it begins within a tenth of a second.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

from deltalake import BloomFilterProperties, ColumnProperties, DeltaTable, WriterProperties
from deltalake.exceptions import CommitFailedError, DeltaError

ROW_GROUP = 40_960
"""Rows of a row group: twenty of DuckDB's vectors. To show one hit a whole group is unpacked, so a third of DuckDB's usual size."""
BLOOM = ("event_id", "src_ip", "dst_ip")
UNIQUE = ("event_id", "raw", "unmapped")
"""Columns whose values hardly repeat: a dictionary would be built and thrown away."""
TRIES = 4
"""How often files are joined anew when others committed first each of the fifteen times that the joined ones were offered."""
STEP_ASIDE = 10


def join(address: str, options: dict[str, str] | None, target: int, group: int) -> int:
    """Join files smaller than ``target`` bytes, day by day; returns how many were replaced. Raises ``CommitFailedError`` when others always came first."""
    for left in reversed(range(TRIES)):
        table = DeltaTable(address, storage_options=options)
        try:
            names = [field.name for field in table.schema().fields]
            return int(table.optimize.compact(target_size=target, writer_properties=properties(names, rows=group, group=group), max_concurrent_tasks=1)["numFilesRemoved"])
        except CommitFailedError:
            if not left:
                raise
    raise AssertionError


def properties(names: Iterable[str], *, rows: int, group: int) -> WriterProperties:
    """How files with these columns are written: ZSTD, groups of so many rows, and Bloom filters (sized for ``rows``) where people look for one value among millions."""
    there = set(names)
    filters = BloomFilterProperties(True, fpp=0.01, ndv=max(1, min(rows, group)))
    columns = {name: ColumnProperties(bloom_filter_properties=filters, dictionary_enabled=name not in UNIQUE) for name in BLOOM if name in there}
    columns |= {name: ColumnProperties(dictionary_enabled=False) for name in UNIQUE if name in there and name not in BLOOM}
    return WriterProperties(compression="ZSTD", compression_level=1, max_row_group_size=group, column_properties=columns)


def _end_with_the_other() -> None:
    sys.stdin.read()
    os._exit(1)


def main() -> None:
    os.nice(STEP_ASIDE)
    asked = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_other, daemon=True).start()
    try:
        answer: dict[str, int | str] = {"removed": join(**asked)}
    except (DeltaError, OSError) as error:
        answer = {"fault": str(error)[:2000]}
    print(json.dumps(answer), flush=True)


CHILD = Path(__file__)

if __name__ == "__main__":
    main()
