"""Incidents: the ranked list, and one with its phases, its picture, why each alert belongs, and what is done with the whole."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.language import listed
from lianfang.commons.frame.pages import Nav, page, panel, saying
from lianfang.commons.frame.sheets import SEVERITIES, Column, Filter, Sheet, register
from lianfang.commons.ledger import queries as ledger
from lianfang.commons.people import queries as people
from lianfang.engines.graphs import Expected
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect.queries import framework
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.respond import actions, models, queries
from lianfang.rooms.respond.pages.one import KINDS, PIVOTS, entry_step, search_url, url_of
from lianfang.rooms.respond.pages.queue import STATE_TONES, VERDICT_TONES
from lianfang.rooms.respond.types import State, Verdict

OTHERS = 60


FEW = 3


def _tactics(row: models.Incident) -> list[str]:
    frame = framework.attack()
    return [frame.tactic(key).name for key in row.tactics]


def _few(names: list[str]) -> list[str]:
    """The first of them, and how many more there are."""
    return [*names[:FEW], *([f"+{len(names) - FEW}"] if len(names) > FEW else [])]


def _by_standing(rows: Any, values: list[str]) -> Any:
    wanted = set(values)
    return rows if wanted >= {"open", "closed"} else rows.filter(waiting__gt=0) if "open" in wanted else rows.filter(waiting=0)


def _mine(viewer: Viewer) -> list[tuple[str, Any]]:
    return [(viewer.id, _("me")), *((person.id, person.name) for person in queries.colleagues(viewer) if person.id != viewer.id)]


INCIDENTS = register(
    Sheet(
        model=models.Incident,
        kind="incident",
        path="incidents",
        title=_("Incidents"),
        about=_("Alerts that belong together by what takes part in them and by time, the most important first. Every alert is in one of them."),
        order="-score",
        nav=Nav("alerts", _("Incidents"), order=20, icon="affiliate"),
        columns=(
            Column("title", _("Incident"), value=str, sort="title"), Column("score", cell="number"), Column("severity", cell="severity"), Column("waiting", cell="number"), Column("alerts", cell="number"), Column("hosts", cell="list", value=lambda row: _few(row.hosts), plain=lambda row: row.hosts, sort=False), Column("tactics", _("Phases"), cell="list", value=lambda row: _few(_tactics(row)), plain=lambda row: row.tactics, sort=False),
            "assignee_name", "first", "last", Column("verdict", cell="badge", tones=VERDICT_TONES, shown=False), Column("organisation", _("Organisation"), value=lambda row: people.name_of(row.organisation), sort=False, shown=False), Column("techniques", shown=False), Column("events", cell="number", shown=False),
            Column("reasons", _("Reasons"), value=lambda row: [f"{reason.title}: {reason.points:g}" for reason in row.why], sort=False, shown=False),
        ),
        facts=(
            Column("severity", cell="severity"), Column("waiting", cell="number"), Column("alerts", cell="number"), Column("events", cell="number"), Column("verdict", cell="badge", tones=VERDICT_TONES), "assignee_name",
            Column("hosts", cell="list"), "first", "last", Column("organisation", _("Organisation"), value=lambda row: people.name_of(row.organisation)),
        ),
        filters=(
            Filter("standing", _("State"), kind="choice", choices=(("open", _("not closed")), ("closed", _("closed"))), apply=_by_standing), Filter("severity", _("Severity"), kind="choice", choices=SEVERITIES), Filter("assignee", _("Assignee"), kind="choice", choices=_mine),
            Filter("organisation", _("Organisation"), kind="choice", choices=lake.owner_choices), Filter("time", _("Last event"), kind="time", lookup="last"), Filter("size", _("Alerts"), kind="number", lookup="alerts"),
        ),
        search=("title", "title_zh"),
        create=False,
        change=False,
        remove=False,
        rows=queries.incidents,
        template="respond/incident.html",
        poll=10,
        empty=(_("No incident yet"), _("Alerts are grouped a few seconds after they were raised."), "/respond/alerts/", _("Alert queue")),
    )
)  # fmt: skip


def _steps(request: HttpRequest, row: models.Incident) -> list[queries.Step]:
    """The alerts of the incident that this answer shows: four panels ask, the database is asked once."""
    kept: dict[str, list[queries.Step]] = request.__dict__.setdefault("_incident_steps", {})
    if row.ref not in kept:
        kept[row.ref] = queries.steps(row, request.viewer)  # type: ignore[attr-defined]
    return kept[row.ref]


@panel("respond.incident.main", title=_("Phases over time"), order=10)
def phases(request: HttpRequest, row: models.Incident) -> str:
    """Each alert at its time, in the lane of its tactic."""
    frame = framework.attack()
    lanes = [frame.tactic(key).name for key in reversed(row.tactics)] or [translate("no tactic")]
    steps = _steps(request, row)
    series = []
    for level, label in SEVERITIES[::-1]:
        points = [[step.alert.first.timestamp() * 1000, lanes.index(name), str(step.alert)] for step in steps if step.alert.severity == level for name in ([frame.tactic(key).name for key in step.alert.tactics] or lanes[:1])]
        if points:
            series.append({"name": str(label), "type": "scatter", "symbolSize": 13, "severity": level, "data": points})
    chart = {"animation": False, "grid": {"left": 8, "right": 16, "top": 28, "bottom": 8, "containLabel": True}, "xAxis": {"type": "time", "splitNumber": 4}, "yAxis": {"type": "category", "data": lanes, "splitLine": {"show": True}, "axisLabel": {"interval": 0, "fontSize": 11}}, "legend": {}, "series": series}
    words = translate("Alerts in the order of their events: %(list)s") % {"list": listed(f"{timezone.localtime(step.alert.first):%m-%d %H:%M} {step.alert}" for step in steps[:12])}
    return render_to_string("respond/panel_chart.html", {"chart": chart, "label": words, "large": len(lanes) > 7}, request)


SYMBOLS = {"hosts": "roundRect", "users": "circle", "ips": "diamond", "hashes": "triangle", "domains": "pin", "urls": "pin"}


@panel("respond.incident.main", title=_("Who, where, how far"), order=20)
def graph(request: HttpRequest, row: models.Incident) -> str:
    """Hosts in the middle, and what alerts told of on each."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    drawn = queries.picture([step.alert for step in _steps(request, row)], viewer)
    if not drawn.entities:
        return ""
    kinds = [kind for kind in SYMBOLS if any(entity[0] == kind for entity in drawn.entities)]
    nodes = [{"id": str(at), "name": name, "category": kinds.index(kind), "symbol": SYMBOLS[kind], "symbolSize": (20 if kind == "hosts" else 12) + min(14, 3 * number), "value": number, "label": {"show": kind == "hosts" or len(drawn.entities) <= 24}} for at, (kind, name, number, _loud) in enumerate(drawn.entities)]
    links = [{"source": str(one), "target": str(other), "value": number, "lineStyle": {"width": 1 + min(4, number)}} for one, other, number in drawn.ties]
    series = {"type": "graph", "layout": "force", "roam": False, "draggable": True, "zoom": 0.8, "label": {"position": "right", "fontSize": 11, "color": "inherit", "textBorderWidth": 0}, "labelLayout": {"hideOverlap": True}, "force": {"repulsion": 120, "edgeLength": 60, "gravity": 0.18, "layoutAnimation": False}, "categories": [{"name": str(KINDS[kind][0]), "symbol": SYMBOLS[kind]} for kind in kinds], "data": nodes, "links": links}
    words = listed(f"{KINDS[kind][0]} {name} ({number})" for kind, name, number, _loud in drawn.entities[:20])
    return render_to_string("respond/panel_chart.html", {"chart": {"animation": False, "legend": {}, "series": [series]}, "label": words, "large": True, "more": drawn.more}, request)


