"""From one event, what is linked with it before and after: drawn, and told step by step with why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.language import chinese, listed
from lianfang.commons.frame.pages import page, panel, show
from lianfang.engines.schema import ocsf
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import actions as lake
from lianfang.rooms.lake.types import MetLine, Touched
from lianfang.rooms.respond import models, queries
from lianfang.rooms.respond.pages.incidents import SYMBOLS
from lianfang.rooms.respond.pages.one import KINDS
from lianfang.rooms.respond.queries.linked import Linked, Step

LABELS = {"1h": _("1 hour"), "6h": _("6 hours"), "24h": _("24 hours"), "7d": _("7 days")}
DEPTHS = ("1", "2", "3")
NAMED, WIDTH = 8, 1100
"""The strongest events have their names in the picture, and those with an alert."""


@page("linked/<str:event_id>/", name="linked", permission="lake.event.view", title=_("Linked events"), parent="overview")
def linked(request: HttpRequest, event_id: str) -> HttpResponse:
    """The picture, then earlier and later events in the order of time."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    span, depth = request.GET.get("span", "6h"), request.GET.get("depth", "2")
    span, depth = span if span in LABELS else "6h", depth if depth in DEPTHS else "2"
    found = queries.linked_events(event_id, viewer, span=span, depth=int(depth))
    lake.touch(Touched.SEARCH, found.levels, masked=found.masked, asked=f"linked {event_id} {span} {depth}", actor=viewer)
    by_id = {step.line.event_id: step for step in found.steps}
    parts = [(translate("Earlier"), [told(step, by_id, found) for step in found.earlier]), (translate("Later"), [told(step, by_id, found) for step in found.later])]
    crowded = [{"kind": KINDS[kind][0], "value": value, "hosts": places} for kind, value, places in found.crowded]
    own = name_of(found.event["class_uid"], found.event["activity_id"], found.event["event_code"])
    context = {"found": found, "own": own, "parts": parts, "crowded": crowded, "span": span, "spans": LABELS.items(), "depth": depth, "depths": DEPTHS, "chart": drawn(found) if found.steps else None, "words": words(found)}
    return show(request, "respond/linked.html", context, title=translate("Linked with: %(name)s") % {"name": own})


def name_of(class_uid: int | None, activity: int | None, code: str | None) -> str:
    """What an event is called in one line."""
    if not class_uid:
        return str(code or translate("Other"))
    named = ocsf.caption(int(class_uid), activity, language="zh" if chinese() else "en")
    return f"{named} ({code})" if code else str(named)


def _name(line: MetLine) -> str:
    return name_of(line.class_uid, line.activity_id, line.event_code)


def told(step: Step, by_id: Mapping[str, Step], found: Linked) -> dict[str, Any]:
    """One step: its event, and the whole way to it in words."""
    way, here = [step], step
    while here.source in by_id and len(way) < 4:
        here = by_id[here.source]
        way.append(here)
    said = [translate("%(kind)s %(value)s") % {"kind": KINDS[one.kind][0], "value": brief(one.kind, one.value)} for one in reversed(way)]
    return {"step": step, "name": str(step.alert) if step.alert else _name(step.line), "what": _name(step.line), "severity": step.alert.severity if step.alert else 0, "way": listed_way(said), "url": reverse("respond:linked", kwargs={"event_id": step.line.event_id}), "apart": minutes(step, found)}


def listed_way(said: list[str]) -> str:
    return " → ".join(said)


def brief(kind: str, value: str) -> str:
    """A hash by its beginning: nobody reads the rest."""
    return f"{value[:12]}…" if kind == "hashes" and len(value) > 16 else value


def minutes(step: Step, found: Linked) -> str:
    """How long before or after, in the unit that fits."""
    seconds = abs((step.line.at - found.event["time"]).total_seconds())
    return translate("%(n)d s") % {"n": seconds} if seconds < 120 else translate("%(n)d min") % {"n": seconds / 60} if seconds < 7200 else translate("%(n)d h") % {"n": seconds / 3600}


