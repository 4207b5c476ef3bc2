"""The life of data: every data set with its stages, one with its timeline and its way through the four layers, deeds with their certificate."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import sheets
from lianfang.commons.frame.language import listed
from lianfang.commons.frame.pages import Nav, page, show
from lianfang.commons.frame.sheets import Column, Sheet, Verb
from lianfang.commons.people import queries as people
from lianfang.kernel import clock
from lianfang.kernel.errors import Fault, Invalid, Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.types import EVENT_TABLES, FAMILIES
from lianfang.rooms.lake.types import Kind as WayKind
from lianfang.rooms.standards import actions, models, queries
from lianfang.rooms.standards.types import Deed, Evidence, Progress, Stage, StageOfLife, Use

TONES = {Progress.ASKED: "warn", Progress.APPROVED: "busy", Progress.DONE: "good", Progress.REFUSED: "quiet", Progress.FAILED: "bad"}
STATES: dict[str, Any] = {"done": pgettext_lazy("life", "happened"), "going": pgettext_lazy("life", "going on"), "none": pgettext_lazy("life", "not yet")}
STATE_TONES = {"done": "good", "going": "busy", "none": "quiet"}
ICONS = {Stage.COLLECT: "database-import", Stage.TRANSMIT: "route", Stage.STORE: "database", Stage.USE: "list-search", Stage.SHARE: "share", Stage.ARCHIVE: "archive", Stage.DESTROY: "eraser"}


def tables_of(row: models.Disposal) -> str:
    """The tables by their names."""
    return listed(FAMILIES.get(table, table) for table in row.tables)


def encrypted(row: models.Disposal) -> str:
    """Whether the files of a finished archive are encrypted; nothing for other deeds."""
    return "" if row.deed != Deed.ARCHIVE or row.state != Progress.DONE else gettext("yes") if row.result.get("encrypted") else gettext("no: it holds nothing of level 3 or 4")


DEEDS = sheets.register(
    Sheet(
        model=models.Disposal,
        title=_("Archives and destructions"),
        about=_("What was archived, destroyed or brought back: asked for with a reason, approved by a second person, kept on record for good."),
        columns=(
            Column("deed"), "source", Column("tables", value=tables_of, cell="text", sort=False, plain=lambda row: row.tables), Column("since", _("From the day"), cell="day"), Column("until", _("Until before the day"), cell="day"), Column("state", cell="badge", tones=TONES), "rows",
            "asked_by", "asked", "decided_by", Column("decided", shown=False), Column("done", pgettext_lazy("deed", "Done"), shown=False), Column("reason", shown=False), Column("trouble", shown=False),
        ),
        facts=("deed", Column("state", cell="badge", tones=TONES), "source", Column("tables", value=tables_of, cell="text"), Column("since", _("From the day"), cell="day"), Column("until", _("Until before the day"), cell="day"), "reason", "asked_by", "asked", "decided_by", "decided", Column("done", pgettext_lazy("deed", "Done")), "rows", Column("encrypted", _("Files encrypted"), value=encrypted, cell="text", sort=False), "trouble"),
        filters=("deed", "state", "asked"),
        search=("source", "reason"),
        order="-asked",
        nav=Nav("governance", _("Archives and destructions"), order=36, icon="archive", group="life"),
        verbs=(
            Verb("approve", pgettext_lazy("deed", "Approve"), actions.approve_deed, icon="check", confirm=_("What is destroyed cannot be brought back unless it was archived. Approve it?"), when=lambda row: row.state == Progress.ASKED),
            Verb("refuse", pgettext_lazy("deed", "Refuse"), actions.refuse_deed, permission="standards.disposal.approve", icon="x", when=lambda row: row.state == Progress.ASKED),
        ),
        template="standards/disposal.html",
        empty=(_("Nothing was archived or destroyed yet"), _("Open a data set under “life of data” and ask for it there."), "", ""),
    )
)


@page("life/", name="life", permission="standards.disposal.view", nav=Nav("governance", _("Life of data"), order=35, icon="timeline", group="life"))
def life(request: HttpRequest) -> HttpResponse:
    """Every data set that the viewer's scope holds."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    owners = {one.territory: one.name for one in people.organisations(viewer)}
    now = clock.now()
    lines = [
        {"held": one, "label": FAMILIES[one.table], "owner": owners.get(one.territory, ""), "ends": one.first + timedelta(days=one.days), "over": one.first + timedelta(days=one.days) < now}
        for one in sorted(lake.held(viewer=viewer), key=lambda one: (one.source, one.table))
    ]  # fmt: skip
    return show(request, "standards/life.html", {"lines": lines, "open": models.Disposal.objects.seen_by(viewer).filter(state=Progress.ASKED).count()})


