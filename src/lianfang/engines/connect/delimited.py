"""The ``csv``, ``tsv`` and ``zeek`` codecs: records whose names stand in a line above them.

The header is a line among the frames, or given by the caller (the header of the batch before, or the names that the
source declares). Without one nothing is guessed: each record is a reject that says so. CSV: RFC 4180, also with ``;``
or ``|``. Zeek: its ASCII writer (``#fields``, ``#types``, escapes ``\\xNN``) and its JSON writer.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field

from lianfang.engines.connect import jsons, zeek
from lianfang.engines.connect.flatten import put
from lianfang.engines.connect.limits import Limits, Unreadable
from lianfang.engines.connect.text import text_of

_NO_HEADER = Unreadable("No line with the names of the columns came before this record", "Name the columns at the source, in their order, or send files from their first line.")
_VALUE = re.compile(r"^[\d\s.,:;+\-/TZ\"']*$")
_NAME = re.compile(r"[^\W\d][\w .#%()（）/_-]{0,60}")
_ESCAPE = re.compile(r"\\x([0-9A-Fa-f]{2})")


def names_of(line: str, delimiter: str = "") -> tuple[str, list[str]] | None:
    """A header line → delimiter and names; ``None`` when the line holds values (a number, a time, nothing, one name twice).

    >>> names_of("time,src_ip;x,action"), names_of("2026-11-20,192.0.2.7,deny"), names_of("a,a"), names_of("a;b")
    ((',', ['time', 'src_ip;x', 'action']), None, None, (';', ['a', 'b']))
    """
    mark = delimiter or max(",;|\t", key=lambda each: (line.count(each), each == ","))
    cells = [cell.strip() for cell in _cells(line, mark)[0]]
    return (mark, cells) if len(cells) > 1 and len(set(cells)) == len(cells) and not any(map(_VALUE.match, cells)) else None


def is_table(head: bytes) -> str:
    r"""The encoding of a file that begins with the names of at least three columns and a record of as many values; ``""`` when it is something else.

    >>> is_table(b"IP,CVE,Severity\r\n192.0.2.7,CVE-2014-0160,High\r\n"), is_table("漏洞名称,等级,IP\n弱口令,高,192.0.2.7".encode("gbk")), is_table(b"Nov 20, a, b\nx")
    ('utf-8', 'gb18030', '')
    """
    lines = [line for line in head.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()][:2]
    if len(lines) < 2:
        return ""
    for encoding in ("utf-8", "gb18030"):
        try:
            first, second = (line.decode(encoding) for line in lines)
            found = names_of(first)
            if found and len(found[1]) >= 3 and all(map(_NAME.fullmatch, found[1])) and len(_cells(second, found[0])[0]) == len(found[1]):
                return encoding
        except (UnicodeDecodeError, Unreadable):
            continue
    return ""


def _cells(text: str, delimiter: str) -> list[list[str]]:
    try:
        return [cells for cells in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if cells] or [[""]]
    except csv.Error as error:
        raise Unreadable(f"Not a record of columns: {error}", "Quote values that hold the delimiter or a line feed (RFC 4180).") from error


@dataclass(slots=True)
class Columns:
    """Reads CSV or TSV; knows the header in force."""

    limits: Limits
    encoding: str
    delimiter: str = ""
    names: list[str] = field(default_factory=list)
    mark: str = ","

    def begin(self, header: str) -> None:
        """A header from outside; nothing when it is empty."""
        if header.strip():
            self.mark = self.delimiter or max(",;|\t", key=lambda each: (header.count(each), each == ","))
            self.names = [cell.strip() for cell in _cells(header, self.mark)[0]]

    def header(self) -> str:
        """The header in force, for the next batch."""
        out = io.StringIO()
        csv.writer(out, delimiter=self.mark, lineterminator="").writerow(self.names)
        return out.getvalue()

    def read(self, frame: bytes) -> list[dict[str, str]]:
        """One frame → its rows; none when it is a header; raises ``Unreadable``."""
        text = text_of(frame, limits=self.limits, encoding=self.encoding)
        if not self.names:
            first, _, rest = text.partition("\n")
            found = names_of(first.rstrip("\r"), self.delimiter)
            if found is None:
                raise _NO_HEADER
            self.mark, self.names = found
            text = rest
        return [self._row(cells) for cells in _cells(text, self.mark) if cells != self.names] if text.strip() else []

    def _row(self, cells: list[str]) -> dict[str, str]:
        if len(cells) != len(self.names):
            raise Unreadable(f"{len(cells)} values, but the header names {len(self.names)} columns", "Quote values that hold the delimiter; if the columns have changed, name the new ones at the source.")
        if len(cells) > self.limits.fields:
            raise Unreadable(f"More than {self.limits.fields:,} fields", "Send fewer columns.")
        row: dict[str, str] = {}
        for number, (name, value) in enumerate(zip(self.names, cells), 1):
            if value:
                put(row, name or f"column{number}", value)
        return row


@dataclass(slots=True)
class Zeek:
    """Reads Zeek's own logs; knows the header in force."""

    limits: Limits
    encoding: str
    fields: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    separator: str = "\t"
    sets: str = ","
    empty: str = "(empty)"
    unset: str = "-"
    path: str = ""

    def begin(self, header: str) -> None:
        """The ``#`` lines of the batch before."""
        for line in header.splitlines():
            self._describe(line)

    def header(self) -> str:
        """The ``#`` lines in force, for the next batch."""
        if not self.fields:
            return ""
        lines = [f"#separator \\x{ord(self.separator):02x}"]
        for name, value in (("set_separator", self.sets), ("empty_field", self.empty), ("unset_field", self.unset), ("path", self.path), ("fields", self.separator.join(self.fields)), ("types", self.separator.join(self.types))):
            lines.append(f"#{name}{self.separator}{value}")
        return "\n".join(lines)

    def read(self, frame: bytes) -> list[dict[str, str]]:
        """One frame (a line, or a whole log) → its rows; none for ``#`` lines; raises ``Unreadable``."""
        text = text_of(frame, limits=self.limits, encoding=self.encoding)
        if text.lstrip().startswith("{"):
            return [jsons.row_of(frame, limits=self.limits)]
        rows = []
        for line in text.split("\n"):
            if line.startswith("#"):
                self._describe(line.rstrip("\r"))
            elif line.strip():
                rows.append(self._row(line.rstrip("\r")))
        return rows

    def _describe(self, line: str) -> None:
        if line.startswith("#separator "):
            code = line.partition(" ")[2].strip()
            self.separator = chr(int(code[2:], 16)) if re.fullmatch(r"\\x[0-9A-Fa-f]{2}", code) else code[:1] or "\t"
            return
        name, _, rest = line[1:].partition(self.separator)
        if name == "fields":
            self.fields, self.types = [cell.strip() for cell in rest.split(self.separator)[: self.limits.fields]], []
        elif name == "types":
            self.types = rest.split(self.separator)[: self.limits.fields]
        elif name in ("path", "set_separator", "empty_field", "unset_field"):
            setattr(self, {"set_separator": "sets", "empty_field": "empty", "unset_field": "unset", "path": "path"}[name], rest[:64])

    def _row(self, line: str) -> dict[str, str]:
        if not self.fields:
            raise _NO_HEADER
        cells = line.split(self.separator)
        if len(cells) != len(self.fields):
            raise Unreadable(f"{len(cells)} values, but #fields names {len(self.fields)}", "The line was cut off, or the log was rotated without its header: send the file from its first line.")
        row: dict[str, str] = {}
        for number, (name, cell) in enumerate(zip(self.fields, cells)):
            kind = self.types[number] if number < len(self.types) else "string"
            if cell not in (self.unset, self.empty, ""):
                put(row, name or f"column{number + 1}", self._value(cell, kind))
        if self.path:
            row.setdefault("_path", self.path)
        return zeek.native(row)

    def _value(self, cell: str, kind: str) -> str:
        parts = cell.split(self.sets) if self.sets and kind.startswith(("set[", "vector[")) else [cell]
        return "\n".join(_ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] != "00" else "␀", part) for part in parts)
