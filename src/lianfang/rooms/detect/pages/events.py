"""What detect adds to the page of an event: the rules that fired on it, each with the fields and values that made it fire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import panel
from lianfang.rooms.detect import models
from lianfang.rooms.detect.queries import explaining

MOST = 10


@panel("lake.event.main", title=_("Why rules fired"), order=10, permission="detect.rule.view")
def why(request: HttpRequest, event: Mapping[str, Any]) -> str:
    """Nothing where no rule fired, or where the original is masked for this viewer."""
    uids = list(event.get("rules") or ())[:MOST]
    if not uids or not event.get("raw"):
        return ""
    part = str(event["event_id"]).partition(".")[2]
    links = dict(models.Rule.objects.filter(uid__in=uids).values_list("uid", "pk"))
    told = [{"explanation": explaining.explain(uid, str(event["raw"]), part=int(part) if part.isdigit() else 0), "rule": links.get(uid)} for uid in uids]
    return render_to_string("detect/panel_why.html", {"told": told}, request)
