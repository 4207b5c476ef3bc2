"""The quality of data at one glance: tables by the five words, how it went, which rules are below their threshold."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from lianfang.commons.frame.pages import Nav, page, sayable, show
from lianfang.kernel.errors import Invalid
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake.types import EVENT_TABLES, FAMILIES
from lianfang.rooms.standards import actions, models, queries
from lianfang.rooms.standards.pages import charts
from lianfang.rooms.standards.types import Figure, Scores, Standing, Word

sayable("A file holds at most %(number)s events.", "Mend %(name)s.")

SPANS = (("24h", _("24 hours")), ("7d", _("7 days")), ("30d", _("30 days")))
WORST = 8


def tone_of(score: float | None) -> str:
    """How a score looks: nothing, good, middling, bad."""
    return "none" if score is None else "good" if score >= 95 else "middling" if score >= 80 else "poor"


def shown(score: float | None) -> str:
    """A score in per cent; never rounded up to a perfect one."""
    return "" if score is None else "100" if score == 100 else f"{min(score, 99.9):.1f}"


def percent(figure: Figure | None) -> str:
    """The share of right answers; nothing where none was asked."""
    return shown(figure.share) if figure else ""


@page("quality/", name="quality", permission="standards.rule.view", nav=Nav("governance", _("Data quality"), order=30, icon="rosette-discount-check", group="quality"))
def quality(request: HttpRequest) -> HttpResponse:
    """All tables, or with ``?table=`` the words of one."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    if request.method == "POST":
        return _do(request, viewer)
    span = request.GET.get("span", "24h")
    span, table = span if span in dict(SPANS) else "24h", request.GET.get("table", "")
    table = table if table in EVENT_TABLES else ""
    rules = models.Rule.objects.seen_by(viewer).filter(enabled=True)
    may_count = viewer.may("lake.event.view")
    tables = [_row(one) for one in queries.overview(viewer=viewer, span=span)] if may_count else []
    context = {
        "tables": tables, "words": Word.choices, "spans": SPANS, "span": span, "table": table, "table_label": FAMILIES.get(table, ""), "chart": charts.lines(queries.trends(viewer=viewer, span=span, table=table)) if may_count else None,
        "below": list(rules.filter(standing=Standing.BELOW).order_by("score", "name")[:WORST]), "below_count": rules.filter(standing=Standing.BELOW).count(), "rules": rules.count(), "measured": queries.last_measuring(),
        "may_measure": viewer.may("standards.rule.measure"), "basic": viewer.may("standards.rule.add") and bool(queries.basic_left(viewer)), "may_count": may_count,
    }  # fmt: skip
    return show(request, "standards/quality.html", context)


def _do(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    do = request.POST.get("do", "")
    if do == "measure":
        return HttpResponseRedirect(reverse("jobs:work", kwargs={"pk": actions.start_measuring(actor=viewer).id}))
    if do == "basic":
        made = actions.make_basic_rules(actor=viewer)
        messages.success(request, ngettext("%d rule was made", "%d rules were made", made) % made)
        return HttpResponseRedirect(reverse("standards:quality"))
    raise Invalid("This page cannot do that", todo="Use its buttons.")


def _row(one: Scores) -> dict[str, Any]:
    words = [{"word": word, "label": label, "score": shown(one.words[word]), "tone": tone_of(one.words[word])} for word, label in Word.choices]
    return {"name": one.table, "label": FAMILIES[one.table], "rows": one.rows, "words": words, "score": shown(one.total), "tone": tone_of(one.total)}
