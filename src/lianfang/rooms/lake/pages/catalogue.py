"""The catalogue of tables and columns, and the page where people ask in SQL."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.pages import Nav, page, show
from lianfang.commons.people import queries as people
from lianfang.engines.schema.events import COLUMNS
from lianfang.kernel import clock
from lianfang.kernel.errors import Fault
from lianfang.kernel.labels import DataLevel
from lianfang.rooms.lake import actions, queries
from lianfang.rooms.lake.pages.asking import title
from lianfang.rooms.lake.pages.sources import REASONS, reason_lines
from lianfang.rooms.lake.queries.scope import OPEN
from lianfang.rooms.lake.types import FAMILIES, Answer, Touched

KINDS: dict[str, Any] = {"text": pgettext_lazy("column", "text"), "int": pgettext_lazy("column", "number"), "time": pgettext_lazy("column", "time"), "list": pgettext_lazy("column", "list")}
EXAMPLES: tuple[tuple[Any, str], ...] = (
    (_("The busiest hosts"), "SELECT host, count(*) AS events\nFROM events\nGROUP BY host\nORDER BY events DESC\nLIMIT 20"),
    (_("Failed logons by address"), "SELECT src_ip, user, count(*) AS tries\nFROM events\nWHERE class_uid = 3002 AND status_id = 2\nGROUP BY ALL\nORDER BY tries DESC"),
    (_("Rules that fired, by day"), "SELECT event_day, unnest(rules) AS rule, count(*) AS times\nFROM events\nGROUP BY ALL\nORDER BY event_day DESC, times DESC"),
)
SHOWN = 500


@page("catalogue/", name="catalogue", permission="lake.event.view", nav=Nav("logs", _("Event tables"), order=16, icon="database"))
def catalogue(request: HttpRequest) -> HttpResponse:
    """What is stored: tables with their size and freshness, columns with their meaning."""
    viewer = request.viewer  # type: ignore[attr-defined]
    tables = [{"label": FAMILIES[one.name], "figures": one} for one in queries.catalogue(viewer=viewer)]
    columns = [{"name": column.name, "title": title(column.name), "kind": KINDS[column.kind], "ocsf": column.path, "open": column.name in OPEN} for column in COLUMNS]
    return show(request, "lake/catalogue.html", {"tables": tables, "columns": columns, "whole": any(one["figures"].files for one in tables)})


@page("catalogue/<str:name>/", name="table", permission="lake.event.view", title=_("Event table"), parent="catalogue")
def table(request: HttpRequest, name: str) -> HttpResponse:
    """One table: owners, levels and how long they are kept, and how well the columns were filled during the last day."""
    viewer = request.viewer  # type: ignore[attr-defined]
    story = queries.table_story(name, viewer=viewer)
    owners = [{"name": people.name_of(one.organisation) if one.organisation else "", "figures": one} for one in story.owners]
    feeding = {source for one in story.owners for source in one.sources}
    groups = [group for group in queries.reject_groups(viewer=viewer) if group.source in feeding] if viewer.may("lake.reject.view") else None
    columns = [{"name": column.name, "title": title(column.name), "share": round(100 * story.filled[column.name], 1), "hidden": column.name not in OPEN} for column in COLUMNS if column.name in story.filled]
    return show(request, "lake/table.html", {"story": story, "owners": owners, "rejects": None if groups is None else sum(group.count for group in groups), "lines": reason_lines(groups or ())[:REASONS], "sources": True, "columns": columns, "levels": [{"name": DataLevel(one.level).name, "figures": one} for one in story.levels]}, title=str(FAMILIES[name]))


@page("sql/", name="sql", permission="lake.event.view", nav=Nav("logs", _("SQL"), order=14, icon="terminal-2"))
def sql(request: HttpRequest) -> HttpResponse:
    """One SELECT over ``events`` and its answer."""
    text = request.POST.get("sql", "") or EXAMPLES[0][1]
    context: dict[str, Any] = {"sql": text, "examples": EXAMPLES, "may_export": request.viewer.may("lake.event.export")}  # type: ignore[attr-defined]
    if request.method == "POST":
        try:
            context["as_of"] = request.POST.get("as_of", "")
            viewer, as_of = request.viewer, clock.parse(context["as_of"]) if context["as_of"] else None  # type: ignore[attr-defined]
            table = queries.sql_table(text, viewer=viewer, limit=SHOWN, as_of=as_of)
            rows = list(zip(*(column.to_pylist() for column in table.columns)))[:SHOWN]
            actions.touch(Touched.SQL, {queries.sql_level(text, table, viewer=viewer, limit=SHOWN, as_of=as_of): len(rows)}, asked=text, actor=viewer)
            context |= {"answer": Answer(tuple(table.column_names), tuple(rows), table.num_rows > SHOWN), "rows": [[_cell(value) for value in row] for row in rows]}
        except Fault as fault:
            context["fault"] = fault
    return show(request, "lake/sql.html", context)


def _cell(value: Any) -> dict[str, Any]:
    return {"moment": value} if isinstance(value, datetime) else {"text": "; ".join(map(str, value)) if isinstance(value, list) else value, "number": isinstance(value, int | float)}
