"""Users: invite, change, deactivate, give a new one-time password."""

from __future__ import annotations

import re
import secrets
from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils.translation import gettext as _

from lianfang.commons.ledger import actions as ledger
from lianfang.commons.people import models, queries
from lianfang.commons.people.actions import access
from lianfang.commons.people.types import Invited
from lianfang.kernel.errors import Conflict, Invalid
from lianfang.kernel.viewer import Viewer

_ALPHABET = ("abcdefghjkmnpqrstuvwxyz", "ABCDEFGHJKLMNPQRSTUVWXYZ", "23456789")
_USERNAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{1,58}[a-z0-9]")
PROFILE = ("name", "email", "phone", "language")


@transaction.atomic
def create_user(username: str, *, name: str, organisation: Any, actor: Viewer, email: str = "", phone: str = "", kind: str = models.User.PERSON, language: str = "zh-hans", password: str = "") -> Invited:
    """A user of ``organisation``; a person gets a one-time password (or the given one), to be changed at the first login."""
    actor.must("people.user.add")
    home = models.Organisation.objects.fetch(organisation, actor)
    if models.User.objects.filter(username=_login_name(username)).exists():
        raise Conflict(_("The user name %(username)s is taken") % {"username": username}, todo=_("Choose another."), details={"username": [_("Choose another.")]})
    once = "" if kind == models.User.SERVICE else password or one_time_password()
    row = models.User(username=_login_name(username), name=name.strip() or username, email=email, phone=phone, kind=kind, language=language, organisation=home, territory=home.territory, industry=home.industry)
    row.password, row.must_change_password = make_password(once or None), bool(once)
    row.save(force_insert=True)
    _told("people.user_created", row, actor, username=row.username, organisation=str(home), kind=kind)
    return Invited(person=queries.person_of(row), password=once)


@transaction.atomic
def change_user(pk: Any, *, actor: Viewer, organisation: Any = None, **fields: str) -> None:
    """Change a user's name, email, phone or language, or move them to another organisation."""
    actor.must("people.user.change")
    row = queries.user_row(pk, actor)
    access.must_outrank(actor, row)
    before = str(row.organisation)
    if organisation is not None and str(organisation) != str(row.organisation_id):
        _transfer(row, models.Organisation.objects.fetch(organisation, actor))
    _change(row, actor, fields, moved=({"organisation": before}, {"organisation": str(row.organisation)}))


@transaction.atomic
def change_profile(user: models.User, *, actor: Viewer, **fields: str) -> None:
    """What users may change about themselves."""
    _change(user, actor, fields)


@transaction.atomic
def deactivate(pk: Any, *, actor: Viewer) -> None:
    """End a user's access: sessions and keys stop at their next request (keys within seconds)."""
    actor.must("people.user.change")
    row = queries.user_row(pk, actor)
    if str(row.pk) == actor.id:
        raise Conflict(_("You cannot deactivate yourself"), todo=_("Ask another administrator."))
    access.must_outrank(actor, row)
    access.must_leave_an_administrator(besides=row)
    row.is_active = False
    row.save(update_fields=["is_active"])
    queries.forget_keys()
    _told("people.user_deactivated", row, actor)


@transaction.atomic
def activate(pk: Any, *, actor: Viewer) -> None:
    """Give a deactivated user their access back."""
    actor.must("people.user.change")
    row = queries.user_row(pk, actor)
    access.must_outrank(actor, row)
    row.is_active = True
    row.save(update_fields=["is_active"])
    _told("people.user_activated", row, actor)


@transaction.atomic
def reset_password(pk: Any, *, actor: Viewer) -> str:
    """A new one-time password (by id or user name); it ends a lock and every session of the user. Returned once."""
    actor.must("people.user.reset")
    row = queries.user_row(pk, actor)
    if row.kind == models.User.SERVICE:
        raise Conflict(_("%(row)s is a service account") % {"row": row}, why=_("It comes with a key, never with a password."), todo=_("Make it a key."))
    access.must_outrank(actor, row)
    once = one_time_password()
    models.PastPassword.objects.create(user=row, encoded=row.password)
    row.password, row.must_change_password = make_password(once), True
    row.save(update_fields=["password", "must_change_password"])
    models.Attempt.objects.filter(pk=queries.attempt_digest(row.username)).delete()
    _told("people.password_reset", row, actor)
    return once


def one_time_password() -> str:
    """Easy to read aloud, hard to guess: 16 signs of 55, all classes, in groups of four (about 92 bits)."""
    while True:
        signs = "".join(secrets.choice("".join(_ALPHABET)) for _ in range(16))
        if all(any(sign in kind for sign in signs) for kind in _ALPHABET):
            return "-".join(signs[at : at + 4] for at in range(0, 16, 4))


def _change(row: models.User, actor: Viewer, fields: dict[str, str], *, moved: tuple[dict[str, str], dict[str, str]] = ({}, {})) -> None:
    strange = set(fields) - set(PROFILE)
    if strange:
        raise Invalid(_("This cannot be changed here"), why=_("Not open to change: %(what)s.") % {"what": ", ".join(sorted(strange))}, todo=_("Change the others."))
    before = {key: getattr(row, key) for key in fields}
    for key, value in fields.items():
        setattr(row, key, value)
    row.save()
    _told("people.user_changed", row, actor, **ledger.differing(before | moved[0], fields | moved[1]))


def _transfer(row: models.User, home: models.Organisation) -> None:
    """The user's own rows go along; what they hold over other organisations stays as granted."""
    row.organisation, row.territory, row.industry = home, home.territory, home.industry
    where = {"organisation": str(home.pk), "territory": home.territory, "industry": home.industry}
    for model in (models.Grant, models.Key):
        model.objects.filter(user=row).update(**where)


def _login_name(username: str) -> str:
    name = username.strip().lower()
    if not _USERNAME.fullmatch(name):
        raise Invalid(_("This user name cannot be used"), why=_("It takes 3 to 60 letters, digits, and . _ @ + - between them."), todo=_("Choose another."), details={"username": [_("It takes 3 to 60 letters, digits, and . _ @ + - between them.")]})
    return name


def _told(verb: str, row: models.User, actor: Viewer, **detail: Any) -> None:
    ledger.record(verb, row.ref, actor=actor, label=str(row), detail=detail, territory=row.territory, industry=row.industry)
