"""Hunts: ask for one, follow it, see what it found, end it. It can be left and found again."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import Nav, page, panel, show, told
from lianfang.kernel import clock
from lianfang.kernel.errors import Fault
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import actions, models, queries
from lianfang.rooms.detect.pages.events import first_logs
from lianfang.rooms.detect.queries import hunts, linking
from lianfang.rooms.detect.types import BASELINE, OWN_PACK

SPANS = {"24h": (timedelta(hours=24), _("the last 24 hours")), "7d": (timedelta(days=7), _("the last 7 days")), "30d": (timedelta(days=30), _("the last 30 days")), "90d": (timedelta(days=90), _("the last 90 days"))}
LISTED, SHOWN_HOSTS = 20, 20


@panel("detect.rule.side", title=_("Look back"), order=40, permission="detect.rule.hunt")
def hunting(request: HttpRequest, row: models.Rule) -> str:
    """Run the rule over what the lake already holds."""
    if row.category == BASELINE or row.problem or row.pack.name == OWN_PACK:
        return ""
    return render_to_string("detect/panel_hunt.html", {"what": row.uid, "spans": _spans(), "may_keep": request.viewer.sees_node}, request)  # type: ignore[attr-defined]


@page("hunt/", name="hunt", permission="detect.rule.hunt", nav=Nav("detection", _("Look back"), order=43, icon="history"), title=_("Look back"))
def hunt(request: HttpRequest) -> HttpResponse:
    """Ask for a hunt; those asked for before stand below."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    if request.method == "POST" and "op" not in request.POST:
        span = request.POST.get("span", "")
        try:
            row = actions.ask_hunt(request.POST.getlist("what"), clock.now() - SPANS.get(span, SPANS["24h"])[0], packs=[name for name in request.POST.getlist("pack") if name], keep="keep" in request.POST, actor=viewer)
        except Fault as fault:
            if fault.status == 403:
                raise
            messages.error(request, told(fault))
            return HttpResponseRedirect(reverse("detect:hunt"))
        return HttpResponseRedirect(reverse("detect:one_hunt", kwargs={"pk": row.pk}))
    looked = _looked_for(request.POST, viewer)
    if request.method == "POST" and request.htmx:  # type: ignore[attr-defined]
        return HttpResponse(render_to_string("detect/hunt_what.html", looked, request))
    packs = [row.name for row in queries.pack_rows(viewer)]
    lines = [{"row": row, "job": hunts.progress_of(row, viewer)} for row in hunts.hunt_rows(viewer)[:LISTED]]
    return show(request, "detect/hunt.html", looked | {"packs": packs, "spans": _spans(), "may_keep": viewer.sees_node, "lines": lines})


def _looked_for(data: QueryDict, viewer: Viewer) -> dict[str, Any]:
    """What is chosen so far, and the rules that have the words somebody asked for; ``op`` of the form: ``find``, ``take:<uid>``, ``leave:<uid>``."""
    verb, _colon, uid = data.get("op", "").partition(":")
    chosen = [one for one in dict.fromkeys([*data.getlist("what"), *([uid] if verb == "take" else [])]) if one and not (verb == "leave" and one == uid)]
    among = queries.rule_rows(viewer).filter(problem="").exclude(category=BASELINE).exclude(pack__name=OWN_PACK)
    known = {row.uid: row for row in among.filter(uid__in=chosen)}
    find = data.get("find", "")
    return {"watchlist": actions.WATCHLIST, "all_watched": actions.WATCHLIST in chosen, "chosen": [known[one] for one in chosen if one in known], "find": find, "offers": linking.offered(find, among=among, but=chosen)}


@page("hunt/<uuid:pk>/", name="one_hunt", permission="detect.rule.hunt", title=_("Hunt"), parent="hunt")
def one(request: HttpRequest, pk: UUID) -> HttpResponse:
    """How far it is, and what it found so far; a POST ends it."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    row = hunts.hunt_of(pk, viewer)
    if request.method == "POST":
        try:
            actions.cancel_hunt(row, actor=viewer)
        except Fault as fault:
            messages.error(request, told(fault))
        if not request.htmx:  # type: ignore[attr-defined]
            return HttpResponseRedirect(reverse("detect:one_hunt", kwargs={"pk": pk}))
    template = "detect/hunt_state.html" if request.htmx else "detect/hunt_page.html"  # type: ignore[attr-defined]
    return show(request, template, _shown(row, viewer), title=str(row))


def _shown(row: models.Hunt, viewer: Viewer) -> dict[str, Any]:
    job, ended = hunts.progress_of(row, viewer), row.finished is not None
    ended = ended or (job is not None and job.ended)
    found = hunts.found_by(row)
    hosts = sorted(row.result.get("hosts", {}).items(), key=lambda pair: (-pair[1], pair[0]))
    percent = job.percent if job and not ended else 100 * row.done // max(1, row.splits)
    return {
        "hunt": row, "job": job, "ended": ended, "percent": percent, "found": found, "chart": _chart(row), "hosts": hosts[:SHOWN_HOSTS], "more_hosts": max(0, len(hosts) - SHOWN_HOSTS),
        "chains": hunts.chains_of(row, viewer) if ended else [], "samples": first_logs(row.result.get("samples", []), viewer, asked="hunt") if ended else [], "url": reverse("detect:one_hunt", kwargs={"pk": row.pk}),
    }  # fmt: skip


def _chart(row: models.Hunt) -> dict[str, Any] | None:
    counted = row.result.get("days")
    if not counted:
        return None
    days: list[date] = [row.since.date() + timedelta(days=n) for n in range((row.until.date() - row.since.date()).days + 1)]
    series = [{"name": translate("logs"), "type": "bar", "data": [counted.get(f"{day}", 0) for day in days]}]
    return {"animation": False, "xAxis": {"type": "category", "data": [f"{day:%m-%d}" for day in days]}, "yAxis": {"type": "value", "minInterval": 1, "splitNumber": 2}, "series": series}


def _spans() -> list[tuple[str, Any]]:
    return [(key, label) for key, (_length, label) in SPANS.items()]
