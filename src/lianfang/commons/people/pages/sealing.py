"""The node's sealing keys, one generation after another: made by whom, what hangs on each, rotated, retired."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import Nav, page, show
from lianfang.commons.people import actions, queries
from lianfang.commons.people.types import KeyState
from lianfang.kernel.errors import Fault, Invalid, Refused
from lianfang.kernel.viewer import Viewer

STATES: dict[KeyState, tuple[Any, str]] = {
    KeyState.NEWEST: (pgettext_lazy("key", "in use"), "good"), KeyState.OLDER: (pgettext_lazy("key", "opens what is old"), "busy"), KeyState.LOST: (pgettext_lazy("key", "lost"), "bad"),
    KeyState.GONE: (pgettext_lazy("key", "not here"), "quiet"), KeyState.RETIRED: (pgettext_lazy("key", "retired"), "quiet"), KeyState.FORGOTTEN: (pgettext_lazy("key", "given up"), "warn"),
}  # fmt: skip


@page("sealing/", name="sealing", permission="people.sealing.view", title=_("Sealing keys"), nav=Nav("administration", _("Sealing keys"), order=55, icon="lock"))
def sealing(request: HttpRequest) -> HttpResponse:
    """Every generation, and what an administrator of the node may do with it."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    if not viewer.sees_node:
        raise Refused(gettext("You cannot see the node's keys"), why=gettext("They hold for the whole node; your scope is a part of it."), todo=gettext("Ask an administrator of the whole node."))
    fault = None
    if request.method == "POST":
        try:
            return _do(request, viewer)
        except Fault as found:
            fault = found
    found = queries.key_generations()
    lines = [{"one": one, "word": STATES[one.state][0], "tone": STATES[one.state][1], "file": queries.sealing_file(one.number or 1).name, "retirable": one.state == KeyState.OLDER and not one.things} for one in found]
    context = {"lines": lines, "fault": fault, "may_change": viewer.may("people.sealing.change"), "older": any(one.things for one in found if one.state == KeyState.OLDER), "lost": [one for one in found if one.state == KeyState.LOST]}
    return show(request, "people/sealing.html", context, status=fault.status if fault else 200)


def _do(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    do, number = request.POST.get("do", ""), request.POST.get("generation", "")
    if do == "rotate":
        made, job = actions.rotate_key(actor=viewer)
        messages.success(request, gettext("Generation %d is in use. Back up the folder keys/ now, apart from the database.") % made)
        return redirect("jobs:work", pk=job.id)
    if do == "reseal":
        return redirect("jobs:work", pk=actions.start_resealing(actor=viewer).id)
    if do == "retire" and number.isdigit():
        actions.retire_key(int(number), actor=viewer)
        messages.success(request, gettext("Generation %s is retired") % number)
        return HttpResponseRedirect(request.path)
    raise Invalid("This page cannot do that", todo="Use its buttons.")
