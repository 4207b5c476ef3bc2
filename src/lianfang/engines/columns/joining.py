"""Joining small files, in a process apart. In: ``address``, ``options`` of the store (or null), ``target`` (bytes) and ``group`` (rows). Out: how
many files were replaced. Nothing but Delta Lake is loaded, so that it begins within a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Iterable

from deltalake import BloomFilterProperties, ColumnProperties, CommitProperties, DeltaTable, WriterProperties
from deltalake.exceptions import CommitFailedError

from lianfang.engines.columns import apart

ROW_GROUP = 40_960
"""Rows of a row group: twenty of DuckDB's vectors. To show one hit a whole group is unpacked, so a third of DuckDB's usual size."""
BLOOM = ("event_id", "src_ip", "dst_ip")
UNIQUE = ("event_id", "raw", "unmapped")
"""Columns whose values hardly repeat: a dictionary would be built and thrown away."""
OFFERS = 200
"""How often a commit is offered when others come first. Delta Lake gives up after 15 and does not wait between them: a slow writer among quick ones starves."""
TRIES = 4
"""How often files are joined anew when others committed first each time that the joined ones were offered."""


def join(address: str, options: dict[str, str] | None, target: int, group: int) -> int:
    """Join files smaller than ``target`` bytes, day by day; returns how many were replaced. Raises ``CommitFailedError`` when others always came first."""
    for left in reversed(range(TRIES)):
        table = DeltaTable(address, storage_options=options)
        try:
            names = [field.name for field in table.schema().fields]
            joined = table.optimize.compact(target_size=target, writer_properties=properties(names, rows=group, group=group), max_concurrent_tasks=1, commit_properties=CommitProperties(max_commit_retries=OFFERS))
            return int(joined["numFilesRemoved"])
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


if __name__ == "__main__":
    apart.answer(join)
