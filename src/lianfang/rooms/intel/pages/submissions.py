"""Submissions inside: the response centre and its rules, the list, one submission with what can be done about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse, reverse_lazy
from django.utils.html import format_html
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame import attachments, sheets
from lianfang.commons.frame.attachments.pages import allow
from lianfang.commons.frame.pages import Nav, page, panel, parts, saying, show
from lianfang.commons.frame.sheets import SEVERITIES, Column, Filter, Sheet, Verb, linked
from lianfang.commons.ledger import queries as ledger
from lianfang.kernel import clock
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.intel import actions, models, queries
from lianfang.rooms.intel.actions import TRIAGE
from lianfang.rooms.intel.queries import submissions
from lianfang.rooms.intel.types import STANDING, TONES, Side, State

SECTION = "intelligence"
OPEN_ONES = "open"
LATE = _("late")


# ---- the centre ----------------------------------------------------------------------------------------------------


def _address(row: models.Centre) -> Any:
    """Where strangers find the page; a plain word while it is off."""
    url = reverse("intel:submit_to", kwargs={"slug": row.slug})
    return format_html('<a href="{}">{}</a>', url, url) if row.open else url


sheets.register(
    Sheet(
        model=models.Centre,
        title=_("Response centre"),
        path="centres",
        columns=("name", Column("address", _("public page"), value=_address, plain=lambda row: reverse("intel:submit_to", kwargs={"slug": row.slug}), sort=False), "open", "answer_days", "mend_days", "thanks", "changed"),
        facts=("name", Column("address", _("public page"), value=_address, sort=False), "open", "answer_days", "mend_days", "thanks", Column("rules", value=lambda row: render_to_string("intel/part_text.html", {"text": row.rules})), "changed"),
        filters=("open",),
        search=("name",),
        fields=("name", "slug", "open", "rules", "answer_days", "mend_days", "thanks"),
        order="name",
        nav=Nav("administration", _("Response centre"), order=70, icon="shield-half"),
        create=actions.add_centre,
        change=actions.change_centre,
        remove=actions.remove_centre,
        importable=False,
        found=False,
        about=_("Where outsiders report vulnerabilities, phishing and what they know of attackers to your organisation, without an account."),
        empty=(_("There is no response centre yet"), _("Set it up, write its rules, then switch it on."), reverse_lazy("intel:centre_add"), _("Set it up")),
    )
)


# ---- the list ------------------------------------------------------------------------------------------------------


def _by_state(rows: QuerySet, values: list[str]) -> QuerySet:
    return rows.filter(state__in=sorted({state for value in values for state in (STANDING if value == OPEN_ONES else [value])}))


def _by_assignee(rows: QuerySet, values: list[str]) -> QuerySet:
    return rows.filter(assignee__in=["" if value == "nobody" else value for value in values])


def _by_clock(rows: QuerySet, values: list[str]) -> QuerySet:
    late = submissions.late(clock.now())
    return rows.filter(late) if values == ["late"] else rows.exclude(late) if values == ["on time"] else rows


def _assignees(viewer: Viewer) -> list[tuple[str, Any]]:
    own = [(viewer.id, pgettext_lazy("submission", "me")), ("nobody", pgettext_lazy("submission", "nobody"))]
    return [*own, *((person.id, person.name) for person in queries.triagers(viewer) if person.id != viewer.id)]


def _clock(row: models.Submission) -> Any:
    """When the next clock runs out, and whether it has."""
    if row.due is None:
        return None
    return format_html("{} {}", parts.local_time(row.due, "ago"), parts.badge(LATE, "bad")) if row.late else parts.local_time(row.due, "ago")


sheets.register(
    Sheet(
        model=models.Submission,
        title=_("Submissions"),
        path="submissions",
        template="intel/submission.html",
        columns=(
            Column("number", cell="code"), "title", "about", Column("weight", _("severity"), cell="severity", sort="claimed"), Column("state", cell="badge", tones=TONES), "assignee_name",
            Column("due", _("next clock"), value=_clock, plain=lambda row: row.due, sort=False), "received", Column("affected", shown=False), Column("heard", shown=False), Column("answered", shown=False), Column("mended", shown=False),
        ),
        facts=(
            Column("number", cell="code"), "about", "affected", Column("claimed", cell="severity"), Column("vector", cell="code"), Column("severity", value=lambda row: row.severity or None, cell="severity"), "assignee_name", "credit",
            Column("original", value=lambda row: _original(row)), "received", "heard", "answer_by", "answered", "accepted", "mend_by", "mended", "ended", Column("centre", value=lambda row: row.centre.name),
        ),
        filters=(
            Filter("state", kind="choice", choices=((OPEN_ONES, _("not closed")), *State.choices), apply=_by_state), "about", Filter("claimed", kind="choice", choices=SEVERITIES),
            Filter("assignee", _("assignee"), kind="choice", choices=_assignees, apply=_by_assignee), Filter("clock", _("clock"), kind="choice", choices=(("late", LATE), ("on time", _("on time"))), apply=_by_clock), "received",
        ),
        search=("number", "title", "affected"),
        order="-received",
        nav=Nav(SECTION, _("Submissions"), order=26, icon="inbox"),
        create=False,
        change=False,
        remove=actions.remove_submission,
        about=linked(_("What outsiders reported to the response centre."), "intel:submission_figures", _("Figures of submissions")),
        empty=(_("Nothing was submitted yet"), _("Outsiders reach the form once the response centre is switched on."), reverse_lazy("intel:centre_list"), _("Response centre")),
        verbs=(
            Verb("accept", _("Accept"), actions.accept, permission=TRIAGE, icon="check", when=lambda row: actions.may_go(row, "accept")),
            Verb("start", _("Start to work on it"), actions.start_work, permission=TRIAGE, icon="player-play", when=lambda row: actions.may_go(row, "start")),
            Verb("mend", _("It is mended"), actions.mend, permission=TRIAGE, icon="tool", when=lambda row: actions.may_go(row, "mend") and row.state == State.WORKED),
            Verb("close", pgettext_lazy("submission", "Close it"), actions.close, permission=TRIAGE, icon="circle-check", when=lambda row: actions.may_go(row, "close")),
            Verb("reopen", pgettext_lazy("submission", "Reopen it"), actions.reopen, permission=TRIAGE, icon="arrow-back-up", when=lambda row: actions.may_go(row, "reopen")),
        ),
    )
)  # fmt: skip


def _original(row: models.Submission) -> Any:
    first = row.original
    return format_html('<a href="{}">{}</a>', reverse("intel:submission", kwargs={"pk": first.pk}), first) if first else None


allow(attachments.Subject("intel", "submission", fetch=queries.submission, permission="intel.submission.attach"))


# ---- one submission ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Words:
    """A way to write: its verb, what its button says, what it is for."""

    verb: str
    label: Any
    hint: Any
    needs: str = ""


WORDS = (
    Words("answer", pgettext_lazy("submission", "Answer"), _("The reporter reads it.")),
    Words("note", _("Internal note"), _("Only colleagues read it.")),
    Words("ask", _("Ask the reporter"), _("The reporter reads it; until the answer it waits for them."), "ask"),
    Words("reject", pgettext_lazy("submission", "Reject"), _("The reporter reads why."), "reject"),
)


@panel("intel.submission.main", title=_("Said about it"), order=10)
def conversation(request: HttpRequest, row: models.Submission) -> str:
    """Words of the reporter, answers and notes, and the ways to write more."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    may = viewer.may(TRIAGE)
    ways = [way for way in WORDS if not way.needs or actions.may_go(row, way.needs)] if may else []
    return render_to_string("intel/part_conversation.html", {"row": row, "remarks": [(one, {Side.REPORTER: "warn", Side.NOTE: "quiet"}.get(Side(one.side), "good")) for one in row.remarks.all()], "ways": ways}, request)