def words(found: Linked) -> str:
    """The picture for who does not see it."""
    return listed(f"{timezone.localtime(step.line.at):%m-%d %H:%M} {_name(step.line)} ({KINDS[step.kind][0]} {step.value})" for step in found.steps[:12])


def drawn(found: Linked) -> dict[str, Any]:
    """Events from left to right by time, the entities by which they are linked between them; the thicker a line, the stronger the path."""
    centre = found.event["event_id"]
    shown = sorted(found.steps, key=lambda step: (step.line.at, step.line.event_id))
    order = [step.line.event_id for step in shown if step.line.at < found.event["time"]] + [centre] + [step.line.event_id for step in shown if step.line.at >= found.event["time"]]
    middle, wide = order.index(centre), max(60, WIDTH // len(order))
    by_id = {step.line.event_id: step for step in shown}
    named = {step.line.event_id for step in sorted(shown, key=lambda step: -step.weight)[:NAMED]}
    kinds = [kind for kind in SYMBOLS if any(step.kind == kind for step in shown)]
    categories = [{"name": translate("This event")}, {"name": translate("Event with an alert")}, {"name": translate("Event")}, *({"name": str(KINDS[kind][0]), "symbol": SYMBOLS[kind]} for kind in kinds)]
    nodes: list[dict[str, Any]] = []
    for at, name in enumerate(order):
        step = by_id.get(name)
        nodes.append({"id": name, "name": _short(step) if step else translate("This event"), "category": 0 if step is None else 1 if step.alert else 2, "x": (at - middle) * wide, "y": 0 if step is None else (-1 if at % 2 else 1) * (60 + 45 * step.depth), "symbolSize": 22 if step is None else 8 + 14 * step.weight**0.5, "label": {"show": step is None or name in named or bool(step.alert), "position": "top" if step is None or at % 2 else "bottom"}})
    links: dict[tuple[str, str], float] = {}
    for step in shown:
        entity = f"{step.kind}:{step.value}"
        for event in (step.source, step.line.event_id):
            links[event, entity] = max(links.get((event, entity), 0.0), step.weight)
    of: dict[str, list[str]] = {}
    for event, entity in links:
        of.setdefault(entity, []).append(event)
    for level, (entity, events) in enumerate(sorted(of.items())):
        kind, _sep, value = entity.partition(":")
        places = [order.index(event) for event in events if event in by_id or event == centre]
        nodes.append({"id": entity, "name": brief(kind, value), "category": 3 + kinds.index(kind), "symbol": SYMBOLS[kind], "symbolSize": 12, "x": (sum(places) / len(places) - middle) * wide, "y": (-1 if level % 2 else 1) * (30 + 8 * (level % 4)), "label": {"show": len(of) <= NAMED or len(events) > 2}})
    edges = [{"source": event, "target": entity, "lineStyle": {"width": 1 + 5 * weight}} for (event, entity), weight in links.items()]
    series = {"type": "graph", "layout": "none", "roam": False, "draggable": True, "zoom": 0.85, "label": {"position": "right", "fontSize": 11, "color": "inherit", "textBorderWidth": 0}, "labelLayout": {"hideOverlap": True}, "categories": categories, "data": nodes, "links": edges}
    return {"animation": False, "legend": {}, "series": [series]}


def _short(step: Step) -> str:
    name = str(step.alert) if step.alert else _name(step.line)
    return f"{timezone.localtime(step.line.at):%H:%M} {name[:28]}"


@panel("lake.event.side", title=_("Linked events"), order=20, permission="lake.event.view")
def door(request: HttpRequest, event: Mapping[str, Any]) -> str:
    """The way from an event to what is linked with it."""
    return render_to_string("respond/panel_linked.html", {"url": reverse("respond:linked", kwargs={"event_id": event["event_id"]})}, request)


@panel("respond.alert.side", title=_("Linked events"), order=20, permission="lake.event.view")
def door_of_alert(request: HttpRequest, row: models.Alert) -> str:
    """The same from an alert's first event."""
    first = next(iter(row.events), "")
    return render_to_string("respond/panel_linked.html", {"url": reverse("respond:linked", kwargs={"event_id": first})}, request) if first else ""
