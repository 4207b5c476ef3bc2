"""Beside a user: what they hold and how they come in. Beside an organisation: who belongs to it, what hangs below."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import pages
from lianfang.commons.people import models, queries
from lianfang.commons.people.types import Axis


def _part(request: HttpRequest, name: str, **context: Any) -> str:
    viewer = request.viewer  # type: ignore[attr-defined]
    may = {deed: viewer.may(f"people.{kind}.{verb}") for deed, kind, verb in (("grant", "grant", "add"), ("reset", "user", "reset"), ("invite", "user", "add"), ("key", "key", "add"), ("add", "organisation", "add"), ("users", "user", "view"))}
    return render_to_string(f"people/part/{name}.html", context | {"may": may}, request)


@pages.panel("people.user.side", title=_("Roles"), order=10, permission="people.grant.view")
def roles(request: HttpRequest, user: models.User) -> str:
    return _part(request, "roles", user=user, grants=models.Grant.objects.filter(user=user).select_related("role", "over"))


@pages.panel("people.user.side", title=_("Way in"), order=20, permission="people.user.view")
def way_in(request: HttpRequest, user: models.User) -> str:
    keys = models.Key.objects.filter(user=user, revoked=None).count()
    return _part(request, "way_in", user=user, locked=queries.locked_until(user.username), second_factor=queries.has_second_factor(user), keys=keys)


@pages.panel("people.organisation.side", title=_("People"), order=10, permission="people.user.view")
def members(request: HttpRequest, organisation: models.Organisation) -> str:
    users = models.User.objects.filter(organisation=organisation, is_active=True)
    return _part(request, "members", organisation=organisation, users=users[:12], more=max(0, users.count() - 12))


@pages.panel("people.organisation.side", title=_("Below"), order=20, permission="people.organisation.view")
def below(request: HttpRequest, organisation: models.Organisation) -> str:
    return _part(request, "below", organisation=organisation, axes=[(axis, queries.below(organisation, axis)[:30]) for axis in Axis])
