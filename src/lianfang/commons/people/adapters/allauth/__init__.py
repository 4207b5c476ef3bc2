"""django-allauth, which runs logins and second factors: closed to strangers, counted by our lock, recorded in the ledger,
its secrets sealed at rest."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.totp.internal.auth import SECRET_SESSION_KEY
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from lianfang.commons.people import actions, models, queries
from lianfang.engines.envelope import is_sealed


class Account(DefaultAccountAdapter):
    """How accounts behave here. Whether a name exists is never told: not by words, not by locks, not by time."""

    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "username_password_mismatch": _("User name or password is wrong."),
        "too_many_login_attempts": _("Too many failed attempts under this name. Wait a quarter of an hour, or ask your administrator."),
        "enter_current_password": _("This is not your present password."),
        "incorrect_password": _("This is not your present password."),
        "incorrect_code": _("The code is wrong or was used already."),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def add_message(self, request: HttpRequest, level: int, *args: Any, **kwargs: Any) -> None:
        """The pages say themselves what happened."""

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        if queries.locked_until(credentials.get("username", "")):
            raise self.validation_error("too_many_login_attempts")

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        actions.count_failure(credentials.get("username", ""), address=self.get_client_ip(request))

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        return "/"

    def set_password(self, user: models.User, password: str) -> None:
        actions.set_password(user, password, actor=queries.viewer_of(user))

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return "/"


class Factors(DefaultMFAAdapter):
    """What the database holds of a second factor (TOTP secret, seed of the recovery codes) opens nothing without the node's key."""

    def encrypt(self, text: str) -> str:
        return actions.seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        return queries.unseal(encrypted_text)


class SetUpForm(ActivateTOTPForm):
    """While a second factor is being set up its secret waits in the session, which lies in the database too."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if is_sealed(self.secret):
            self.secret = queries.unseal(self.secret)
        else:
            context.request.session[SECRET_SESSION_KEY] = actions.seal(self.secret)
