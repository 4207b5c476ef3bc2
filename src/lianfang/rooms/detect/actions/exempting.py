"""Exceptions: proposed with a reason, an owner and an end; put in force after a look at what they take; withdrawn; ended by time.

What changes what an exception takes makes it a proposal again: nobody widens one unseen. Examiners follow within two seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from lianfang.commons.frame.scoped import whose
from lianfang.commons.ledger import actions as ledger
from lianfang.commons.people import queries as people
from lianfang.engines.rules import filters
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.actions.editions import next_edition
from lianfang.rooms.detect.models import ExemptionState
from lianfang.rooms.detect.queries import exemptions, loading
from lianfang.rooms.detect.types import OWN_PACK
from lianfang.rooms.lake import queries as lake

FIELDS = ("name", "text", "source", "reason", "owner", "expires")
LONGEST = timedelta(days=366)
"""Nothing is normal for ever without somebody looking again."""
SOON = timedelta(days=7)
"""So long before its end the owner is told."""


@transaction.atomic
def create_exemption(values: Mapping[str, Any], *, actor: Viewer) -> models.Exemption:
    """A proposal; it takes nothing until it is put in force."""
    actor.must("detect.exemption.add")
    row = models.Exemption(**_known(values), made_by=actor.name)
    _must_fit(row, actor)
    row.save(force_insert=True)
    _told("exemption_added", row, actor, **_said(row))
    return row


@transaction.atomic
def change_exemption(row: models.Exemption, values: Mapping[str, Any], *, actor: Viewer) -> models.Exemption:
    """Another reason, owner or end; what changes what it takes makes it a proposal again."""
    actor.must("detect.exemption.change")
    row = models.Exemption.objects.select_for_update().get(pk=row.pk)
    before = {name: getattr(row, name) for name in FIELDS}
    for name, value in _known(values).items():
        setattr(row, name, value)
    _must_fit(row, actor)
    differs = [name for name in FIELDS if getattr(row, name) != before[name]]
    if {"text", "source"} & set(differs) and row.state != ExemptionState.PROPOSED:
        row.state, row.began = ExemptionState.PROPOSED, None
    if "expires" in differs:
        row.told = None
        if row.state == ExemptionState.EXPIRED:
            row.state = ExemptionState.PROPOSED
    row.save()
    _told("exemption_changed", row, actor, **{name: str(getattr(row, name))[:300] for name in differs})
    next_edition()
    return row


@transaction.atomic
def enforce_exemption(row: models.Exemption, *, actor: Viewer) -> models.Exemption:
    """Put a proposal in force. The ledger keeps what it would have taken in the seven days before."""
    actor.must("detect.exemption.change")
    row = models.Exemption.objects.select_for_update().get(pk=row.pk)
    if row.standing() == ExemptionState.IN_FORCE:
        raise Conflict(_("The exception is in force already"), why=_("Somebody was faster."), todo=_("Nothing needs to be done."))
    _must_fit(row, actor)
    found = exemptions.impact(row, viewer=actor)
    row.state, row.began, row.told = ExemptionState.IN_FORCE, clock.now(), None
    row.save()
    _told("exemption_in_force", row, actor, **_said(row), would_have_taken={"events": found.events, "findings": len(found.findings), "days": (found.until - found.since).days})
    next_edition()
    return row


@transaction.atomic
def withdraw_exemption(row: models.Exemption, *, actor: Viewer) -> models.Exemption:
    """From now on its rules speak again."""
    actor.must("detect.exemption.change")
    if not models.Exemption.objects.filter(pk=row.pk, state=ExemptionState.IN_FORCE).update(state=ExemptionState.WITHDRAWN):
        raise Conflict(_("The exception is not in force"), why=_("Somebody was faster, or it has ended."), todo=_("Nothing needs to be done."))
    row.state = ExemptionState.WITHDRAWN
    _told("exemption_withdrawn", row, actor, findings=row.findings, events=row.events)
    next_edition()
    return row


@transaction.atomic
def remove_exemption(row: models.Exemption, *, actor: Viewer) -> None:
    """One that never took anything goes; of others it must stay known what they took."""
    actor.must("detect.exemption.delete")
    if row.standing() == ExemptionState.IN_FORCE or row.findings:
        raise Conflict(_("This exception cannot be deleted"), why=_("It is in force, or has taken findings that must stay reachable."), todo=_("Withdraw it; it stays in the list."))
    _told("exemption_removed", row, actor, **_said(row))
    row.delete()
    next_edition()


@transaction.atomic
def end_exemptions() -> int:
    """Say of those whose time has come that they ended; returns how many. Their rules have spoken again since that very moment."""
    rows = list(models.Exemption.objects.select_for_update().filter(state=ExemptionState.IN_FORCE, expires__lte=clock.now()))
    for row in rows:
        models.Exemption.objects.filter(pk=row.pk).update(state=ExemptionState.EXPIRED)
        _told("exemption_expired", row, SYSTEM, findings=row.findings, events=row.events)
    if rows:
        next_edition()
    return len(rows)


@transaction.atomic
def hear_of_ends(viewer: Viewer) -> list[models.Exemption]:
    """Exceptions of this person that end soon and of which they were not told; from now on they were."""
    if not viewer.id or not viewer.may("detect.exemption.view"):
        return []
    now = clock.now()
    rows = list(exemptions.in_force(now).filter(owner=viewer.id, told=None, expires__lte=now + SOON))
    if rows:
        models.Exemption.objects.filter(pk__in=[row.pk for row in rows]).update(told=now)
    return rows


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in FIELDS}


def _must_fit(row: models.Exemption, actor: Viewer) -> None:
    """What makes no sense is said beside its field."""
    found = filters.read(row.text)
    row.rules = list(found.rules)
    _must_be_rules(row, found)
    belongs = lake.belongs(row.source, viewer=actor) if row.source else (whose(actor) if row._state.adding else {})
    for name, value in belongs.items():
        setattr(row, name, value)
    now = clock.now()
    if not now < row.expires <= now + LONGEST:
        raise Invalid(_("This is no end for an exception"), why=_("It lies behind, or more than a year ahead."), todo=_("Choose a day within a year; before it comes the owner is told."), details={"expires": [_("Choose a day within a year.")]})
    owner = people.who_may(row.owner or actor.id, "detect.exemption.view", territory=row.territory, industry=row.industry)
    if owner is None and row.owner and row.owner != actor.id:
        raise Invalid(_("This person cannot answer for the exception"), why=_("They do not exist, or may not see exceptions of this organisation."), todo=_("Choose somebody else."), details={"owner": [_("Choose somebody else.")]})
    row.owner, row.owner_name = (str(owner.pk), owner.name) if owner is not None else (actor.id, actor.name)


def _must_be_rules(row: models.Exemption, found: filters.Filter) -> None:
    """Every rule named is there and lies within the filter's log source, and the whole can be compiled."""
    here = {rule.uid: rule for rule in models.Rule.objects.filter(uid__in=row.rules, gone=False).exclude(pack__name=OWN_PACK)}
    wrong = [uid for uid in row.rules if uid not in here]
    if wrong:
        raise _unfit(_("There is no rule with the id %(id)s on this node.") % {"id": wrong[0][:64]})
    outside = [str(rule) for rule in here.values() if not found.fits((rule.product, rule.category, rule.service))]
    if outside:
        raise _unfit(_("The rule “%(rule)s” looks at other logs than the filter's log source says.") % {"rule": outside[0]})
    counters = exemptions.compiled(row)
    if counters.problems:
        raise _unfit(counters.problems[0].reason)
    _must_be_of_groups(row, found, here, loading.fields_of(counters))


