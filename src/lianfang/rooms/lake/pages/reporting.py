"""Reporting upwards: destinations, one click on what was found, and the history of what went where."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import sheets
from lianfang.commons.frame.pages import Nav, page, panel, said, show, told, unchanged
from lianfang.commons.frame.sheets import Column, Filter, Sheet, SheetForm, Verb
from lianfang.kernel.errors import Conflict, Fault, Refused
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import actions, models
from lianfang.rooms.lake.actions.reporting import FIELDS, Waits
from lianfang.rooms.lake.pages.asking import Asked
from lianfang.rooms.lake.pages.sources import lines_said
from lianfang.rooms.lake.types import Sending

TONES = {Sending.WAITING: "busy", Sending.RUNNING: "busy", Sending.DONE: "good", Sending.FAILED: "bad", Sending.STOPPED: "quiet"}
LEVELS = {0: "quiet", 1: "quiet", 2: "quiet", 3: "warn", 4: "bad"}
SHOWN = 100


class DestinationForm(SheetForm):
    """The secret is written, never shown."""

    secret = forms.CharField(label=_("secret of the key"), required=False, max_length=1000, strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), help_text=_("Kept sealed and never shown. Empty: as it was."))

    class Meta:
        model = models.Destination
        fields = FIELDS
        widgets = {"authority": forms.Textarea(attrs={"rows": 3, "class": "form-control mono", "spellcheck": "false"})}

    field_order = ("name", "address", "key_id", "secret", "events", "captures", "source", "level", "indicators", "tlp", "authority")


sheets.register(
    Sheet(
        model=models.Destination,
        title=_("Destinations of reports"),
        path="destinations",
        columns=("name", Column("address", cell="code"), "events", "captures", "indicators", Column("level", cell="badge", tones=LEVELS), Column("tlp", cell="badge"), Column("tried_well", _("Last try went well")), "tried", Column("changed_by", shown=False), Column("changed", shown=False)),
        facts=("name", Column("address", cell="code"), Column("key_id", cell="code"), Column("secret", _("Secret of the key"), value=lambda row: _("kept sealed"), sort=False), "source", "events", "captures", Column("level", cell="badge", tones=LEVELS), "indicators", Column("tlp", cell="badge"), "changed_by", "changed"),
        search=("name", "address"),
        fields=FIELDS,
        form=DestinationForm,
        sensitive=("authority",),
        order="name",
        nav=Nav("administration", _("Destinations of reports"), order=60, icon="send"),
        create=actions.create_destination,
        change=actions.change_destination,
        remove=actions.remove_destination,
        verbs=(Verb("try", _("Try the connection"), actions.try_destination, permission="lake.destination.change", icon="plug"),),
        template="lake/report_detail.html",
        importable=False,
        about=_("Where this organisation reports what it collected: set once, then one click sends a selection, desensitised."),
        empty=(_("No destination yet"), _("Have the other side make a log source and an API key for you, then set the destination up here."), "", ""),
    )
)


@panel("lake.destination.main", title=_("The last try"), order=10)
def tried(request: HttpRequest, row: models.Destination) -> str:
    """What the other side said."""
    return render_to_string("lake/destination_tried.html", {"row": row, "said": lines_said(row.tried_said)}, request=request) if row.tried else ""


sheets.register(
    Sheet(
        model=models.Report,
        title=_("Reports sent"),
        path="reports",
        columns=(
            "to", "what", Column("about", sort=False), Column("state", tones=TONES), "rows", "accepted", "refused", Column("bytes", cell="bytes"), "by", "created",
            Column("kept_back", shown=False), Column("level", cell="badge", tones=LEVELS, shown=False), Column("finished", shown=False), Column("sha256", cell="code", shown=False),
        ),
        facts=("to", "what", "about", "by", "created", "finished", Column("level", cell="badge", tones=LEVELS), "rows", Column("bytes", cell="bytes"), "kept_back", Column("sha256", cell="code")),
        filters=("what", Filter("state", _("State")), Filter("to", kind="text"), Filter("by", kind="text"), "created"),
        search=("to", "about", "by"),
        order="-created",
        nav=Nav("logs", _("Reports sent"), order=28, icon="send"),
        template="lake/report_detail.html",
        found=False,
        poll=5,
        verbs=(
            Verb("resume", _("Go on sending"), actions.resume_report, permission="lake.report.view", icon="reload", when=lambda row: row.state == Sending.FAILED),
            Verb("stop", _("Send no more"), actions.stop_report, permission="lake.report.view", icon="ban", danger=True, when=lambda row: row.state in (Sending.WAITING, Sending.RUNNING, Sending.FAILED)),
        ),
        about=_("What went to which destination, how much of it the other side took, and why it refused the rest."),
        empty=(_("Nothing was reported yet"), _("Search the logs, share a capture or open the watch list, and choose “Report”."), "", ""),
    )
)  # fmt: skip


@panel("lake.report.main", title=_("How far it is"), order=10)
def going(request: HttpRequest, row: models.Report) -> str:
    """Progress while it goes, afterwards what was refused."""
    return render_to_string("lake/report_going.html", _going(row), request=request)


@page("reports/<uuid:pk>/going/", name="report_going", permission="lake.report.view", title=_("How far it is"), parent="report_list")
def going_on(request: HttpRequest, pk: Any) -> HttpResponse:
    """The same for whoever watches."""
    row = models.Report.objects.fetch(pk, request.viewer)  # type: ignore[attr-defined]
    if answer := unchanged(request, row.state, row.sent, row.trouble):
        return answer
    return show(request, "lake/report_going.html", _going(row))


def _going(row: models.Report) -> dict[str, Any]:
    parts = models.ReportPart.objects.filter(report=row).exclude(done=None).order_by("number")
    refusals = [(part.first + line, said(reason)) for part in parts if part.refusals for line, reason in part.refusals][:SHOWN]
    return {"row": row, "tone": TONES[Sending(row.state)], "trouble": lines_said(row.trouble), "refusals": refusals, "more": max(0, row.refused - len(refusals)), "ended": row.state in (Sending.DONE, Sending.FAILED, Sending.STOPPED)}


@page("search/report/", name="report_events", permission="lake.event.export", title=_("Report"), parent="search")
def events(request: HttpRequest) -> HttpResponse:
    """POST: send what the search finds; where that needs approval, the page on which to ask for it."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    asked, to = Asked(QueryDict(request.POST.get("asked", ""))), request.POST.get("to", "")
    if request.method != "POST":
        return HttpResponseRedirect(reverse("lake:search"))
    try:
        row = actions.report_events(asked.question(), to, asked=asked.fixed(), about=in_words(asked), actor=viewer)
    except Waits as waits:
        return show(request, "lake/export_ask.html", {"kind": "report", "asked": asked.fixed(), "form": "ndjson", "towards": to, **waits.details}, status=403, title=gettext("This needs approval"))
    except Conflict as fault:
        messages.warning(request, told(fault))
        return HttpResponseRedirect(f"{reverse('lake:search')}{asked.address()}")
    return sent(request, row)


