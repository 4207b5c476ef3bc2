"""Log templates: what the programs behind each source say again and again, as a tree, and one of them with its story."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from lianfang.commons.frame.pages import Nav, page, show
from lianfang.kernel.errors import Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import actions, queries
from lianfang.rooms.lake.types import TemplateLine, TemplateTree, Touched

ORDERS = {"count": _("most lines first"), "fresh": _("newest first"), "last": _("last seen first")}
SPARK_WIDTH, SPARK_HEIGHT = 96, 20
PHRASES, SHORTEST = 6, 2
BAND, MARK = "#7c8aa5", "#d63939"


@page("log-templates/", name="log_templates", permission="lake.event.view", nav=Nav("logs", _("Log templates"), order=12, icon="binary-tree"))
def log_templates(request: HttpRequest) -> HttpResponse:
    """Sources, and the tree of the one that is chosen; POST looks at new events now."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    if request.method == "POST":
        actions.ask_for_templates(actor=viewer)
        messages.success(request, translate("New events are being read; the tree shows them in a moment."))
        return HttpResponseRedirect(request.get_full_path())
    sources = queries.template_sources(viewer=viewer)
    names = [one.source for one in sources]
    chosen = request.GET.get("source", "")
    chosen = chosen if chosen in names else names[0] if names else ""
    words, order, fresh = request.GET.get("q", "").strip()[:200], request.GET.get("order", "count"), bool(request.GET.get("fresh"))
    strange = bool(request.GET.get("strange"))
    tree = queries.template_tree(chosen, viewer=viewer, words=words, fresh=fresh, strange=strange, order=order) if chosen else None
    if tree:
        _note(tree, viewer)
    context = {
        "sources": [{"tree": one, "url": _address(request, source=one.source)} for one in sources], "chosen": chosen, "tree": tree, "words": words, "order": order, "orders": ORDERS, "fresh": fresh, "strange": strange, "read": queries.mined_to(),
        "branches": [{"branch": one, "lines": [row(line, viewer) for line in one.lines], "open": bool(words) or fresh or strange or len(tree.branches) <= 6 or number < 3} for number, one in enumerate(tree.branches)] if tree else [],
        "any_source": bool(names) or bool(queries.source_names(viewer=viewer)), "may_make": viewer.may("lake.source.add") and viewer.may("lake.mapping.add"),
    }  # fmt: skip
    return show(request, "lake/log_templates.html", context)


