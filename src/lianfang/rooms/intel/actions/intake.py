"""Imports by hand: a delivery is uploaded, looked at, then taken in by a worker, which may be elsewhere and may be killed.

In: content and terms. Out: an ``Intake`` that tells how far it is and what it rejected. Its content lies in the database
in pieces until it is taken in, and is gone afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from time import monotonic
from typing import Any

from django.db import transaction

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import actions as ledger
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Fault, Invalid
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.intel import models
from lianfang.rooms.intel.actions.importing import take_in
from lianfang.rooms.intel.actions.keeping import owner
from lianfang.rooms.intel.queries import intakes, reading
from lianfang.rooms.intel.types import CHOSEN, Form, Rejected, Report, Stage, Terms

PIECE = 256 << 10
JOB = "intel.take_in"
DRAFTS_KEPT = timedelta(days=1)
SMALL, SMALL_STIX = 1 << 20, 256 << 10
"""Bytes of a delivery that is taken in while its sender waits: a few seconds' work."""
TOLD_EVERY = 0.5
_COUNTS = ("read", "added", "renewed", "same", "doubled", "rejected")


@transaction.atomic
def upload(name: str, content: bytes, *, form: str, terms: Terms, actor: Viewer) -> models.Intake:
    """Keep a delivery to be looked at. Raises ``Invalid`` for an empty or too large one."""
    actor.must("intel.indicator.add")
    if not content.strip():
        raise Invalid("There is nothing in it", why="The delivery is empty.", todo="Choose a file, or paste a list.")
    if len(content) > reading.LARGEST:
        raise Invalid("The delivery is too large", why="At most 64 MB are taken at once.", todo="Split it.")
    form = reading.form_of(content) if form == "auto" else form
    said = asdict(terms) | ({"until": clock.text(terms.until)} if terms.until else {})
    row = models.Intake.objects.create(name=name[:200], form=form, source=terms.source[:120], terms=said, bytes=len(content), created_by=actor.name[:120], **owner(actor))
    pieces = range(0, len(content), PIECE)
    models.IntakePart.objects.bulk_create([models.IntakePart(intake=row, number=number, content=content[start : start + PIECE]) for number, start in enumerate(pieces)], batch_size=8)
    _told("intel.uploaded", row, actor, bytes=len(content))
    return row


@transaction.atomic
def start(row: models.Intake, *, columns: Mapping[str, str] | None = None, only: Sequence[int] = (), actor: Viewer) -> models.Intake:
    """Have a worker take the delivery in; of a mail or a text ``only`` the lines that a person chose. Raises ``Conflict`` when that was asked before."""
    actor.must("intel.indicator.add")
    if row.form in CHOSEN and not only:
        raise Invalid("No value was chosen", why="What a mail or a text holds is watched for only when somebody says so.", todo="Choose at least one value, or discard the import.")
    said = {**row.terms, "only": sorted(only)} if only else row.terms
    if not models.Intake.objects.filter(pk=row.pk, stage=Stage.DRAFT).update(stage=Stage.WAITING, columns=dict(columns or {}), terms=said):
        raise Conflict("This import was started already", todo="Reload the page.")
    job = jobs.enqueue(JOB, {"intake": str(row.pk), "actor": _actor(actor)}, key=f"{JOB}:{row.pk}", actor=actor)
    models.Intake.objects.filter(pk=row.pk).update(job=str(job.id))
    row.refresh_from_db()
    return row


@transaction.atomic
def discard(row: models.Intake, *, actor: Viewer) -> None:
    """Forget an import with its rejects; indicators that came of it stay. One that is being taken in cannot be discarded."""
    actor.must("intel.indicator.add")
    if row.stage in (Stage.WAITING, Stage.RUNNING) and not intakes.stuck(row):
        raise Conflict("This import is being taken in", todo="Wait until it is done.", retry=True)
    _told("intel.import_discarded", row, actor)
    row.delete()


