"""Entries as viewers see them, their proofs, and who this node is."""

from __future__ import annotations

import json
from uuid import UUID

from django.db.models import Min, QuerySet
from django.utils.translation import gettext

from lianfang.commons.ledger.models import Checkpoint, Head, Record, identity
from lianfang.commons.ledger.models.leaves import leaf
from lianfang.commons.ledger.models.tables import load_tile
from lianfang.commons.ledger.types import VERIFIED, Entry, Node, Proof
from lianfang.engines import envelope, merkle
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Missing
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import Viewer

LOG = Ref("ledger", "log", "1")
"""The log itself, as the object of what is done to it as a whole."""


def seen(viewer: Viewer) -> QuerySet[Record]:
    """The records in a viewer's scope; for sheets and panels. Who sees the node sees what concerns no organisation, too."""
    return Record.objects.all() if viewer.sees_node else Record.objects.seen_by(viewer)


def _fetch(id: UUID, viewer: Viewer) -> Record:
    row = seen(viewer).filter(pk=id).first()
    if row is None:
        raise Missing(gettext("There is no such record"), why=gettext("It does not exist, or it lies outside your scope."), todo=gettext("Check the address, or ask its owner."))
    return row


def _entry(row: Record) -> Entry:
    said = json.loads(row.detail) if row.detail is not None else {}
    return Entry(row.pk, row.seq, row.time, row.verb, Ref.parse(row.ref), row.label, row.actor, row.actor_name, row.actor_kind, said, row.detail is None)


def timeline(ref: Ref, viewer: Viewer, *, limit: int = 200) -> list[Entry]:
    """What happened to one thing, newest first, as far as the viewer sees."""
    return [_entry(row) for row in seen(viewer).filter(ref=str(ref)).order_by("-time", "-id")[:limit]]


def entry(id: UUID, viewer: Viewer) -> Entry:
    """One entry; raises ``Missing`` outside the viewer's scope."""
    return _entry(_fetch(id, viewer))


def latest() -> tuple[int, Checkpoint | None]:
    """How long the log is, and its last signed checkpoint."""
    size = Head.objects.values_list("size", flat=True).first() or 0
    return size, Checkpoint.objects.order_by("-size").first()


def node() -> Node:
    """Who this node is to witnesses and verifiers."""
    key = identity.signing_key().verify_key
    return Node(identity.node_name(), key.name, str(key))


def proof(id: UUID, viewer: Viewer) -> Proof:
    """The proof that an entry stands in the log, under the first checkpoint that covers it. Raises ``Conflict`` until there is one."""
    row = _fetch(id, viewer)
    checkpoint = None if row.seq is None else Checkpoint.objects.filter(size__gt=row.seq).order_by("size").first()
    if checkpoint is None:
        raise Conflict(gettext("No checkpoint covers this record yet"), why=gettext("Checkpoints are signed once a minute."), todo=gettext("Look again in a minute."), retry=True)
    name = Head.objects.values_list("node", flat=True).get(pk=1)
    path = merkle.inclusion(merkle.Tiles(load_tile), row.seq, checkpoint.size)
    said = leaf(name, row.seq, row.verb, row.time, row.actor_kind, row.ref, bytes(row.commitment))
    file = envelope.ProofFile(row.seq, tuple(path), checkpoint.note, extra=said)
    return Proof(said, row.seq, checkpoint.size, tuple(path), bytes.fromhex(checkpoint.root), checkpoint.note, file.text)


def holds(given: Proof) -> bool:
    """Whether a proof really leads to its root, computed anew."""
    return merkle.verify_inclusion(given.index, given.size, merkle.leaf_hash(given.leaf), given.path, given.root)


def name_of(ref: Ref) -> str:
    """The name under which a thing was last recorded, or its identifier."""
    return Record.objects.filter(ref=str(ref)).exclude(label="").order_by("-time").values_list("label", flat=True).first() or ref.id


def waiting() -> int:
    """How many records wait to be sealed."""
    return Record.objects.filter(seq=None).count()


def lag() -> dict[str, float]:
    """Seconds that the oldest record has waited for its seal; for health and metrics."""
    oldest = Record.objects.filter(seq=None).aggregate(oldest=Min("time"))["oldest"]
    return {"unsealed": max(0.0, (clock.now() - oldest).total_seconds()) if oldest else 0.0}


def gauges() -> dict[str, float]:
    """How long the log is, and whether its last verification held (1), did not (0), or never was (-1)."""
    last = last_verification()
    return {"records": float(latest()[0]), "holds": -1.0 if last is None else float(bool(last.detail.get("ok")))}


def last_verification() -> Entry | None:
    """What the last verification of the whole log found."""
    row = Record.objects.filter(ref=str(LOG), verb=VERIFIED).order_by("-time").first()
    return _entry(row) if row else None
