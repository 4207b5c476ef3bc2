"""What the lake keeps sealed, kind by kind: how many things hang on each generation of the node's key, how they move to the newest, how they are given up.

In: the key's generations. Out: secrets and pieces in the database re-sealed one by one; the event tables and the rejects by their writer, day by day
(``resealed``), since nobody else may change them. What waits in the spool goes by itself.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import pyarrow as pa
from django.db.models import BinaryField
from django.db.models.functions import Substr
from django.utils.translation import gettext_lazy as _

from lianfang.commons.people import actions as people_actions
from lianfang.commons.people import declare
from lianfang.commons.people import queries as people
from lianfang.engines.columns.store import EventStore
from lianfang.engines.envelope import Keyring, mark_of, steady_generation
from lianfang.kernel.errors import Conflict, Invalid
from lianfang.rooms.lake import models
from lianfang.rooms.lake.actions import parting, receiving, reporting, secrets, spool
from lianfang.rooms.lake.queries import generations, parts, scope, sealing, shielding
from lianfang.rooms.lake.types import EVENT_TABLES, REJECT_TABLE, Sending

PATIENCE = 10.0
"""Seconds after which the writer looks after other things before it re-seals a further day."""
HEAD = 32


def kinds() -> list[declare.Kind]:
    """For ``declare.sealed``."""
    typed = _("They have to be typed again; until then these sources are not asked.")
    return [
        people_actions.sealed_texts("lake.source_secret", _("secrets of log sources"), typed, models.Source.objects.all, "sealed", purpose=secrets.PURPOSE, forget=lambda rows: rows.update(sealed="")),
        people_actions.sealed_texts("lake.destination_secret", _("secrets of destinations"), _("They have to be typed again; until then nothing is reported there."), models.Destination.objects.all, "sealed", purpose=secrets.REPORTING, forget=lambda rows: rows.update(sealed="")),
        people_actions.sealed_texts("lake.pseudonym", _("values behind pseudonyms"), _("These pseudonyms can never be led back."), models.Pseudonym.objects.all, "sealed", purpose=shielding.LED_BACK, forget=lambda rows: rows.delete()[0]),
        declare.Kind("lake.report_part", _("pieces of reports on their way"), _("These reports end; send them anew."), _parts, _reseal_parts, _forget_parts),
        declare.Kind("lake.spooled", _("batches waiting in the spool"), _("These logs are lost: they were received, and never stored."), _spooled, lambda _progress: None, _forget_spooled, drains=True),
        declare.Kind("lake.event", _("events with sealed content"), _("Their content stays hidden for good; that they happened, when and where, stays."), generations.events_by_generation, _leave_to_writer, lambda _generation: 0),
        declare.Kind("lake.reject", _("sealed rejects"), _("They can never be sent through again."), generations.rejects_by_generation, _leave_to_writer, lambda _generation: 0),
        declare.Kind("lake.archive", _("encrypted archives"), _("They can never be opened or brought back."), _archives, _reseal_archives, lambda _generation: 0),
        declare.Kind("lake.archived_event", _("sealed events in archives from before archives were encrypted"), _("Their content stays hidden for good."), _archived_before, lambda _progress: None, lambda _generation: 0),
    ]  # fmt: skip


# ---- pieces of reports ---------------------------------------------------------------------------------------------


def _waiting() -> Any:
    return models.ReportPart.objects.filter(done=None).exclude(content=b"").annotate(head=Substr("content", 1, HEAD, output_field=BinaryField())).order_by("pk")


def _parts() -> declare.Counts:
    return people.by_generation((mark_of(bytes(head)).key, 1) for head in _waiting().values_list("head", flat=True))


def _reseal_parts(progress: declare.Progress) -> None:
    ring = people.keyring()
    old = [pk for pk, head in _waiting().values_list("pk", "head") if ring.generation(bytes(head)) not in (None, ring.newest)]
    for at, pk in enumerate(old):
        progress(at, len(old))
        content = models.ReportPart.objects.filter(pk=pk, done=None).values_list("content", flat=True).first()
        if content:
            models.ReportPart.objects.filter(pk=pk, done=None).update(content=ring.seal_bytes(ring.open_bytes(bytes(content), purpose=reporting.PURPOSE), purpose=reporting.PURPOSE))


def _forget_parts(generation: int) -> int:
    known = people.generation_numbers()
    gone = [(pk, report) for pk, report, head in _waiting().values_list("pk", "report", "head") if people.generation_of(mark_of(bytes(head)).key, known) == generation]
    models.Report.objects.filter(pk__in={report for _, report in gone}).exclude(state=Sending.DONE).update(state=Sending.STOPPED)
    return int(models.ReportPart.objects.filter(pk__in=[pk for pk, _ in gone]).update(content=b""))


# ---- the spool -----------------------------------------------------------------------------------------------------


def _spooled() -> declare.Counts:
    return people.by_generation((mark_of(head).key, 1) for head in spool.sealed_heads(receiving.root(), HEAD))


def _forget_spooled(generation: int) -> int:
    """Nothing is done here: what opens groups drops those of a generation that was given up."""
    return _spooled().get(generation, 0)


# ---- archives: each has a key of its own, which alone lies sealed under the node's --------------------------------


def _archives() -> declare.Counts:
    return people.by_generation((mark_of(path.read_text("ascii")).key, 1) for path in _archive_keys())


def _archive_keys() -> list[Path]:
    return sorted(path for path in parts.archive_folder("x").parent.glob(f"*/{parting.KEY}"))


def _reseal_archives(progress: declare.Progress) -> None:
    ring, found = people.keyring(), _archive_keys()
    for at, path in enumerate(found):
        progress(at, len(found))
        before = path.read_text("ascii")
        if ring.generation(before) not in (None, ring.newest):
            parting.write_key(path.parent, ring.seal(ring.open(before, purpose=parting.PURPOSE), purpose=parting.PURPOSE))


def _archived_before() -> declare.Counts:
    """What lies sealed value by value in archives that say nothing of encryption."""
    found = Counter[int]()
    for path in sorted(parts.archive_folder("x").parent.glob("*/manifest.json")) if sealing.may_be_sealed() else ():
        manifest = json.loads(path.read_text("utf-8"))
        if "encrypted" not in manifest:
            for said in manifest["tables"].values():
                found.update(generations.copy_by_generation(f"{path.parent.name}/{said['file']}", path.parent / said["file"]))
    return dict(found)


# ---- the tables: what only their writer may do ---------------------------------------------------------------------


def _leave_to_writer(_progress: declare.Progress) -> None:
    models.Chore.objects.get_or_create(verb=models.Chore.RESEAL, done=None)


def resealed(store: EventStore) -> bool:
    """Move days of the tables to the newest generation, for some seconds; whether none is left. May be ended anywhere: a day is one commit."""
    begun, ring, known = monotonic(), people.keyring(), people.generation_numbers()
    if any(known.get(key.id) != number for number, key in ring.keys.items()):
        raise Conflict("A sealing key is not the one that it was", why="What lies sealed under it could be taken for something else.", todo="Restore the folder keys/ from a backup.", retry=True)
    for table in (*EVENT_TABLES, REJECT_TABLE):
        change = _rejects_anew if table == REJECT_TABLE else _events_anew
        for day in generations.older_days(table):
            if monotonic() - begun > PATIENCE:
                return False
            store.rewrite(table, day, partial(change, ring))
    return True


def _events_anew(ring: Keyring, rows: pa.Table) -> pa.Table:
    for name in scope.SEALABLE & set(rows.column_names):
        values = rows[name].to_pylist()
        done = _Cells(ring, name).anew(values)
        if done is not None:
            rows = rows.set_column(rows.column_names.index(name), rows.schema.field(name), pa.array(done, rows.schema.field(name).type))
    return rows


class _Cells:
    """Sealed cells of one column under the newest generation; each distinct one is changed once."""

    def __init__(self, ring: Keyring, name: str) -> None:
        self.ring, self.purpose, self.newest = ring, sealing.purpose(name), ring.steady(sealing.purpose(name))
        self.known: dict[str, str] = {}

    def anew(self, values: Sequence[Any]) -> list[Any] | None:
        """The column, or ``None`` when nothing of it changes."""
        done = [[self._one(each) for each in value] if isinstance(value, list) else self._one(value) if isinstance(value, str) else value for value in values]
        return done if self.known else None

    def _one(self, value: str) -> str:
        number = steady_generation(value)
        if number in (0, self.ring.newest) or number not in self.ring.keys:
            return value
        if value not in self.known:
            self.known[value] = self._changed(value, number)
        return self.known[value]

    def _changed(self, value: str, number: int) -> str:
        try:
            return self.newest.seal(self.ring.steady(self.purpose, number).open(value))
        except Invalid:
            return self.newest.seal(value, anyway=True)  # somebody wrote a log that only looks sealed: as a text it can be read, and holds no key


def _rejects_anew(ring: Keyring, rows: pa.Table) -> pa.Table:
    def anew(raw: bytes | None) -> bytes | None:
        if not raw or not raw.startswith(shielding.MARK) or ring.generation(raw.removeprefix(shielding.MARK)) in (None, ring.newest):
            return raw
        try:
            content = ring.open_bytes(raw.removeprefix(shielding.MARK), purpose=shielding.REJECTED)
        except Invalid:
            content = raw  # bytes of a sender that only look sealed
        return shielding.MARK + ring.seal_bytes(content, purpose=shielding.REJECTED)

    return rows.set_column(rows.column_names.index("raw"), rows.schema.field("raw"), pa.array([anew(raw) for raw in rows["raw"].to_pylist()], pa.binary()))
