"""API keys: make, use, revoke."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from lianfang.commons.ledger import actions as ledger
from lianfang.commons.people import models, queries
from lianfang.commons.people.actions import access
from lianfang.commons.people.types import Axis, NewKey, covers, is_pattern
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Refused
from lianfang.kernel.viewer import Viewer

_SIGNS = "abcdefghjkmnpqrstuvwxyz23456789"
USE_NOTED_EVERY = timedelta(minutes=1)


@transaction.atomic
def make_key(name: str, *, permissions: Iterable[str], actor: Viewer, user: Any = None, over: Any = None, axis: Axis | str = Axis.TERRITORY, until: datetime | None = None) -> NewKey:
    """A key that acts for ``user`` (the actor, if none is named) over one organisation (the user's own) and everything below.

    It may never do more than its maker may now, nor more than its user may at the time of use.
    """
    actor.must("people.key.add")
    holder = queries.user_row(user or actor.id, actor)
    place, axis, wanted = models.Organisation.objects.fetch(over or holder.organisation_id, actor), Axis(axis), sorted(set(permissions))
    _must_be_permissions(wanted, actor)
    if str(holder.pk) != actor.id:
        access.must_outrank(actor, holder)
    if not getattr(place, axis):
        raise Invalid(_("%(place)s has no place in the industry tree") % {"place": place}, todo=_("Make the key by territory."))
    if until is not None and until <= clock.now():
        raise Invalid(_("The key would end before it begins"), todo=_("Choose a later time."))
    code, secret = "".join(secrets.choice(_SIGNS) for _ in range(12)), secrets.token_urlsafe(32)
    where = {"organisation": str(holder.organisation_id), "territory": holder.territory, "industry": holder.industry}
    row = models.Key.objects.create(user=holder, code=code, name=name.strip() or code, digest=queries.digest_of(code, secret), permissions=wanted, over=place, axis=axis.value, until=until, **where)
    _told("people.key_made", row, actor, permissions=wanted, over=str(place), until=clock.text(until) if until else "")
    return NewKey(ref=str(row.ref), id=code, secret=secret)


def make_console_key(name: str, *, permissions: Iterable[str], actor: Viewer) -> dict[str, str]:
    """A key of the first administrator over the whole node, for scripts on this machine."""
    first = models.Grant.objects.filter(Q(until=None) | Q(until__gt=clock.now()), role__key="administrator", over__parent=None, user__is_active=True).order_by("created", "id").first()
    if first is None:
        raise Conflict(_("The node has no administrator"), todo=_("Run: lianfang init"))
    key = make_key(name, permissions=permissions, user=first.user_id, over=first.over_id, actor=actor)
    return {"id": key.id, "secret": key.secret}


@transaction.atomic
def revoke_key(pk: Any, *, actor: Viewer) -> None:
    """End a key: here at once, in other processes within seconds."""
    row = models.Key.objects.fetch(pk, actor)
    if str(row.user_id) != actor.id:
        actor.must("people.key.delete")
    if row.revoked is None:
        row.revoked = clock.now()
        row.save(update_fields=["revoked"])
        _told("people.key_revoked", row, actor)
    queries.forget_keys()


def note_use(code: str) -> None:
    """Remember when a key was last used, to the minute; not an act, so not in the ledger."""
    now = clock.now()
    models.Key.objects.filter(Q(last_used=None) | Q(last_used__lt=now - USE_NOTED_EVERY), code=code).update(last_used=now)


def _must_be_permissions(wanted: list[str], actor: Viewer) -> None:
    if not wanted or not all(map(is_pattern, wanted)):
        raise Invalid(_("The key needs permissions"), why=_("A permission is room.kind.verb; parts may be *."), todo=_("Name at least one, like lake.event.add."), details={"permissions": [_("A permission is room.kind.verb; parts may be *.")]})
    lacking = [pattern for pattern in wanted if not covers(actor.permissions, pattern)]
    if lacking:
        raise Refused(_("You cannot give what you do not have"), why=_("You do not hold %(what)s.") % {"what": ", ".join(lacking[:5])}, todo=_("Leave it out, or ask an administrator."))


def _told(verb: str, row: models.Key, actor: Viewer, **detail: Any) -> None:
    ledger.record(verb, row.ref, actor=actor, label=str(row), detail=detail, territory=row.territory, industry=row.industry)
