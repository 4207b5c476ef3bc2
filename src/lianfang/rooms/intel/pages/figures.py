"""Figures of submissions: by month and kind, by severity, by state; how long reporters wait; whom to thank."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import page, show
from lianfang.commons.frame.sheets import SEVERITIES
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.intel import queries
from lianfang.rooms.intel.queries.submissions import Figures, span_of
from lianfang.rooms.intel.types import Matter, State

SPANS = {"3": _("3 months"), "12": _("12 months"), "36": _("36 months")}


@page("submissions/figures/", name="submission_figures", permission="intel.submission.view", title=_("Figures of submissions"), parent="submission_list")
def figures(request: HttpRequest) -> HttpResponse:
    """The figures of the last months, as far as the viewer sees."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    span = request.GET.get("span", "12")
    span = span if span in SPANS else "12"
    found = queries.figures(viewer, months=int(span))
    context = {"f": found, "span": span, "spans": SPANS, "to_answer": span_of(found.to_answer), "to_mend": span_of(found.to_mend), "months": _months(found), "severities": _severities(found), "states": _states(found)}
    return show(request, "intel/figures.html", context)


def _months(found: Figures) -> dict[str, Any]:
    """Submissions of each month, stacked by kind."""
    series = [{"name": str(label), "type": "bar", "stack": "kind", "data": [counts[kind] for _month, counts in found.months]} for kind, label in Matter.choices]
    return {"animation": False, "xAxis": {"type": "category", "data": [month for month, _counts in found.months]}, "yAxis": {"type": "value", "minInterval": 1, "splitNumber": 3}, "legend": {"selectedMode": True}, "series": series}


def _severities(found: Figures) -> dict[str, Any]:
    """How many of each severity, the most serious on top."""
    words = dict(SEVERITIES)
    data = [{"value": number, "severity": level} for level, number in found.severities.items()]
    return {"animation": False, "xAxis": {"type": "value", "minInterval": 1}, "yAxis": {"type": "category", "data": [str(words[level]) for level in found.severities]}, "series": [{"name": translate("submissions"), "type": "bar", "data": data}]}


def _states(found: Figures) -> dict[str, Any]:
    """How many stand where, in the order of the way that they go."""
    words = dict(State.choices)
    names = list(found.states)[::-1]
    return {"animation": False, "xAxis": {"type": "value", "minInterval": 1}, "yAxis": {"type": "category", "data": [str(words[name]) for name in names]}, "series": [{"name": translate("submissions"), "type": "bar", "data": [found.states[name] for name in names]}]}
