"""Files as input: any log file, packed or not, through the spool.

In: a path. Out: how many frames were received. Each part carries a number made of the file's content, so that the same
file given twice to the same source is stored once.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lianfang.engines.connect import files as containers
from lianfang.engines.connect.captures import NoReader
from lianfang.engines.connect.files import Manner
from lianfang.engines.connect.limits import Reject
from lianfang.kernel.errors import Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models, queries
from lianfang.rooms.lake.actions import receiving, sources
from lianfang.rooms.lake.types import Busy, Codec, Kind

log = logging.getLogger(__name__)

PART_FRAMES = 2_000
PART_BYTES = 2 << 20
PATIENCE = 600.0

Part = tuple[list[bytes], list[tuple[bytes, str, str]]]
Progress = Callable[[int, int], object]


def ingest_path(path: Path, source: str, *, actor: Viewer, progress: Progress | None = None) -> dict[str, int]:
    """Read a file, or every file below a folder, into ``source`` (made when missing); returns ``files``, ``events`` received, ``rejects``.

    ``progress(bytes done, bytes in all)`` is called along the way. While the spool is full it waits.
    """
    found = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    if not found or not found[0].exists():
        raise Missing(f"There is no file {path}", todo="Check the path.")
    sources.ensure_source(source, kind=Kind.UPLOAD, actor=actor)
    manner = manner_of(models.Source.objects.get(name=source))
    total, done = sum(one.stat().st_size for one in found), 0
    report = {"files": len(found), "events": 0, "rejects": 0}
    for one in found:
        name = _digest(one)
        for number, (frames, faults) in enumerate(parts(one, manner)):
            _patiently(source, frames, faults, key=f"{name}:{number}", actor=actor)
            report["events"] += len(frames)
            report["rejects"] += len(faults)
            if progress:
                progress(done, total)
        done += one.stat().st_size
        if progress:
            progress(done, total)
    return report


def manner_of(row: models.Source) -> Manner:
    """How the files of a source are read; what is found by itself is found record by record."""
    return Manner("" if row.codec == Codec.AUTO else row.codec, row.encoding, row.header, row.start, queries.CAPTURES)


def parts(path: Path, manner: Manner) -> Iterator[Part]:
    """The frames of a file in parts, always cut at the same places."""
    frames: list[bytes] = []
    faults: list[tuple[bytes, str, str]] = []
    size = 0
    for item in _records(path, manner):
        if isinstance(item, Reject):
            faults.append((item.raw, item.reason, item.todo))
            size += len(item.raw)
        else:
            frames.append(item)
            size += len(item)
        if size >= PART_BYTES or len(frames) + len(faults) >= PART_FRAMES:
            yield frames, faults
            frames, faults, size = [], [], 0
    if frames or faults:
        yield frames, faults


def _records(path: Path, manner: Manner) -> Iterator[bytes | Reject]:
    """What the file holds; a file that breaks its reader ends with a reject that says so, and the next file is read. A capture waits for a program that reads it: ``NoReader``."""
    try:
        yield from containers.frames(path, manner=manner)
    except NoReader:
        raise
    except Exception as error:
        log.warning("reading %s ended early", path, exc_info=True)
        yield Reject(0, path.name.encode(), f"The file cannot be read any further: {error}", "Check that it is whole, and of the kind that its name says.")


def _patiently(source: str, frames: list[bytes], faults: list[tuple[bytes, str, str]], *, key: str, actor: Viewer) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            receiving.receive(source, frames, actor=actor, key=key, faults=faults)
            return
        except Busy as busy:
            if time.monotonic() > deadline:
                raise
            time.sleep(busy.retry_after / 2)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()  # type: ignore[arg-type,return-value]
