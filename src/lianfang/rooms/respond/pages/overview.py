"""The situation: what an analyst leaves open all day. Polled as one fragment; nothing moves unless something changed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from lianfang.commons.frame.pages import Nav, page, sayable, show, unchanged
from lianfang.commons.frame.sheets import SEVERITIES
from lianfang.kernel import clock
from lianfang.kernel.errors import Fault
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import queries as detect
from lianfang.rooms.detect.queries import framework
from lianfang.rooms.lake import actions as lake_actions
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.respond import queries
from lianfang.rooms.respond.queries.matrix import heat
from lianfang.rooms.respond.queries.situation import Situation

sayable("“%(title)s” has recovered before its finding was folded.")

WORDS = dict(SEVERITIES)
LABELS = {"24h": _("24 hours"), "7d": _("7 days"), "30d": _("30 days")}


@page("", name="overview", permission="respond.alert.view", nav=Nav("situation", _("Overview"), order=10, icon="radar-2"), title=_("Situation overview"))
def overview(request: HttpRequest) -> HttpResponse:
    """The whole page, or its living part when htmx asks whether anything changed."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    span = request.GET.get("span", "24h")
    span = span if span in LABELS else "24h"
    living = request.htmx.target == "situation"  # type: ignore[attr-defined]
    if living and (answer := unchanged(request, queries.version(viewer), span)):
        return answer
    context = seen_at(viewer, span) | {"span": span, "spans": LABELS.items()}
    return show(request, "respond/situation.html" if living else "respond/overview.html", context)


def seen_at(viewer: Viewer, span: str) -> dict[str, Any]:
    """Everything that the living part shows."""
    found = queries.situation(viewer, span=span)
    may_events = viewer.may("lake.event.view")
    return {
        "s": found, "levels": [(level, found.open_by_severity[level]) for level in (5, 4, 3, 2, 1)], "trend": trend(found),
        "chart": alert_chart(found), "tactics": [(framework.attack().tactic(key), number, heat(number)) for key, number in found.tactics.items()],
        "lake": _flow(viewer) if may_events else None, "examiners": detect.health() if viewer.may("detect.rule.view") else None,
        "sample": may_events and lake.has_sample(viewer=viewer), "may_erase": viewer.may("lake.source.delete"), "now": clock.now(),
    }  # fmt: skip


def trend(found: Situation) -> str:
    """How this span compares with the one before, in words."""
    more = found.raised - found.raised_before
    if not found.raised_before:
        return ""
    if more == 0:
        return translate("as many as before")
    return ngettext("%(n)d more than before", "%(n)d more than before", more) % {"n": more} if more > 0 else ngettext("%(n)d fewer than before", "%(n)d fewer than before", -more) % {"n": -more}


def alert_chart(found: Situation) -> dict[str, Any]:
    """Alerts over time, stacked by severity."""
    names = [stretch(at, found.step) for at, _counts in found.series]
    series = [
        {"name": str(WORDS[level]), "type": "bar", "stack": "alerts", "severity": level, "barCategoryGap": "28%", "data": [counts[level] for _at, counts in found.series]}
        for level in (1, 2, 3, 4, 5)
    ]
    return {"animation": False, "xAxis": {"type": "category", "data": names}, "yAxis": {"type": "value", "minInterval": 1, "splitNumber": 3}, "legend": {"selectedMode": True}, "series": series}


def stretch(at: datetime, step: timedelta) -> str:
    """What an hour or a day is called under a chart."""
    return f"{timezone.localtime(at):%H:%M}" if step < timedelta(days=1) else f"{at:%m-%d}"


def _flow(viewer: Viewer) -> dict[str, Any] | None:
    """What comes in: the lake's own figures, with a small chart."""
    try:
        found = lake.overview(viewer=viewer)
    except Fault:
        return None
    hours = [(f"{timezone.localtime(hour.value):%H:%M}", hour.count) for hour in found.hours]
    line = {"name": translate("events"), "type": "line", "smooth": 0.25, "showSymbol": False, "areaStyle": {"opacity": 0.12}, "data": [number for _name, number in hours]}
    chart = {"animation": False, "xAxis": {"type": "category", "boundaryGap": False, "data": [name for name, _number in hours]}, "yAxis": {"type": "value", "splitNumber": 2}, "series": [line]}
    return {"figures": found, "chart": chart, "lag": max(lake.lag().values(), default=0.0)}


@page("sample/erase/", name="erase_sample", permission="lake.source.delete", title=_("Remove the sample data"), parent="overview")
def erase_sample(request: HttpRequest) -> HttpResponse:
    """One click removes the sample stream and everything that came of it."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    lake_actions.erase_sample(actor=request.viewer)  # type: ignore[attr-defined]
    messages.success(request, translate("The sample data is being removed. Its alerts go within seconds."))
    return HttpResponseRedirect(reverse("respond:overview"))
