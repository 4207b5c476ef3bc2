"""Parts of the lake: archived as Parquet with a manifest (encrypted where a level asks for it), destroyed for good, brought back. Reading may be done anywhere; writing is left for the writer.

In: a part and who asked. Out: an archive that proves what it holds; the facts ``PartDestroyed`` and ``PartRestored``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from django.db import transaction

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import actions as ledger
from lianfang.commons.people import actions as people_actions
from lianfang.commons.people import queries as people
from lianfang.engines.columns.query import Bounds
from lianfang.engines.columns.store import EventStore, equal
from lianfang.engines.envelope import SealedReader, SealedWriter
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Fault
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.lake import models
from lianfang.rooms.lake.queries import copies, parts, scope, sealing
from lianfang.rooms.lake.types import Part, PartDestroyed, PartRestored

Progress = Callable[[float, str], object]
FILE = "{table}.parquet"
ENCRYPTED, KEY, PURPOSE = ".sealed", "key", "lianfang archive"
"""How an encrypted file's name ends; the file with the archive's own key, which lies sealed; what both are for."""
AT_ONCE = 16_384
"""Rows that are brought back at a time."""
PROTECTED = 3
"""Archives that hold an event of this level or above are encrypted; so are all as soon as any level lies sealed."""


def archive_part(part: Part, *, request: str, progress: Progress = lambda _percent, _said: None) -> dict[str, Any]:
    """Write a part's events into the archive, read it back, compare; returns the manifest. May be repeated: the archive is written anew, encrypted where a level asks for it."""
    folder = parts.archive_folder(request)
    draft = folder.with_name(f"{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700, parents=True)
    encrypted = sealing.may_be_sealed() or parts.highest_level(part) >= PROTECTED
    secret = _new_key(draft) if encrypted else b""
    tables = {}
    for number, table in enumerate(part.tables):
        progress(100 * number / len(part.tables), table)
        written = _write(part, table, draft / (FILE.format(table=table) + ENCRYPTED * encrypted), secret)
        if written:
            tables[table] = written
    manifest = {"request": request, "part": _said(part), "tables": tables, "rows": sum(one["rows"] for one in tables.values()), "made": clock.text(clock.now()), "encrypted": encrypted}
    (draft / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1), "utf-8")
    verify_archive(draft, manifest)
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    return manifest


def _new_key(folder: Path) -> bytes:
    """An archive's own key, kept beside its files, sealed under the node's: when that is turned, this small file alone is written anew."""
    secret = os.urandom(32)
    write_key(folder, people_actions.seal(secret.hex(), purpose=PURPOSE))
    return secret


def write_key(folder: Path, sealed: str) -> None:
    """Put an archive's sealed key in the place of the one before, whole or not at all."""
    draft = folder / f".{KEY}.{os.urandom(4).hex()}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(sealed)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / KEY)


@contextmanager
def _opened(folder: Path, name: str) -> Iterator[Any]:
    """A file of an archive to read from, decrypted piece by piece where it is encrypted. Raises ``Conflict`` when the node has no key for it."""
    with (folder / name).open("rb") as file:
        if not name.endswith(ENCRYPTED):
            yield file
            return
        try:
            secret = bytes.fromhex(people.keyring().open((folder / KEY).read_text("ascii"), purpose=PURPOSE))
        except (Fault, OSError) as error:
            raise Conflict("This archive cannot be opened", why=f"{name} is encrypted, and the node has no key for it: {error}", todo="Restore the folder keys/ from a backup.") from error
        yield SealedReader(file, secret, purpose=f"{PURPOSE} {name}")


def _write(part: Part, table: str, path: Path, secret: bytes) -> dict[str, Any] | None:
    mark, found = parts.Fingerprint(), parts.hours(part, table)
    first = next(found, None)
    if first is None:
        return None
    with path.open("xb") as file, SealedWriter(file, secret, purpose=f"{PURPOSE} {path.name}") if secret else nullcontext(file) as into:
        with pq.ParquetWriter(into, first.schema, compression="zstd") as writer:
            for lying in chain((first,), found):
                rows = parts.opened(lying, strict=True)
                writer.write_table(rows)
                mark.add(rows)
        if secret:
            into.close()
        file.flush()
        os.fsync(file.fileno())
    return {"file": path.name, "rows": mark.rows, "fingerprint": mark.text(), "sha256": _digest(path), "bytes": path.stat().st_size}


def verify_archive(folder: Path, manifest: dict[str, Any]) -> None:
    """Raise ``Conflict`` unless every file is what the manifest says: its bytes, its events, their fingerprint."""
    for table, said in manifest["tables"].items():
        path, mark = folder / said["file"], parts.Fingerprint()
        if not path.is_file() or _digest(path) != said["sha256"]:
            raise Conflict("The archive is damaged", why=f"{said['file']} is missing, or its SHA-256 is another.", todo="Bring it back from the backup.")
        with _opened(folder, said["file"]) as file:
            for rows in pq.ParquetFile(file).iter_batches():
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
    rows = sum(_bring(store, table, folder, said["file"]) for table, said in manifest["tables"].items())
    with transaction.atomic():
        _told("lake.part_restored", _part(manifest["part"]), request, rows=rows)
        jobs.publish(PartRestored(request=request, rows=rows))


def _bring(store: EventStore, table: str, folder: Path, name: str) -> int:
    with _opened(folder, name) as file:
        return sum(_brought(store, table, pa.Table.from_batches([batch])) for batch in pq.ParquetFile(file).iter_batches(batch_size=AT_ONCE))


def _brought(store: EventStore, table: str, events: pa.Table) -> int:
    """Those of some events that are not there, sealed as their levels ask for now."""
    since, until = pc.min(events["time"]).as_py(), pc.max(events["time"]).as_py()
    there = scope.query().arrow("SELECT event_id FROM stored WHERE event_id IN (SELECT value FROM given) AND time >= ? AND time <= ?", [since, until], bounds=Bounds((table,), since), given=pa.table({"value": events["event_id"]}))["event_id"]
    fresh = events.filter(pc.invert(pc.is_in(events["event_id"], there.combine_chunks())))
    if fresh.num_rows:
        store.append(table, copies.at_rest(fresh), transactions={})
    return int(fresh.num_rows)


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
