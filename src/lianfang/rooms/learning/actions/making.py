"""Versions of data sets: copied out of the lake once, described by a manifest, kept as long as the level says, removed with a record.

In: a data set. Out: ``rows.parquet`` and ``manifest.json`` in a folder of the version's own. A version that is ready never changes; a run that
broke off is begun anew and makes the same version.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.jobs.types import JobRef
from lianfang.commons.ledger import actions as ledger
from lianfang.engines.columns.shape import EVENTS
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.types import EVENT_TABLES
from lianfang.rooms.learning import models, queries
from lianfang.rooms.learning.actions.sets import question, said
from lianfang.rooms.learning.declare import Progress
from lianfang.rooms.learning.queries.reading import MANIFEST, PATHS, ROWS
from lianfang.rooms.learning.types import Made, Origin

MOST = 2_000_000
"""Rows of one version."""


@transaction.atomic
def ask_version(row: models.DataSet, *, actor: Viewer) -> models.Version:
    """Have a version made; its job is on its way."""
    actor.must("learning.version.add")
    version = begin_version(row, actor=actor)
    version.job = str(_enqueued(version, actor).id)
    version.save(update_fields=("job",))
    return version


def begin_version(row: models.DataSet, *, actor: Viewer) -> models.Version:
    """The next version, not yet made; in the caller's transaction."""
    row = models.DataSet.objects.select_for_update().get(pk=row.pk)
    number = (row.versions.aggregate(last=Max("number"))["last"] or 0) + 1
    version = models.Version(dataset=row, number=number, asked_by=actor.name, organisation=row.organisation, territory=row.territory, industry=row.industry)
    version.asked = said(row)
    version.save(force_insert=True)
    _told("asked", version, actor)
    return version


def _enqueued(version: models.Version, actor: Viewer) -> JobRef:
    return jobs.enqueue("learning.make_version", {"version": str(version.pk)}, key=f"learning.make:{version.pk}", actor=actor)


