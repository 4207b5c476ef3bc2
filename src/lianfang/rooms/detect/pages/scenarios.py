"""Scenarios: all of them with how much of each this node can see; one with its stages, its rules and what they found; the switch of all its rules."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from lianfang.commons.frame.pages import Nav, page, panel, show
from lianfang.kernel import clock
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import actions
from lianfang.rooms.detect.queries import library, scenarios
from lianfang.rooms.detect.queries.scenarios import Sight


@page("scenarios/", name="scenarios", permission="detect.rule.view", nav=Nav("detection", _("Scenarios"), order=37, icon="route"), title=_("Scenarios"))
def every(request: HttpRequest) -> HttpResponse:
    """All of them, each with its stages: seen, or what is missing."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    known = {one.model.key: one for one in library.standings(viewer)}
    lines = [{"one": one, "stages": [_stage(sight) for sight in scenarios.sights(one, viewer, standings=known)], "url": reverse("detect:scenario", kwargs={"key": one.key})} for one in scenarios.every().values()]
    return show(request, "detect/scenarios.html", {"lines": lines, "days": library.DAYS, "may_add": viewer.may("detect.ownscenario.add") and viewer.sees_node})


@page("scenarios/<slug:key>/", name="scenario", permission="detect.rule.view", title=_("Scenario"), parent="scenarios")
def single(request: HttpRequest, key: str) -> HttpResponse:
    """One of them, stage by stage; a POST switches all its rules."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    one = scenarios.scenario(key)
    if request.method == "POST":
        on = request.POST.get("on") == "1"
        switched = actions.switch_scenario(one, on, actor=viewer)
        words = ngettext("%(n)d rule was switched on.", "%(n)d rules were switched on.", switched) if on else ngettext("%(n)d rule was switched off.", "%(n)d rules were switched off.", switched)
        messages.success(request, f"{words % {'n': switched}} {translate('It takes effect within two seconds.')}")
        return HttpResponseRedirect(reverse("detect:scenario", kwargs={"key": key}))
    stages = [_stage(sight) for sight in scenarios.sights(one, viewer)]
    rules = {rule.pk: rule for stage in stages for rule in stage["sight"].rules}
    context = {"one": one, "stages": stages, "days": library.DAYS, "rules": len(rules), "off": sum(not rule.enabled for rule in rules.values()), "may": viewer.may("detect.rule.switch") and viewer.sees_node, "edit": _own_url(one, viewer), "chart": _chart(scenarios.findings_by_day(one, viewer, since=clock.now() - timedelta(days=library.DAYS)))}
    return show(request, "detect/scenario.html", context, title=one.name)


def _own_url(one: scenarios.Scenario, viewer: Viewer) -> str:
    """Where people of this node look after one that they described."""
    return reverse("detect:ownscenario", kwargs={"pk": one.own}) if one.own and viewer.may("detect.ownscenario.view") else ""


def _stage(sight: Sight) -> dict[str, Any]:
    """What a stage shows: whether it is seen, else what is missing for it."""
    on = sum(rule.loaded for rule in sight.rules)
    word, tone = (_("seen"), "good") if sight.seen else (_("no logs"), "warn") if on else (_("no rule is on"), "warn") if any(sight.fed.values()) else (_("not seen"), "quiet")
    fed = [(library.event_model(key), count, reverse("detect:event_model", kwargs={"key": key})) for key, count in sight.fed.items()]
    return {"sight": sight, "stage": sight.stage, "word": word, "tone": tone, "on": on, "fed": fed}


def _chart(found: dict[str, int]) -> dict[str, Any] | None:
    if not found:
        return None
    today = clock.now().date()
    days = [today - timedelta(days=ago) for ago in range(library.DAYS - 1, -1, -1)]
    bars = {"name": translate("events"), "type": "bar", "data": [found.get(f"{day}", 0) for day in days]}
    return {"animation": False, "xAxis": {"type": "category", "data": [f"{day:%m-%d}" for day in days]}, "yAxis": {"type": "value", "minInterval": 1, "splitNumber": 2}, "series": [bars]}


@panel("detect.event_model.side", title=_("Scenarios"), order=30)
def of_model(request: HttpRequest, model: library.EventModel) -> str:
    """The scenarios of which a model is part."""
    found = scenarios.of_model(model.key)
    return format_html('<ul class="model-mappings">{}</ul>', format_html_join("", '<li><a href="{}">{}</a></li>', ((reverse("detect:scenario", kwargs={"key": one.key}), one.name) for one in found))) if found else ""
