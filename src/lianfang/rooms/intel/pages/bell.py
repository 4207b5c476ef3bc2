"""The bell: who triages is told at once when something is submitted, or added to what was."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from lianfang.commons.frame.pages import asked_after, page, show
from lianfang.kernel import clock
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.intel import queries


@page("bell/", name="bell", permission="intel.submission.triage")
def bell(request: HttpRequest) -> HttpResponse:
    """What reporters said after ``after``, the first few by number, and the next marker. 204 while all is quiet."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    now = clock.now()
    found, number = queries.heard_since(asked_after(request), viewer)
    if not found:
        return HttpResponse(status=204)
    return show(request, "intel/bell.html", {"rows": found, "more": number - len(found), "marker": clock.text(now)})
