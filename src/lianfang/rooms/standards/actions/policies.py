"""Policies: registered as documents, submitted, approved by a second person, replaced by their next version.

In: what people write and decide. Out: versions, each step with one record in the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext

from lianfang.commons.frame.scoped import whose
from lianfang.commons.ledger import actions as ledger
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Refused
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.standards import models
from lianfang.rooms.standards.actions.uses import must_belong
from lianfang.rooms.standards.queries.controls import CONTROLS, shipped_policies
from lianfang.rooms.standards.types import State

FIELDS = ("code", "title", "title_en", "about", "clauses")


@transaction.atomic
def create_policy(values: Mapping[str, Any], *, actor: Viewer) -> models.Policy:
    """A first version, as a draft of the actor's organisation."""
    actor.must("standards.policy.add")
    must_belong(actor)
    row = models.Policy(**{name: values[name] for name in FIELDS if name in values}, **whose(actor))
    _must_fit(row)
    if models.Policy.objects.filter(organisation=row.organisation, code=row.code).exists():
        raise Invalid(gettext("The code %s is taken") % row.code, todo="Make a new version of that policy, or choose another code.", details={"code": [gettext("taken")]})
    row.save(force_insert=True)
    _told("added", row, actor)
    return row


@transaction.atomic
def change_policy(row: models.Policy, values: Mapping[str, Any], *, actor: Viewer) -> models.Policy:
    """A draft may change."""
    row = _mine(row, actor, "standards.policy.change", State.DRAFT)
    for name in FIELDS:
        setattr(row, name, values.get(name, getattr(row, name)))
    _must_fit(row)
    row.save(update_fields=FIELDS)
    _told("changed", row, actor)
    return row


@transaction.atomic
def remove_policy(row: models.Policy, *, actor: Viewer) -> None:
    """A draft may go."""
    row = _mine(row, actor, "standards.policy.delete", State.DRAFT)
    _told("removed", row, actor)
    row.delete()


@transaction.atomic
def submit_policy(row: models.Policy, *, actor: Viewer) -> models.Policy:
    """Ask a second person to approve."""
    row = _mine(row, actor, "standards.policy.change", State.DRAFT)
    row.state, row.submitter, row.submitted_by = State.SUBMITTED, actor.id, actor.name
    return _moved(row, "submitted", actor)


@transaction.atomic
def approve_policy(row: models.Policy, *, actor: Viewer) -> models.Policy:
    """In force from now on, in place of the version before."""
    row = _mine(row, actor, "standards.policy.approve", State.SUBMITTED)
    if actor.id == row.submitter:
        raise Refused("A second person has to approve", why=gettext("You submitted %s yourself.") % row, todo="Ask a colleague who may approve this.")
    for before in models.Policy.objects.select_for_update().filter(organisation=row.organisation, code=row.code, state=State.APPROVED):
        before.state = State.RETIRED
        _moved(before, "replaced", actor)
    row.state, row.approved_by, row.approved = State.APPROVED, actor.name, clock.now()
    return _moved(row, "approved", actor)


@transaction.atomic
def next_policy(row: models.Policy, *, actor: Viewer) -> models.Policy:
    """A draft of the next version, equal to this one."""
    row = _mine(row, actor, "standards.policy.change", State.APPROVED)
    versions = models.Policy.objects.filter(organisation=row.organisation, code=row.code)
    if versions.filter(state__in=(State.DRAFT, State.SUBMITTED)).exists():
        raise Conflict(gettext("A new version of %s is being worked on") % row.code, todo="Go on with that draft.")
    fresh = models.Policy(**{name: getattr(row, name) for name in FIELDS}, organisation=row.organisation, territory=row.territory, industry=row.industry, version=versions.aggregate(latest=Max("version"))["latest"] + 1)
    fresh.save(force_insert=True)
    _told("version_begun", fresh, actor)
    return fresh


@transaction.atomic
def take_policies(*, actor: Viewer) -> int:
    """The shipped policies that the organisation does not have yet, as drafts; returns how many."""
    have = set(models.Policy.objects.filter(organisation=actor.organisation).values_list("code", flat=True))
    fresh = [values for values in shipped_policies() if values["code"] not in have]
    return len([create_policy(values, actor=actor) for values in fresh])


def _must_fit(row: models.Policy) -> None:
    strange = sorted({key for clause in row.clauses for key in clause["controls"]} - set(CONTROLS))
    if strange or not row.clauses:
        why = gettext("There is no control %s") % strange[0] if strange else gettext("It has no clause.")
        raise Invalid("This cannot be a policy", why=why, todo=f"{', '.join(CONTROLS)}.", details={"clauses": [why]})


def _mine(row: models.Policy, actor: Viewer, permission: str, *states: State) -> models.Policy:
    actor.must(permission)
    row = models.Policy.objects.select_for_update().get(pk=row.pk)
    if row.state not in states:
        raise Conflict(gettext("%(element)s is %(state)s") % {"element": row, "state": row.get_state_display()}, why="This step does not fit there.", todo="Reload the page; for a change of what is approved make a new version.")
    return row


def _moved(row: models.Policy, verb: str, actor: Viewer) -> models.Policy:
    row.save(update_fields=("state", "submitter", "submitted_by", "approved_by", "approved"))
    _told(verb, row, actor)
    return row


def _told(verb: str, row: models.Policy, actor: Viewer) -> None:
    ledger.record(f"standards.policy_{verb}", row.ref, actor=actor, label=row.title, detail={"code": row.code, "version": row.version, "clauses": len(row.clauses)}, territory=row.territory, industry=row.industry)
