"""Log in, log out, change the password, prove oneself again, set up a second factor: allauth's views in our dress."""

from __future__ import annotations

from typing import Any

from allauth.account import views as account
from allauth.mfa.base import views as factors
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp import views as totp
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.translation import gettext_lazy as _
from django.views.generic import RedirectView

from lianfang.commons.people import queries


class Dressed:
    """Gives a view its title, and its fields our classes."""

    title: Any = ""
    labels: dict[str, Any] = {}

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        request.title = self.title  # type: ignore[attr-defined]
        return super().dispatch(request, *args, **kwargs)  # type: ignore[misc]

    def get_form(self, *args: Any, **kwargs: Any) -> Any:
        form = super().get_form(*args, **kwargs)  # type: ignore[misc]
        dress(form, self.labels)
        return form


def dress(form: Any, labels: dict[str, Any]) -> Any:
    """Tabler's classes and our words; placeholders repeat the label and go."""
    for name, field in form.fields.items():
        field.widget.attrs["class"] = "form-control"
        field.widget.attrs.pop("placeholder", None)
        field.label = labels.get(name, field.label)
        if name == "code":
            field.widget.attrs |= {"inputmode": "numeric", "autocomplete": "one-time-code", "autofocus": True}
    return form


class Login(Dressed, account.LoginView):
    template_name, title = "people/login.html", _("Log in")
    labels = {"login": _("User name"), "password": _("Password")}

    def get_form(self, *args: Any, **kwargs: Any) -> Any:
        form = super().get_form(*args, **kwargs)
        form.fields["login"].widget.attrs["autofocus"] = True
        form.fields["password"].help_text = ""
        return form


class Logout(Dressed, account.LogoutView):
    template_name, title = "people/logout.html", _("Log out")


class ChangePassword(Dressed, account.PasswordChangeView):
    template_name, title = "people/password.html", _("Change password")
    labels = {"oldpassword": _("Present password"), "password1": _("New password"), "password2": _("New password again")}

    def get_form(self, *args: Any, **kwargs: Any) -> Any:
        form = super().get_form(*args, **kwargs)
        form.fields["oldpassword"].help_text = ""
        return form

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"detained": self.request.detained, "days": settings.PASSWORD_DAYS}  # type: ignore[attr-defined]


class ProveAgain(Dressed, account.ReauthenticateView):
    template_name, title = "people/prove.html", _("Confirm that it is you")
    labels = {"password": _("Password")}


class SecondFactor(Dressed, factors.AuthenticateView):
    template_name, title = "people/second_factor.html", _("Second factor")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Whose factor was dropped meanwhile begins again with the password, instead of being sent to and fro."""
        answer = super().dispatch(request, *args, **kwargs)
        stage = getattr(self, "stage", None)
        return stage.abort() if stage is not None and not queries.has_second_factor(stage.login.user) else answer

    def _build_forms(self) -> Any:
        form = super()._build_forms()
        dress(self.auth_form, {"code": _("Code from your app, or a recovery code")})
        return form


class ProveBySecondFactor(Dressed, factors.ReauthenticateView):
    template_name, title = "people/prove.html", _("Confirm that it is you")
    labels = {"code": _("Code from your app, or a recovery code")}


class SetUp(Dressed, totp.ActivateTOTPView):
    template_name, title = "people/factor_set_up.html", _("Set up a second factor")
    labels = {"code": _("Code from your app")}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"detained": self.request.detained}  # type: ignore[attr-defined]


class SwitchOff(Dressed, totp.DeactivateTOTPView):
    template_name, title = "people/factor_switch_off.html", _("Switch the second factor off")


class Codes(Dressed, codes.ViewRecoveryCodesView):
    template_name, title = "people/recovery_codes.html", _("Recovery codes")


class NewCodes(Dressed, codes.GenerateRecoveryCodesView):
    template_name, title = "people/recovery_codes_new.html", _("New recovery codes")


urlpatterns = [
    path("login/", Login.as_view(), name="account_login"),
    path("logout/", Logout.as_view(), name="account_logout"),
    path("password/", ChangePassword.as_view(), name="account_change_password"),
    path("confirm/", ProveAgain.as_view(), name="account_reauthenticate"),
    path("second-factor/", SecondFactor.as_view(), name="mfa_authenticate"),
    path("second-factor/confirm/", ProveBySecondFactor.as_view(), name="mfa_reauthenticate"),
    path("second-factor/set-up/", SetUp.as_view(), name="mfa_activate_totp"),
    path("second-factor/switch-off/", SwitchOff.as_view(), name="mfa_deactivate_totp"),
    path("recovery-codes/", Codes.as_view(), name="mfa_view_recovery_codes"),
    path("recovery-codes/new/", NewCodes.as_view(), name="mfa_generate_recovery_codes"),
    path("", login_required(RedirectView.as_view(pattern_name="people:account")), name="mfa_index"),
]
