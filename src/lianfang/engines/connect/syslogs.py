"""The ``syslog`` codec: RFC 5424 and RFC 3164 told apart by looking, and the lines that daemons write to files.

What does not follow either stays whole in ``message``: a syslog record is refused only when it is empty or too large.
Patterns are linear in the record. Names: ``timestamp hostname program pid msgid message facility severity``,
structured data as ``sd.<id>.<name>``; messages of sshd, sudo, PAM and web servers are read by ``unix``.
"""

from __future__ import annotations

import re

from lianfang.engines.connect import unix
from lianfang.engines.connect.flatten import put
from lianfang.engines.connect.limits import Limits, Unreadable
from lianfang.engines.connect.text import text_of

FACILITIES = ("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit", "alert", "clock", *(f"local{n}" for n in range(8)))
SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")

_PRI = re.compile(r"<(\d{1,3})>", re.ASCII)
_5424 = re.compile(r"1 (\S{1,48}+) (\S{1,255}+) (\S{1,48}+) (\S{1,128}+) (\S{1,32}+) ?(.*+)", re.DOTALL)
_SD_ELEMENT = re.compile(r'\[([^ =\]"]{1,32}+)((?: [^ =\]"]{1,32}+="(?:[^"\\\]]|\\.)*+")*+)\]', re.DOTALL)
_SD_PARAM = re.compile(r' ([^ =\]"]{1,32}+)="((?:[^"\\\]]|\\.)*+)"', re.DOTALL)
_TIME = r"((?:[A-Z][a-z]{2} [ \d]?\d (?:\d{4} )?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: \d{4}(?![\d.:])| [A-Z]{3,5}(?=[: ]))?)|(?:\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z| ?[+-]\d\d:?\d\d)?))"
_3164 = re.compile(r"[*.]?" + _TIME + r":? ++(?:([^\s:\[\]]{1,255}|[0-9A-Fa-f:.]{2,45}) ++)?(.*+)", re.DOTALL | re.ASCII)
_TAG = re.compile(r"([^\s:\[\]]{1,128}+)(?:\[([^\]\s]{1,64}+)\])?+: ?(.*+)", re.DOTALL)
"""Bounded or possessive throughout, and matched at the beginning only: no text makes them go back more than a few steps."""


def row_of(frame: bytes, *, limits: Limits, encoding: str = "utf-8") -> dict[str, str]:
    """One syslog record → a flat row; raises ``Unreadable``.

    >>> row = row_of(b"<38>Nov 20 08:00:01 web1 sshd[714]: Failed password for root from 192.0.2.7 port 50022 ssh2", limits=Limits())
    >>> row["program"], row["hostname"], row["user"], row["src_ip"], row["action"]
    ('sshd', 'web1', 'root', '192.0.2.7', 'failed')
    """
    row = parsed(text_of(frame, limits=limits, encoding=encoding), limits=limits)
    return unix.enrich(row)


def parsed(text: str, *, limits: Limits) -> dict[str, str]:
    """The text of a record → header fields and ``message``, which is not looked into."""
    row: dict[str, str] = {}
    rest = _priority(row, text)
    _rfc5424(row, rest, limits) or _rfc3164(row, rest)
    return row


def split(text: str, *, limits: Limits) -> tuple[dict[str, str], str]:
    """A device's record → the syslog header it came under, and the rest. Without a priority or a time there is no header.

    >>> split("<190>Nov 20 08:00:01 fw1 a=1 b=2", limits=Limits())
    ({'facility': 'local7', 'severity': 'info', 'timestamp': 'Nov 20 08:00:01', 'hostname': 'fw1'}, 'a=1 b=2')
    >>> split("date=2026-11-20 a: b", limits=Limits())
    ({}, 'date=2026-11-20 a: b')
    """
    row = parsed(text, limits=limits)
    if "facility" not in row and "timestamp" not in row:
        return {}, text
    return row, row.pop("message")


def _priority(row: dict[str, str], text: str) -> str:
    """``<34>`` → facility and severity (RFC 5424 section 6.2.1)."""
    found = _PRI.match(text)
    if found is None or int(found[1]) > 191:
        return text
    number = int(found[1])
    row["facility"], row["severity"] = FACILITIES[number >> 3], SEVERITIES[number & 7]
    return text[found.end() :]


def _rfc5424(row: dict[str, str], text: str, limits: Limits) -> bool:
    """Version 1 header, structured data, message. ``-`` is nothing."""
    found = _5424.match(text) if text.startswith("1 ") else None
    if found is None:
        return False
    for name, value in zip(("timestamp", "hostname", "program", "pid", "msgid"), found.groups()):
        if value != "-":
            row[name] = value
    rest = _structured(row, found[6], limits)
    row["message"] = rest.removeprefix("\ufeff")
    return True


def _structured(row: dict[str, str], text: str, limits: Limits) -> str:
    """``[id name="value"]…`` → ``sd.id.name``; gives back the message. Malformed data stays in the message."""
    if text.startswith("-"):
        return text[1:].removeprefix(" ")
    while text.startswith("[") and (found := _SD_ELEMENT.match(text)) is not None:
        for name, value in _SD_PARAM.findall(found[2]):
            put(row, f"sd.{found[1]}.{name}", unescaped(value))
        if len(row) > limits.fields:
            raise Unreadable(f"More than {limits.fields:,} fields", "Send one event per record.")
        text = text[found.end() :]
    return text.removeprefix(" ")


def unescaped(value: str) -> str:
    r"""``\"``, ``\\`` and ``\]`` of RFC 5424 section 6.3.3.

    >>> unescaped(r'a\"b\]c')
    'a"b]c'
    """
    for escaped, plain in (('\\"', '"'), ("\\]", "]"), ("\\\\", "\\")):
        value = value.replace(escaped, plain)
    return value


def _rfc3164(row: dict[str, str], text: str) -> bool:
    """Time, host, tag and message as far as they are there; the rest is the message."""
    found = _3164.match(text)
    if found is None:
        rest = text
    else:
        row["timestamp"] = found[1]
        rest = _host(row, found)
    tag = _TAG.match(rest)
    if tag is None:
        row["message"] = rest
        return True
    row["program"], row["message"] = tag[1], tag[3]
    if tag[2]:
        row["pid"] = tag[2]
    return True


def _host(row: dict[str, str], found: re.Match[str]) -> str:
    """The word after the time is the host, unless it is already the tag."""
    if found[2]:
        row["hostname"] = found[2]
    return found[3]
