"""Grading: the queue of columns to review, one column with its votes, asking for a look, and the classes of data."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse, reverse_lazy
from django.utils.dateparse import parse_date
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import sheets
from lianfang.commons.frame.language import either, listed
from lianfang.commons.frame.pages import Nav, page, panel, show
from lianfang.commons.frame.sheets import Column, Filter, Sheet, SheetForm, Verb
from lianfang.kernel.errors import Fault, Invalid
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import actions, models
from lianfang.rooms.lake.queries import grading as queries

TONES = {models.Review.OPEN: "warn", models.Review.ACCEPTED: "good", models.Review.CHANGED: "busy"}
LEVEL_TONES = {1: "quiet", 2: "quiet", 3: "warn", 4: "bad"}
VOTERS: dict[str, Any] = {"recogniser": _("values"), "context": _("values beside the name"), "name": _("name"), "comment": _("comment of the column"), "model": _("learned from reviewers")}
STEPS: dict[str, Any] = {
    "default": _("Nothing in it was recognised: the usual level."), "contains": _("The highest that it contains."), "mass": _("Raised: many records lie together."),
    "together": _("Raised: beside it lies what says more together."), "masked": _("Lowered: its values are masked."), "expiry": _("Lowered: it is old enough."),
}  # fmt: skip
KINDS: dict[str, Any] = {
    "resident_id": _("resident identity numbers"), "credit_code": _("unified social credit codes"), "phone": _("mobile phone numbers"), "bank_card": _("bank card numbers"), "email": _("e-mail addresses"),
    "ip": _("IP addresses"), "mac": _("MAC addresses"), "contract": _("futures contracts"), "person_name": _("names of persons"), "date": _("dates"), "year": _("years"), "digest": _("digests"), "masked": _("masked values"),
}  # fmt: skip
SURE, UNSURE = 0.8, 0.5


def class_of(row: models.Grade) -> str:
    """The class in force, in the reader's language."""
    return queries.class_name(row.item) if row.item else gettext("nothing recognised")


def because(row: models.Grade) -> str:
    """The strongest vote for the proposal, in a few words; without one, what else the column holds."""
    vote = next((vote for vote in row.votes if vote["item"] == row.proposed_item and vote["weight"] > 0), None)
    held = listed(queries.class_name(code) for code in row.profile.get("contained", ()))
    return f"{VOTERS[vote['by']]}: {words_of(vote)}" if vote else gettext("It also holds") + f": {held}" if held else ""


def words_of(vote: dict[str, Any]) -> str:
    """A vote's reason; kinds of values by their names."""
    kind, _blank, rest = vote["why"].partition(" ")
    return f"{KINDS[kind]} {rest}" if vote["by"] in ("recogniser", "context") and kind in KINDS else str(vote["why"])


def confidence(row: models.Grade) -> str:
    """As a share; nothing where nothing was recognised."""
    return f"{row.confidence:.0%}" if row.proposed_item else ""


def _data_sets(viewer: Viewer) -> list[tuple[str, Any]]:
    names = models.Grade.objects.seen_by(viewer).order_by("dataset").values_list("dataset", flat=True).distinct()
    return [(name, _("event tables") if name == models.EVENTS else name) for name in names]


def _by_confidence(rows: Any, chosen: list[str]) -> Any:
    bounds = {"sure": {"confidence__gte": SURE}, "likely": {"confidence__gte": UNSURE, "confidence__lt": SURE}, "unsure": {"confidence__lt": UNSURE}}
    found = rows.none()
    for one in chosen:
        found |= rows.filter(**bounds.get(one, {"pk__in": []}))
    return found


class GradeForm(SheetForm):
    """Another class or level, and why."""

    item = forms.ChoiceField(label=_("Data class"), required=False)
    reason = forms.CharField(label=_("Reason"), max_length=300, help_text=_("Stands in the ledger and beside the grade."))

    class Meta:
        model = models.Grade
        fields = ("item", "level", "reason")

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        listed = [(f"{named(outer)} · {named(inner)}", [(item.code, f"{named(item)}（L{item.level:d}）") for item in items]) for outer, inners in queries.classes().tree() for inner, items in inners]
        self.fields["item"].choices = [("", _("nothing recognised")), *listed]  # type: ignore[attr-defined]
        self.initial["reason"] = ""


def named(group: Any) -> str:
    """A class, sub-class or item in the reader's language."""
    return either(group.zh, group.en)


