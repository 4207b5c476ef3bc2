"""The ATT&CK matrix: where alerts fall, and where no rule looks."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import Nav, page, show, unchanged
from lianfang.rooms.respond import queries
from lianfang.rooms.respond.pages.overview import LABELS


@page("matrix/", name="matrix", permission="respond.alert.view", nav=Nav("situation", _("ATT&CK matrix"), order=20, icon="layout-grid"))
def matrix(request: HttpRequest) -> HttpResponse:
    """Tactics side by side, their techniques below, each with its alerts and the rules that would see it."""
    span = request.GET.get("span", "30d")
    span = span if span in LABELS else "30d"
    covered = request.GET.get("show") == "covered"
    living = request.htmx.target == "matrix"  # type: ignore[attr-defined]
    if living and (answer := unchanged(request, queries.version(request.viewer), span)):  # type: ignore[attr-defined]
        return answer
    found = queries.matrix(request.viewer, span=span)  # type: ignore[attr-defined]
    context = {"matrix": found, "span": span, "spans": LABELS.items(), "only_covered": covered, "share": round(100 * found.covered / found.techniques) if found.techniques else 0}
    return show(request, "respond/matrix_lanes.html" if living else "respond/matrix.html", context)
