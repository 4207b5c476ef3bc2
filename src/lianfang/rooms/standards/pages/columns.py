"""Columns and the elements they follow: suggested by name and kind, decided here; columns without an element stand out."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext, pgettext_lazy

from lianfang.commons.frame.language import headed
from lianfang.commons.frame.pages import Nav, page, show
from lianfang.engines.schema.events import BY_NAME
from lianfang.kernel.errors import Invalid
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.standards import actions, models, queries
from lianfang.rooms.standards.pages.overview import percent
from lianfang.rooms.standards.queries.elements import fits
from lianfang.rooms.standards.types import ColumnUse, State, Use

KINDS: dict[str, Any] = {"text": pgettext_lazy("column", "text"), "int": pgettext_lazy("column", "number"), "time": pgettext_lazy("column", "time"), "list": pgettext_lazy("column", "list")}
TONES = {Use.SUGGESTED: "warn", Use.CONFIRMED: "good", Use.REFUSED: "quiet"}
REASONS: dict[str, Any] = {"name": _("called the same"), "title": _("same title"), "words": _("words in common"), "person": _("chosen by a person")}
SHOWN = (("all", _("all")), ("open", _("to be decided")), ("none", _("without an element")), ("confirmed", _("confirmed")))


@page("columns/", name="columns", permission="standards.element.view", nav=Nav("governance", _("Columns and elements"), order=33, icon="columns-3", group="quality"))
def columns(request: HttpRequest) -> HttpResponse:
    """Every column with its element; the decisions about them."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    if request.method == "POST":
        _do(request, viewer)
        return HttpResponseRedirect(f"{reverse('standards:columns')}?show={request.GET.get('show', 'all')}")
    uses = queries.uses_of(viewer)
    tally = Counter(_standing(one) for one in uses)
    shown = request.GET.get("show", "all")
    elements = list(queries.elements_for(viewer).filter(state=State.APPROVED).order_by("code"))
    lines = [_line(one, elements) for one in uses if shown == "all" or _standing(one) == shown]
    unused = len({element.code for element in elements} - {one.use.element.code for one in uses if one.use and one.use.state == Use.CONFIRMED})
    context = {
        "lines": lines, "tally": tally, "columns": len(uses), "elements": len({element.code for element in elements}), "unused": unused, "shown": shown, "choices": [(key, label, len(uses) if key == "all" else tally[key]) for key, label in SHOWN],
        "may_change": viewer.may("standards.use.change"), "sure": sum(1 for one in uses if one.use and one.use.state == Use.SUGGESTED and one.use.likeness >= 0.9), "measured": queries.last_measuring(),
    }  # fmt: skip
    return show(request, "standards/columns.html", context)


def _do(request: HttpRequest, viewer: Viewer) -> None:
    do, column = request.POST.get("do", ""), request.POST.get("column", "")
    if do == "suggest":
        found = actions.suggest_uses(actor=viewer)
        messages.success(request, ngettext("An element is suggested for %d column", "Elements are suggested for %d columns", found) % found)
    elif do == "confirm_sure":
        done = actions.confirm_suggested(actor=viewer)
        messages.success(request, ngettext("%d column was confirmed", "%d columns were confirmed", done) % done)
    elif do == "choose":
        actions.choose_element(column, request.POST.get("element", ""), actor=viewer)
    elif do == "refuse":
        actions.refuse_use(column, actor=viewer)
    else:
        raise Invalid("This page cannot do that", todo="Use its buttons.")


def _standing(one: ColumnUse) -> str:
    return "none" if one.use is None or one.use.state == Use.REFUSED else "open" if one.use.state == Use.SUGGESTED else "confirmed"


def _line(one: ColumnUse, elements: list[models.Element]) -> dict[str, Any]:
    use = one.use
    reason, _blank, rest = (use.reasons[0] if use and use.reasons else "").partition(" ")
    return {
        "one": one, "kind": KINDS[one.kind], "standing": _standing(one), "tone": TONES.get(use.state, "quiet") if use else "quiet", "reason": headed(REASONS[reason], rest) if rest else REASONS.get(reason, ""), "chosen": use.element.code if use and use.state != Use.REFUSED else "",
        "share": percent(one.figure), "wrong": one.figure.failed if one.figure else 0, "choices": [element for element in elements if fits(element, BY_NAME[one.column])],
    }  # fmt: skip
