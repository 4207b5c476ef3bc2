"""Elements: drafted, submitted, approved by a second person, replaced by their next version, retired.

In: what people write and decide. Out: versions, each step with one record in the ledger. What was approved is never changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext

from lianfang.commons.frame.scoped import whose
from lianfang.commons.ledger import actions as ledger
from lianfang.engines.columns.measures import Check
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Refused
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.standards import models, queries
from lianfang.rooms.standards.actions import uses
from lianfang.rooms.standards.types import State, Type

FIELDS = ("code", "name", "name_en", "definition", "definition_en", "type", "format", "least", "greatest", "unit", "codes", "required", "names", "owner", "level", "note")


@transaction.atomic
def create_element(values: Mapping[str, Any], *, actor: Viewer) -> models.Element:
    """A first version, as a draft of the actor's organisation."""
    actor.must("standards.element.add")
    uses.must_belong(actor)
    row = models.Element(**{name: value for name, value in values.items() if name in FIELDS}, **whose(actor))
    _must_fit(row)
    if models.Element.objects.filter(organisation=row.organisation, code=row.code).exists():
        raise Invalid(gettext("The code %s is taken") % row.code, why="An element keeps its code through all its versions.", todo="Make a new version of that element, or choose another code.", details={"code": [gettext("taken")]})
    row.save(force_insert=True)
    _told("added", row, actor, version=row.version)
    return row


@transaction.atomic
def change_element(row: models.Element, values: Mapping[str, Any], *, actor: Viewer) -> models.Element:
    """A draft may change as long as nobody has been asked to approve it."""
    row = _mine(row, actor, "standards.element.change", State.DRAFT)
    if values.get("code", row.code) != row.code and row.version > 1:
        raise Invalid("A version keeps the code of its element", todo="Make another element.", details={"code": [gettext("cannot be changed")]})
    before = {name: getattr(row, name) for name in FIELDS}
    for name in FIELDS:
        setattr(row, name, values.get(name, before[name]))
    _must_fit(row)
    row.save(update_fields=FIELDS)
    _told("changed", row, actor, **{name: str(getattr(row, name))[:300] for name in FIELDS if getattr(row, name) != before[name]})
    return row


@transaction.atomic
def remove_element(row: models.Element, *, actor: Viewer) -> None:
    """A draft may go; what was approved is retired instead."""
    row = _mine(row, actor, "standards.element.delete", State.DRAFT)
    _told("removed", row, actor, version=row.version)
    row.delete()


@transaction.atomic
def submit_element(row: models.Element, *, actor: Viewer) -> models.Element:
    """Ask a second person to approve."""
    row = _mine(row, actor, "standards.element.change", State.DRAFT)
    row.state, row.submitter, row.submitted_by, row.submitted = State.SUBMITTED, actor.id, actor.name, clock.now()
    return _moved(row, "submitted", actor)


@transaction.atomic
def return_element(row: models.Element, *, actor: Viewer) -> models.Element:
    """Back to being a draft."""
    row = _mine(row, actor, "standards.element.approve", State.SUBMITTED)
    row.state = State.DRAFT
    return _moved(row, "returned", actor)


@transaction.atomic
def approve_element(row: models.Element, *, actor: Viewer) -> models.Element:
    """In force from now on, in place of the version before; only a second person can say so."""
    row = _mine(row, actor, "standards.element.approve", State.SUBMITTED)
    if actor.id == row.submitter:
        raise Refused("A second person has to approve", why=gettext("You submitted %s yourself.") % row, todo="Ask a colleague who may approve data elements.")
    row.state, row.approved_by, row.approved = State.APPROVED, actor.name, clock.now()
    row = _moved(row, "approved", actor)
    for before in models.Element.objects.select_for_update().filter(organisation=row.organisation, code=row.code, state=State.APPROVED).exclude(pk=row.pk):
        before.state, before.retired = State.RETIRED, clock.now()
        uses.follow(before, row, actor=actor)
        _moved(before, "replaced", actor, by=row.version)
    return row


