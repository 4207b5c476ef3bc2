"""Settings that people owns: who a user is, which passwords pass, how a login behaves. Read by ``site.settings``.

| variable | meaning | default |
|---|---|---|
| ``LIANFANG_PASSWORD_DAYS`` | a password must be changed after so many days; 0: never | 180 |
| ``LIANFANG_LOCK_AFTER`` | failed logins under one name before it is locked | 5 |
| ``LIANFANG_LOCK_MINUTES`` | how long the lock holds, and the window in which failures count | 15 |
| ``LIANFANG_IDLE_MINUTES`` | a session without activity ends after so many minutes; 0: only after twelve hours, like every session | 60 |
| ``LIANFANG_PROXIES`` | proxies in front of the node whose ``X-Forwarded-For`` is believed | 0 |
"""

from __future__ import annotations

import os
import string
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

PASSWORD_DAYS = int(os.environ.get("LIANFANG_PASSWORD_DAYS", "180"))
PASSWORD_HISTORY = 5
LOCK_AFTER = int(os.environ.get("LIANFANG_LOCK_AFTER", "5"))
LOCK_MINUTES = int(os.environ.get("LIANFANG_LOCK_MINUTES", "15"))
IDLE_MINUTES = int(os.environ.get("LIANFANG_IDLE_MINUTES", "60"))

AUTH_USER_MODEL = "people.User"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
LOGIN_URL = "account_login"
# scrypt asks for memory as well as time, and comes with Python.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.ScryptPasswordHasher", "django.contrib.auth.hashers.PBKDF2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "lianfang.commons.people.policy.ThreeClasses"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator", "OPTIONS": {"user_attributes": ("username", "name", "email", "phone")}},
    {"NAME": "lianfang.commons.people.policy.NotUsedBefore"},
]

ALLAUTH_TRUSTED_PROXY_COUNT = int(os.environ.get("LIANFANG_PROXIES", "0"))
ACCOUNT_ADAPTER = "lianfang.commons.people.adapters.allauth.Account"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
# Passwords have their own lock (Attempt: exact over all workers); this limit of allauth's guards the second factor.
ACCOUNT_RATE_LIMITS = {"login": "60/m/ip", "login_failed": "5/300s/key"}
MFA_ADAPTER = "lianfang.commons.people.adapters.allauth.Factors"
MFA_FORMS = {"activate_totp": "lianfang.commons.people.adapters.allauth.SetUpForm"}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "Lianfang 联防"
MFA_TOTP_TOLERANCE = 1
MFA_RECOVERY_CODES_SHOW_ONCE = True


class ThreeClasses:
    """At least three of: lower case, upper case, digits, everything else."""

    def validate(self, password: str, user: Any = None) -> None:
        """Raise ``ValidationError`` when fewer than three classes occur."""
        classes = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
        found = sum(any(sign in kind for sign in password) for kind in classes) + any(sign not in string.ascii_letters + string.digits for sign in password)
        if found < 3:
            raise ValidationError(self.get_help_text(), code="password_classes")

    def get_help_text(self) -> str:
        return _("Use at least three of: lower-case letters, upper-case letters, digits, other signs.")


class NotUsedBefore:
    """None of the last few passwords may come back."""

    def validate(self, password: str, user: Any = None) -> None:
        """Raise ``ValidationError`` when the user had this password lately."""
        from lianfang.commons.people import queries

        if user is not None and user.pk and not user._state.adding and queries.was_used(user, password):
            raise ValidationError(self.get_help_text(), code="password_used")

    def get_help_text(self) -> str:
        return _("None of your last %(count)d passwords may be used again.") % {"count": PASSWORD_HISTORY}
