"""The end of a data set's life: archive, destroy, bring back. Asked for with a reason, approved by a second person, done by the lake, kept on record for good.

In: a part of the data and two people. Out: a row that remains when the data is gone: what, how many, fingerprints, who, when, by what means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext

from lianfang.commons.frame.scoped import whose
from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import actions as ledger
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Fault, Invalid, Refused
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.lake import actions as lake_actions
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.types import EVENT_TABLES
from lianfang.rooms.standards import models
from lianfang.rooms.standards.actions.uses import must_belong
from lianfang.rooms.standards.types import Deed, Progress


@transaction.atomic
def ask_deed(deed: str, source: str, tables: Sequence[str], *, since: datetime, until: datetime, reason: str, actor: Viewer, archive: str = "") -> models.Disposal:
    """Ask for a part to be archived or destroyed, or for an archive to be brought back."""
    actor.must("standards.disposal.add")
    must_belong(actor)
    lake.way_in(source, viewer=actor)
    if deed not in Deed or not tables or not set(tables) <= set(EVENT_TABLES):
        raise Invalid("This cannot be asked for", why="The deed or a table is unknown.", todo="Use the form of a data set.")
    if since >= until:
        raise Invalid("The time ends before it begins", todo="Choose an earlier start.", details={"since": [gettext("after the end")]})
    if not reason.strip():
        raise Invalid("A deed needs a reason", why="The record remains when the data is gone.", todo="Write a sentence.", details={"reason": [gettext("missing")]})
    row = models.Disposal(deed=deed, source=source, tables=list(tables), since=since, until=until, reason=reason.strip()[:300], archive=archive, asker=actor.id, asked_by=actor.name, **whose(actor))
    row.save(force_insert=True)
    _told("asked", row, actor, reason=row.reason)
    return row


@transaction.atomic
def approve_deed(row: models.Disposal, *, actor: Viewer) -> models.Disposal:
    """A second person says yes; the lake begins."""
    row = _open(row, actor)
    if actor.id == row.asker:
        raise Refused("A second person has to approve", why=gettext("You asked for it yourself."), todo="Ask a colleague who may approve this.")
    row.state, row.decided_by, row.decided = Progress.APPROVED, actor.name, clock.now()
    row.save(update_fields=("state", "decided_by", "decided"))
    _told("approved", row, actor)
    if row.deed == Deed.ARCHIVE:
        jobs.enqueue("standards.archive", {"disposal": str(row.pk)}, key=f"standards.archive:{row.pk}", actor=actor)
    elif row.deed == Deed.DESTROY:
        lake_actions.destroy_part(row.part, request=str(row.pk))
    else:
        lake_actions.restore_part(row.request)
    return row


@transaction.atomic
def refuse_deed(row: models.Disposal, *, actor: Viewer) -> models.Disposal:
    """It is not done."""
    row = _open(row, actor)
    row.state, row.decided_by, row.decided = Progress.REFUSED, actor.name, clock.now()
    row.save(update_fields=("state", "decided_by", "decided"))
    _told("refused", row, actor)
    return row


def carry_out(disposal: str, *, progress: Callable[[float, str], object]) -> None:
    """Write and check an archive; may be repeated after a crash."""
    row = models.Disposal.objects.get(pk=disposal)
    if row.state != Progress.APPROVED:
        return
    try:
        manifest = lake_actions.archive_part(row.part, request=row.request, progress=progress)
    except Fault as fault:
        models.Disposal.objects.filter(pk=row.pk).update(trouble=str(fault)[:300])
        raise
    _done(row, rows=manifest["rows"], result=manifest)


def conclude_destroyed(request: str, *, rows: int, tables: Sequence[str], files: Sequence[str]) -> None:
    """The lake says that a part is gone."""
    row = models.Disposal.objects.filter(pk=request, state=Progress.APPROVED).first()
    if row is not None:
        said = [part.split("=") for part in tables]
        _done(row, rows=rows, result={"tables": {name: {"rows": int(number), "fingerprint": mark} for name, number, mark in said}, "files": list(files), "rows": rows})


def conclude_restored(request: str, *, rows: int) -> None:
    """The lake says that an archive is back."""
    row = models.Disposal.objects.filter(deed=Deed.RESTORE, archive=request, state=Progress.APPROVED).order_by("asked").first()
    if row is not None:
        _done(row, rows=rows, result={"rows": rows})


@transaction.atomic
def _done(row: models.Disposal, *, rows: int, result: dict[str, Any]) -> None:
    row.state, row.done, row.rows, row.result, row.trouble = Progress.DONE, clock.now(), rows, result, ""
    row.save(update_fields=("state", "done", "rows", "result", "trouble"))
    tables = {name: {key: one[key] for key in ("rows", "fingerprint", "sha256") if key in one} for name, one in result.get("tables", {}).items()}
    _told("done", row, SYSTEM, rows=rows, tables=tables, asked_by=row.asked_by, approved_by=row.decided_by)


def _open(row: models.Disposal, actor: Viewer) -> models.Disposal:
    actor.must("standards.disposal.approve")
    row = models.Disposal.objects.select_for_update().get(pk=row.pk)
    if row.state != Progress.ASKED:
        raise Conflict(gettext("“%s” was decided already") % row, todo="Reload the page.")
    return row


def _told(verb: str, row: models.Disposal, actor: Viewer, **detail: Any) -> None:
    said = {"deed": row.deed, "source": row.source, "tables": row.tables, "since": clock.text(row.since), "until": clock.text(row.until), **detail}
    ledger.record(f"standards.deed_{verb}", row.ref, actor=actor, label=str(row)[:200], detail=said, territory=row.territory, industry=row.industry)