CORNERS = (("adversary", _("Adversary"), "user"), ("capability", _("Capability"), "tool"), ("infrastructure", _("Infrastructure"), "world"), ("victim", _("Victim"), "target"))


@panel("respond.incident.main", title=_("What may come next"), order=25)
def ahead(request: HttpRequest, row: models.Incident) -> str:
    """Techniques that followed in earlier courses, and whether they would be seen here."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    found = queries.outlook(row, viewer)
    if not found.likely:
        return ""
    rules = url_of("detect:rule_list") if viewer.may("detect.rule.view") else ""
    lines = [{"next": one, "percent": round(100 * one.expected.chance), "tactics": listed(one.tactics), "why": _after(one.expected, found), "url": f"{rules}?{urlencode({'technique': one.expected.name})}" if rules else ""} for one in found.likely]
    return render_to_string("respond/panel_ahead.html", {"lines": lines, "found": found}, request)


def _after(expected: Expected, found: queries.Outlook) -> str:
    """What speaks for a technique, as a sentence."""
    frame = framework.attack()
    if not expected.after:
        return translate("It was in %(n)d of %(all)d known courses; after these techniques it never came yet.") % {"n": expected.courses, "all": found.incidents + found.kinds}
    said = [translate("%(name)s in %(n)d of %(all)d") % {"name": f"{one.name} {frame.technique(one.name).name}", "n": one.times, "all": one.of} for one in expected.after[:3]]
    return translate("Came after %(list)s known courses.") % {"list": listed(said)}


@panel("respond.incident.main", title=_("Diamond Model"), order=27)
def diamond(request: HttpRequest, row: models.Incident) -> str:
    """Adversary, capability, infrastructure and victim."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    found = queries.diamond([step.alert for step in _steps(request, row)], viewer)
    may = viewer.may("lake.event.view")
    corners = [{"key": key, "name": name, "icon": icon, "more": getattr(found, key).more, "names": [{"text": text, "known": known, "url": search_url(PIVOTS[kind], text) if may and kind in PIVOTS else ""} for kind, text, known in getattr(found, key).names]} for key, name, icon in CORNERS]
    return render_to_string("respond/panel_diamond.html", {"corners": corners, "asked": found.asked, "first": row.first, "last": row.last, "phases": listed(_tactics(row))}, request)