def make_version(version: str, *, progress: Progress) -> models.Version:
    """Copy what the question finds; may be repeated after a crash. Raises that for which it failed, which stands on the version too."""
    row = models.Version.objects.select_related("dataset").get(pk=version)
    if row.state in (Made.READY, Made.REMOVED):
        return row
    folder = queries.folder(row)
    draft = folder.with_name(f"{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700, parents=True)
    try:
        _fill(row, draft / ROWS, progress)
    except Exception as error:
        shutil.rmtree(draft, ignore_errors=True)
        _failed(row, error)
        raise
    (draft / MANIFEST).write_text(json.dumps(queries.described(row), ensure_ascii=False, indent=1), "utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    with transaction.atomic():
        if not models.Version.objects.select_for_update().filter(pk=row.pk).exclude(state=Made.REMOVED).exists():
            shutil.rmtree(folder, ignore_errors=True)
            row.state = Made.REMOVED
            return row
        row.save()
        _told("made", row, SYSTEM, rows=row.rows, bytes=row.bytes, sha256=row.digest, level=row.level, tables=row.tables, asked_by=row.asked_by)
    progress(100, str(row))
    return row


def _fill(row: models.Version, path: Path, progress: Progress) -> None:
    """Write the rows and put what they are into the row, which is not saved yet."""
    now = clock.now()
    viewer = at_work(row.dataset)
    row.since, row.until = row.dataset.bounds(now)
    if row.dataset.origin == Origin.EVENTS:
        asked = question(row.dataset, row.since, row.until)
        row.tables, parts = lake.copied(asked, row.dataset.columns or lake.LISTED, viewer=viewer)
        tables, shape = asked.tables, pa.schema([EVENTS.field(name) for name in lake.columns_of(row.dataset.columns or lake.LISTED)])
    else:
        lessons = lake.lessons(viewer)
        row.tables, parts, tables, shape = {}, [lessons], EVENT_TABLES, lessons.schema
        times = [moment for moment in lessons["time"].to_pylist() if moment]
        row.since, row.until = min(times, default=now), now
    tally = Tally(lake.graded_levels(row.territory) if row.dataset.origin == Origin.EVENTS else {}, row.dataset.clearance)
    span = max((row.until - row.since).total_seconds(), 1.0)
    with pq.ParquetWriter(path, shape, compression="zstd") as writer:
        for part in parts:
            writer.write_table(part)
            tally.add(part)
            if tally.rows > MOST:
                raise Invalid("This is too much for one version", why=gettext("A version holds at most %s rows.") % f"{MOST:,}", todo="Add conditions, or choose a shorter period.")
            last = part["time"][-1].as_py() if part.num_rows else None
            progress(min(95.0, 95 * ((last or row.since) - row.since).total_seconds() / span), str(row))
    path.chmod(0o600)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        row.digest = hashlib.file_digest(file, "sha256").hexdigest()
    row.rows, row.bytes, row.columns, row.level, row.sources = tally.rows, path.stat().st_size, tally.columns(shape, chosen=(row.dataset.columns or lake.LISTED) if row.dataset.origin == Origin.EVENTS else None), tally.level(), sorted(tally.sources)
    row.state, row.why, row.made, row.expires = Made.READY, "", now, now + timedelta(days=lake.days_kept(tables, row.level))


class Tally:
    """What a copy holds, counted as it is written: rows, sources, and for each column how often it is filled and the highest level of rows in which it is.

    What every row says whatever its level counts as level 2; content above the clearance is not in the copy.
    """

    def __init__(self, graded: dict[str, int], clearance: int):
        self.graded, self.clearance, self.rows = graded, clearance, 0
        self.sources: set[str] = set()
        self._filled: dict[str, int] = {}
        self._level: dict[str, int] = {}

    def add(self, part: pa.Table) -> None:
        """Some rows more."""
        self.rows += part.num_rows
        if "source" in part.column_names:
            self.sources |= {name for name in pc.unique(part["source"]).to_pylist() if name}
        levels = pc.fill_null(part["level"], int(DataLevel.L4))
        for name in part.column_names:
            there = pc.greater(pc.fill_null(pc.list_value_length(part[name]), 0), 0) if pa.types.is_list(part.schema.field(name).type) else pc.is_valid(part[name])
            number = pc.sum(there).as_py() or 0
            if number:
                highest = 2 if name in lake.OPEN else int(pc.max(levels.filter(there)).as_py())
                self._filled[name] = self._filled.get(name, 0) + number
                self._level[name] = max(self._level.get(name, 0), min(highest, self.clearance))

    def columns(self, shape: pa.Schema, *, chosen: Iterable[str] | None) -> list[dict[str, Any]]:
        """For the manifest: the columns that can be taken, with their type."""
        wanted = None if chosen is None else {*chosen, *lake.ALWAYS}
        return [{"name": field.name, "type": str(field.type), "level": self._of(field.name), "filled": self._filled.get(field.name, 0)} for field in shape if field.name not in PATHS and (wanted is None or field.name in wanted)]

    def level(self) -> int:
        """The highest of all columns."""
        return max((self._of(name) or 1 for name in self._filled), default=1)

    def _of(self, name: str) -> int | None:
        return max(self._level[name], self.graded.get(name, 0)) if name in self._level else None


def at_work(row: models.DataSet) -> Viewer:
    """The node at work for a data set: rows of its organisation and below, content up to the clearance of whoever declared it."""
    return replace(SYSTEM, territory=(row.territory,), clearance=DataLevel(row.clearance))


def _failed(row: models.Version, error: Exception) -> None:
    row.state, row.why = Made.FAILED, (str(error) or type(error).__name__)[:300]
    with transaction.atomic():
        models.Version.objects.filter(pk=row.pk).update(state=row.state, why=row.why)
        _told("failed", row, SYSTEM, why=row.why)


# ---- removing --------------------------------------------------------------------------------------------------


@transaction.atomic
def remove_version(row: models.Version, *, actor: Viewer, why: str = "") -> models.Version:
    """The copy goes; that it was there, and what it held, stays on record."""
    actor.must("learning.version.delete")
    row = models.Version.objects.select_for_update().get(pk=row.pk)
    if row.state == Made.REMOVED:
        raise Conflict(gettext("“%s” was removed already") % row, todo="Reload the page.")
    row.state, row.removed, row.why = Made.REMOVED, clock.now(), why or gettext("removed by %s") % actor.name
    row.save(update_fields=("state", "removed", "why"))
    _told("removed", row, actor, why=row.why, rows=row.rows, sha256=row.digest)
    transaction.on_commit(lambda: shutil.rmtree(queries.folder(row), ignore_errors=True))
    return row


def forget_expired() -> int:
    """Versions whose time is over go; returns how many."""
    rows = list(models.Version.objects.filter(state=Made.READY, expires__lt=clock.now()).select_related("dataset"))
    for row in rows:
        remove_version(row, actor=SYSTEM, why=gettext("its time was over"))
    return len(rows)


def forget_copies(source: str, *, since: datetime | None = None, until: datetime | None = None) -> int:
    """A source was erased, or its events of a time were destroyed: copies that may hold some of them go as well. Returns how many."""
    rows = models.Version.objects.filter(state=Made.READY).select_related("dataset")
    rows = rows.filter(since__lt=until, until__gt=since) if since and until else rows
    held = [row for row in rows if source in row.sources]
    for row in held:
        remove_version(row, actor=SYSTEM, why=gettext("events of %s were destroyed") % source)
    return len(held)


def _told(verb: str, row: models.Version, actor: Viewer, **detail: Any) -> None:
    ledger.record(f"learning.version_{verb}", row.ref, actor=actor, label=str(row)[:200], detail={"question": row.asked, **detail}, territory=row.territory, industry=row.industry)