GRADES = sheets.register(
    Sheet(
        model=models.Grade,
        title=_("Data grading"),
        path="grading",
        about=_("What columns hold, how well it must be kept, and who said so. From the moment a grade is reviewed, whoever has a lower clearance sees the column masked."),
        columns=(
            Column("column", _("Column"), sort="column"), Column("dataset", _("Data set"), value=lambda row: gettext("event tables") if row.dataset == models.EVENTS else row.dataset, sort="dataset"),
            Column("item", _("Data class"), value=class_of, sort="item", plain=lambda row: row.item), Column("level", _("Level"), cell="badge", tones=LEVEL_TONES), Column("state", tones=TONES),
            Column("confidence", _("Confidence"), value=confidence, sort="confidence", plain=lambda row: row.confidence), Column("because", _("Because"), value=because, sort=False),
            Column("records", shown=False), Column("reviewed_by", shown=False), Column("reviewed", shown=False), Column("reason", shown=False), Column("graded", shown=False), Column("comment", shown=False),
        ),
        facts=(
            Column("item", _("Data class"), value=class_of), Column("level", _("Level"), cell="badge", tones=LEVEL_TONES), Column("state", tones=TONES), "reason", "reviewed_by", "reviewed",
            Column("comment"), "records", "graded",
        ),
        filters=(
            Filter("state", _("Review")), Filter("level", _("Level")), Filter("dataset", _("Data set"), kind="choice", choices=_data_sets),
            Filter("confidence", _("Confidence"), kind="choice", choices=(("sure", _("sure")), ("likely", _("likely")), ("unsure", _("unsure"))), apply=_by_confidence),
        ),
        search=("column", "comment", "dataset"),
        fields=("item", "level", "reason"),
        form=GradeForm,
        order="-level",
        nav=Nav("governance", _("Data grading"), order=18, icon="shield-lock", group="grading"),
        create=False,
        importable=False,
        remove=False,
        found=False,
        change=actions.change_grade,
        verbs=(Verb("accept", pgettext_lazy("grade", "Accept"), actions.accept_grade, permission="lake.grade.change", bulk=True, icon="check", when=lambda row: row.open),),
        template="lake/grading_detail.html",
        empty=(_("Nothing is graded yet"), _("Have the event tables or a table file looked at; every column gets a proposal with its reasons."), reverse_lazy("lake:grading_start"), _("Have data looked at")),
    )
)


@panel("lake.grade.main", title=_("Why"), order=10)
def why(request: HttpRequest, row: models.Grade) -> str:
    """Every vote, and every step to the level."""
    votes = [{**vote, "voter": VOTERS.get(vote["by"], vote["by"]), "why": words_of(vote), "name": queries.class_name(vote["item"]), "percent": round(abs(vote["weight"]) * 100), "against": vote["weight"] < 0} for vote in row.votes]
    steps = [{**step, "text": STEPS.get(step["rule"], step["rule"]), "about": queries.class_name(step["about"]) if step["rule"] == "contains" else _told(step["about"])} for step in row.steps]
    held = [{"name": queries.class_name(code)} for code in row.profile.get("contained", ()) if code != row.proposed_item]
    return render_to_string("lake/grading_votes.html", {"row": row, "votes": votes, "steps": steps, "held": held, "proposed": queries.class_name(row.proposed_item) if row.proposed_item else ""}, request=request)


def _told(about: str) -> str:
    """Codes of items inside a reason, by their names."""
    return " + ".join(queries.class_name(part) for part in about.split(" + "))


@page("grading-start/", name="grading_start", permission="lake.grade.run", nav=Nav("governance", _("Have data looked at"), order=19, icon="list-search", group="grading"))
def start(request: HttpRequest) -> HttpResponse:
    """The event tables, or a table file; a worker looks, and its progress can be watched."""
    viewer = request.viewer  # type: ignore[attr-defined]
    context: dict[str, Any] = {"day": request.POST.get("day", ""), "runs": models.GradingRun.objects.seen_by(viewer)[:10], "events": models.EVENTS, "model": queries.model_in_use(viewer.path)}
    if request.method == "POST":
        try:
            job = actions.start_grading(actor=viewer) if request.POST.get("what") == "events" else actions.start_table(request.FILES.get("file"), day=_day(request.POST.get("day", "")), actor=viewer)
            return HttpResponseRedirect(reverse("jobs:work", kwargs={"pk": job.id}))
        except Fault as fault:
            context["fault"] = fault
    return show(request, "lake/grading_start.html", context, status=422 if "fault" in context else 200)


def _day(text: str) -> Any:
    try:
        day = parse_date(text) if text else None
    except ValueError:
        day = None
    if text and day is None:
        raise Invalid("This is no day", todo="Write it like 2026-11-21.", details={"day": ["no day"]})
    return day


@page("data-classes/", name="data_classes", permission="lake.grade.view", title=_("Data classes"), parent="grade_list")
def data_classes(request: HttpRequest) -> HttpResponse:
    """Every class, sub-class and item with its level, and how many columns are of it."""
    known = queries.classes()
    counts: dict[str, int] = {}
    for code in models.Grade.objects.seen_by(request.viewer).values_list("item", flat=True):  # type: ignore[attr-defined]
        counts[code] = counts.get(code, 0) + 1
    groups = [
        {
            "name": named(outer), "columns": sum(counts.get(item.code, 0) for _inner, items in inners for item in items),
            "subclasses": [{"name": named(inner), "items": [{"item": item, "name": named(item), "columns": counts.get(item.code, 0)} for item in items]} for inner, items in inners],
        }
        for outer, inners in known.tree()
    ]  # fmt: skip
    return show(request, "lake/grading_classes.html", {"groups": groups, "known": known})
