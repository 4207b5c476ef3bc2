"""What respond adds to the page of a scenario: the alerts of its rules, by day."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import panel, parts
from lianfang.kernel import clock
from lianfang.rooms.detect.queries import scenarios
from lianfang.rooms.respond import queries

DAYS = 30


@panel("detect.scenario.main", title=_("Its alerts"), order=10, permission="respond.alert.view")
def alerts(request: HttpRequest, one: scenarios.Scenario) -> str:
    """Alerts that its rules raised, by the day of their last event; and the way to all of its alarm type."""
    viewer, today = request.viewer, clock.now()  # type: ignore[attr-defined]
    uids = {rule.uid for stage in one.stages for rule in scenarios.rules_of(stage, viewer)}
    found = Counter(f"{last:%m-%d}" for last in queries.seen(viewer).filter(rule_uid__in=uids, last__gte=today - timedelta(days=DAYS - 1), last__lte=today).values_list("last", flat=True))
    link = format_html('<p class="after"><a class="btn btn-sm" href="{}?alarm={}">{}</a></p>', reverse("respond:alerts"), one.alarm, translate("All alerts of this type")) if one.alarm else ""
    if not found:
        return format_html('<p class="quiet">{}</p>{}', translate("None in the last 30 days."), link)
    days = [f"{today - timedelta(days=ago):%m-%d}" for ago in range(DAYS - 1, -1, -1)]
    bars: dict[str, Any] = {"name": translate("alerts"), "type": "bar", "data": [found[day] for day in days]}
    spec = {"animation": False, "xAxis": {"type": "category", "data": days}, "yAxis": {"type": "value", "minInterval": 1, "splitNumber": 2}, "series": [bars]}
    return format_html("{}{}", parts.chart(spec, "s", translate("Alerts per day")), link)
