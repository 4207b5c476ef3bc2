"""The ``lines`` codec: log records of applications, of one line or many (Java and Python stack traces) → a row.

``timestamp level thread logger message`` of the first line as far as it has them; ``exception``, its message, the last
``cause`` and the ``stack`` of what follows. A line that is of no known shape is ``message``, whole.
"""

from __future__ import annotations

import re

from lianfang.engines.connect import syslogs
from lianfang.engines.connect.limits import Limits
from lianfang.engines.connect.text import text_of, under

_TIME = re.compile(r"[\[(]?(\d{4}[-/.]\d\d[-/.]\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z| ?[+-]\d\d:?\d\d)?)[\])]?")
_LEVEL = re.compile(r"\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|SEVERE|CRITICAL|FATAL)\b")
_THREAD = re.compile(r"\[([^\[\]]{1,80})\]")
_LOGGER = re.compile(r"(?<![\w.$])([A-Za-z_$][\w$]{0,60}(?:\.[\w$]{1,60}){1,20}+)(?=\s*(?:[:\-]|\[))")
_JAVA = re.compile(r'^(?:Exception in thread "[^"\n]{0,200}" )?((?:[\w$]{1,80}\.){0,30}[\w$]{0,80}(?:Exception|Error|Throwable))(?::[ \t]?([^\n]*+))?$', re.MULTILINE)
_CAUSE = re.compile(r"^\s*Caused by: ([\w$.]{1,400}+)", re.MULTILINE)
_PYTHON = re.compile(r"^([A-Za-z_][\w.]{0,200}+)(?::[ \t]?([^\n]*+))?$", re.MULTILINE)
_WITHIN = 400
"""Characters of the first line in which level, thread and logger may stand."""


def row_of(frame: bytes, *, limits: Limits, encoding: str) -> dict[str, str]:
    r"""One record, its lines joined by line feeds → a row; raises ``Unreadable``.

    >>> row = row_of(b"2026-11-20 08:00:01,123 ERROR [main] com.acme.Pay - refused\njava.lang.IllegalStateException: no\n\tat com.acme.Pay.run(Pay.java:1)", limits=Limits(), encoding="utf-8")
    >>> row["level"], row["thread"], row["logger"], row["message"], row["exception"], row["exception_message"]
    ('ERROR', 'main', 'com.acme.Pay', 'refused', 'java.lang.IllegalStateException', 'no')
    """
    header, text = syslogs.split(text_of(frame, limits=limits, encoding=encoding), limits=limits) if frame[:1] == b"<" else ({}, text_of(frame, limits=limits, encoding=encoding))
    first, _, rest = text.partition("\n")
    row = _head(first.rstrip("\r"))
    if rest:
        _stack(row, rest)
    return under(row, header)


def _head(line: str) -> dict[str, str]:
    row = {"record_kind": "lines"}
    end = 0
    if found := _TIME.match(line):
        row["timestamp"], end = found[1], found.end()
    if level := _LEVEL.search(line, end, end + 80):
        row["level"], end = level[1], level.end()
        window = line[: end + _WITHIN]
        thread = _THREAD.search(window, end if end < len(line) and line[end] != "]" else end + 1)
        logger = _LOGGER.search(window, end) or _LOGGER.search(window, 0, level.start())
        if thread and not line[end : thread.start()].strip(" -:|()0123456789") and thread[1] != row.get("timestamp"):
            row["thread"], end = thread[1], thread.end()
        if logger and logger[1] not in row.get("timestamp", ""):
            row["logger"], end = logger[1], max(end, logger.end())
    row["message"] = line[end:].lstrip(" ]):-|\t") or line
    return row


def _stack(row: dict[str, str], rest: str) -> None:
    row["stack"] = rest
    head = rest[:65536]
    if "Traceback (most recent call last)" in head:
        last = [found for found in _PYTHON.finditer(head) if found[2] is not None or found[1].endswith(("Error", "Exception", "Exit", "Interrupt"))]
        found = last[-1] if last else None
    else:
        found = _JAVA.search(head)
    if found:
        row["exception"] = found[1]
        if found[2]:
            row["exception_message"] = found[2].strip()
    causes = _CAUSE.findall(head)
    if causes:
        row["cause"] = causes[-1].rstrip(".:")