@panel("respond.incident.main", title=_("Its alerts, and why each belongs"), order=30)
def members(request: HttpRequest, row: models.Incident) -> str:
    """In the order of events; ticked ones can be parted."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    lines = [{"step": step, "tone": STATE_TONES[State(step.alert.state)], "why": why(step)} for step in _steps(request, row)]
    return render_to_string("respond/panel_members.html", {"row": row, "lines": lines, "more": row.alerts - len(lines), "may": viewer.may("respond.incident.change") and len(lines) > 1}, request)


def why(step: Any) -> str:
    """The link by which an alert hangs in its incident, as a sentence."""
    if step.held and step.kind in ("", "said"):
        return translate("Somebody put it here.")
    if step.on is None:
        return translate("The incident begins with it.") if not step.kind else translate("Shares %(kind)s %(value)s with an alert that is not shown.") % {"kind": KINDS[step.kind][0], "value": step.value}
    if step.kind == "said":
        return translate("Somebody put it here.")
    minutes = round(step.gap / 60)
    return translate("Shares %(kind)s %(value)s with “%(other)s”, %(n)d minutes apart (weight %(w).2f).") % {"kind": KINDS[step.kind][0], "value": step.value, "other": step.on, "n": minutes, "w": step.weight}


@panel("respond.incident.side", title=_("Score"), order=5)
def score(request: HttpRequest, row: models.Incident) -> str:
    """How it comes about."""
    terms = [{"name": reason.title, "points": round(reason.points, 1), "reason": reason.words} for reason in row.why]
    return render_to_string("respond/part_reasons.html", {"terms": terms}, request) if terms else ""


@panel("respond.incident.side", title=_("What can be done"), order=6)
def doing(request: HttpRequest, row: models.Incident) -> str:
    """The verbs on the whole."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    new = models.Alert.objects.filter(member__incident=row, state=State.NEW).exists()
    can = {verb: viewer.may(f"respond.alert.{verb}") and row.waiting for verb in ("assign", "close")} | {"acknowledge": new and viewer.may("respond.alert.acknowledge"), "change": viewer.may("respond.incident.change")}
    if not any(can.values()):
        return ""
    others = queries.incidents(viewer).filter(territory=row.territory).exclude(pk=row.pk).order_by("-last", "-id")[:OTHERS] if can["change"] else []
    return render_to_string("respond/panel_doing.html", {"row": row, "can": can, "verdicts": Verdict.choices, "people": queries.colleagues(viewer) if can["assign"] else [], "others": others}, request)


DONE = {
    "respond.incident_acknowledged": (_("Acknowledged"), "check", "good"),
    "respond.incident_assigned": (_("Assigned"), "user-check", ""),
    "respond.incident_closed": (_("Closed"), "circle-check", "good"),
    "respond.incident_renamed": (_("Renamed"), "pencil", ""),
    "respond.incident_merged": (_("Joined with another"), "affiliate", ""),
    "respond.incident_split": (_("Alerts taken out"), "arrows-split-2", ""),
    "respond.incident_commented": (_("Comment"), "message", ""),
}


@panel("respond.incident.main", title=_("What was done"), order=40)
def done(request: HttpRequest, row: models.Incident) -> str:
    """What people decided about the whole and wrote about it, the newest first."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    remarks = {(one.author, one.text[:500]): one.text for one in row.remarks.all()}
    steps = [entry_step(entry, remarks, DONE) for entry in ledger.timeline(row.ref, viewer) if entry.verb in DONE]
    return render_to_string("respond/panel_done.html", {"row": row, "steps": steps, "may": viewer.may("respond.alert.comment")}, request)


SAID = {"acknowledge": _("Acknowledged. It is yours."), "comment": _("Your comment is kept."), "assign": _("Given on."), "close": _("Closed."), "rename": _("Renamed."), "merge": _("Joined. It stays so."), "split": _("Parted. It stays so.")}


@page("incidents/<uuid:pk>/do/<slug:verb>/", name="incident_do", permission="respond.incident.view", title=_("Incident"), parent="incident_list")
def do(request: HttpRequest, pk: UUID, verb: str) -> HttpResponse:
    """One verb on the whole; back to its page, with what happened."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    with saying(request, str(SAID.get(verb, ""))):
        actions.incident_by_name(verb, pk, request.POST, alerts=request.POST.getlist("alert"), actor=request.viewer)  # type: ignore[attr-defined]
    return HttpResponseRedirect(reverse("respond:incident", kwargs={"pk": pk}))
