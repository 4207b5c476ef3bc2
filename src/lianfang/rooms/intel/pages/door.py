"""The public door of a response centre: the form, the receipt, and the page where the secret link leads. No account, no session.

The secret stands behind ``#`` in the link: a browser keeps that part to itself, so no server, proxy or log ever sees it in an
address. A script of the page sends it in the body of a form; from then on a signed cookie of that one path opens the page.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.core.signing import BadSignature
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from lianfang.commons.frame import attachments
from lianfang.commons.frame.attachments.keeping import limit
from lianfang.commons.frame.pages import page, said, sayable, show, spoken
from lianfang.commons.frame.sheets import SEVERITIES
from lianfang.commons.people import queries as people
from lianfang.engines.schema import cvss
from lianfang.kernel.errors import Fault, Invalid, Missing
from lianfang.kernel.pace import Pace
from lianfang.rooms.intel import actions, models, queries
from lianfang.rooms.intel.actions import submitting
from lianfang.rooms.intel.types import Matter, Side
from lianfang.rooms.lake.types import Busy

PACE = Pace()
EACH, ALL = 20, 200
"""Forms a minute that one address sends, and that this process reads, before anything of them is looked at."""
LARGEST = submitting.MOST_BYTES + (1 << 20)
"""Bytes of a request; a larger one is refused before it is read."""
COOKIE, COOKIE_AGE = "lianfang_submission", 12 * 3600
sayable("“%(value)s” of %(source)s is there already", "The headers are %(names)s.")
sayable("It cannot hold %(part)s.", "It lacks %(names)s.")


class Said(forms.CharField):
    """A stranger's text without what nobody sees; a line, unless it stands in a box of several."""

    def to_python(self, value: Any) -> str:
        text = submitting.plain(super().to_python(value) or "")
        return text if isinstance(self.widget, forms.Textarea) else " ".join(text.split())