@transaction.atomic
def retire_element(row: models.Element, *, actor: Viewer) -> models.Element:
    """No longer a standard: no column follows it, and the rules that came of it go."""
    row = _mine(row, actor, "standards.element.approve", State.APPROVED)
    row.state, row.retired = State.RETIRED, clock.now()
    uses.let_go(row, actor=actor)
    return _moved(row, "retired", actor)


@transaction.atomic
def new_version(row: models.Element, *, actor: Viewer) -> models.Element:
    """A draft of the next version, equal to this one."""
    row = _mine(row, actor, "standards.element.change", State.APPROVED, State.RETIRED)
    versions = models.Element.objects.filter(organisation=row.organisation, code=row.code)
    if versions.filter(state__in=(State.DRAFT, State.SUBMITTED)).exists():
        raise Conflict(gettext("A new version of %s is being worked on") % row.code, todo="Go on with that draft.")
    latest = versions.aggregate(latest=Max("version"))["latest"]
    fresh = models.Element(**{name: getattr(row, name) for name in FIELDS}, organisation=row.organisation, territory=row.territory, industry=row.industry, version=latest + 1)
    fresh.save(force_insert=True)
    _told("version_begun", fresh, actor, version=fresh.version)
    return fresh


@transaction.atomic
def take_starter(*, actor: Viewer) -> int:
    """The shipped elements that the organisation does not have yet, submitted; returns how many. A second person approves them."""
    actor.must("standards.element.add")
    uses.must_belong(actor)
    known = set(models.Element.objects.filter(organisation=actor.organisation).values_list("code", flat=True))
    asked = {"state": State.SUBMITTED, "submitter": actor.id, "submitted_by": actor.name, "submitted": clock.now()}
    rows = [models.Element(**values, **asked, **whose(actor)) for values in queries.starter() if values["code"] not in known]
    models.Element.objects.bulk_create(rows)
    if rows:
        _told("starter_taken", rows[0], actor, label=gettext("starter set"), elements=len(rows), codes=[row.code for row in rows])
    return len(rows)


def _mine(row: models.Element, actor: Viewer, permission: str, *states: State) -> models.Element:
    """The row as it is now, if the actor's organisation may decide it and it stands where it should."""
    actor.must(permission)
    row = models.Element.objects.select_for_update().get(pk=row.pk)
    if not actor.sees(row.territory, row.industry):
        raise Refused(gettext("%s belongs to an organisation above") % row, why="It holds for you, and only its own organisation changes it.", todo="Make an element of your own, or ask the owner.")
    if row.state not in states:
        raise Conflict(gettext("%(element)s is %(state)s") % {"element": row, "state": row.get_state_display()}, why="This step does not fit there.", todo="Reload the page; for a change of what is approved make a new version.")
    return row


def _must_fit(row: models.Element) -> None:
    """The format can be a regular expression, the bounds are in order, a code list has no value twice."""
    values = row.code_values
    wrong: dict[str, list[str]] = {}
    if row.format:
        try:
            Check("format", "message", pattern=row.format).checked()
        except Invalid as fault:
            wrong["format"] = [str(fault.why)]
    if row.least is not None and row.greatest is not None and row.least > row.greatest:
        wrong["least"] = [gettext("more than the greatest")]
    if len(values) != len(set(values)) or any(not value for value in values):
        wrong["codes"] = [gettext("every value once, none empty")]
    if row.type == Type.CODE and not values:
        wrong["codes"] = [gettext("a code needs its list")]
    if wrong:
        raise Invalid("This cannot be a data element", why="; ".join(f"{name}: {reasons[0]}" for name, reasons in wrong.items()), todo="Mend what is marked.", details=wrong)


def _moved(row: models.Element, verb: str, actor: Viewer, **detail: Any) -> models.Element:
    row.save(update_fields=("state", "submitter", "submitted_by", "submitted", "approved_by", "approved", "retired"))
    _told(verb, row, actor, version=row.version, **detail)
    return row


def _told(verb: str, row: models.Element, actor: Viewer, *, label: str = "", **detail: Any) -> None:
    ledger.record(f"standards.element_{verb}", row.ref, actor=actor, label=label or f"{row.code} {row.name}", detail=detail, territory=row.territory, industry=row.industry)
