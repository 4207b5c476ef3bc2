"""Protection by level: the measures of each level, and the three screens of who touches data: before, during, after."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from datetime import UTC, date, timedelta
from typing import Any

import pyarrow as pa
from django.contrib import messages
from django.db.models import Count, Sum
from django.db.models.functions import TruncHour
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import sheets
from lianfang.commons.frame.pages import Nav, page, panel, show, told
from lianfang.commons.frame.sheets import Column, Filter, Sheet
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Fault, Invalid, Refused
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import actions, declare, models, queries
from lianfang.rooms.lake.pages.asking import Asked as Question
from lianfang.rooms.lake.pages.search import TAKEN, taken
from lianfang.rooms.lake.pages.taking import answered, as_file
from lianfang.rooms.lake.queries.retention import retention
from lianfang.rooms.lake.types import EVENT_TABLES, Asked, Outcome, Reported, Touched

STATES = {Asked.WAITING: "warn", Asked.APPROVED: "good", Asked.REFUSED: "quiet"}
OUTCOMES = {Outcome.GIVEN: "quiet", Outcome.MASKED: "busy", Outcome.WAITS: "warn", Outcome.STOPPED: "bad"}
LEVELS = {0: "quiet", 1: "quiet", 2: "quiet", 3: "warn", 4: "bad"}
SPANS = {"1": 1, "7": 7, "30": 30, "180": 180}


# ---- measures by level -----------------------------------------------------------------------------------------


@page("protection/", name="protection", permission="lake.measure.view", nav=Nav("governance", _("Protection by level"), order=22, icon="shield-lock", group="protection"))
def protection(request: HttpRequest) -> HttpResponse:
    """What protects each level, seen and set."""
    viewer, fault = request.viewer, None  # type: ignore[attr-defined]
    if request.method == "POST":
        try:
            level = int(request.POST["level"]) if request.POST.get("level", "").isdigit() else 0
            actions.set_measures(level, request.POST, actor=viewer)
            messages.success(request, gettext("Set for level %d. It holds for what comes in and goes out from now on.") % level)
            return HttpResponseRedirect(reverse("lake:protection"))
        except Fault as error:
            fault = error
    held = queries.measures(viewer.path)
    try:
        kept = retention()
        days: dict[int, Any] = {level: sorted({kept.days(table, level) for table in EVENT_TABLES}) for level in held}
    except Fault:
        days = {}
    lines = [{"measure": held[level], "level": level, "days": " – ".join(map(str, dict.fromkeys((days[level][0], days[level][-1])))) if level in days else ""} for level in sorted(held, reverse=True)]
    return show(request, "lake/protection.html", {"lines": lines, "fault": fault, "may_change": viewer.may("lake.measure.change"), "clearance": viewer.clearance.name}, status=422 if fault else 200)


# ---- before ----------------------------------------------------------------------------------------------------

REQUESTS = sheets.register(
    Sheet(
        model=models.ExportRequest,
        title=_("Export requests"),
        path="export-requests",
        about=_("Taking away data of a protected level waits here for a second person. What was approved can be taken, marked and on record, until it expires."),
        columns=(
            Column("asked", _("Question"), value=str, sort=False), Column("level", cell="badge", tones=LEVELS), Column("rows"), Column("reason"), Column("by"), Column("created"), Column("state", tones=STATES), Column("decided_by"), Column("until"),
            Column("taken", _("Times taken"), shown=False), Column("why", _("What was said to it"), shown=False), Column("decided", shown=False),
        ),
        facts=("by", "reason", Column("level", cell="badge", tones=LEVELS), "rows", Column("state", tones=STATES), "created", "decided_by", "decided", Column("why", _("What was said to it")), "until", Column("taken", _("Times taken"))),
        filters=(Filter("state", _("State")), Filter("level", _("Level")), Filter("created")),
        search=("asked", "reason", "by"),
        order="-created",
        nav=Nav("governance", _("Export requests"), order=23, icon="file-export", group="protection"),
        found=False,
        template="lake/export_detail.html",
        empty=(_("Nothing was asked for"), _("Who exports data of a level that needs approval is led here."), "", ""),
    )
)


@panel("lake.exportrequest.main", title=_("The request"), order=10)
def request_panel(request: HttpRequest, row: models.ExportRequest) -> str:
    """What is asked, and the one next thing to do."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    mine = row.person == str(viewer.id)
    context = {"row": row, "mine": mine, "waiting": row.state == Asked.WAITING, "may_decide": not mine and row.state == Asked.WAITING and viewer.may("lake.exportrequest.approve"), "may_take": mine and row.open}
    return render_to_string("lake/export_panel.html", context, request=request)


