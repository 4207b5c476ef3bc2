"""What happens at the door: sessions begin and end, passwords change, failures are counted, second factors come and go."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import transaction

from lianfang.commons.ledger import actions as ledger
from lianfang.commons.people import models, queries
from lianfang.commons.people.actions import access
from lianfang.kernel import clock
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import NOBODY, Viewer

FORGOTTEN_AFTER = timedelta(days=1)


@transaction.atomic
def begin_session(user: models.User, *, address: str, second_factor: bool) -> None:
    """A user has logged in; failures under their name are forgotten."""
    models.Attempt.objects.filter(pk=queries.attempt_digest(user.username)).delete()
    _told("people.logged_in", user, address=address, second_factor=second_factor)


def end_session(user: models.User, *, address: str, why: str = "") -> None:
    """A user has logged out, or was logged out (``why``: ``idle``, ``expired``)."""
    _told("people.logged_out", user, address=address, why=why)


@transaction.atomic
def count_failure(username: str, *, address: str, factor: str = "password") -> None:
    """One more failed login under a name, known or not; too many within the window lock it for a while.

    One row per name, counted under its lock: exact over all workers. What happens while a name is locked is refused
    unseen, so nobody can flood the ledger through this door.
    """
    now, digest, window = clock.now(), queries.attempt_digest(username), timedelta(minutes=settings.LOCK_MINUTES)
    models.Attempt.objects.get_or_create(pk=digest, defaults={"since": now})
    attempt = models.Attempt.objects.select_for_update().get(pk=digest)
    if now - attempt.since > window:
        attempt.failures, attempt.since, attempt.locked_until = 0, now, None
    attempt.failures += 1
    if attempt.failures >= settings.LOCK_AFTER:
        attempt.locked_until = now + window
    attempt.save()
    user = models.User.objects.filter(username=username.strip().lower()).first()
    detail = {"address": address, "factor": factor, "failures": attempt.failures}
    verb = "people.login_locked" if attempt.locked_until else "people.login_failed"
    if user:
        _told(verb, user, **detail)
    else:
        ledger.record(verb, Ref("people", "login", digest[:16]), actor=NOBODY, label="", detail=detail)


def forget_attempts() -> int:
    """Forget failures of more than a day ago."""
    return models.Attempt.objects.filter(since__lt=clock.now() - FORGOTTEN_AFTER).delete()[0]


@transaction.atomic
def set_password(user: models.User, password: str, *, actor: Viewer) -> None:
    """A user's own choice, checked by the password policy before. All their other sessions end."""
    models.PastPassword.objects.create(user=user, encoded=user.password)
    user.set_password(password)
    user.must_change_password, user.password_changed = False, clock.now()
    user.save(update_fields=["password", "must_change_password", "password_changed"])
    kept = models.PastPassword.objects.filter(user=user).values_list("pk", flat=True)[: settings.PASSWORD_HISTORY]
    models.PastPassword.objects.filter(user=user).exclude(pk__in=list(kept)).delete()
    _told("people.password_changed", user, actor=actor)


def note_second_factor(user: models.User, *, change: str, kind: str) -> None:
    """A second factor was ``added`` or ``removed`` by its user."""
    _told(f"people.second_factor_{change}", user, kind=kind)


@transaction.atomic
def drop_second_factor(pk: Any, *, actor: Viewer) -> None:
    """Take away a user's second factor, because the device is lost; they set up a new one after the next login."""
    actor.must("people.user.reset")
    row = queries.user_row(pk, actor)
    access.must_outrank(actor, row)
    theirs = Authenticator.objects.filter(user_id=row.pk)
    theirs._raw_delete(theirs.db)  # without the signal that would say the user did it
    _told("people.second_factor_dropped", row, actor=actor)


def wear(user: models.User, hat: str, *, actor: Viewer) -> str:
    """Put on another hat (see ``types.Hat``); returns the key to keep in the session."""
    chosen = queries.worn(queries.hats(user), hat)
    _told("people.hat_worn", user, actor=actor, over=list(chosen.over) if chosen else [], roles=list(chosen.roles) if chosen else [])
    return chosen.key if chosen else ""


def _told(verb: str, user: models.User, *, actor: Viewer | None = None, **detail: Any) -> None:
    ledger.record(verb, user.ref, actor=actor or queries.viewer_of(user), label=str(user), detail=detail, territory=user.territory, industry=user.industry)
