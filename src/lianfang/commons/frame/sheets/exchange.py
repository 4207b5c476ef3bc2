"""A sheet as a table of a spreadsheet: out as CSV or XLSX, exactly what is shown.

In: a question. Out: a streamed file. A cell that a spreadsheet would run as a formula is defused (OWASP, CSV injection).
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from typing import Any

import xlsxwriter
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import journal, pages
from lianfang.commons.frame.sheets import cells
from lianfang.commons.frame.sheets.declare import Sheet
from lianfang.commons.frame.sheets.question import Question
from lianfang.commons.frame.sheets.views import partial_view
from lianfang.kernel.errors import Invalid
from lianfang.kernel.ref import Ref

MOST = 100_000
"""Rows of one worksheet; a CSV file takes all."""


def open_pages(sheet: Sheet) -> None:
    """Declare the export page of a sheet."""
    pages.page(f"{sheet.path}/export/", name=f"{sheet.kind}_export", permission=sheet.permission("export"), title=_("Export"), parent=f"{sheet.kind}_list", room=sheet.room)(partial_view(export, sheet))


def export(request: HttpRequest, sheet: Sheet) -> HttpResponse | StreamingHttpResponse | FileResponse:
    """The rows that the list shows, in its order, with its columns."""
    request.viewer.must(sheet.permission("view"))  # type: ignore[attr-defined]
    question = Question.of(sheet, request.GET, request.viewer)  # type: ignore[attr-defined]
    form = request.GET.get("format", "csv")
    write = {"csv": as_csv, "xlsx": as_xlsx}.get(form)
    if write is None:
        raise Invalid("There is no such format", why=form[:20], todo="Choose csv or xlsx.")
    if form == "xlsx" and question.rows().order_by()[: MOST + 1].count() > MOST:
        raise Invalid("Too many entries for one worksheet", why=gettext("More than %d entries answer to these conditions.") % MOST, todo="Narrow the list, or take CSV: it holds them all.")
    journal.tell(f"{sheet.room}.{sheet.kind}_exported", Ref(sheet.room, sheet.kind, "list"), actor=question.viewer, label=str(sheet.title), detail={"format": form, "conditions": question.sentence(), "columns": [column.name for column in question.columns]})
    return write(question, f"{sheet.kind}-{timezone.localtime():%Y%m%d-%H%M%S}.{form}")


def table(question: Question) -> Iterator[list[Any]]:
    """Headings, then rows."""
    yield [str(column.label) for column in question.columns]
    for row in question.every():
        yield [cells.text_of(column, row) for column in question.columns]


def defused(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets an apostrophe before it.

    >>> defused("=1+1"), defused("plain"), defused(-3)
    ("'=1+1", 'plain', -3)
    """
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠") else value


class _Echo:
    """A file that gives back what is written to it."""

    def write(self, text: str) -> str:
        return text


def as_csv(question: Question, name: str) -> StreamingHttpResponse:
    """UTF-8 with a mark at its beginning, so that spreadsheets read Chinese; streamed row by row."""
    writer = csv.writer(_Echo())

    def lines() -> Iterator[str]:
        yield "\ufeff"
        for row in table(question):
            yield writer.writerow([defused(value) for value in row])

    answer = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def as_xlsx(question: Question, name: str) -> FileResponse:
    """One worksheet, written with constant memory; text is never a formula or a link."""
    draft = tempfile.TemporaryFile()  # noqa: SIM115  (FileResponse closes it)
    book = xlsxwriter.Workbook(draft, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False})
    sheet, bold = book.add_worksheet(pgettext("worksheet", "List")), book.add_format({"bold": True})
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, max(len(question.columns) - 1, 0), 22)
    for number, row in enumerate(table(question)):
        for place, value in enumerate(row):
            if isinstance(value, str):
                sheet.write_string(number, place, value[:32767], bold if number == 0 else None)
            else:
                sheet.write_number(number, place, value)
    book.close()
    draft.seek(0)
    return pages.download(draft, name, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
