"""Rule coverage: which rules can fire on what this node receives, and what would bring the others to it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import Nav, page, show
from lianfang.rooms.detect import queries
from lianfang.rooms.detect.queries import covering
from lianfang.rooms.detect.types import STATES

STATE_NAMES = {
    "fired": _("has fired"), "ready": _("can fire"), "fields": _("waits for fields"), "source": _("no such log comes"),
    "unknown": _("not yet looked at"), "off": _("switched off"), "unusable": _("cannot be used"),
}  # fmt: skip
SHOWN = 100


@page("coverage/", name="coverage", permission="detect.rule.view", nav=Nav("detection", _("Rule coverage"), order=41, icon="chart-bar"), title=_("Rule coverage"))
def coverage(request: HttpRequest) -> HttpResponse:
    """A bar for each pack; the fields and the logs that rules wait for, most waited for first."""
    found = covering.coverage(request.viewer)  # type: ignore[attr-defined]
    sought = request.GET.get("q", "").strip()
    word = sought.casefold()
    fields = [(one, _rules(reach="fields", waits=one.field)) for one in found.fields if word in f"{one.field} {' '.join(one.kinds)} {' '.join(one.sources)}".casefold()]
    sources = [(one, _rules(reach="source", **{part: getattr(one, part) for part in ("product", "category", "service") if getattr(one, part)})) for one in found.sources if word in one.name.casefold()]
    context = {
        "coverage": found, "packs": [(pack, _bar(pack.id, pack.rules, pack.states)) for pack in found.packs], "able": found.count("fired", "ready"), "fired": found.count("fired"),
        "percent": round(100 * found.count("fired", "ready") / found.rules) if found.rules else 0, "legend": [(state, STATE_NAMES[state]) for state in STATES if found.count(state)],
        "fields": fields[:SHOWN], "sources": sources[:SHOWN], "more_fields": max(0, len(fields) - SHOWN), "more_sources": max(0, len(sources) - SHOWN), "q": sought, "health": queries.health(),
    }  # fmt: skip
    return show(request, "detect/coverage.html", context)


def _rules(**filters: str) -> str:
    """Where the rules are listed of which a figure speaks."""
    return f"{reverse('detect:rule_list')}?{urlencode({'enabled': '1', **filters})}"


def _bar(pack: str, rules: int, states: dict[str, int]) -> list[dict[str, Any]]:
    """The parts of a pack's bar, each with its words and the list of its rules."""
    listed = {"fired": {"reach": "ready", "fired_ever": "1"}, "ready": {"reach": "ready", "fired_ever": "0"}, "fields": {"reach": "fields"}, "source": {"reach": "source"}}
    parts, at = [], 0
    for state, count in states.items():
        if count:
            url = _rules(pack=pack, **listed[state]) if state in listed else f"{reverse('detect:rule_list')}?{urlencode({'pack': pack} | ({'enabled': '0'} if state == 'off' else {}))}"
            parts.append({"state": state, "name": STATE_NAMES[state], "count": count, "at": f"{100 * at / rules:.3f}", "share": f"{100 * count / rules:.3f}", "url": url})
            at += count
    return parts
