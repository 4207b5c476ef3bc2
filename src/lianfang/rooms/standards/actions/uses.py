"""Uses: which column follows which element, suggested by name and kind, decided by a person; rules follow from what is confirmed.

In: columns and a person's word. Out: uses with one record each, and rules of quality that nobody had to write.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils.translation import gettext

from lianfang.commons.frame.scoped import whose
from lianfang.commons.ledger import actions as ledger
from lianfang.engines.columns.measures import Check
from lianfang.engines.schema.events import BY_NAME, COLUMNS
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.standards import models
from lianfang.rooms.standards.queries.elements import best, checks_of, elements_for, fits, uses_for
from lianfang.rooms.standards.types import EVENTS, WORD_OF, Kind, State, Use

SURE = 0.9
"""From this likeness on a suggestion can be taken without looking at it alone."""


def must_belong(actor: Viewer) -> None:
    """Raise ``Conflict`` for whoever belongs to no organisation: what they declare would be nobody's."""
    if not actor.path:
        raise Conflict("This needs an organisation", why="Whoever asks belongs to none.", todo="Ask as a member of one.")


@transaction.atomic
def suggest_uses(*, actor: Viewer) -> int:
    """For every column of the event tables that nobody has decided: the approved element that fits best. Returns how many are suggested."""
    actor.must("standards.use.change")
    must_belong(actor)
    mine = models.ElementUse.objects.filter(organisation=actor.organisation, dataset=EVENTS)
    mine.filter(state=Use.SUGGESTED).delete()
    decided = set(mine.values_list("column", flat=True))
    approved = list(elements_for(actor).filter(state=State.APPROVED))
    found = [(column, best(column, approved)) for column in COLUMNS if column.name not in decided]
    rows = [models.ElementUse(column=column.name, element=one[0], likeness=one[1], reasons=one[2], **whose(actor)) for column, one in found if one]
    models.ElementUse.objects.bulk_create(rows)
    if rows:
        ledger.record("standards.uses_suggested", rows[0].ref, actor=actor, label=EVENTS, detail={"columns": len(rows)}, territory=actor.path, industry=actor.industry_path)
    return len(rows)


@transaction.atomic
def confirm_suggested(*, actor: Viewer) -> int:
    """Every suggestion that is sure (the column is called what the element says) holds; returns how many."""
    actor.must("standards.use.change")
    rows = models.ElementUse.objects.filter(organisation=actor.organisation, dataset=EVENTS, state=Use.SUGGESTED, likeness__gte=SURE, element__state=State.APPROVED)
    return len([_decided(row, Use.CONFIRMED, actor) for row in rows])


@transaction.atomic
def refuse_use(column: str, *, actor: Viewer) -> models.ElementUse:
    """The column follows no element, for the actor's organisation; none is suggested again."""
    actor.must("standards.use.change")
    found = next((use for use in uses_for(actor) if use.column == column), None)
    if found is None:
        raise Missing("No element is suggested for this column", todo="Reload the page.")
    row = found if found.organisation == actor.organisation else models.ElementUse.objects.create(column=column, element=found.element, **whose(actor))
    return _decided(row, Use.REFUSED, actor)


@transaction.atomic
def choose_element(column: str, code: str, *, actor: Viewer) -> models.ElementUse:
    """A person says which approved element a column follows."""
    actor.must("standards.use.change")
    must_belong(actor)
    if column not in BY_NAME:
        raise Missing("There is no such column", todo="The catalogue lists the columns.")
    element = elements_for(actor).filter(state=State.APPROVED, code=code).order_by("-territory").first()
    if element is None:
        raise Missing(gettext("There is no approved element %s") % code[:30], todo="Choose one of the list.")
    if not fits(element, BY_NAME[column]):
        raise Invalid(gettext("%(element)s does not fit the column %(column)s") % {"element": element, "column": column}, why="The column holds values of another type.", todo="Choose another element.", details={"element": [gettext("another type")]})
    row = models.ElementUse.objects.filter(organisation=actor.organisation, dataset=EVENTS, column=column).first() or models.ElementUse(column=column, **whose(actor))
    row.element, row.likeness, row.reasons = element, 1.0, ["person"]
    row.save()
    return _decided(row, Use.CONFIRMED, actor)


def _decided(row: models.ElementUse, state: Use, actor: Viewer) -> models.ElementUse:
    actor.must("standards.use.change")
    row = models.ElementUse.objects.select_for_update().select_related("element").get(pk=row.pk)
    if state == Use.CONFIRMED and row.element.state != State.APPROVED:
        raise Conflict(gettext("%s is not approved") % row.element, todo="Have the element approved first, or choose another.")
    row.state, row.decided_by, row.decided = state, actor.name, clock.now()
    row.save(update_fields=("state", "decided_by", "decided"))
    _told(state, row, actor)
    derive(row, actor=actor)
    return row


def derive(row: models.ElementUse, *, actor: Viewer) -> list[models.Rule]:
    """The rules that a confirmed use brings; those it brought before are replaced where they differ, and go when it is not confirmed."""
    checks = checks_of(row.element, row.column) if row.state == Use.CONFIRMED else []
    wanted = {check.key: check for check in checks}
    known = {rule.asked.key: rule for rule in models.Rule.objects.filter(use=row) if rule.asked}
    for key, rule in known.items():
        if key not in wanted:
            rule.delete()
    fresh = [_rule(row, check, actor) for key, check in wanted.items() if key not in known]
    models.Rule.objects.bulk_create(fresh)
    return fresh


def _rule(row: models.ElementUse, check: Check, actor: Viewer) -> models.Rule:
    name = f"{row.column}: {Kind(check.kind).label} ({row.element.code})"
    return models.Rule(
        name=name[:120], kind=check.kind, word=WORD_OF[Kind(check.kind)], column=check.column, pattern=check.pattern, codes=list(check.codes), least=check.least, greatest=check.greatest, use=row,
        clearance=int(actor.clearance), declared_by=actor.name, organisation=row.organisation, territory=row.territory, industry=row.industry,
    )  # fmt: skip


def follow(before: models.Element, after: models.Element, *, actor: Viewer) -> None:
    """Whatever followed a version follows the next one; where its type no longer fits, nobody has decided any more."""
    for row in models.ElementUse.objects.select_for_update().filter(element=before):
        row.element = after
        if row.column in BY_NAME and not fits(after, BY_NAME[row.column]):
            row.state = Use.REFUSED
        row.save(update_fields=("element", "state"))
        derive(row, actor=actor)


def let_go(element: models.Element, *, actor: Viewer) -> None:
    """No column follows it any more; the rules that came of it go with its uses."""
    for row in models.ElementUse.objects.filter(element=element):
        _told("ended", row, actor)
        row.delete()


def _told(verb: str, row: models.ElementUse, actor: Viewer, **detail: Any) -> None:
    ledger.record(f"standards.use_{verb}", row.ref, actor=actor, label=str(row)[:200], detail={"column": row.column, "element": row.element.code, "version": row.element.version, **detail}, territory=row.territory, industry=row.industry)
