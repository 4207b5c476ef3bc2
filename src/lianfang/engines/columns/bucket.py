"""Event tables in an object store that speaks S3: where they lie, and copies of their files on this machine.

In: an address, keys, names of tables. Out: what Delta Lake needs to read and write there, and files that DuckDB can open.
A data file never changes, so a copy holds for as long as it is there. Commits are safe where the store keeps its word on
conditional writes (``If-None-Match: *``): of two writers that want the same number, one is told to look again.
"""

from __future__ import annotations

import os
import re
import threading
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, time
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from lianfang.engines.columns.joining import OFFERS
from lianfang.kernel.errors import Conflict, Invalid

AT_ONCE = 4
"""Files fetched at the same time."""
PIECE = 8 << 20
UNUSED = 7_200.0
"""Seconds after which a copy that nobody asked for goes: what was erased in the store does not stay here."""
SWEEP_EVERY = 300.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """``address`` is ``s3://bucket/prefix``. Without ``endpoint`` it is Amazon's; without a key the environment's own chain is asked (``AWS_…``, the machine's role)."""

    address: str
    endpoint: str = ""
    region: str = "us-east-1"
    key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not self.address.startswith("s3://") or not self.address[5:].strip("/") or "@" in self.address:
            raise Invalid(f"“{self.address[:80]}” is no place for event tables", todo="Write s3://bucket/prefix, and keys apart from it.")
        object.__setattr__(self, "address", self.address.rstrip("/"))

    @property
    def options(self) -> dict[str, str]:
        """How Delta Lake reaches the store."""
        said = {"aws_region": self.region, "aws_endpoint_url": self.endpoint, "aws_access_key_id": self.key, "aws_secret_access_key": self.secret, "aws_allow_http": "true" if self.endpoint.startswith("http://") else ""}
        return {**{name: value for name, value in said.items() if value}, "conditional_put": "etag"}

    def names(self) -> list[str]:
        """Folders that hold something, sorted; raises ``Conflict`` when the store does not answer."""
        try:
            found = _listed(self._files(self.address), recursive=False)
        except (OSError, DeltaError, ValueError) as error:
            raise Conflict(f"{self.address} does not answer", why=_said(error), todo="Check address, endpoint, keys and the network.", retry=True) from error
        return sorted(info.base_name for info in found if not info.is_file)

    def fetch(self, path: str, target: Path) -> None:
        """A file of the store as a file of this machine. Raises ``FileNotFoundError`` when it is gone."""
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            with self._files(self.address).open_input_file(path) as source, draft.open("wb") as out:
                while piece := source.read(PIECE):
                    out.write(piece)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)

    def race(self, *, writers: int = 4, commits: int = 4) -> tuple[int, int]:
        """Commits made by several writers at once to a table of their own, and how many of them are there: whether the store keeps its word."""
        place = f"{self.address}/.race-{uuid.uuid4().hex}"
        row = pa.table({"writer": pa.array([0], pa.int64())})
        DeltaTable.create(place, row.schema, storage_options=self.options)
        told: list[int] = []

        def write(number: int) -> None:
            table = DeltaTable(place, storage_options=self.options)
            for _ in range(commits):
                with suppress(DeltaError, OSError):  # told to look again too often: refused, not lost
                    write_deltalake(table, pa.table({"writer": pa.array([number], pa.int64())}), mode="append", commit_properties=CommitProperties(max_commit_retries=OFFERS))
                    told.append(number)

        try:
            with ThreadPoolExecutor(writers) as pool:
                list(pool.map(write, range(writers)))
            return len(told), DeltaTable(place, storage_options=self.options).count()
        finally:
            self._remove(place)

    def _remove(self, place: str) -> None:
        files = self._files(place)
        for info in _listed(files, recursive=True):
            if info.is_file:
                files.delete_file(info.path)

    def _files(self, place: str) -> Any:
        from deltalake.fs import DeltaStorageHandler  # brings Arrow's file systems: only where there is a bucket

        return DeltaStorageHandler(place, self.options)


def _listed(files: Any, *, recursive: bool) -> list[Any]:
    from pyarrow.fs import FileSelector

    return list(files.get_file_info_selector(FileSelector("", allow_not_found=True, recursive=recursive)))


class Copies:
    """Copies of a bucket's files below ``root``, in the same places, at most about ``limit`` bytes; safe for threads and processes."""

    def __init__(self, bucket: Bucket, root: Path, *, limit: int):
        if any(root.glob("*/_delta_log")):
            raise Conflict("Copies cannot lie where tables lie", why=f"{root} holds event tables of its own, and copies are let go.", todo="Choose another folder.")
        self.bucket, self.root, self.limit = bucket, root, limit
        self._lock = threading.Lock()
        self._swept = monotonic()

    def bring(self, paths: Iterable[str]) -> None:
        """See to it that these files are here. One that is gone from the store stays away: whoever opens it looks at the log again."""
        wanted = [Path(path) for path in paths]
        lacking = [path for path in wanted if not path.exists()]
        if lacking:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(self._fetch, lacking))
        for path in wanted:
            with suppress(FileNotFoundError):
                os.utime(path)
        with self._lock:
            due = bool(lacking) or monotonic() - self._swept > SWEEP_EVERY
            self._swept = monotonic() if due else self._swept
        if due:
            self._sweep(frozenset(wanted))

    def _fetch(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            self.bucket.fetch(path.relative_to(self.root).as_posix(), path)

    def _sweep(self, wanted: frozenset[Path]) -> None:
        """Let go what nobody asked for in two hours, and the least used while there is too much."""
        there = []
        for path in self.root.glob("*/event_day=*/*.parquet"):
            with suppress(FileNotFoundError):
                state = path.stat()
                there.append((state.st_mtime, state.st_size, path))
        total = sum(size for _, size, _ in there)
        for used, size, path in sorted(there):
            if path not in wanted and (total > self.limit or time() - used > UNUSED):
                path.unlink(missing_ok=True)
                total -= size


def _said(error: Exception) -> str:
    """What the store said, without the colours and arrows of the library."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|↳", " ", str(error)).split())[:300]