class SubmissionForm(forms.Form):
    """What a stranger may say, and how much of it."""

    about = forms.ChoiceField(label=_("kind"), choices=Matter.choices)
    title = Said(label=_("title"), max_length=200, help_text=_("One line that says what it is."))
    affected = Said(label=_("affected system"), max_length=500, required=False, help_text=_("System, product, domain or address that is affected."))
    description = Said(label=pgettext_lazy("submission", "description"), max_length=submitting.LONGEST, widget=forms.Textarea(attrs={"rows": 8}), help_text=_("What you found, and what somebody could do with it."))
    steps = Said(label=_("steps to reproduce"), max_length=submitting.LONGEST, required=False, widget=forms.Textarea(attrs={"rows": 5}))
    indicators = Said(label=_("indicators"), max_length=submitting.LONGEST, required=False, widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "class": "form-control mono"}), help_text=_("Addresses, domains, links, hashes of the attacker, one per line; also written harmlessly, such as hxxp://bad[.]example."))
    claimed = forms.TypedChoiceField(label=_("How serious is it?"), choices=SEVERITIES, coerce=int, initial=3)
    vector = Said(label=_("CVSS vector"), max_length=cvss.LONGEST, required=False, widget=forms.TextInput(attrs={"spellcheck": "false", "class": "form-control mono"}), help_text=_("Version 3.1 or 4.0, if you have one."))
    contact = Said(label=_("How we reach you"), max_length=200, required=False, help_text=_("Optional. Kept sealed; only those who look into it may open it. You can follow everything without it."))
    credit = Said(label=_("Name to be thanked by"), max_length=80, required=False, help_text=_("Only if you want to be named; it may be shown publicly."))
    website = Said(label=_("Leave this empty"), max_length=200, required=False, widget=forms.TextInput(attrs={"tabindex": "-1", "autocomplete": "off"}))
    form = forms.CharField(max_length=1000, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.widget.attrs.setdefault("class", "form-select" if isinstance(field.widget, forms.Select) else "form-control")
            if field.help_text:
                field.widget.attrs.setdefault("aria-describedby", f"id_{name}_help")

    def clean_website(self) -> str:
        """A trap: people do not see the field, programs fill it in."""
        if self.cleaned_data["website"]:
            raise forms.ValidationError(_("This field is a trap for programs. Empty it, then send the form again."))
        return ""

    def clean_vector(self) -> str:
        text = self.cleaned_data["vector"]
        try:
            return str(cvss.vector(text)) if text else ""
        except Invalid as fault:
            raise forms.ValidationError(f"{said(fault.what)}: {said(fault.why)}") from fault

    @property
    def seen(self) -> list[Any]:
        """The fields that people see."""
        return [self[name] for name in self.fields if name not in ("website", "form")]


def _guarded(request: HttpRequest) -> HttpResponse | None:
    """The answer to a form that is too large or comes too often, given before its body is read."""
    fault: Fault | None = None
    if request.method == "POST":
        if not str(request.META.get("CONTENT_LENGTH") or "0").isdecimal() or int(request.META.get("CONTENT_LENGTH") or 0) > LARGEST:
            fault = Invalid("The form is too large", why=translate("All files together may have %d MB.") % (submitting.MOST_BYTES >> 20), todo="Send fewer or smaller files; more can be added later.")
            fault.status = 413
        elif not PACE.allows((f"at {people.address_of(request)}", EACH), ("all", ALL)):
            fault = Busy("Too many forms come in at the moment", todo="Wait a minute, then send it again.", retry=True)
    return _private(spoken(request, fault)) if fault else None


def _private(answer: HttpResponse) -> HttpResponse:
    """Nothing of it is kept by a browser or on the way."""
    answer["Cache-Control"] = "no-store"
    return answer


@page("submit/", name="submit", public=True, title=_("Report to us"))
def submit(request: HttpRequest) -> HttpResponse:
    """The open centres; the form itself where there is one."""
    found = list(queries.open_centres())
    if not found:
        raise Missing("There is nothing at this address")
    if len(found) == 1:
        return HttpResponseRedirect(reverse("intel:submit_to", kwargs={"slug": found[0].slug}))
    return show(request, "intel/submit_where.html", {"centres": found})


@page("submit/<slug:slug>/", name="submit_to", public=True, title=_("Report to us"))
@csrf_exempt
def submit_to(request: HttpRequest, slug: str) -> HttpResponse:
    """The form of one centre, and its receipt."""
    return _guarded(request) or _private(_submit_to(request, slug))


@csrf_protect
def _submit_to(request: HttpRequest, slug: str) -> HttpResponse:
    centre = queries.centre(slug)
    form = SubmissionForm(request.POST) if request.method == "POST" else SubmissionForm(initial={"form": actions.new_form(centre)})
    fault, status = None, 200
    if request.method == "POST":
        if form.is_valid():
            try:
                return _receipt(request, centre, actions.submit(centre, form.cleaned_data, request.FILES.getlist("files"), form=form.cleaned_data["form"], address=people.address_of(request)))
            except Fault as found:
                fault, status = found, found.status
        else:
            status = 422
        if form.errors.get("form") or (fault and fault.details.get("form")):
            form.data = form.data.copy()  # what was written stays, under a new number
            form.data["form"] = actions.new_form(centre)
    context = {"centre": centre, "form": form, "fault": fault, "files_lost": bool(request.FILES), "thanked": queries.thanked(centre), "megabytes": limit() >> 20, "all_megabytes": submitting.MOST_BYTES >> 20, "most": submitting.FILES}
    return show(request, "intel/submit.html", context, title=centre.name, status=status)


def _receipt(request: HttpRequest, centre: models.Centre, receipt: submitting.Receipt) -> HttpResponse:
    base = settings.PUBLIC_URL.rstrip("/") or f"{request.scheme}://{request.get_host()}"
    link = f"{base}{reverse('intel:submitted')}#{receipt.number}.{receipt.secret}"
    return show(request, "intel/submit_receipt.html", {"centre": centre, "number": receipt.number, "link": link, "refused": receipt.refused}, title=translate("Thank you: we have it"))


# ---- the page where the secret link leads --------------------------------------------------------------------------


@page("submitted/", name="submitted", public=True, title=_("Your submission"))
@csrf_exempt
def submitted(request: HttpRequest) -> HttpResponse:
    """What became of a submission, for whoever holds its secret."""
    return _guarded(request) or _private(_submitted(request))


@csrf_protect
def _submitted(request: HttpRequest) -> HttpResponse:
    row, wish = _opened(request), request.POST.get("do", "")
    if wish == "open":
        return _open(request)
    if row is None:
        return show(request, "intel/submitted_code.html", {"fault": None}, status=403 if wish else 200)
    if wish == "leave":
        answer = HttpResponseRedirect(reverse("intel:submitted"))
        answer.delete_cookie(COOKIE, path=reverse("intel:submitted"))
        return answer
    return _seen(request, row, wish)


def _open(request: HttpRequest) -> HttpResponse:
    """The code is right: from now on the cookie opens the page in this browser."""
    try:
        row = actions.of_code(request.POST.get("code", "")[:2000])
    except Missing as fault:
        return show(request, "intel/submitted_code.html", {"fault": fault}, status=404)
    answer = HttpResponseRedirect(reverse("intel:submitted"))
    answer.set_signed_cookie(COOKIE, str(row.pk), salt=row.secret, max_age=COOKIE_AGE, path=reverse("intel:submitted"), secure=settings.SESSION_COOKIE_SECURE, httponly=True, samesite="Strict")
    return answer


def _opened(request: HttpRequest) -> models.Submission | None:
    """The submission that this browser has opened, if it has."""
    pk = request.COOKIES.get(COOKIE, "").partition(":")[0]
    try:
        row = models.Submission.objects.select_related("centre").filter(pk=pk).first() if len(pk) == 36 else None
        return row if row is not None and request.get_signed_cookie(COOKIE, salt=row.secret, max_age=COOKIE_AGE) == str(row.pk) else None
    except (BadSignature, ValueError, forms.ValidationError):
        return None


def _seen(request: HttpRequest, row: models.Submission, wish: str) -> HttpResponse:
    fault, refused, done = None, (), ""
    try:
        if wish == "add":
            refused, done = actions.add_word(row, request.POST.get("text", ""), request.FILES.getlist("files")), translate("It is added.")
        if wish == "forget":
            actions.forget_reporter(row)
            done = translate("Your contact and your name are gone.")
    except Fault as found:
        fault = found
    row.refresh_from_db()
    own = [one for one in attachments.of(row.ref) if one.added_by == submitting.reporter(row).name]
    context = {
        "row": row, "remarks": queries.public(row), "own": own, "fault": fault, "refused": refused, "done": done, "reporter": Side.REPORTER, "asked": row.state == "asked",
        "known": bool(row.contact or row.credit), "text": request.POST.get("text", "") if fault else "", "megabytes": limit() >> 20,
    }  # fmt: skip
    return show(request, "intel/submitted.html", context, title=row.title, status=fault.status if fault else 200)
