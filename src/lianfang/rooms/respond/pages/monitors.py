"""What respond adds to the pages of keyword alarms and log anomaly alarms: the alerts that came of them."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import panel
from lianfang.rooms.detect.queries import anomalies, monitors
from lianfang.rooms.respond import queries

SHOWN = 8


@panel("detect.monitor.side", title=_("Its alerts"), order=10, permission="respond.alert.view")
def alerts(request: HttpRequest, row: Any) -> str:
    """The newest, with their states."""
    return _newest(request, rule_uid__in=monitors.uids_of(row))


@panel("detect.anomalyalarm.side", title=_("Its alerts"), order=10, permission="respond.alert.view")
def unusual(request: HttpRequest, row: Any) -> str:
    """The newest, with their states."""
    return _newest(request, rule_uid__startswith=anomalies.uid_of(row.pk))


def _newest(request: HttpRequest, **which: Any) -> str:
    rows = queries.seen(request.viewer).filter(**which).order_by("-last", "-id")[:SHOWN]  # type: ignore[attr-defined]
    return render_to_string("respond/panel_monitor.html", {"rows": rows}, request) if rows else ""
