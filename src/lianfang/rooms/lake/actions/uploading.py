"""Uploaded files: kept at once, read by a worker, removed when they are in the spool.

In: files of a request. Out: a job whose progress the sender can watch.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath
from typing import Protocol

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.jobs.types import JobRef
from lianfang.commons.ledger import actions as ledger
from lianfang.engines.connect import captures
from lianfang.kernel.errors import Conflict, Invalid
from lianfang.kernel.ids import new_id
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.lake import models, queries
from lianfang.rooms.lake.actions import files, receiving, sources
from lianfang.rooms.lake.types import Kind

MOST_FILES, MOST_BYTES = 50, 2 << 30


class Sent(Protocol):
    """A file of a request."""

    name: str | None
    size: int | None

    def chunks(self) -> Iterable[bytes]: ...

    def read(self, size: int = -1, /) -> bytes: ...

    def seek(self, offset: int, /) -> object: ...


def take_upload(sent: list[Sent], source: str, *, actor: Viewer) -> JobRef:
    """Keep files and leave it to a worker to read them into ``source`` (made when missing)."""
    actor.must("lake.event.add")
    if not 0 < len(sent) <= MOST_FILES or sum(one.size or 0 for one in sent) > MOST_BYTES:
        raise Invalid("These files cannot be taken", why=f"1 to {MOST_FILES} files of together at most {MOST_BYTES >> 30} GiB are taken.", todo="Choose fewer, or use the command line: lianfang ingest PATH.", details={"files": ["number or size"]})
    if any(captures.looks_like(_head(one)) for one in sent):
        captures.reader(queries.CAPTURES)  # nothing is kept that nobody here can read
    if not models.Source.objects.filter(name=source).exists():
        sources.create_source(source, kind=Kind.UPLOAD, actor=actor)
    row = receiving.door(source, actor)
    if row.guarded:
        raise Conflict(gettext("Files cannot be uploaded into %s") % source, why="Its logs are desensitised before they reach the disk, and an uploaded file would lie there as it is.", todo="Send the records over HTTP, or upload into a source without such rules.")
    folder = Path(settings.HOME) / "uploads" / str(new_id())
    folder.mkdir(mode=0o700, parents=True)
    names = [_keep(one, folder, number) for number, one in enumerate(sent)]
    with transaction.atomic():
        ledger.record("lake.files_uploaded", models.Source.objects.get(name=source).ref, actor=actor, label=source, detail={"files": names}, territory=row.territory, industry=row.industry)
        return jobs.enqueue("lake.read_upload", {"folder": folder.name, "source": source}, actor=actor)


def read_upload(folder: str, source: str, *, progress: Callable[[float, str], object]) -> dict[str, int]:
    """Read what was kept; every part carries its content's number, so that a repetition after a crash stores nothing twice."""
    place = Path(settings.HOME) / "uploads" / PurePath(folder).name
    if not place.is_dir():
        return {"files": 0, "events": 0, "rejects": 0}  # done before
    report = files.ingest_path(place, source, actor=SYSTEM, progress=lambda done, total: progress(100 * done / max(total, 1), source))
    receiving.seal()
    shutil.rmtree(place, ignore_errors=True)
    return report


def _head(one: Sent) -> bytes:
    """The first bytes, by which a file is known."""
    head = one.read(8)
    one.seek(0)
    return head


def _keep(one: Sent, folder: Path, number: int) -> str:
    """The file under a safe name with its own ending, which says what it is."""
    name = PurePath((one.name or "file").replace("\\", "/")).name[-80:]
    with (folder / f"{number:03d}-{name}").open("wb") as target:
        for chunk in one.chunks():
            target.write(chunk)
    return name
