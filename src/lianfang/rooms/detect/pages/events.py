"""What detect adds to the page of an event: the rules that fired on it, each with the fields and values that made it fire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import panel
from lianfang.rooms.detect import models
from lianfang.rooms.detect.queries import explaining, monitors
from lianfang.rooms.detect.types import OWN_PACK

MOST = 10


@panel("lake.event.main", title=_("Why rules fired"), order=10, permission="detect.rule.view")
def why(request: HttpRequest, event: Mapping[str, Any]) -> str:
    """Nothing where no rule fired, or where the original is masked for this viewer."""
    uids = list(event.get("rules") or ())[:MOST]
    if not uids or not event.get("raw"):
        return ""
    part = str(event["event_id"]).partition(".")[2]
    links = {uid: reverse("detect:rule", kwargs={"pk": pk}) for uid, pk in models.Rule.objects.filter(uid__in=uids).exclude(pack__name=OWN_PACK).values_list("uid", "pk")}
    links |= {uid: reverse("detect:monitor", kwargs={"pk": row.pk}) for uid, row in monitors.monitors_of(uids, request.viewer).items()}  # type: ignore[attr-defined]
    told = [{"explanation": explaining.explain(uid, str(event["raw"]), part=int(part) if part.isdigit() else 0), "url": links.get(uid)} for uid in uids]
    return render_to_string("detect/panel_why.html", {"told": told}, request)