@page("log-templates/<uuid:pk>/", name="log_template", permission="lake.event.view", title=_("Log template"), parent="log_templates")
def log_template(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One template: how often, since when, a line as the example, and those like it."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    line = queries.log_template(pk, viewer=viewer)
    try:
        sample = queries.event(line.sample, viewer=viewer)
    except Missing:
        sample = None
    levels, masked = queries.levels_of([sample] if sample else [])
    actions.touch(Touched.EVENT, levels or {line.level: 1}, masked=masked, asked=f"template={line.id}", actor=viewer)
    alike = [row(one, viewer) for one in queries.templates_alike(line, viewer=viewer)]
    title = translate("Log template of %s") % line.source
    return show(request, "lake/log_template.html", {"line": row(line, viewer), "sample": sample, "chart": week(line), "alike": alike, "tree": f"{reverse('lake:log_templates')}?{urlencode({'source': line.source})}"}, title=title)


def row(line: TemplateLine, viewer: Viewer) -> dict[str, Any]:
    """A template as a line of the tree."""
    return {"line": line, "unusual": unusual(line), "percent": round(100 * line.share, 1), "spark": spark(line.spark, line.strange), "url": reverse("lake:log_template", kwargs={"pk": line.id}), "events": events(line)}


def unusual(line: TemplateLine) -> str:
    """What is not as usual about its number, in a sentence; nothing where nothing is."""
    one = line.unusual
    if one is None:
        return ""
    said = translate("%(n)d lines in an hour, usually about %(usual)d") if one.more else translate("Only %(n)d lines in an hour, usually about %(usual)d")
    return said % {"n": one.count, "usual": round(one.usual)}


def events(line: TemplateLine) -> str:
    """The search that finds its lines: what is constant in it, as phrases."""
    pieces = [piece.strip(" \t:.,;-") for piece in line.constants]
    phrases = sorted({re.sub(r'["“”]', "", piece) for piece in pieces if len(piece) >= SHORTEST}, key=len, reverse=True)[:PHRASES]
    asked = {"f": f"source:is:{line.source}", "span": "7d"} | ({"q": " ".join(f'"{phrase}"' for phrase in phrases if phrase)} if phrases else {})
    return f"{reverse('lake:search')}?{urlencode(asked)}"


def spark(counts: Sequence[int], strange: Sequence[int] = ()) -> SafeString:
    """The counts of some hours as a small picture, those that were not as usual marked; a screen reader hears the sum, and how many were not."""
    most = max(counts, default=0) or 1
    wide = SPARK_WIDTH / max(1, len(counts))

    def bar(at: int) -> str:
        return f"M{at * wide + wide / 2:.1f} {SPARK_HEIGHT}V{SPARK_HEIGHT - max(1.5, counts[at] / most * (SPARK_HEIGHT - 1)):.1f}"

    path = "".join(bar(at) for at, count in enumerate(counts) if count and at not in strange)
    marks = format_html_join("", '<path class="strange" d="{}" stroke-width="{}"></path><circle class="strange" cx="{}" cy="2" r="2"></circle>', ((bar(at), f"{wide * 0.7:.1f}", f"{at * wide + wide / 2:.1f}") for at in strange))
    label = translate("%(n)d lines in the last 48 hours") % {"n": sum(counts)}
    label = f"{label}{translate(', ')}{ngettext('%(n)d hour not as usual', '%(n)d hours not as usual', len(strange)) % {'n': len(strange)}}" if strange else label
    return format_html('<svg class="spark" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title><path d="{}" stroke-width="{}"></path>{}</svg>', SPARK_WIDTH, SPARK_HEIGHT, label, label, path, f"{wide * 0.7:.1f}", marks)


def week(line: TemplateLine) -> dict[str, Any] | None:
    """Lines by hour, the week up to the last of them, over what is usual; hours beyond it are marked."""
    if not line.hours:
        return None
    counts, first = dict(line.hours), line.hours[0][0]
    hours = [first + timedelta(hours=number) for number in range(int((line.hours[-1][0] - first) / timedelta(hours=1)) + 1)]
    names = [timezone.localtime(hour).strftime("%m-%d %H:%M") for hour in hours]
    hidden = {"type": "line", "stack": "usual", "symbol": "none", "silent": True, "step": "middle", "z": 1, "lineStyle": {"opacity": 0}, "tooltip": {"show": False}}
    band: list[dict[str, Any]] = [{**hidden, "data": [one and one[0] for one in line.usual]}, {**hidden, "name": translate("usual range"), "data": [one and one[1] - one[0] for one in line.usual], "itemStyle": {"color": BAND}, "areaStyle": {"color": BAND, "opacity": 0.22}}]
    now = timezone.localtime().replace(minute=0, second=0, microsecond=0)
    strange = [now - timedelta(hours=len(line.spark) - 1 - at) for at in line.strange]
    marks = [[timezone.localtime(hour).strftime("%m-%d %H:%M"), counts.get(hour, 0)] for hour in strange if first <= hour <= hours[-1]]
    bars = {"type": "bar", "name": translate("lines"), "data": [counts.get(hour, 0) for hour in hours], "barMaxWidth": 24}
    dots = {"type": "scatter", "name": translate("not as usual"), "symbol": "diamond", "symbolSize": 11, "itemStyle": {"color": MARK}, "z": 5, "data": marks}
    return {"xAxis": {"type": "category", "data": names}, "yAxis": {"type": "value", "minInterval": 1, "splitNumber": 2}, "series": [bars, *(band if any(line.usual) else []), *([dots] if marks else [])], "legend": {"data": [bars["name"], *([band[1]["name"]] if any(line.usual) else []), *([dots["name"]] if marks else [])]}}


def _note(tree: TemplateTree, viewer: Viewer) -> None:
    """Templates are content of logs: that they were read is noted, by level."""
    levels: dict[int, int] = {}
    for branch in tree.branches:
        for line in branch.lines:
            levels[line.level] = levels.get(line.level, 0) + 1
    actions.touch(Touched.SEARCH, levels, masked=tree.hidden, asked=f"templates of {tree.source}", actor=viewer)


def _address(request: HttpRequest, **more: str) -> str:
    kept = {name: request.GET[name] for name in ("q", "order", "fresh", "strange") if request.GET.get(name)}
    return f"?{urlencode(kept | more)}"
