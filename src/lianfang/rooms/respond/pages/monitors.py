"""What respond adds to the page of a keyword alarm: the alerts that came of it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import panel
from lianfang.rooms.detect.queries import monitors
from lianfang.rooms.respond import queries

SHOWN = 8


@panel("detect.monitor.side", title=_("Its alerts"), order=10, permission="respond.alert.view")
def alerts(request: HttpRequest, row: Any) -> str:
    """The newest, with their states."""
    rows = queries.seen(request.viewer).filter(rule_uid__in=monitors.uids_of(row)).order_by("-last", "-id")[:SHOWN]  # type: ignore[attr-defined]
    return render_to_string("respond/panel_monitor.html", {"rows": rows}, request) if rows else ""
