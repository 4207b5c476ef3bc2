"""Decoy pages: the script that they carry, the door it speaks to, and the devices that were seen."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_exempt

from lianfang.commons.frame.pages import Nav, page, panel, show
from lianfang.commons.people import queries as people
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid, Missing
from lianfang.rooms.lake import actions, models, queries
from lianfang.rooms.lake.adapters import decoy
from lianfang.rooms.lake.types import Busy, Kind, Touched

SPANS: dict[str, Any] = {"7": _("7 days"), "30": _("30 days"), "190": _("190 days")}
SHOWN = 6
"""Addresses and pages of one device; the search has the rest."""
ANYWHERE = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin", "Timing-Allow-Origin": "*"}
"""The script and its door are used from pages of other hosts; neither knows a cookie of ours."""


@page("s/<str:token>.js", name="decoy_script", public=True)
def script(request: HttpRequest, token: str) -> HttpResponse:
    """The collector, for as long as its source is open."""
    try:
        actions.decoy_of(token)
    except Missing:
        return HttpResponse(status=404)
    return HttpResponse(decoy.script(), content_type="text/javascript; charset=utf-8", headers={**ANYWHERE, "Cache-Control": "public, max-age=300"})


@page("s/<str:token>", name="decoy_door", public=True)
@csrf_exempt
def door(request: HttpRequest, token: str) -> HttpResponse:
    """A visit, of at most 16 KiB. A stranger learns no more than that it was taken or not."""
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers={**ANYWHERE, "Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": "Content-Type"})
    if request.method != "POST":
        return HttpResponse(status=404)
    body = request.read(decoy.MOST_BYTES + 1)
    if len(body) > decoy.MOST_BYTES:
        return HttpResponse(status=413, headers=ANYWHERE)
    try:
        actions.meet(token, body, address=people.address_of(request), agent=request.headers.get("User-Agent", ""), languages=request.headers.get("Accept-Language", ""))
    except Busy as busy:
        return HttpResponse(status=429, headers={**ANYWHERE, "Retry-After": str(busy.retry_after)})
    except Missing:
        return HttpResponse(status=404, headers=ANYWHERE)
    except Invalid:
        return HttpResponse(status=422, headers=ANYWHERE)
    return HttpResponse(status=204, headers=ANYWHERE)


@page("devices/", name="devices", permission="lake.event.view", nav=Nav("logs", _("Devices on decoys"), order=18, icon="fingerprint"))
def devices(request: HttpRequest) -> HttpResponse:
    """Which devices looked at decoy pages: since when, from which addresses, at which pages."""
    viewer = request.viewer  # type: ignore[attr-defined]
    span = request.GET.get("span", "30")
    span = span if span in SPANS else "30"
    found, more = queries.devices(viewer=viewer, since=clock.now() - timedelta(days=int(span)))
    actions.touch(Touched.SEARCH, {2: len(found)}, asked="devices", actor=viewer)
    lines = [
        {"device": one, "url": f"{reverse('lake:search')}?{urlencode({'f': f'event_code:is:{one.digest}', 'span': '30d'})}", "addresses": one.addresses[:SHOWN], "pages": one.pages[:SHOWN], "further": max(0, len(one.addresses) - SHOWN), "further_pages": max(0, len(one.pages) - SHOWN)}
        for one in found
    ]
    any_source = models.Source.objects.seen_by(viewer).filter(kind=Kind.DECOY).exists()
    return show(request, "lake/devices.html", {"lines": lines, "more": more, "spans": SPANS, "span": span, "any_source": any_source, "may_make": viewer.may("lake.source.add")})


@panel("lake.source.main", title=_("Place it on the page"), order=8)
def place(request: HttpRequest, row: models.Source) -> str:
    """The line that goes into the decoy page, and what has to be minded."""
    if row.kind != Kind.DECOY:
        return ""
    base = settings.PUBLIC_URL or f"{request.scheme}://{request.get_host()}"
    address = reverse("lake:decoy_script", kwargs={"token": row.token})
    return render_to_string("lake/part_decoy.html", {"row": row, "line": f'<script src="{base}{address}" async></script>', "devices": reverse("lake:devices"), "may_search": request.viewer.may("lake.event.view")}, request=request)  # type: ignore[attr-defined]
