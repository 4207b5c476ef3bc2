"""Roll-ups: how many events each data file holds by hour (or day) and a few columns, so that a month is not scanned to be counted.

In: the event tables. Out: one Parquet file per table and roll-up, and relations that count as a full scan would. A data
file never changes, so what was counted of it holds for good: whatever appends, joins, erases or carries rows makes other
files, and a question adds up exactly the files of its version. Files that were not counted yet are scanned. So there is
nothing to keep in step, and a roll-up that is lost is only a slower question.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = "rollups"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Rollup:
    """Counts by stretches of ``seconds`` (which divide a day) and by ``keys``; ``unnest`` names the one key that is a list, each of whose values counts."""

    name: str
    seconds: int
    keys: tuple[str, ...]
    unnest: str = ""

    @property
    def stem(self) -> str:
        """The beginning of its files' names; another one when its meaning changes."""
        return f"{self.name}-{hashlib.sha256(repr((self.seconds, self.keys, self.unnest)).encode()).hexdigest()[:8]}-"

    def select(self, *, count: str, moment: str) -> str:
        """The columns of a counted row: moment, keys, ``n``."""
        keys = ", ".join(f'unnest("{key}") AS "{key}"' if key == self.unnest else f'"{key}"' for key in self.keys)
        return f"{moment} AS time, {keys}, {count} AS n"

    def inside(self, since: datetime, until: datetime) -> tuple[datetime, datetime]:
        """The whole stretches of ``[since, until)``; empty when the second is not after the first.

        >>> Rollup("hours", 3600, ()).inside(datetime(2026, 1, 1, 0, 30, tzinfo=UTC), datetime(2026, 1, 1, 3, 10, tzinfo=UTC))[0].hour
        1
        """
        stretch = timedelta(seconds=self.seconds)
        return EPOCH - (EPOCH - since) // stretch * stretch, EPOCH + (until - EPOCH) // stretch * stretch


_OWN = ("source", "territory", "industry", "level")
"""What decides who may see a row; every roll-up has it."""
HOURS = Rollup("hours", 3600, (*_OWN, "class_uid", "activity_id", "severity_id", "status_id"))
VALUES = {name: Rollup(f"days-{name}", 86_400, (*_OWN, name)) for name in ("host", "user", "src_ip")} | {"rules": Rollup("days-rules", 86_400, (*_OWN, "rules"), unnest="rules")}
"""Entities by day: values that come again and again. Those that hardly do (outside addresses, hashes) are scanned."""
ROLLUPS = (HOURS, *VALUES.values())


def newest(root: Path, table: str, rollup: Rollup) -> Path | None:
    """The file that counts, or none yet."""
    return max((root / FOLDER / table).glob(f"{rollup.stem}*.parquet"), default=None)


@lru_cache(maxsize=64)
def counted(path: Path) -> frozenset[str]:
    """Names of the data files that a roll-up has counted: they stand in its footer, as a file may hold no row."""
    return frozenset((pq.read_metadata(path).metadata or {}).get(b"files", b"").decode().split())


def next_path(root: Path, table: str, rollup: Rollup) -> Path:
    """Where the next one goes."""
    before = newest(root, table, rollup)
    number = int(before.stem[len(rollup.stem) :]) + 1 if before else 0
    return root / FOLDER / table / f"{rollup.stem}{number:010d}.parquet"


@contextmanager
def writing(path: Path, *, files: Sequence[str] = (), done: str = "") -> Iterator[Callable[[pa.RecordBatch], None]]:
    """Write the counts of ``files`` batch by batch; the file stands in its place when all of it is on the disk. ``done``: what a measure says of its files."""
    draft, writer = path.with_suffix(".draft"), None
    with draft.open("wb") as file:

        def write(rows: pa.RecordBatch) -> None:
            nonlocal writer
            writer = writer or pq.ParquetWriter(file, rows.schema, compression="zstd")
            writer.write_batch(rows)

        yield write
        if writer is None:
            raise ValueError("nothing was counted, not even nothing")
        writer.add_key_value_metadata({"done": done} if done else {"files": " ".join(files)})
        writer.close()
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def sweep(path: Path) -> None:
    """The roll-up before ``path`` stays for whoever reads it; older ones go."""
    for old in sorted(path.parent.glob(f"{path.stem.rsplit('-', 1)[0]}-*.parquet"))[:-2]:
        with suppress(FileNotFoundError):
            old.unlink()


def name_of(path: str) -> str:
    """The name of a data file, which no two share."""
    return path.rsplit("/", 1)[-1]