@page("life/<str:source>/<str:table>/", name="dataset", permission="standards.disposal.view", title=_("Data set"), parent="life")
def dataset(request: HttpRequest, source: str, table: str) -> HttpResponse:
    """One data set: its way through the four layers, its stages with evidence, and the form for its end."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    if table not in EVENT_TABLES:
        raise Missing("There is no such table", todo="The catalogue lists the tables.")
    way = lake.way_in(source, viewer=viewer)
    fault = None
    if request.method == "POST":
        try:
            row = _ask(request, source, table, viewer)
            messages.success(request, gettext("Asked for; a second person approves it"))
            return HttpResponseRedirect(reverse("standards:disposal", kwargs={"pk": row.pk}))
        except Fault as found:
            fault = found
    held = next((one for one in lake.held(viewer=viewer, source=source) if one.table == table), None)
    stages = [_stage(one, viewer) for one in queries.life(way, table, held, viewer=viewer)]
    context = {
        "way": way, "table": table, "held": held, "stages": stages, "layers": layers(way, table, held, viewer), "deeds": queries.deeds(source, table, viewer=viewer), "tones": TONES, "may_ask": viewer.may("standards.disposal.add"), "fault": fault,
        "posted": request.POST, "since": timezone.localtime(held.first).date().isoformat() if held else "", "until": (timezone.localtime(held.last).date() + timedelta(days=1)).isoformat() if held else "",
    }  # fmt: skip
    return show(request, "standards/dataset.html", context, title=f"{source} · {FAMILIES[table]}", status=422 if fault else 200)


def _ask(request: HttpRequest, source: str, table: str, viewer: Viewer) -> models.Disposal:
    return actions.ask_deed(
        request.POST.get("deed", ""), source, [table], since=_day(request.POST.get("since", ""), "since"), until=_day(request.POST.get("until", ""), "until"), reason=request.POST.get("reason", ""), actor=viewer
    )  # fmt: skip


def _day(text: str, name: str) -> datetime:
    try:
        day = parse_date(text)
    except ValueError:
        day = None
    if day is None:
        raise Invalid("This is no day", todo="Write it like 2026-11-21.", details={name: ["no day"]})
    return timezone.make_aware(datetime.combine(day, time()))


def _stage(one: StageOfLife, viewer: Viewer) -> dict[str, Any]:
    return {"label": Stage(one.stage).label, "icon": ICONS[Stage(one.stage)], "state": STATES[one.state], "tone": STATE_TONES[one.state], "facts": one.facts, "items": [_item(each, viewer) for each in one.evidence]}


def _item(each: Evidence, viewer: Viewer) -> dict[str, Any]:
    url = reverse("standards:disposal", kwargs={"pk": each.detail["disposal"]}) if "disposal" in each.detail else ""
    if not url and each.record and viewer.may("ledger.record.view"):
        try:
            url = reverse("ledger:record", kwargs={"pk": each.record})
        except NoReverseMatch:
            url = ""
    return {"at": each.at, "title": gettext(each.verb), "who": each.who, "text": each.label, "url": url}


def layers(way: Any, table: str, held: Any, viewer: Viewer) -> list[dict[str, Any]]:
    """The four layers (数据采集层、数据操作层、数据管理层、数据接口层), each with what it does to this data set and where to look."""
    uses = [use for use in queries.uses_for(viewer) if use.state == Use.CONFIRMED]
    score = next((one.total for one in queries.overview(viewer=viewer, span="24h") if one.table == table), None) if viewer.may("standards.rule.view") else None
    search = f"{reverse('lake:search')}?f=source:is:{way.name}"
    source_url = reverse("lake:source", kwargs={"pk": way.ref.rpartition(":")[2]})
    return [
        {"label": _("Collection"), "icon": "database-import", "facts": [(_("way in"), WayKind(way.kind).label), (_("encrypted on the way"), _("yes") if way.encrypted else _("no, or inside this node")), (_("last seen"), way.last_seen), (_("events of the source"), way.events)], "links": [(_("Log source"), source_url)]},
        {"label": _("Operation"), "icon": "transform", "facts": [(_("mapping template"), way.template or _("found by itself")), (_("rejects"), way.rejects), (_("quality of the table, 24 hours"), f"{score:.1f} %" if score is not None else "")], "links": [(_("Rejects"), f"{reverse('lake:rejects')}?source={way.name}"), (_("Data quality"), f"{reverse('standards:quality')}?table={table}")]},
        {"label": _("Management"), "icon": "tags", "facts": [(_("columns that follow an element"), len(uses)), (_("highest level"), f"L{held.level}" if held else ""), (_("days kept"), held.days if held else "")], "links": [(_("Columns and elements"), reverse("standards:columns")), (_("Data grading"), reverse("lake:grade_list")), (_("Event tables"), reverse("lake:table", kwargs={"name": table}))]},
        {"label": _("Interface"), "icon": "api", "facts": [(_("events here"), held.rows if held else 0), ("API", f"/api/lake/events/?filter=source:is:{way.name}"), ("Arrow / Parquet", f"/api/standards/datasets/{way.name}/{table}")], "links": [(_("Search"), search), ("SQL", reverse("lake:sql"))]},
    ]  # fmt: skip


@page("disposal/<uuid:pk>/certificate/", name="certificate", permission="standards.disposal.view", title=_("Certificate"), parent="disposal")
def certificate(request: HttpRequest, pk: Any) -> HttpResponse:
    """What was done, by whom, and the absent check as of now; made to be printed."""
    row = models.Disposal.objects.fetch(pk, request.viewer)  # type: ignore[attr-defined]
    if row.state != Progress.DONE or row.deed not in (Deed.DESTROY, Deed.ARCHIVE):
        raise Missing("There is no certificate yet", why="It is written when the deed is done.", todo="Look again later.")
    there, files, checked = queries.absent(row) if row.deed == Deed.DESTROY else (0, [], clock.now())
    tables = [{"label": FAMILIES.get(name, name), "name": name, **said} for name, said in row.result.get("tables", {}).items()]
    context = {"row": row, "tables": tables, "there": there, "files": files, "checked": checked, "all_files": len(row.result.get("files", ())), "owner": people.name_of(row.organisation), "destroy": row.deed == Deed.DESTROY, "encrypted": bool(row.result.get("encrypted"))}
    crumbs = [(DEEDS.title, reverse("standards:disposal_list")), (str(row), reverse("standards:disposal", kwargs={"pk": row.pk}))]
    return show(request, "standards/certificate.html", context, crumbs=crumbs)


@page("disposal/<uuid:pk>/restore/", name="restore", permission="standards.disposal.add", title=_("Bring back"), parent="disposal")
def restore(request: HttpRequest, pk: Any) -> HttpResponse:
    """Ask for an archive to be brought back; the same two people as for any deed."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    row = models.Disposal.objects.fetch(pk, viewer)
    if request.method != "POST" or row.deed != Deed.ARCHIVE or row.state != Progress.DONE:
        raise Missing("There is no archive to bring back", todo="Choose a finished archive.")
    asked = actions.ask_deed(Deed.RESTORE, row.source, row.tables, since=row.since, until=row.until, reason=request.POST.get("reason", ""), archive=str(row.pk), actor=viewer)
    messages.success(request, gettext("Asked for; a second person approves it"))
    return HttpResponseRedirect(reverse("standards:disposal", kwargs={"pk": asked.pk}))
