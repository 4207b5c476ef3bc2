"""The bell: who looks after rules of quality is told at once when one falls below its threshold."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from lianfang.commons.frame.pages import asked_after, page, show
from lianfang.kernel import clock
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.standards import models

TOLD = 3


@page("bell/", name="bell", permission="standards.rule.change")
def bell(request: HttpRequest) -> HttpResponse:
    """Rules that fell after ``after``, the first few by name, and the next marker. 204 while all is quiet."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    now = clock.now()
    fallen = models.Rule.objects.all().seen_by(viewer).filter(below_since__gt=asked_after(request), below_since__lte=now).order_by("-below_since")
    count = fallen.count()
    if not count:
        return HttpResponse(status=204)
    return show(request, "standards/bell.html", {"rules": fallen[:TOLD], "more": count - TOLD, "marker": clock.text(now)})
