"""The four layers: business, system, network and security side by side, each with its sources and open alarms, and one queue for all of them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import Nav, page, show
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.types import Layer
from lianfang.rooms.respond import queries
from lianfang.rooms.respond.pages.queue import line
from lianfang.rooms.respond.types import OPEN

SHOWN = 12


@page("layers/", name="layers", permission="respond.alert.view", nav=Nav("situation", _("Four layers"), order=30, icon="stack-2"), title=_("Four layers"))
def layers(request: HttpRequest) -> HttpResponse:
    """All four, also those without a source, and the open alarms of all of them by rank."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    figures = lake.layers(viewer=viewer)
    of = {name: one.layer for one in figures for name in one.sources}
    open_rows = queries.seen(viewer).filter(state__in=OPEN)
    counts: dict[str, dict[int, int]] = {one.layer: {} for one in figures}
    for row in open_rows.order_by().values("source_name", "severity").annotate(n=Count("pk")):
        layer = counts.setdefault(of.get(row["source_name"], ""), {})
        layer[row["severity"]] = layer.get(row["severity"], 0) + row["n"]
    cards = [_card(one, counts[one.layer]) for one in figures if one.layer or one.sources]
    lines = [line(row, viewer) | {"layer": _name(of.get(row.source_name, ""))} for row in open_rows.order_by("-score", "-last", "-id")[:SHOWN]]
    return show(request, "respond/layers.html", {"cards": cards, "lines": lines, "may_sources": viewer.may("lake.source.view"), "more": max(0, sum(sum(one.values()) for one in counts.values()) - SHOWN)})


def _card(one: Any, counts: dict[int, int]) -> dict[str, Any]:
    """A layer with its figures, and the queue of its sources."""
    queue = f"{reverse('respond:alerts')}?{urlencode([('source', name) for name in one.sources])}" if one.sources else ""
    return {"layer": one.layer, "name": _name(one.layer), "figures": one, "open": sum(counts.values()), "by": sorted(counts.items(), reverse=True), "queue": queue}


def _name(layer: str) -> Any:
    return Layer(layer).label if layer else _("not assigned")
