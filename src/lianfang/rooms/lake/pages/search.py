"""Search: conditions that read as a sentence, a histogram to narrow by, and the events, newest first."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pyarrow as pa
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import Found, Nav, finder, page, show
from lianfang.engines.columns.shape import EVENTS
from lianfang.engines.masking import To
from lianfang.kernel import clock
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import actions, queries
from lianfang.rooms.lake.pages.asking import OPERATORS, SPANS, UNARY, Asked, activity_name, choosable, class_name, said, status_name, title
from lianfang.rooms.lake.pages.taking import as_file, cell, must_wait
from lianfang.rooms.lake.types import Histogram, Reported, Touched

FACETS = ("class_uid", "source", "host", "user", "src_ip", "rules")
EXPORTED = 10_000
TAKEN = pa.schema([*(EVENTS.field(name) for name in queries.LISTED), ("masked", pa.bool_())])


@page("search/", name="search", permission="lake.event.view", nav=Nav("logs", _("Log search"), order=10, icon="list-search"))
def search(request: HttpRequest) -> HttpResponse:
    """The whole page, or more rows when htmx asks for them."""
    asked = Asked(request.GET)
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    found = queries.search(asked.question(), viewer=viewer)
    levels, masked = queries.levels_of(found.events)
    actions.touch(Touched.SEARCH, levels, masked=masked, asked=asked.address(), actor=viewer)
    context: dict[str, Any] = {"asked": asked, "lines": [line(event) for event in found.events], "next": f"?{asked.fixed()}&after={found.more}" if found.more else ""}
    if request.htmx.target == "more":  # type: ignore[attr-defined]
        return show(request, "lake/search_rows.html", context)
    bars = queries.histogram(asked.question(), viewer=viewer)
    context |= {
        "chart": chart(bars), "total": bars.total, "bar_seconds": bars.seconds, "spans": [(key, label) for key, (label, _span) in SPANS.items()], "columns": choosable(), "operators": OPERATORS.items(), "unary": UNARY,
        "may_export": viewer.may("lake.event.export"), "goals": queries.destinations(Reported.EVENTS, viewer=viewer) if viewer.may("lake.event.export") else [], "any_source": bool(found.events) or bool(queries.source_names(viewer=viewer)),
    }  # fmt: skip
    return show(request, "lake/search.html", context)


@page("search/facets/", name="facets", permission="lake.event.view", title=_("Most frequent values"), parent="search")
def facets(request: HttpRequest) -> HttpResponse:
    """The most frequent values of a few columns; each narrows the question."""
    asked = Asked(request.GET)
    found = []
    for column in FACETS:
        counts = queries.top(asked.question(), column, viewer=request.viewer, limit=6)  # type: ignore[attr-defined]
        most = max((one.count for one in counts), default=1)
        found.append({"label": title(column), "values": [{"text": said(column, one.value), "count": one.count, "share": round(100 * one.count / most), "url": asked.with_filter(column, one.value)} for one in counts]})
    return show(request, "lake/facets.html", {"facets": [one for one in found if one["values"]]})


@page("search/export/", name="export", permission="lake.event.export", title=_("Export"), parent="search")
def export(request: HttpRequest) -> HttpResponseBase:
    """Exactly what is asked, as CSV or Parquet, at most ten thousand rows; that it was taken away is on record."""
    asked, viewer = Asked(request.GET), request.viewer  # type: ignore[attr-defined]
    form, rows = request.GET.get("form", "csv"), taken(asked, viewer)
    levels, _masked = queries.levels_of(rows)
    if waits := must_wait(request, "search", asked.fixed(), form=form, levels=levels):
        return waits
    actions.touch(Touched.EXPORT, levels, masked=_masked, asked=asked.address(), actor=viewer)
    actions.note_export(asked.address(), actor=viewer)
    if form == "parquet":
        return as_file(pa.Table.from_pylist(rows, schema=TAKEN), "parquet", name="events")
    answer = StreamingHttpResponse(_csv(rows), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="events-{clock.now():%Y%m%d-%H%M%S}.csv"'
    return answer


def taken(asked: Asked, viewer: Viewer) -> list[dict[str, Any]]:
    """What is asked, as it may leave."""
    more, rows = "", list[dict[str, Any]]()
    while len(rows) < EXPORTED:
        found = queries.search(asked.question(after=more, limit=500), viewer=viewer)
        rows += queries.left(found.events, To.EXPORT, viewer)
        more = found.more
        if not more:
            break
    return rows


def _csv(rows: list[dict[str, Any]]) -> Iterator[str]:
    class Line:
        def write(self, text: str) -> str:
            return text

    writer, first = csv.writer(Line()), True
    yield "\ufeff"
    for event in rows:
        if first:
            yield writer.writerow([title(name) for name in event if name != "masked"])
        first = False
        yield writer.writerow([cell(value) for name, value in event.items() if name != "masked"])


def line(event: dict[str, Any]) -> dict[str, Any]:
    """An event as a row of the list: who, where, and one sentence of what."""
    return {**event, "class": class_name(event["class_uid"]), "about": sentence(event), "fired": len(event["rules"] or ()), "who": event["user"] or event["actor_user"], "from": event["src_ip"]}


def sentence(event: dict[str, Any]) -> str:
    """What happened, in one line: what an analyst would read out."""
    told = event["process_cmd"] or event["message"]
    if told:
        return str(told)
    parts = [activity_name(event["class_uid"], event["activity_id"]), status_name(event["status_id"]) if event["class_uid"] in (3002, 3003, 3005) else ""]
    to = event["dst_host"] or event["dst_ip"]
    parts += [
        f"{event['actor_user']} → {event['user']}" if event["actor_user"] and event["user"] and event["actor_user"] != event["user"] else "",
        f"{title('logon_type')} {event['logon_type']}" if event["logon_type"] is not None else "",
        " ".join(str(event[name]) for name in ("http_method", "url", "http_status") if event[name] is not None),
        *(str(event[name]) for name in ("domain", "service", "reg_key", "file", "process") if event[name]),
        f"→ {to}:{event['dst_port']}" if to and event["dst_port"] else f"→ {to}" if to else "",
    ]
    found = [part for part in parts if part]
    return " · ".join(found) if len(found) > 1 else str(event["raw"] or "")


def chart(bars: Histogram) -> dict[str, Any]:
    """The histogram as an ECharts option; category labels in local time."""
    long = bars.seconds >= 86400
    wide = (bars.starts[-1] - bars.starts[0]).total_seconds() > 86400
    form = "%m-%d" if long else "%m-%d %H:%M" if wide else "%H:%M" if bars.seconds >= 60 else "%H:%M:%S"
    labels = [timezone.localtime(start).strftime(form) for start in bars.starts]
    return {
        "xAxis": {"type": "category", "data": labels}, "yAxis": {"type": "value", "minInterval": 1, "splitNumber": 2},
        "series": [{"type": "bar", "name": translate("events"), "data": list(bars.counts), "barCategoryGap": "12%", "large": False}],
    }  # fmt: skip


@finder
def find_in_logs(words: str, viewer: Viewer) -> Iterator[Found]:
    """The search everywhere leads into the logs."""
    if viewer.may("lake.event.view") and words:
        yield Found(title=translate("Search the logs for “%s”") % words, url=f"{reverse('lake:search')}?{urlencode({'q': words, 'span': '7d'})}", kind=translate("Log search"), icon="list-search")