@panel("intel.submission.side", title=_("Triage"), order=10, permission=TRIAGE)
def triage(request: HttpRequest, row: models.Submission) -> str:
    """Who does it, how serious it is, whether it is known, what it gives, who said it."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    context = {
        "row": row, "people": [person for person in queries.triagers(viewer) if person.id != viewer.id], "severities": SEVERITIES, "may_repeat": actions.may_go(row, "duplicate"),
        "may_propose": viewer.may("intel.indicator.add"), "repeats": list(row.repeats.all().seen_by(viewer)[:20]),
    }  # fmt: skip
    return render_to_string("intel/part_triage.html", context, request)


VERBS = {
    "submitted": (_("Submitted"), "inbox", "warn"),
    "added_to": (_("Added by the reporter"), "message", "warn"),
    "accept": (pgettext_lazy("submission", "Accepted"), "check", "good"),
    "ask": (_("The reporter was asked"), "help", ""),
    "duplicate": (_("Known already"), "copy", ""),
    "reject": (pgettext_lazy("submission", "Rejected"), "ban", ""),
    "start": (_("Work begun"), "player-play", ""),
    "mend": (pgettext_lazy("submission", "Mended"), "tool", "good"),
    "close": (pgettext_lazy("submission", "Closed"), "circle-check", "good"),
    "reopen": (pgettext_lazy("submission", "Reopened"), "arrow-back-up", "warn"),
    "answer": (_("Answered"), "send", ""),
    "note": (_("Note written"), "note", ""),
    "assign": (pgettext_lazy("submission", "Assigned"), "user-check", ""),
    "judge": (_("Severity judged"), "flag", ""),
    "proposed": (_("Indicators proposed"), "eye-search", ""),
    "contact_seen": (_("Contact looked at"), "eye", ""),
    "reporter_forgotten": (_("Contact and name forgotten"), "eraser", ""),
}


@panel("intel.submission.main", title=_("What was done"), order=90)
def done(request: HttpRequest, row: models.Submission) -> str:
    """The ledger's entries about it."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    steps = []
    for entry in ledger.timeline(row.ref, viewer):
        if said := VERBS.get(entry.verb.removeprefix("intel.submission_")):
            steps.append({"at": entry.time, "title": said[0], "icon": said[1], "tone": said[2], "who": translate("reporter") if entry.actor_name.startswith("reporter SRC-") else entry.actor_name, "text": _changed(entry.detail)})
    return parts.timeline(steps)


