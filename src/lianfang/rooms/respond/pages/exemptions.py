"""What respond adds to the preview of an exception: the alerts that would not have been raised, and loudly those that were real."""

from __future__ import annotations

from django.http import HttpRequest
from django.template.loader import render_to_string

from lianfang.commons.frame.pages import panel
from lianfang.rooms.detect.queries.exemptions import Impact
from lianfang.rooms.respond import queries

SHOWN = 8


@panel("detect.exemption.impact", permission="respond.alert.view")
def alerts(request: HttpRequest, found: Impact) -> str:
    """First of all what somebody closed as a true positive."""
    told = queries.without(found.findings, request.viewer)  # type: ignore[attr-defined]
    return render_to_string("respond/panel_without.html", {"told": told, "real": told.real[:SHOWN], "more_real": max(0, len(told.real) - SHOWN), "rows": told.gone[:SHOWN]}, request)
