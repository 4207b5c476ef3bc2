"""The ``web`` codec: access logs (Common and Combined Log Format, with or without a host in front) and error logs of nginx and Apache.

Access records get the W3C names (``cs-method``, ``sc-status`` …); error records ``timestamp level pid client message`` and
what nginx appends (``server request upstream host referrer``). Sources: Apache ``mod_log_config`` and ``core``, nginx ``ngx_log.c``.
"""

from __future__ import annotations

import re

from lianfang.engines.connect import syslogs, unix
from lianfang.engines.connect.flatten import put
from lianfang.engines.connect.limits import Limits, Unreadable
from lianfang.engines.connect.text import text_of, under

_NGINX = re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[([a-z]{3,8})\] (\d{1,10})#(\d{1,10}): (?:\*(\d{1,20}) )?(.*+)", re.DOTALL)
_NGINX_FIELD = re.compile(r", (client|server|request|subrequest|upstream|host|referrer): (\"(?:[^\"\\]|\\.)*+\"|[^,]*+)")
_APACHE = re.compile(r"\[(?:[A-Z][a-z]{2} )?([A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d(?:\.\d{1,9})? \d{4})\] \[(?:([\w-]{0,40}+):)?([a-z0-9]{3,10})\](?: \[pid (\d{1,10})(?::tid (\d{1,20}))?\])?(?: \[client ([^\]]{1,80}+)\])? ?(.*+)", re.DOTALL)
_CLIENT = re.compile(r"(.{2,60}):(\d{1,5})")
_CODE = re.compile(r"(AH\d{5}): ")
_VHOST = re.compile(r"([\w.-]{1,253}+):(\d{1,5}) (?=\S+ \S+ \S+ \[)")


def row_of(frame: bytes, *, limits: Limits, encoding: str) -> dict[str, str]:
    """One access or error record → a row; raises ``Unreadable``.

    >>> row = row_of(b'192.0.2.7 - lin [20/Nov/2026:16:00:00 +0800] "GET /a?b=1 HTTP/1.1" 200 12 "-" "curl/8"', limits=Limits(), encoding="utf-8")
    >>> row["c-ip"], row["cs-method"], row["cs-uri-query"], row["sc-status"], row["cs-username"]
    ('192.0.2.7', 'GET', 'b=1', '200', 'lin')
    >>> row_of(b"[Fri Nov 20 08:00:01.5 2026] [core:error] [pid 7:tid 8] [client 192.0.2.7:5000] AH00037: no", limits=Limits(), encoding="utf-8")["client"]
    '192.0.2.7'
    """
    whole = text_of(frame, limits=limits, encoding=encoding)
    for header, text in (({}, whole), syslogs.split(whole, limits=limits)):
        row = _access(text) if '"' in text else {}
        row = row or _error(text)
        if row:
            return under(row, header)
    raise Unreadable("Neither an access nor an error record of nginx or Apache", "If the server writes a log format of its own, write it as JSON or choose another codec.")


def _access(text: str) -> dict[str, str]:
    if len(text) > unix.LONGEST:
        return {}
    row: dict[str, str] = {}
    host = _VHOST.match(text)
    unix.access(row, text[host.end() :] if host else text)
    if row and host:
        put(row, "cs-host", host[1])
        put(row, "s-port", host[2])
    return row


def _error(text: str) -> dict[str, str]:
    row: dict[str, str] = {}
    found = _NGINX.match(text)
    if found is not None:
        _set(row, timestamp=found[1], level=found[2], pid=found[3], tid=found[4], connection=found[5])
        return _nginx(row, found[6])
    found = _APACHE.match(text)
    if found is None:
        return row
    client = _CLIENT.fullmatch(found[6] or "")
    _set(row, timestamp=found[1], module=found[2], level=found[3], pid=found[4], tid=found[5], client=client[1] if client else found[6], client_port=client[2] if client else None)
    code = _CODE.match(found[7])
    _set(row, code=code[1] if code else None, message=found[7], server_kind="apache")
    return row


def _nginx(row: dict[str, str], message: str) -> dict[str, str]:
    """The message ends where nginx begins to append ``, client: …``."""
    start = message.find(", client: ")
    row["message"] = message if start < 0 else message[:start]
    for name, value in _NGINX_FIELD.findall(message[start:])[:16] if start >= 0 else ():
        put(row, name, value.strip('"'))
    row["server_kind"] = "nginx"
    return row


def _set(row: dict[str, str], **fields: str | None) -> None:
    row.update({name: value for name, value in fields.items() if value})
