"""Taking away: what a question in SQL answers, as a file of CSV or Parquet; with a permission, and on record.

In: an Arrow table. Out: the bytes of a file.
"""

from __future__ import annotations

import csv
import io
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext

from lianfang.commons.frame.pages import page, show
from lianfang.engines.masking import To
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import actions, queries
from lianfang.rooms.lake.types import Touched

TAKEN = 100_000
TYPES = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}


@page("sql/export/", name="sql_export", permission="lake.event.export", parent="sql")
def sql_export(request: HttpRequest) -> HttpResponse:
    """The answer to one SELECT, at most 100,000 rows. What cannot be asked is not on record, what was taken is."""
    viewer, text, form = request.viewer, request.POST.get("sql", ""), request.POST.get("form", "csv")  # type: ignore[attr-defined]
    as_of = clock.parse(request.POST["as_of"]) if request.POST.get("as_of") else None
    table, levels = answered(text, viewer=viewer, as_of=as_of)
    answer = as_file(table, form, name="answer")
    if waits := must_wait(request, "sql", text, form=form, levels=levels):
        return waits
    actions.touch(Touched.EXPORT, levels, asked=text, actor=viewer)
    actions.note_export(f"SQL → {form}: {text}", actor=viewer)
    return answer


def answered(text: str, *, viewer: Viewer, as_of: datetime | None = None) -> tuple[pa.Table, dict[int, int]]:
    """The answer to one SELECT as it may leave, and its rows by level."""
    table = queries.sql_table(text, viewer=viewer, limit=TAKEN, as_of=as_of, to=To.EXPORT)
    level = queries.sql_level(text, table, viewer=viewer, limit=TAKEN, as_of=as_of, to=To.EXPORT)
    return table.slice(0, TAKEN), {level: min(table.num_rows, TAKEN)}


def must_wait(request: HttpRequest, kind: str, asked: str, *, form: str, levels: dict[int, int]) -> HttpResponse | None:
    """The page on which to ask a second person, where this viewer may not take these levels away alone; otherwise nothing."""
    viewer = request.viewer  # type: ignore[attr-defined]
    level = max((level for level, rows in levels.items() if rows), default=0)
    if level < queries.approving(viewer):
        return None
    actions.note_waiting(Touched.EXPORT, levels, asked=asked, actor=viewer)
    return show(request, "lake/export_ask.html", {"kind": kind, "asked": asked, "form": form, "level": level, "rows": sum(levels.values())}, status=403, title=gettext("This needs approval"))


def as_file(table: pa.Table, form: str, *, name: str) -> HttpResponse:
    """A table as a download. Raises ``Invalid`` for a form that there is not."""
    if form not in TYPES:
        raise Invalid(f"“{form[:20]}” is no form of file", todo="Choose csv or parquet.")
    answer = HttpResponse(_parquet(table) if form == "parquet" else _csv(table), content_type=TYPES[form])
    answer["Content-Disposition"] = f'attachment; filename="{name}-{clock.now():%Y%m%d-%H%M%S}.{form}"'
    return answer


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _csv(table: pa.Table) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(table.column_names)
    writer.writerows([cell(value) for value in row] for row in zip(*(column.to_pylist() for column in table.columns)))
    return text.getvalue().encode("utf-8-sig")


def cell(value: Any) -> str:
    """A cell that a spreadsheet takes for text, never for a formula."""
    text = "; ".join(map(str, value)) if isinstance(value, list) else clock.text(value) if hasattr(value, "tzinfo") else "" if value is None else str(value)
    return f"'{text}" if text[:1] in "=+-@\t\r" and not isinstance(value, int | float) else text
