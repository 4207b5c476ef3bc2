"""The ``auditd`` codec: the records of one Linux audit event, joined, under the names of the audit daemon.

``type`` is the record that says most (the command that was run, else the first); all of them are in ``types``. A field
that several records have is kept under ``RECORD.name`` for the later ones. Values that the kernel writes in hexadecimal
(because users choose them) are read. Format: linux-audit ``audit-userspace`` and ``auparse``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lianfang.engines.connect.flatten import NUL, put
from lianfang.engines.connect.limits import Limits, Unreadable
from lianfang.engines.connect.text import text_of

_RECORD = re.compile(r"(?:node=(\S{1,255}+) )?type=(\S{1,64}+) msg=audit\((\d{1,12}\.\d{1,9}):(\d{1,20})\): ?(.*+)", re.DOTALL)
_PAIR = re.compile(r"([A-Za-z_][\w\-\[\]]{0,63}+)=(\"[^\"]*+\"|'[^']*+'|\S*+)")
_HEX = re.compile(r"(?:[0-9A-F]{2})+")
_WRITTEN_IN_HEX = frozenset({"proctitle", "comm", "exe", "name", "cwd", "cmd", "data", "acct", "path", "key", "vm"})
_ARGUMENT = re.compile(r"a\d{1,4}(?:\[\d+\])?")
_NOTHING = ("(null)", "?", "(none)", '"?"')


def row_of(frames: Sequence[bytes], *, limits: Limits, encoding: str) -> dict[str, str]:
    """The records of one event (each may hold several lines) → one row; raises ``Unreadable``.

    >>> frames = [b'type=SYSCALL msg=audit(1795161600.5:7): syscall=59 success=yes a0=55d exe="/usr/bin/id" auid=1000', b'type=EXECVE msg=audit(1795161600.5:7): argc=2 a0="id" a1=2D75']
    >>> row = row_of(frames, limits=Limits(), encoding="utf-8")
    >>> row["type"], row["types"], row["a0"], row["a1"], row["SYSCALL.a0"], row["cmdline"]
    ('EXECVE', 'SYSCALL\\nEXECVE', 'id', '-u', '55d', 'id -u')
    """
    records = [found for frame in frames for line in text_of(frame, limits=limits, encoding=encoding).split("\n") if (found := _RECORD.search(line))]
    if not records:
        raise Unreadable("Not a record of the audit daemon", "Send /var/log/audit/audit.log as it is, or let the format be found by itself.")
    first = next((each for each in records if each[2] == "EXECVE"), records[0])
    row = {"type": first[2], "types": "\n".join(each[2] for each in records), "timestamp": first[3], "serial": first[4]}
    if first[1]:
        row["node"] = first[1]
    for record in (first, *(each for each in records if each is not first)):
        for name, value in _fields(record[5], record[2] == "EXECVE"):
            if row.get(name) != value:
                put(row, name if name not in row else f"{record[2]}.{name}", value)
            if len(row) > limits.fields:
                raise Unreadable(f"More than {limits.fields:,} fields", "Send one event per record.")
    if first[2] == "EXECVE":
        row["cmdline"] = " ".join(row[f"a{number}"] for number in range(_count(row)) if f"a{number}" in row)
    return row


def _count(row: dict[str, str]) -> int:
    return min(int(row["argc"]), 1024) if row.get("argc", "").isascii() and row.get("argc", "").isdigit() and len(row["argc"]) < 9 else 64


def _fields(text: str, arguments: bool) -> list[tuple[str, str]]:
    """Names and values; the inner message of user space is looked into."""
    found = []
    for name, value in _PAIR.findall(text):
        if name == "msg" and value[:1] == "'":
            found += _fields(value[1:-1], False)
        elif value and value not in _NOTHING:
            found.append((name, _plain(name, value, arguments)))
    return found


def _plain(name: str, value: str, arguments: bool) -> str:
    if value[:1] in "\"'":
        return value[1:-1]
    if (name in _WRITTEN_IN_HEX or (arguments and _ARGUMENT.fullmatch(name))) and len(value) > 1 and _HEX.fullmatch(value):
        return bytes.fromhex(value).decode("utf-8", "replace").rstrip("\0").replace("\0", " " if name == "proctitle" else NUL)
    return value
