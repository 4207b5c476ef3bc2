"""What happens at the door, as Django and allauth signal it → one action."""

from __future__ import annotations

from typing import Any

from allauth.mfa import signals as factors
from allauth.mfa.models import Authenticator
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from django.http import HttpRequest

from lianfang.commons.people import actions, models, queries


@receiver(user_logged_in, dispatch_uid="people.logged_in")
def logged_in(request: HttpRequest, user: models.User, **_: Any) -> None:
    methods = request.session.get("account_authentication_methods", []) if hasattr(request, "session") else []
    actions.begin_session(user, address=queries.address_of(request), second_factor=any(method.get("method") == "mfa" for method in methods))


@receiver(user_logged_out, dispatch_uid="people.logged_out")
def logged_out(request: HttpRequest, user: models.User | None, **_: Any) -> None:
    if user is not None:
        actions.end_session(user, address=queries.address_of(request), why=getattr(request, "ended_because", ""))


@receiver(factors.authentication_failed, dispatch_uid="people.factor_failed")
def factor_failed(request: HttpRequest, user: models.User, **_: Any) -> None:
    actions.count_failure(user.username, address=queries.address_of(request), factor="second")


@receiver(post_save, sender=Authenticator, dispatch_uid="people.factor_added")
def factor_added(instance: Authenticator, created: bool, **_: Any) -> None:
    """Django's own signal and not allauth's, which speaks only after the transaction."""
    if created:
        actions.note_second_factor(models.User.objects.get(pk=instance.user_id), change="added", kind=str(instance.type))


@receiver(post_delete, sender=Authenticator, dispatch_uid="people.factor_removed")
def factor_removed(instance: Authenticator, **_: Any) -> None:
    actions.note_second_factor(models.User.objects.get(pk=instance.user_id), change="removed", kind=str(instance.type))
