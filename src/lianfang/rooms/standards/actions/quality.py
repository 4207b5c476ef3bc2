"""Rules of quality, declared without a line of code: what is asked of which column, how much it weighs, when the owner is told.

In: a form. Out: rules, each step with one record in the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.db import transaction
from django.utils.translation import gettext

from lianfang.commons.frame.scoped import whose
from lianfang.commons.ledger import actions as ledger
from lianfang.kernel.errors import Conflict, Invalid, Refused
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.standards import models
from lianfang.rooms.standards.actions.uses import must_belong
from lianfang.rooms.standards.queries import basic_left
from lianfang.rooms.standards.types import WORD_OF, Kind, Standing

FIELDS = ("name", "kind", "table", "column", "other", "pattern", "codes", "least", "greatest", "seconds", "when", "value", "weight", "threshold", "window", "enabled")
@transaction.atomic
def create_rule(values: Mapping[str, Any], *, actor: Viewer) -> models.Rule:
    """A rule of the actor's organisation; it counts rows that the actor may see."""
    actor.must("standards.rule.add")
    must_belong(actor)
    row = models.Rule(**{name: value for name, value in values.items() if name in FIELDS}, clearance=int(actor.clearance), declared_by=actor.name, **whose(actor))
    _must_fit(row)
    row.save(force_insert=True)
    _told("added", row, actor, **_said(row))
    return row


@transaction.atomic
def change_rule(row: models.Rule, values: Mapping[str, Any], *, actor: Viewer) -> models.Rule:
    """Another question, weight or threshold. Of a rule that came of an element only weight, threshold, window and use may change."""
    actor.must("standards.rule.change")
    row = models.Rule.objects.select_for_update().get(pk=row.pk)
    before = {name: getattr(row, name) for name in FIELDS}
    for name in FIELDS:
        setattr(row, name, values.get(name, before[name]))
    differs = {name for name in FIELDS if getattr(row, name) != before[name]}
    if row.use_id and differs - {"weight", "threshold", "window", "enabled"}:
        raise Refused("This rule follows from a data element", why="What it asks is what the element says.", todo="Change the element by a new version, or declare a rule of your own.")
    _must_fit(row)
    if differs - {"name", "weight", "threshold", "enabled"}:
        row.standing, row.score, row.applied, row.failed, row.below_since = Standing.UNKNOWN, None, 0, 0, None
        row.clearance, row.declared_by = int(actor.clearance), actor.name
    row.save()
    _told("changed", row, actor, **{name: str(getattr(row, name))[:300] for name in sorted(differs)})
    return row


@transaction.atomic
def remove_rule(row: models.Rule, *, actor: Viewer) -> None:
    """The rule goes; one that came of an element can only be set out of use."""
    actor.must("standards.rule.delete")
    if row.use_id:
        raise Conflict("This rule follows from a data element", why="It would come back with the next decision.", todo="Set it out of use, or end the use of the element.")
    _told("removed", row, actor, **_said(row))
    row.delete()


@transaction.atomic
def switch_rule(row: models.Rule, *, actor: Viewer) -> models.Rule:
    """Into use, or out of it."""
    actor.must("standards.rule.change")
    row = models.Rule.objects.select_for_update().get(pk=row.pk)
    row.enabled = not row.enabled
    row.standing, row.below_since = Standing.UNKNOWN, None
    row.save(update_fields=("enabled", "standing", "below_since"))
    _told("enabled" if row.enabled else "disabled", row, actor)
    return row


@transaction.atomic
def make_basic_rules(*, actor: Viewer) -> int:
    """The rules that hardly anybody goes without, those that are not there yet; returns how many were made."""
    actor.must("standards.rule.add")
    must_belong(actor)
    fresh = basic_left(actor)
    for values in fresh:
        about = " → ".join(values[name] for name in ("column", "other") if name in values)
        label = str(Kind(values["kind"]).label)
        create_rule({**values, "name": f"{about}: {label}" if about else label}, actor=actor)
    return len(fresh)


def _must_fit(row: models.Rule) -> None:
    row.word = WORD_OF[Kind(row.kind)]
    row.codes = [str(code) for code in row.codes or []]
    if row.kind == Kind.FRESH and not row.seconds:
        raise Invalid("The rule needs a time", todo="Say how many seconds old the newest record may be.", details={"seconds": [gettext("how old the newest record may be")]})
    check = row.asked
    if check is not None:
        checked = replace(check, value=check.value if check.when else "").checked()
        row.value = checked.value


def _said(row: models.Rule) -> dict[str, str]:
    return {name: str(getattr(row, name))[:300] for name in FIELDS if getattr(row, name) not in ("", None, [])}


def _told(verb: str, row: models.Rule, actor: Viewer, **detail: Any) -> None:
    ledger.record(f"standards.rule_{verb}", row.ref, actor=actor, label=row.name, detail=detail, territory=row.territory, industry=row.industry)
