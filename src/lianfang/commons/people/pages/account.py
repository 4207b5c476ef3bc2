"""My account: who I am, what I may do and see, my hats, my second factor, my keys."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from lianfang.commons.frame import pages
from lianfang.commons.frame.sheets import SheetForm
from lianfang.commons.people import actions, models, queries
from lianfang.kernel.errors import Invalid, Refused


class Profile(SheetForm):
    class Meta:
        model = models.User
        fields = ("name", "email", "phone", "language")


class ReachForm(SheetForm):
    """How I am told beyond the bell. The webhook is written, never shown."""

    webhook = forms.CharField(label=_("Webhook"), required=False, max_length=500, widget=forms.TextInput(attrs={"type": "url", "class": "form-control", "autocomplete": "off", "placeholder": "https://"}), help_text=_("Gets each notice as JSON, in the form that group robots of DingTalk and WeCom read. Kept sealed. Empty: as it was."))
    without = forms.BooleanField(label=_("No webhook any more"), required=False)

    class Meta:
        model = models.Reach
        fields = ("mail", "least")

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if not self.instance.place:
            del self.fields["without"]


def myself(request: HttpRequest) -> models.User:
    """The user of this session; a key has no account to look at."""
    user: Any = request.user
    if not user.is_authenticated:
        raise Refused(_("Only a person has an account"), why=_("You came with an API key."), todo=_("Log in with a browser."))
    return user


@pages.page("account/", name="account", title=_("My account"), nav=pages.Nav("account", _("My account"), order=10, icon="user-circle"))
def account(request: HttpRequest) -> HttpResponse:
    user = myself(request)
    form = Profile(request.POST or None, instance=models.User.objects.get(pk=user.pk), viewer=request.viewer)  # type: ignore[attr-defined]
    if request.method == "POST" and form.is_valid():
        actions.change_profile(user, actor=request.viewer, **form.cleaned_data)  # type: ignore[attr-defined]
        return redirect("people:account")
    wardrobe = queries.hats(user)
    context = {
        "user": user,
        "form": form,
        "hats": wardrobe,
        "worn": queries.worn(wardrobe, request.session.get("people_hat", "")),
        "second_factor": queries.has_second_factor(user),
        "codes_left": queries.recovery_codes_left(user),
        "reach": ReachForm(instance=models.Reach.objects.filter(user=user).first() or models.Reach(user=user), viewer=request.viewer),  # type: ignore[attr-defined]
        "can_make_keys": request.viewer.may("people.key.add"),  # type: ignore[attr-defined]
        "keys": models.Key.objects.filter(user=user, revoked=None),
    }
    return pages.show(request, "people/account.html", context, status=422 if form.is_bound else 200)


@pages.page("account/reach/", name="reach", title=_("Notices beyond the bell"), parent="account")
def reach(request: HttpRequest) -> HttpResponse:
    """Choose the ways, or see again what is wrong with them."""
    user = models.User.objects.get(pk=myself(request).pk)
    form = ReachForm(request.POST or None, instance=models.Reach.objects.filter(user=user).first() or models.Reach(user=user), viewer=request.viewer)  # type: ignore[attr-defined]
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            actions.choose_reach(user, mail=given["mail"], webhook="" if given.get("without") else given["webhook"].strip() or None, least=given["least"], actor=request.viewer)  # type: ignore[attr-defined]
        except Invalid as fault:
            for name, said in fault.details.items():
                form.add_error(name, said)
        else:
            return redirect("people:account")
    return pages.show(request, "people/reach.html", {"reach": form}, status=422 if form.errors else 200)


@pages.page("hat/", name="hat", title=_("Change hat"))
@require_POST
def hat(request: HttpRequest) -> HttpResponse:
    """Put on another hat for the rest of this session."""
    request.session["people_hat"] = actions.wear(myself(request), request.POST.get("hat", ""), actor=request.viewer)  # type: ignore[attr-defined]
    return redirect("home")


@pages.page("account/keys/<uuid:pk>/revoke/", name="own_key_revoke", title=_("Revoke key"), parent="account")
@require_POST
def own_key_revoke(request: HttpRequest, pk: Any) -> HttpResponse:
    actions.revoke_key(pk, actor=request.viewer)  # type: ignore[attr-defined]
    return redirect("people:account")