@page("export-ask/", name="export_ask", permission="lake.event.export", title=_("This needs approval"), parent="search")
def ask(request: HttpRequest) -> HttpResponse:
    """Put a request before a second person; level and rows are found out anew."""
    viewer, post = request.viewer, request.POST  # type: ignore[attr-defined]
    if request.method != "POST":
        return HttpResponseRedirect(reverse("lake:exportrequest_list"))
    kind, asked, form, towards = post.get("kind", ""), post.get("asked", ""), post.get("form", "csv"), post.get("towards", "")
    try:
        levels = _going_out(asked, towards, viewer) if kind == "report" else _gathered(kind, asked, viewer)[1]
        row = actions.ask_export(kind, asked, form=form, level=_highest(levels), rows=sum(levels.values()), reason=post.get("reason", ""), towards=towards, actor=viewer)
    except Fault as fault:
        return show(request, "lake/export_ask.html", {"kind": kind, "asked": asked, "form": form, "towards": towards, "reason": post.get("reason", ""), "fault": fault}, status=fault.status)
    messages.success(request, gettext("Asked. A second person decides; you find it here."))
    return HttpResponseRedirect(reverse("lake:exportrequest", kwargs={"pk": row.pk}))


@page("export-requests/<uuid:pk>/decide/", name="export_decide", permission="lake.exportrequest.approve", title=_("Decide"), parent="exportrequest_list")
def decide(request: HttpRequest, pk: Any) -> HttpResponse:
    """Yes or no."""
    viewer = request.viewer  # type: ignore[attr-defined]
    row = models.ExportRequest.objects.fetch(pk, viewer)
    if request.method == "POST":
        try:
            actions.decide_export(row, approved=request.POST.get("do") == "approve", why=request.POST.get("why", ""), actor=viewer)
            messages.success(request, gettext("Decided."))
        except (Invalid, Conflict) as fault:
            messages.warning(request, told(fault))
    return HttpResponseRedirect(reverse("lake:exportrequest", kwargs={"pk": pk}))


@page("export-requests/<uuid:pk>/take/", name="export_take", permission="lake.event.export", title=_("Take away"), parent="exportrequest_list")
def take(request: HttpRequest, pk: Any) -> HttpResponse:
    """What was approved, by who asked, as it stands now: every row bears number, person and time, and the ledger the file's digest."""
    viewer = request.viewer  # type: ignore[attr-defined]
    row = models.ExportRequest.objects.fetch(pk, viewer)
    if row.person != str(viewer.id):
        raise Refused("This may not be taken away", why="Only who asked may.", todo="Ask yourself.")
    if not row.open:
        raise Conflict("This may not be taken away now", why="It was not approved, or the approval is over.", todo="Ask anew.")
    table, levels = _gathered(row.kind, row.asked, viewer)
    if _highest(levels) > row.level:
        raise Conflict("This is no longer what was approved", why=gettext("It now holds data of level %d.") % _highest(levels), todo="Ask anew.")
    actions.touch(Touched.EXPORT, levels, asked=row.asked, actor=viewer)
    mark = f"{row.number} · {viewer.name} · {clock.text(clock.now())}"
    answer = as_file(table.append_column("watermark", pa.array([mark] * table.num_rows, pa.string())), row.form, name=f"export-{row.number}")
    actions.note_taken(row, hashlib.sha256(answer.content).hexdigest(), rows=table.num_rows, actor=viewer)
    return answer


def _going_out(asked: str, towards: str, viewer: Viewer) -> dict[int, int]:
    """What would be reported there, by level."""
    return queries.outgoing(Question(QueryDict(asked)).question(), queries.destination(towards, Reported.EVENTS, viewer=viewer), viewer=viewer).levels


def _gathered(kind: str, asked: str, viewer: Viewer) -> tuple[pa.Table, dict[int, int]]:
    if kind == "sql":
        return answered(asked, viewer=viewer)
    if kind != "search":
        return declare.gatherer(kind)(asked, viewer)
    rows = taken(Question(QueryDict(asked)), viewer)
    return pa.Table.from_pylist(rows, schema=TAKEN), queries.levels_of(rows)[0]


def _highest(levels: dict[int, int]) -> int:
    return max((level for level, rows in levels.items() if rows), default=1)


# ---- during ----------------------------------------------------------------------------------------------------