def deliver(name: str, content: bytes, *, form: str, terms: Terms, actor: Viewer) -> models.Intake:
    """Take a delivery in without a preview (but a mail or a text, which waits for one): a small one here and now, a large one by a worker. Raises ``Invalid`` when it cannot be read."""
    row = upload(name, content, form=form, terms=terms, actor=actor)
    if row.form in CHOSEN:
        return row  # proposed: it waits for a person's yes
    if len(content) > (SMALL_STIX if row.form == Form.STIX else SMALL):
        return start(row, actor=actor)
    models.Intake.objects.filter(pk=row.pk).update(stage=Stage.RUNNING)
    _carried(row, actor, lambda percent, message: None)
    row.refresh_from_db()
    return row


def carry_out(pk: str, *, actor: Mapping[str, Any], run: jobs.Run) -> None:
    """What the worker does. May run again after a crash: what was taken in is then the same, and is not taken in twice."""
    row = models.Intake.objects.filter(pk=pk).first()
    if row is None or row.stage not in (Stage.WAITING, Stage.RUNNING):
        return
    models.Intake.objects.filter(pk=pk).update(stage=Stage.RUNNING)
    with suppress(Fault):  # it is what becomes of the import, and is written down with it
        _carried(row, _viewer(row, actor), run.progress)


def _carried(row: models.Intake, actor: Viewer, tell: Callable[[float, str], Any]) -> None:
    """Take the content in, telling how far it is twice a second; raises what it was refused for, once that is written down."""
    content, told = intakes.content(row), 0.0
    whole = reading.size(content, row.form)

    def step(report: Report) -> None:
        nonlocal told
        if monotonic() - told >= TOLD_EVERY:
            told = monotonic()
            _counted(row, report, percent=min(99, 100 * report.read // whole))
        tell(min(99.0, 100 * report.read / whole), f"{report.read:,}")

    try:
        report = take_in(content, form=row.form, terms=intakes.terms(row), actor=actor, columns=row.columns or None, name=row.name, ref=row.ref, step=step)
    except Fault as fault:
        _ended(row, Stage.FAILED, trouble=fault.what[:400])
        raise
    _finished(row, report)


@transaction.atomic
def _finished(row: models.Intake, report: Report) -> None:
    models.Reject.objects.filter(intake=row).delete()
    models.Reject.objects.bulk_create([_reject(row, one) for one in report.rejects], batch_size=500)
    _counted(row, report, percent=100)
    _ended(row, Stage.DONE)


def _reject(row: models.Intake, one: Rejected) -> models.Reject:
    return models.Reject(intake=row, line=one.line, raw=one.raw[:500], code=one.code, detail=one.detail[:200])


def _counted(row: models.Intake, report: Report, *, percent: int) -> None:
    models.Intake.objects.filter(pk=row.pk).update(percent=percent, **{name: getattr(report, name) for name in _COUNTS})


def _ended(row: models.Intake, stage: Stage, *, trouble: str = "") -> None:
    models.Intake.objects.filter(pk=row.pk).update(stage=stage, trouble=trouble, finished=clock.now())
    models.IntakePart.objects.filter(intake=row).delete()


def sweep() -> int:
    """Forget drafts that nobody started within a day; returns how many."""
    old = models.Intake.objects.filter(stage=Stage.DRAFT, created__lt=clock.now() - DRAFTS_KEPT)
    count = old.count()
    old.delete()
    return count


def _actor(actor: Viewer) -> dict[str, str]:
    return {"id": actor.id, "name": actor.name, "kind": actor.kind}


def _viewer(row: models.Intake, actor: Mapping[str, Any]) -> Viewer:
    """Who asked, with just the right that was checked when they asked, in the organisation whose import it is."""
    return Viewer(
        id=actor["id"], name=actor["name"], kind=actor["kind"], organisation=row.organisation, path=row.territory, industry_path=row.industry,
        territory=(row.territory,), permissions=frozenset({"intel.indicator.add"}),
    )  # fmt: skip


def _told(verb: str, row: models.Intake, actor: Viewer, **detail: Any) -> None:
    ledger.record(verb, row.ref, actor=actor, label=row.name, detail={"source": row.source, "form": row.form, **detail}, territory=row.territory, industry=row.industry)