@page("export-requests/<uuid:pk>/report/", name="export_report", permission="lake.event.export", title=_("Report"), parent="exportrequest_list")
def approved(request: HttpRequest, pk: Any) -> HttpResponse:
    """POST: send what was approved, by who asked, while the approval holds."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    row = models.ExportRequest.objects.fetch(pk, viewer)
    if request.method != "POST":
        return HttpResponseRedirect(reverse("lake:exportrequest", kwargs={"pk": pk}))
    if row.person != str(viewer.id):
        raise Refused("This may not be taken away", why="Only who asked may.", todo="Ask yourself.")
    if not row.open or row.kind != "report":
        raise Conflict("This may not be taken away now", why="It was not approved, or the approval is over.", todo="Ask anew.")
    asked = Asked(QueryDict(row.asked))
    made = actions.report_events(asked.question(), row.towards, asked=row.asked, about=in_words(asked), approved=row, actor=viewer)
    actions.note_taken(row, made.sha256, rows=made.rows, actor=viewer)
    return sent(request, made)


@page("capture/report/", name="report_capture", permission="lake.event.export", title=_("Report"), parent="capture")
def capture(request: HttpRequest) -> HttpResponse:
    """POST: a capture, made as for sharing, to a destination."""
    if request.method != "POST":
        return HttpResponseRedirect(reverse("lake:capture"))
    try:
        row = actions.report_capture(request.FILES.get("file"), request.POST.get("rule", ""), request.POST.get("to", ""), actor=request.viewer)  # type: ignore[arg-type,attr-defined]
    except Fault as fault:
        messages.warning(request, told(fault))
        return HttpResponseRedirect(reverse("lake:capture"))
    return sent(request, row)


def in_words(asked: Asked) -> str:
    """What was asked, as its page says it."""
    question = asked.question()
    span = " – ".join(timezone.localtime(moment).strftime("%Y-%m-%d %H:%M") for moment in (question.since, question.until))
    return " · ".join([span, *([f"“{asked.words}”"] if asked.words else []), *(f"{chip.label} {chip.op} {chip.value}".strip() for chip in asked.chips())])


def sent(request: HttpRequest, row: models.Report) -> HttpResponse:
    """To the page on which it can be watched; it can be left and found again."""
    messages.success(request, gettext("Kept; it is sent now and can be watched here."))
    return HttpResponseRedirect(reverse("lake:report", kwargs={"pk": row.pk}))
