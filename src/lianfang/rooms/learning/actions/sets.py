"""Data sets, declared without a line of code: a question, what it is for, how often a version is made.

In: a form. Out: data sets, each step with one record in the ledger. Versions that were made stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext

from lianfang.commons.frame.scoped import whose
from lianfang.commons.ledger import actions as ledger
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Fault, Invalid
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.types import EVENT_TABLES, Filter, Question
from lianfang.rooms.learning import models
from lianfang.rooms.learning.types import PACES, Origin, Period

FIELDS = ("name", "purpose", "origin", "tables", "filters", "words", "columns", "period", "since", "until", "pace")


@transaction.atomic
def create_set(values: Mapping[str, Any], *, actor: Viewer) -> models.DataSet:
    """A data set of the actor's organisation; its versions hold nothing above the actor's clearance."""
    actor.must("learning.dataset.add")
    must_belong(actor)
    row = models.DataSet(**{name: value for name, value in values.items() if name in FIELDS}, clearance=int(actor.clearance), declared_by=actor.name, **whose(actor))
    _must_fit(row, actor)
    row.due = clock.now() + PACES[row.pace] if row.pace in PACES else None
    _saved(row, new=True)
    _told("added", row, actor, **said(row))
    return row


@transaction.atomic
def change_set(row: models.DataSet, values: Mapping[str, Any], *, actor: Viewer) -> models.DataSet:
    """Another question from the next version on, with the clearance of whoever changed it."""
    actor.must("learning.dataset.change")
    row = models.DataSet.objects.select_for_update().get(pk=row.pk)
    before = said(row)
    origin = row.origin
    for name in FIELDS:
        setattr(row, name, values.get(name, getattr(row, name)))
    if row.origin != origin and row.versions.exists():
        raise Conflict("What the rows are cannot change", why="There are versions already.", todo="Make another data set.")
    _must_fit(row, actor)
    after = said(row)
    if after == before:
        return row
    if {name for name in after if after[name] != before.get(name)} - {"name", "purpose", "pace"}:
        row.clearance, row.declared_by = int(actor.clearance), actor.name
    if after["pace"] != before["pace"]:
        row.due = clock.now() + PACES[row.pace] if row.pace in PACES else None
    _saved(row)
    _told("changed", row, actor, **_differing(before, after))
    return row


@transaction.atomic
def remove_set(row: models.DataSet, *, actor: Viewer) -> None:
    """A data set goes as long as nothing came of it."""
    actor.must("learning.dataset.delete")
    if row.versions.exists() or row.trainings.exists():
        raise Conflict(gettext("“%s” is still in use") % row, why="There are versions of it, or trainings.", todo="Let no more versions be made, and remove the copies of those that are there.")
    _told("removed", row, actor, **said(row))
    row.delete()


def must_belong(actor: Viewer) -> None:
    """Raise ``Conflict`` for whoever belongs to no organisation: what they declare would be nobody's."""
    if not actor.path:
        raise Conflict("This needs an organisation", why="Whoever asks belongs to none.", todo="Ask as a member of one.")


def question(row: models.DataSet, since: Any, until: Any) -> Question:
    """As the lake understands it."""
    return Question(since, until, tuple(Filter.of(text) for text in row.filters), row.words, tables=tuple(row.tables) or EVENT_TABLES)


def said(row: models.DataSet) -> dict[str, Any]:
    """A data set as plain values."""
    return {name: clock.text(value) if name in ("since", "until") and value else value for name in FIELDS if (value := getattr(row, name)) not in ("", None, [])}


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Before and after of what differs."""
    return ledger.differing({name: str(value) for name, value in before.items()}, {name: str(after.get(name, "")) for name in {*before, *after}})


def _must_fit(row: models.DataSet, actor: Viewer) -> None:
    """Raise ``Invalid`` for a question that could not be asked."""
    row.purpose = row.purpose.strip()
    if len(row.purpose) < 4:
        raise Invalid("A data set needs a purpose", why="Data is collected for something; who takes it away reads what for.", todo="Write a sentence.", details={"purpose": [gettext("missing")]})
    if row.origin == Origin.LESSONS:
        row.tables, row.filters, row.columns, row.words = [], [], [], ""
        return
    if strange := sorted(set(row.tables) - set(EVENT_TABLES)):
        raise Invalid("There is no such table", why=strange[0][:40], todo="The catalogue lists the tables.", details={"tables": [strange[0][:40]]})
    if row.period == Period.FIXED and not (row.since and row.until):
        raise Invalid("The period has no beginning or no end", todo="Fill in from and until, or choose a period that moves along.", details={"since": [gettext("missing")]})
    since, until = row.bounds(clock.now())
    for name, check in (("columns", lambda: lake.columns_of(row.columns)), ("filters", lambda: lake.check_question(question(row, since, until), viewer=actor))):
        try:
            check()
        except Fault as fault:
            raise Invalid(str(fault.what), why=str(fault.why), todo=str(fault.todo), details={name: [str(fault.what)]}) from fault


def _saved(row: models.DataSet, *, new: bool = False) -> None:
    if models.DataSet.objects.filter(organisation=row.organisation, name=row.name).exclude(pk=row.pk).exists():
        raise Invalid("There is a data set of this name", todo="Choose another name.", details={"name": [gettext("taken")]})
    try:
        with transaction.atomic():
            row.save(force_insert=new)
    except IntegrityError as error:
        raise Conflict("There is a data set of this name", why="Somebody was faster.", todo="Choose another name.") from error


def _told(verb: str, row: models.DataSet, actor: Viewer, **detail: Any) -> None:
    ledger.record(f"learning.dataset_{verb}", row.ref, actor=actor, label=row.name, detail=detail, territory=row.territory, industry=row.industry)
