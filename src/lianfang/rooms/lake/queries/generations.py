"""Under which generations of the node's key values lie sealed in data files: counted once for each file, as a file never changes.

In: the event tables, the rejects, a copy. Out: generation → rows. A row is sealed in one go, so any of its sealed columns tells for the row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lianfang.commons.people import queries as people
from lianfang.engines.columns.query import Bounds, Piece
from lianfang.engines.columns.rollups import name_of
from lianfang.engines.columns.shape import EVENTS
from lianfang.engines.envelope import STEADILY, STEADY, mark_of
from lianfang.rooms.lake import models
from lianfang.rooms.lake.queries import places, scope, sealing, shielding
from lianfang.rooms.lake.types import EVENT_TABLES, REJECT_TABLE

Counts = Mapping[int, int]


def events_by_generation() -> Counts:
    """Rows of the event tables that lie sealed."""
    return _added(*(_known(table, paths) for table, paths in _files(EVENT_TABLES))) if sealing.may_be_sealed() else {}


def rejects_by_generation() -> Counts:
    """Rejects that lie sealed."""
    return _added(*(_known(table, paths) for table, paths in _files((REJECT_TABLE,))))


def older_days(table: str) -> list[str]:
    """Days of a table (``2026-11-21``) in which rows lie sealed under a generation that is here and is not the newest."""
    ring = people.keyring()
    older = {str(number) for number in ring.keys} - {str(ring.newest)}
    found = []
    for _table, paths in _files((table,)):
        _known(table, paths)
        marked = {row.name for row in models.SealedFile.objects.filter(name__startswith=f"{table}/") if older & row.counts.keys()}
        found += sorted({path.split("event_day=")[1].split("/")[0] for path in paths if _name(table, path) in marked})
    return found


def copy_by_generation(name: str, path: Path) -> Counts:
    """Rows of a copy that lie sealed; ``name`` tells it from all others."""
    return _numbers(_looked_up(f"copy/{name}", str(path), rejects=False), _had()) if sealing.may_be_sealed() else {}


def _files(tables: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    store = places.store()
    return [(table, store.snapshot([table]).files()) for table in tables]


def _known(table: str, paths: list[str]) -> Counts:
    """Counts of files as they were counted, the rest counted now; what is noted of files that are gone goes."""
    noted = {row.name: row.counts for row in models.SealedFile.objects.filter(name__startswith=f"{table}/")}
    names = {_name(table, path): path for path in paths}
    gone = list(noted.keys() - names.keys())
    for at in range(0, len(gone), 500):
        models.SealedFile.objects.filter(name__in=gone[at : at + 500]).delete()
    had = _had()
    return _added(*(_numbers(noted[name] if name in noted else _looked_up(name, path, rejects=table == REJECT_TABLE), had) for name, path in names.items()))


def _name(table: str, path: str) -> str:
    return f"{table}/{name_of(path)}"[:190]


def _looked_up(name: str, path: str, *, rejects: bool) -> Mapping[str, int]:
    row = models.SealedFile.objects.filter(name=name).first()
    if row is None:
        places.store().bring([path])
        row, _ = models.SealedFile.objects.get_or_create(name=name, defaults={"counts": {str(number): n for number, n in (_rejects(path) if rejects else _rows(path)).items()}})
    return dict(row.counts)


def _rows(path: str) -> Counts:
    """Rows of a file of events by the generation of their first sealed column."""
    texts = [f'"{name}"[1]' if pa.types.is_list(EVENTS.field(name).type) else f'"{name}"' for name in ("raw", *sorted(scope.SEALABLE - {"raw"}))]
    first = ", ".join(f"CASE WHEN starts_with({text}, '{STEADY}') THEN nullif(regexp_extract({text}, '{STEADILY}', 1), '') END" for text in texts)
    sql = f"SELECT coalesce({first}) AS generation, count(*) AS n FROM stored GROUP BY 1"  # noqa: S608  (columns of ours)
    found = scope.query(sealed=True).rows(sql, bounds=Bounds((), pieces=(Piece(path),)))
    return {int(row["generation"]): int(row["n"]) for row in found if row["generation"]}


def _rejects(path: str) -> Counts:
    known, found = people.generation_numbers(), Counter[int]()
    for batch in pq.ParquetFile(path).iter_batches(columns=["raw"]):
        for raw in batch["raw"].to_pylist():
            if raw and raw.startswith(shielding.MARK):
                found[people.generation_of(mark_of(raw.removeprefix(shielding.MARK)).key, known)] += 1
    return dict(found)


def _had() -> frozenset[str]:
    """Generations that the node had: whoever writes logs can write what looks like any other."""
    return frozenset(("1", *map(str, people.generation_numbers().values())))


def _numbers(counts: Mapping[str, int], had: frozenset[str]) -> Counts:
    return {int(number): n for number, n in counts.items() if number in had}


def _added(*counts: Counts) -> Counts:
    total = Counter[int]()
    for one in counts:
        total.update(one)
    return dict(total)