def _must_be_of_groups(row: models.Exemption, found: filters.Filter, here: Mapping[str, models.Rule], fields: Mapping[str, Collection[str]]) -> None:
    """Of a correlation only what it groups by can be asked: everything else differs from log to log."""
    together = exemptions.grouped(row.rules)
    for uid, names in together.items():
        beyond = sorted(set(fields[exemptions.uid_of(row.pk, uid)]) - set(names))
        if beyond:
            raise _unfit(_("“%(rule)s” groups by %(names)s; its exceptions cannot ask for “%(field)s”.") % {"rule": here[uid], "names": ", ".join(names) or _("no field"), "field": beyond[0]})
    if together and _asks_for_case(found.detection):
        raise _unfit(_("The values of groups are compared in small letters: write re|i in place of re, and no cased."))


def _asks_for_case(said: object) -> bool:
    if isinstance(said, Mapping):
        modifiers = [str(name).split("|")[1:] for name in said]
        return any("cased" in one or ("re" in one and "i" not in one) for one in modifiers) or any(map(_asks_for_case, said.values()))
    return isinstance(said, list) and any(map(_asks_for_case, said))


def _unfit(why: str) -> Invalid:
    return Invalid(_("This filter cannot be used"), why=why, todo=_("Correct the filter."), details={"text": [why]})


def _said(row: models.Exemption) -> dict[str, Any]:
    return {"reason": row.reason, "owner": row.owner_name, "expires": clock.text(row.expires), "source": row.source, "rules": row.rules}


def _told(verb: str, row: models.Exemption, actor: Viewer, **detail: Any) -> None:
    ledger.record(f"detect.{verb}", row.ref, actor=actor, label=row.name, detail=detail, territory=row.territory, industry=row.industry)
