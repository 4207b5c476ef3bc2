"""Hits of local intelligence: how often each indicator of the watch list was met, and on the page of an indicator its own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from lianfang.commons.frame.pages import Nav, page, panel, show
from lianfang.kernel import clock
from lianfang.rooms.detect import queries
from lianfang.rooms.detect.queries import watch
from lianfang.rooms.detect.types import Hit

SPANS = {"24h": (timedelta(days=1), _("24 hours")), "7d": (timedelta(days=7), _("7 days")), "30d": (timedelta(days=30), _("30 days")), "all": (None, _("all time"))}
SHOWN = 10
KINDS = {"ip": _("address"), "cidr": _("network"), "domain": _("domain name"), "hash": _("hash"), "url": _("URL")}


def findings_of(hit: Hit) -> str:
    """Where the findings of one indicator are listed."""
    return f"{reverse('detect:finding_list')}?{urlencode({'rule': hit.uid})}"


@page("hits/", name="hits", permission="detect.finding.view", nav=Nav("intelligence", _("Hits"), order=15, icon="target"), title=_("Hits of the watch list"))
def hits(request: HttpRequest) -> HttpResponse:
    """Every indicator that was met, the most often met first."""
    span = request.GET.get("span", "30d")
    span = span if span in SPANS else "30d"
    length = SPANS[span][0]
    found = queries.hits(request.viewer, since=clock.now() - length if length else None)  # type: ignore[attr-defined]
    return show(request, "detect/hits.html", {"lines": [(hit, KINDS.get(hit.kind, hit.kind), findings_of(hit)) for hit in found], "spans": [(name, label, name == span) for name, (_length, label) in SPANS.items()], "events": sum(hit.events for hit in found), "may_export": request.viewer.may("detect.finding.export")})  # type: ignore[attr-defined]


@panel("intel.indicator.main", title=_("Hits"), order=10, permission="detect.finding.view")
def of_indicator(request: HttpRequest, row: Any) -> str:
    """How often this value was met in what the reader sees, and where last."""
    found = queries.hits(request.viewer, rule=watch.uid_of(row.kind, row.value))  # type: ignore[attr-defined]
    if not found:
        return render_to_string("detect/panel_hits.html", {"hit": None}, request)
    hit = found[0]
    words = ngettext("%(n)d event hit it", "%(n)d events hit it", hit.events) % {"n": hit.events}
    hosts = ngettext("on %(n)d host", "on %(n)d hosts", hit.hosts) % {"n": hit.hosts}
    last = queries.finding_rows(request.viewer).filter(rule_uid=watch.uid_of(row.kind, row.value)).order_by("-last", "-pk")[:SHOWN]  # type: ignore[attr-defined]
    return render_to_string("detect/panel_hits.html", {"hit": hit, "words": translate("%(events)s %(hosts)s.") % {"events": words, "hosts": hosts}, "last": last, "url": findings_of(hit)}, request)