@page("reading/", name="reading", permission="lake.touch.audit", nav=Nav("governance", _("Reading now"), order=24, icon="eye", group="use"))
def reading(request: HttpRequest) -> HttpResponse:
    """Who touched how much of which level within the hour, beside the limits; who was stopped; releasing somebody."""
    viewer = request.viewer  # type: ignore[attr-defined]
    if request.method == "POST":
        try:
            actions.release(request.POST.get("person", ""), actor=viewer)
            messages.success(request, gettext("Released: the hour begins anew."))
        except Conflict as fault:
            messages.warning(request, told(fault))
        return HttpResponseRedirect(reverse("lake:reading"))
    context = {"people": [{**one, "self": one["person"] == str(viewer.id)} for one in queries.readers(viewer)], "may_release": viewer.may("lake.touch.release")}
    return show(request, "lake/reading_part.html" if request.headers.get("X-Poll") else "lake/reading.html", context)


# ---- after -----------------------------------------------------------------------------------------------------


def _touches(viewer: Viewer) -> Any:
    """Auditors see everybody of their scope, others themselves."""
    rows = models.Touch.objects.seen_by(viewer)
    return rows if viewer.may("lake.touch.audit") else rows.filter(person=str(viewer.id))


TOUCHES = sheets.register(
    Sheet(
        model=models.Touch,
        title=_("Who touched what"),
        path="touches",
        about=_("Every answer that showed events: who, when, how many rows of which level, and what was stopped. Everybody sees their own; auditors see all of their scope."),
        columns=(
            Column("by"), Column("moment"), Column("verb"), Column("level", cell="badge", tones=LEVELS), Column("rows"), Column("masked"), Column("outcome", cell="badge", tones=OUTCOMES), Column("asked", cell="code"), Column("released", shown=False),
        ),
        filters=(Filter("by", _("Person"), kind="text"), Filter("level", _("Level")), Filter("verb", _("What")), Filter("outcome", _("Outcome")), Filter("moment", _("When"))),
        search=("by", "asked"),
        order="-moment",
        nav=Nav("governance", _("Who touched what"), order=25, icon="report-search", group="use"),
        rows=_touches,
        found=False,
        empty=(_("Nobody touched anything yet"), _("It fills as people search, ask and export."), "", ""),
    )
)


@page("touch-report/", name="touch_report", permission="lake.touch.audit", title=_("Report of touches"), nav=Nav("governance", _("Report of touches"), order=26, icon="chart-bar", group="use"))
def report(request: HttpRequest) -> HttpResponse:
    """By day and level, and by person; the list behind it can be filtered and taken away."""
    viewer = request.viewer  # type: ignore[attr-defined]
    days = SPANS.get(request.GET.get("span", ""), 30)
    rows = _touches(viewer).filter(moment__gte=clock.now() - timedelta(days=days))
    if person := request.GET.get("person", ""):
        rows = rows.filter(person=person)
    sums = {f"l{level}": Sum(f"level_{level}") for level in (2, 3, 4)}
    by_day: dict[date, Counter[str]] = defaultdict(Counter)
    for hour in rows.annotate(hour=TruncHour("moment", tzinfo=UTC)).values("hour").annotate(**sums).order_by("hour"):  # days by the database would need time zones that MariaDB is rarely given
        by_day[timezone.localtime(hour.pop("hour")).date()].update({level: count or 0 for level, count in hour.items()})
    people = list(rows.values("person", "by").annotate(answers=Count("pk"), masked_rows=Sum("masked"), **sums).order_by("-l4", "-l3", "-answers", "by")[:50])
    trouble = {(one["person"], one["outcome"]): one["n"] for one in rows.filter(outcome__in=(Outcome.STOPPED, Outcome.WAITS)).values("person", "outcome").annotate(n=Count("pk"))}
    taken_rows = {one["person"]: one["n"] for one in rows.filter(verb=Touched.EXPORT).values("person").annotate(n=Sum("rows"))}
    for one in people:
        one |= {"stopped": trouble.get((one["person"], Outcome.STOPPED), 0), "waits": trouble.get((one["person"], Outcome.WAITS), 0), "taken": taken_rows.get(one["person"], 0)}
    chart = {
        "tooltip": {"trigger": "axis"}, "legend": {}, "xAxis": {"type": "category", "data": [day.isoformat() for day in by_day]}, "yAxis": {"type": "value", "minInterval": 1},
        "series": [{"type": "bar", "stack": "rows", "name": pgettext("level", "L%d") % level, "data": [one[f"l{level}"] for one in by_day.values()]} for level in (2, 3, 4)],
    }  # fmt: skip
    spans = [(key, gettext("last %d days") % number) for key, number in SPANS.items()]
    return show(request, "lake/touch_report.html", {"chart": chart, "people": people, "any": bool(by_day), "spans": spans, "span": str(days), "person": person})
