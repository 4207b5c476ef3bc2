"""Roles and grants. Nobody gives what they do not have: neither a permission nor a scope."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from lianfang.commons.ledger import actions as ledger
from lianfang.commons.people import models, queries
from lianfang.commons.people.types import Axis, covers, is_pattern
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Missing, Refused
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import Viewer


@transaction.atomic
def create_role(key: str, *, name: str, permissions: Iterable[str], actor: Viewer, about: str = "", landing: str = "", clearance: int = DataLevel.L2, second_factor: bool = False) -> Ref:
    """A role of this node's own. ``permissions`` are patterns (see ``people.types``)."""
    actor.must("people.role.add")
    if models.Role.objects.filter(key=key).exists():
        raise Conflict(_("There is a role %(key)s already") % {"key": key}, todo=_("Choose another key."))
    row = models.Role(key=key, name=name, about=about, permissions=_checked(permissions, actor), landing=landing, clearance=DataLevel(clearance).value, second_factor=second_factor)
    _must_rule_the_node(actor)
    row.save(force_insert=True)
    _told("people.role_created", row, actor, permissions=row.permissions)
    return row.ref


@transaction.atomic
def change_role(pk: Any, *, actor: Viewer, **fields: Any) -> None:
    """Change a role of this node's own; the built-in ones stay as they are."""
    actor.must("people.role.change")
    row = _own_role(pk, actor)
    before = {key: getattr(row, key) for key in fields}
    if "permissions" in fields:
        fields["permissions"] = _checked(fields["permissions"], actor)
    for key, value in fields.items():
        setattr(row, key, value)
    row.save(update_fields=list(fields))
    _told("people.role_changed", row, actor, **ledger.differing(before, fields))


@transaction.atomic
def remove_role(pk: Any, *, actor: Viewer) -> None:
    """Remove a role of this node's own that nobody holds."""
    actor.must("people.role.delete")
    row = _own_role(pk, actor)
    if models.Grant.objects.filter(role=row).exists():
        raise Conflict(_("%(row)s is still held") % {"row": row}, todo=_("Revoke its grants first."))
    _told("people.role_removed", row, actor, permissions=row.permissions)
    row.delete()


@transaction.atomic
def grant(user: Any, *, role: Any, over: Any, axis: Axis | str = Axis.TERRITORY, until: datetime | None = None, actor: Viewer) -> Ref:
    """Let ``user`` hold ``role`` (key or id) over an organisation and everything below it. Granting again changes ``until``."""
    actor.must("people.grant.add")
    holder, place, axis = queries.user_row(user, actor), models.Organisation.objects.fetch(over, actor), Axis(axis)
    what = role_row(role)
    if not getattr(place, axis):
        raise Invalid(_("%(place)s has no place in the industry tree") % {"place": place}, todo=_("Grant by territory, or give it a place first."))
    if until is not None and until <= clock.now():
        raise Invalid(_("The grant would end before it begins"), todo=_("Choose a later time."))
    must_cover(actor, what, place, axis)
    row, fresh = models.Grant.objects.get_or_create(user=holder, role=what, over=place, axis=axis.value, defaults={"until": until, **_whose(holder)})
    if not fresh:
        models.Grant.objects.filter(pk=row.pk).update(until=until)
    _told("people.granted", row, actor, user=str(holder), role=what.key, over=str(place), axis=axis.value, until=clock.text(until) if until else "", **({} if fresh else ledger.differing({"until": row.until}, {"until": until})))
    return row.ref


@transaction.atomic
def revoke(pk: Any, *, actor: Viewer) -> None:
    """Take a role back; it ends with the holder's next request."""
    actor.must("people.grant.delete")
    row = models.Grant.objects.fetch(pk, actor)
    must_cover(actor, row.role, row.over, Axis(row.axis))
    must_leave_an_administrator(without=[row.pk])
    _told("people.revoked", row, actor, user=str(row.user), role=row.role.key, over=str(row.over), axis=row.axis)
    row.delete()


def role_row(role: Any) -> models.Role:
    """A role by key or id."""
    try:
        row = models.Role.objects.filter(pk=UUID(str(role))).first()
    except ValueError:
        row = models.Role.objects.filter(key=str(role)).first()
    if row is None:
        raise Missing(_("There is no such role"), todo=_("Look at the list of roles."))
    return row


