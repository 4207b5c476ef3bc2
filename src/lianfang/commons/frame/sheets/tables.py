"""Tables that people bring: CSV in the encodings of their office, XLSX through calamine. Hostile files are refused before they cost anything.

In: bytes and a file name. Out: headings and lines of plain cells (``str``); ``Invalid`` with what to do.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any

import python_calamine
from django.utils.translation import gettext

from lianfang.kernel.errors import Invalid

BYTES, ROWS, COLUMNS, UNPACKED, CELLS = 20 << 20, 50_000, 200, 200 << 20, 4_000_000
"""At most: bytes of a file, its rows and columns, what an XLSX may unpack to, and cells of its used rectangle."""

_PLACE = re.compile(rb"""\br\s*=\s*["']([A-Z]{0,3})(\d{1,7})["']""")


def read(name: str, content: bytes) -> tuple[list[str], list[list[str]]]:
    """The first table of a file: its headings and the lines below that hold anything."""
    if len(content) > BYTES:
        raise Invalid("The file is too big", why=gettext("At most %d MB are taken.") % (BYTES >> 20), todo="Split it.")
    lines = _xlsx(content) if content[:4] == b"PK\x03\x04" else _csv(name, content)
    filled = [[_plain(cell) for cell in line] for line in lines if any(cell not in ("", None) for cell in line)]
    if len(filled) < 2:
        raise Invalid("The file holds no lines", why="A first line with headings and at least one below it are needed.", todo="Download the template and fill it in.")
    if len(filled) > ROWS + 1:
        raise Invalid("The file has too many lines", why=gettext("At most %d lines are taken at once.") % ROWS, todo="Split it.")
    headings = [heading.strip() for heading in filled[0]]
    double = sorted({heading for heading in headings if heading and headings.count(heading) > 1})
    if double or len(headings) > COLUMNS:
        raise Invalid("The headings are not clear", why=gettext("Twice: %s") % ", ".join(double) if double else gettext("At most %d columns are taken.") % COLUMNS, todo="Give every column a heading of its own.")
    return headings, filled[1:]


def _csv(name: str, content: bytes) -> Iterable[list[Any]]:
    if b"\0" in content[:4096]:
        raise Invalid("This is neither a CSV nor an XLSX file", why=name[:80], todo="Save it as .xlsx or .csv; old .xls files too.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("gb18030", errors="replace")
    head = text[:4096].split("\n", 1)[0]
    mark = max(",;\t", key=head.count)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=mark))
    except csv.Error as error:
        raise Invalid("The CSV file cannot be read", why=str(error), todo="Save it again as CSV (UTF-8).") from error


def _xlsx(content: bytes) -> list[list[Any]]:
    try:
        _harmless(content)
        book = python_calamine.load_workbook(io.BytesIO(content))
        return book.get_sheet_by_index(0).to_python(skip_empty_area=False, nrows=ROWS + 2)
    except (zipfile.BadZipFile, python_calamine.CalamineError, IndexError, ValueError, NotImplementedError) as error:
        raise Invalid("The spreadsheet cannot be read", why=str(error)[:200], todo="Open it and save it again as .xlsx.") from error


def _harmless(content: bytes) -> None:
    """Refuse what would unpack to far more than it weighs, or claims cells at the far corner of the sheet."""
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        if sum(part.file_size for part in packed.infolist()) > UNPACKED:
            raise Invalid("The spreadsheet is too big", why="Unpacked it would need too much memory.", todo="Remove what is not the table, and save it again.")
        for part in packed.namelist():
            if part.startswith("xl/worksheets/") and part.endswith(".xml"):
                with packed.open(part) as opened:
                    _bounded(opened.read(UNPACKED))


def _bounded(sheet: bytes) -> None:
    across = down = 1
    for letters, digits in _PLACE.findall(sheet):
        down = max(down, int(digits))
        across = max(across, _column(letters))
    if across * down > CELLS:
        raise Invalid("The spreadsheet claims too many cells", why=gettext("Something stands as far out as row %(row)d, column %(column)d.") % {"row": down, "column": across}, todo="Delete the empty rows and columns beyond the table, and save it again.")


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _plain(cell: Any) -> str:
    """A cell as text that a form reads back."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "1" if cell else "0"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, datetime | date | time):
        return cell.isoformat()
    return str(cell).strip() if not isinstance(cell, timedelta) else str(cell)
