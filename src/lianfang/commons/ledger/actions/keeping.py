"""Keeping the log: sign its head, name the node, forget a record's content on record."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext

from lianfang.commons.ledger import queries
from lianfang.commons.ledger.actions.recording import record
from lianfang.commons.ledger.actions.sequencing import begin_log, head_locked, sequence
from lianfang.commons.ledger.models import Checkpoint, Head, Record, identity
from lianfang.commons.ledger.models.tables import load_tile
from lianfang.commons.ledger.types import FORGOTTEN, VERIFIED, Verdict
from lianfang.engines import envelope, merkle
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import Viewer


def cut_checkpoint() -> str:
    """Seal what waits, sign the root over all of it, and return the signed note. Nothing new since the last one: that one is returned."""
    sequence()
    begin_log()
    with transaction.atomic():
        head = head_locked()
        last = Checkpoint.objects.order_by("-size").first()
        if last and last.size == head.size:
            return last.note
        signed = _sign(head)
        Checkpoint.objects.create(size=head.size, root=signed.root.hex(), note=(note := signed.sign(identity.signing_key())), time=clock.now())
    identity.keep_checkpoint(note)
    return note


def _sign(head: Head) -> envelope.Checkpoint:
    root = merkle.root(merkle.Tiles(load_tile), head.size)
    return envelope.Checkpoint(identity.signing_key().name, head.size, root)


def name_node(name: str) -> None:
    """Give the node its name, which every leaf carries. Only before the first record is sealed: a log cannot change its name."""
    if not name or any(char.isspace() or char == "+" for char in name) or len(name) > 100:
        raise Invalid(gettext("This cannot be a node's name"), why=gettext("It may hold no spaces and no plus signs, and at most 100 characters."), todo=gettext("Use something like ops.example.org."))
    if identity.node_name() == name:
        return
    if Head.objects.filter(size__gt=0).exists() or identity.has_key():
        raise Conflict(gettext("This node has a name already"), why=gettext("Its log is sealed under that name."), todo=gettext("Set up a new node to use another name."))
    identity.write("node.name", name + "\n")
    Head.objects.all().delete()


@transaction.atomic
def forget(id: UUID, *, reason: str, actor: Viewer) -> None:
    """Erase what a record says (salt and document), keep that it was there. The erasure is itself on record; every proof still holds."""
    changed = Record.objects.filter(pk=id, detail__isnull=False, seq__isnull=False).exclude(verb=FORGOTTEN).update(detail=None, salt=None, label="", actor="", actor_name="", organisation="")
    if not changed:
        raise Conflict(gettext("This record cannot be forgotten"), why=gettext("It is not sealed yet, is forgotten already, or tells of forgetting."), todo=gettext("Wait a few seconds and look again."))
    record(FORGOTTEN, Ref("ledger", "record", str(id)), actor=actor, detail={"reason": reason})


def check(*, actor: Viewer, progress: Callable[[int, int], None] | None = None) -> Verdict:
    """Verify the whole log and put the outcome on record. Raises ``Conflict`` with the first findings when it does not hold."""
    verdict = queries.verify(progress)
    first = [str(problem) for problem in verdict.problems[:50]]
    record(VERIFIED, queries.LOG, actor=actor, detail={"ok": verdict.ok, "records": verdict.records, "checkpoints": verdict.checkpoints, "problems": len(verdict.problems), "first": first})
    if not verdict.ok:
        raise Conflict(gettext("The audit log does not hold"), why="; ".join(first), todo=gettext("Keep the database as it is, and compare it with a backup and with the checkpoints that others hold."))
    return verdict
