"""The bell: on every page of respond, a serious new alert is told at once."""

from __future__ import annotations

from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as translate

from lianfang.commons.frame.pages import Corner, asked_after, page, plug, show
from lianfang.kernel import clock
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.respond import queries
from lianfang.rooms.respond.types import State

SERIOUS = 4


@page("bell/", name="bell", permission="respond.alert.view")
def bell(request: HttpRequest) -> HttpResponse:
    """What was raised after ``after``: a notice for each of the first few, and the next marker. 204 while all is quiet."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    found, number = queries.newest_since(asked_after(request), viewer, severity=SERIOUS)
    if not found:
        return HttpResponse(status=204)
    latest = max(alert.raised for alert in found) + timedelta(milliseconds=1)
    return show(request, "respond/bell.html", {"alerts": found, "more": number - len(found), "marker": clock.text(max(latest, clock.now()))})


def inbox(viewer: Viewer) -> Corner:
    """What waits for this person: their own open alerts, and serious ones that nobody has taken."""
    if not viewer.may("respond.alert.view"):
        return Corner()
    waiting = queries.seen(viewer).filter(state__in=(State.NEW, State.ACKNOWLEDGED, State.IN_PROGRESS))
    mine = waiting.filter(assignee=viewer.id).exclude(state=State.IN_PROGRESS)[:100].count() if viewer.id else 0
    loose = waiting.filter(state=State.NEW, assignee="", severity__gte=SERIOUS)[:100].count()
    return Corner(text=translate("Waiting for you"), url=f"{reverse('respond:alerts')}?state=new", count=mine + loose)


plug(inbox=inbox)
