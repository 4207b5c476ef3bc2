"""Questions about imports: their content while it waits, their terms, what they rejected."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from lianfang.commons.jobs import queries as jobs
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Missing
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.intel import models
from lianfang.rooms.intel.queries import reading
from lianfang.rooms.intel.types import Stage, Terms

WAITED = timedelta(minutes=15)
"""Nobody waits longer for what is taken in here and now: its process died."""


def intake(pk: Any, viewer: Viewer) -> models.Intake:
    """One import in the viewer's scope."""
    viewer.must("intel.intake.view")
    return models.Intake.objects.all().fetch(pk, viewer)


def content(row: models.Intake) -> bytes:
    """What was uploaded, as it was."""
    return b"".join(bytes(part) for part in models.IntakePart.objects.filter(intake=row).order_by("number").values_list("content", flat=True))


def terms(row: models.Intake) -> Terms:
    """On which terms it is taken in."""
    until = row.terms.get("until")
    return Terms(**{**row.terms, "tags": tuple(row.terms.get("tags", ())), "only": tuple(row.terms.get("only", ())), "until": clock.parse(until) if until else None})


def preview(row: models.Intake, *, columns: dict[str, str] | None = None) -> reading.Preview:
    """The beginning of an import that waits to be started. Raises ``Conflict`` when it was started."""
    if row.stage != Stage.DRAFT:
        raise Conflict("This import was started already", todo="Reload the page.")
    try:
        return reading.preview(content(row), form=row.form, terms=terms(row), columns=columns)
    except Invalid as fault:
        return reading.Preview(row.form, *reading.heads(content(row), row.form), items=(), fault=fault)


def stuck(row: models.Intake) -> str:
    """Why no worker will go on with a started import; ``""`` while one will."""
    if row.stage not in (Stage.WAITING, Stage.RUNNING):
        return ""
    if not row.job:  # somebody waits for it; but not for ever
        return "The work was lost." if clock.now() - row.created > WAITED else ""
    try:
        found = jobs.progress(UUID(row.job), SYSTEM)
    except Missing:
        return "The work was lost."
    return (found.error or found.state.label) if found.ended else ""


def rejects(row: models.Intake) -> QuerySet[models.Reject]:
    """What an import did not take, by line."""
    return models.Reject.objects.filter(intake=row).order_by("line", "id")