def must_cover(actor: Viewer, role: models.Role, over: models.Organisation, axis: Axis) -> None:
    """Raise ``Refused`` unless the actor holds all of the role's permissions over all of that scope, and its clearance."""
    lacking = [pattern for pattern in role.permissions if not covers(actor.permissions, pattern)]
    if lacking:
        raise Refused(_("You cannot decide on the role %(role)s") % {"role": role}, why=_("You do not hold %(what)s yourself.") % {"what": ", ".join(lacking[:5])}, todo=_("Ask an administrator who does."))
    if role.clearance > actor.clearance:
        raise Refused(_("You cannot decide on the role %(role)s") % {"role": role}, why=_("Its clearance is higher than yours."), todo=_("Ask an administrator who has it."))
    inside = actor.sees(over.territory) if axis == Axis.TERRITORY else any(over.industry.startswith(top) for top in actor.industry) or actor.sees_node
    if not inside:
        raise Refused(_("You cannot decide on roles over %(over)s") % {"over": over}, why=_("Not all of it lies in your scope."), todo=_("Ask the unit above."))


def must_outrank(actor: Viewer, user: models.User) -> None:
    """Raise ``Refused`` unless the actor could grant everything the user holds: who may reset a password could log in with it."""
    for held in models.Grant.objects.filter(user=user).select_related("role", "over"):
        must_cover(actor, held.role, held.over, Axis(held.axis))


def must_leave_an_administrator(*, without: Iterable[Any] = (), besides: models.User | None = None) -> None:
    """Raise ``Conflict`` when nobody could administer the whole node any more."""
    left = models.Grant.objects.filter(Q(until=None) | Q(until__gt=clock.now()), role__key="administrator", over__parent=None, axis=Axis.TERRITORY.value, user__is_active=True, user__kind=models.User.PERSON)
    if besides is not None:
        left = left.exclude(user=besides)
    everyone = models.Grant.objects.filter(role__key="administrator", over__parent=None, user__is_active=True)
    if everyone.exists() and not left.exclude(pk__in=list(without)).exists():
        raise Conflict(_("Nobody would be left to administer the node"), todo=_("Make somebody else an administrator over the whole node first."))


def _must_rule_the_node(actor: Viewer) -> None:
    if not actor.sees_node:
        raise Refused(_("You cannot change roles"), why=_("A role holds for the whole node; your scope is a part of it."), todo=_("Ask an administrator of the whole node."))


def _own_role(pk: Any, actor: Viewer) -> models.Role:
    row = role_row(pk)
    _must_rule_the_node(actor)
    if row.built_in:
        raise Conflict(_("%(row)s is built in") % {"row": row}, why=_("Built-in roles mean the same on every node."), todo=_("Copy it and change the copy."))
    _checked(row.permissions, actor)
    return row


def _checked(permissions: Iterable[str], actor: Viewer) -> list[str]:
    patterns = sorted({pattern.strip() for pattern in permissions if pattern.strip()})
    wrong = [pattern for pattern in patterns if not is_pattern(pattern)]
    if wrong:
        raise Invalid(_("“%(what)s” is not a permission") % {"what": wrong[0][:60]}, why=_("A permission is room.kind.verb; parts may be *."), todo=_("Write it like detect.rule.view or detect.*."), details={"permissions": wrong})
    lacking = [pattern for pattern in patterns if not covers(actor.permissions, pattern)]
    if lacking:
        raise Refused(_("You cannot give what you do not have"), why=_("You do not hold %(what)s.") % {"what": ", ".join(lacking[:5])}, todo=_("Leave it out, or ask an administrator."))
    return patterns


def _whose(user: models.User) -> dict[str, str]:
    return {"organisation": str(user.organisation_id), "territory": user.territory, "industry": user.industry}


def _told(verb: str, row: models.Role | models.Grant, actor: Viewer, **detail: Any) -> None:
    where = {"territory": row.territory, "industry": row.industry} if isinstance(row, models.Grant) else {}
    ledger.record(verb, row.ref, actor=actor, label=str(row), detail=detail, **where)
