"""What detect adds to the page of an event: the rules that fired on it, each with the fields and values that made it fire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import panel
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.queries import explaining, monitors
from lianfang.rooms.detect.types import OWN_PACK
from lianfang.rooms.lake import actions as lake_actions
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.types import Touched

MOST = 10
LONGEST_LINE = 300


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


def first_logs(ids: Sequence[str], viewer: Viewer, *, asked: str) -> list[dict[str, Any]]:
    """Logs that were found, as far and as clearly as the viewer may read them; the reading is noted. ``asked``: by what."""
    if not ids or not viewer.may("lake.event.view"):
        return []
    found = lake.events(list(ids), viewer=viewer)
    levels, masked = lake.levels_of(found)
    lake_actions.touch(Touched.SEARCH, levels, masked=masked, asked=asked, actor=viewer)
    return [{"time": one["time"], "host": one["host"], "text": str(one["raw"] or "")[:LONGEST_LINE], "masked": one["masked"], "url": reverse("lake:event", kwargs={"event_id": one["event_id"]})} for one in found]
