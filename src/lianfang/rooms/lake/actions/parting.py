"""Parts of the lake: archived as Parquet with a manifest, destroyed for good, brought back. Reading may be done anywhere; writing is left for the writer.

In: a part and who asked. Out: an archive that proves what it holds; the facts ``PartDestroyed`` and ``PartRestored``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from django.db import transaction

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import actions as ledger
from lianfang.engines.columns.query import Bounds
from lianfang.engines.columns.store import EventStore, equal
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.lake import models
from lianfang.rooms.lake.queries import parts, scope
from lianfang.rooms.lake.types import Part, PartDestroyed, PartRestored

Progress = Callable[[float, str], object]
FILE = "{table}.parquet"


def archive_part(part: Part, *, request: str, progress: Progress = lambda _percent, _said: None) -> dict[str, Any]:
    """Write a part's events into the archive, read it back, compare; returns the manifest. May be repeated: the archive is written anew."""
    folder = parts.archive_folder(request)
    draft = folder.with_name(f"{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700, parents=True)
    tables = {}
    for number, table in enumerate(part.tables):
        progress(100 * number / len(part.tables), table)
        written = _write(part, table, draft / FILE.format(table=table))
        if written:
            tables[table] = written
    manifest = {"request": request, "part": _said(part), "tables": tables, "rows": sum(one["rows"] for one in tables.values()), "made": clock.text(clock.now())}
    (draft / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1), "utf-8")
    verify_archive(draft, manifest)
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    return manifest


def _write(part: Part, table: str, path: Path) -> dict[str, Any] | None:
    mark, writer = parts.Fingerprint(), None
    for rows in parts.hours(part, table):
        writer = writer or pq.ParquetWriter(path, rows.schema, compression="zstd")
        writer.write_table(rows)
        mark.add(rows)
    if writer is None:
        return None
    writer.close()
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return {"file": path.name, "rows": mark.rows, "fingerprint": mark.text(), "sha256": _digest(path), "bytes": path.stat().st_size}


def verify_archive(folder: Path, manifest: dict[str, Any]) -> None:
    """Raise ``Conflict`` unless every file is what the manifest says: its bytes, its events, their fingerprint."""
    for table, said in manifest["tables"].items():
        path, mark = folder / said["file"], parts.Fingerprint()
        if not path.is_file() or _digest(path) != said["sha256"]:
            raise Conflict("The archive is damaged", why=f"{said['file']} is missing, or its SHA-256 is another.", todo="Bring it back from the backup.")
        for rows in pq.ParquetFile(path).iter_batches():
            mark.add(pa.Table.from_batches([rows]))
        if (mark.rows, mark.text()) != (said["rows"], said["fingerprint"]):
            raise Conflict("The archive is damaged", why=f"The events of {table} are not those of the manifest.", todo="Archive anew, as long as the events are there.")


def destroy_part(part: Part, *, request: str) -> None:
    """Leave it to the writer to destroy a part; in the caller's transaction."""
    models.Chore.objects.create(verb=models.Chore.DESTROY, arguments={**_said(part), "request": request})


def restore_part(request: str) -> None:
    """Leave it to the writer to bring an archived part back; in the caller's transaction. Raises ``Missing`` or ``Conflict`` for an archive that is not whole."""
    verify_archive(parts.archive_folder(request), parts.manifest_of(request))
    models.Chore.objects.create(verb=models.Chore.RESTORE, arguments={"request": request})


# ---- what the writer does --------------------------------------------------------------------------------------


def do_destroy(store: EventStore, *, request: str, **said: Any) -> None:
    """Count and fingerprint what is there, erase it, see that nothing is left, say so. A repetition finds nothing more and says that."""
    part = _part(said)
    before, found = _files(store, part), parts.fingerprints(part)
    for table in part.tables:
        store.erase(table, _predicate(part))
    left = parts.fingerprints(part)
    if left:
        raise Conflict("Some of the part is still there", why=", ".join(f"{table}: {rows}" for table, (rows, _mark) in left.items()), todo="It is tried again.", retry=True)
    gone = sorted(before - _files(store, part))
    rows, tables = sum(number for number, _mark in found.values()), [f"{table}={number}={mark}" for table, (number, mark) in found.items()]
    with transaction.atomic():
        _told("lake.part_destroyed", part, request, rows=rows, tables=tables, files=len(gone))
        jobs.publish(PartDestroyed(request=request, rows=rows, tables=tables, files=gone, source=part.source, since=clock.text(part.since), until=clock.text(part.until)))


def do_restore(store: EventStore, *, request: str) -> None:
    """Bring back what is not there; a repetition brings nothing twice."""
    manifest, folder = parts.manifest_of(request), parts.archive_folder(request)
    verify_archive(folder, manifest)
    rows = sum(_bring(store, table, folder / said["file"]) for table, said in manifest["tables"].items())
    with transaction.atomic():
        _told("lake.part_restored", _part(manifest["part"]), request, rows=rows)
        jobs.publish(PartRestored(request=request, rows=rows))


def _bring(store: EventStore, table: str, path: Path) -> int:
    brought = 0
    for batch in pq.ParquetFile(path).iter_batches():
        events = pa.Table.from_batches([batch])
        since, until = pc.min(events["time"]).as_py(), pc.max(events["time"]).as_py()
        there = scope.query().arrow("SELECT event_id FROM stored WHERE event_id IN (SELECT value FROM given) AND time >= ? AND time <= ?", [since, until], bounds=Bounds((table,), since), given=pa.table({"value": events["event_id"]}))["event_id"]
        fresh = events.filter(pc.invert(pc.is_in(events["event_id"], there.combine_chunks())))
        if fresh.num_rows:
            store.append(table, fresh, transactions={})
            brought += fresh.num_rows
    return brought


def _files(store: EventStore, part: Part) -> set[str]:
    return {path.removeprefix(f"{store.root}/") for path in store.files(part.tables, since=part.since, until=part.until, source=part.source)}


def _predicate(part: Part) -> str:
    since, until = (f"arrow_cast('{moment.astimezone(UTC).replace(tzinfo=None).isoformat()}Z', 'Timestamp(Microsecond, Some(\"UTC\"))')" for moment in (part.since, part.until))
    days = f"event_day >= '{part.since.astimezone(UTC).date()}' AND event_day <= '{part.until.astimezone(UTC).date()}'"
    return f"{equal('source', part.source)} AND {days} AND time >= {since} AND time < {until}"


def _said(part: Part) -> dict[str, Any]:
    return {**asdict(part), "tables": list(part.tables), "since": clock.text(part.since), "until": clock.text(part.until)}


def _part(said: dict[str, Any]) -> Part:
    return Part(said["source"], tuple(said["tables"]), datetime.fromisoformat(said["since"]), datetime.fromisoformat(said["until"]))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _told(verb: str, part: Part, request: str, **detail: Any) -> None:
    row = models.Source.objects.filter(name=part.source).first()
    ref = row.ref if row else Ref("lake", "part", request)
    ledger.record(verb, ref, actor=SYSTEM, label=part.source, detail={"request": request, "since": clock.text(part.since), "until": clock.text(part.until), **detail}, territory=row.territory if row else "", industry=row.industry if row else "")