def _changed(detail: dict[str, Any]) -> str:
    """What a step changed, before and after; and of which number it is a duplicate."""
    before, after = detail.get("before", {}), detail.get("after", {})
    said = [f"{_shown(name, before.get(name))} → {_shown(name, after[name])}" for name in after]
    return ", ".join([*said, *filter(None, [detail.get("of", "")])])


def _shown(name: str, value: Any) -> str:
    if name == "state":
        return str(dict(State.choices).get(value, value))
    if name == "severity":
        return str(dict(SEVERITIES).get(value, "–"))
    return str(value or "–")


SAID = {
    "accept": _("Accepted."), "ask": _("Asked; it waits for the reporter."), "reject": _("Rejected; the reporter reads why."), "duplicate": _("Marked as a duplicate."), "start": _("You are working on it."), "mend": _("Marked as mended."),
    "close": _("Closed."), "reopen": _("Open again."), "answer": _("The reporter reads it now."), "note": _("Noted."), "assign": _("Given on."), "judge": _("The severity is judged."),
}  # fmt: skip


@page("submissions/<uuid:pk>/<slug:verb>/", name="submission_decide", permission="intel.submission.view", title=_("Submission"), parent="submission_list")
def decide(request: HttpRequest, pk: UUID, verb: str) -> HttpResponse:
    """One verb on one submission; back to its page, with what happened. Proposing goes on to the import that it made."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    row = queries.submission(pk, viewer)
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    viewer.must(TRIAGE)
    with saying(request, str(SAID.get(verb, ""))):
        if verb == "propose":
            return HttpResponseRedirect(reverse("intel:delivery", kwargs={"pk": actions.propose(row, actor=viewer).pk}))
        if verb == "contact":
            return _contact(request, row, actions.show_contact(row, actor=viewer))
        actions.by_name(verb, row, request.POST, actor=viewer)
    return HttpResponseRedirect(reverse("intel:submission", kwargs={"pk": pk}))


def _contact(request: HttpRequest, row: models.Submission, contact: str) -> HttpResponse:
    """How to reach the reporter, in this one answer and nowhere else."""
    answer = show(request, "intel/contact_seen.html" if request.htmx else "intel/contact.html", {"row": row, "contact": contact}, title=row.number)  # type: ignore[attr-defined]
    answer["Cache-Control"] = "no-store"
    return answer
