"""The ``cef``, ``leef`` and ``kv`` codecs: names and values in one line, with or without a syslog header.

CEF: ArcSight Common Event Format 0 and 1. LEEF: IBM Log Event Extended Format 1.0 and 2.0. ``kv``: what firewalls write
(``src=192.0.2.1 dst=…``, ``SourceIP=…;…``, ``源IP:192.0.2.1, …``); quotes are honoured, a value that is not quoted ends
where the next name begins. Patterns are possessive or bounded: each character is looked at a fixed number of times.
"""

from __future__ import annotations

import re
from collections import Counter

from lianfang.engines.connect import syslogs
from lianfang.engines.connect.flatten import put
from lianfang.engines.connect.limits import Limits, Unreadable
from lianfang.engines.connect.text import text_of, under

_HEADER = re.compile(r"((?:[^|\\]|\\.)*+)(?:\||$)", re.DOTALL)
_CEF_NAME = re.compile(r"(?:^|(?<=\s))([\w.\-\[\]]{1,64}+)=", re.ASCII)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PLAIN = {"n": "\n", "r": "\r", "t": "\t"}
_DEVICE = ("DeviceVendor", "DeviceProduct", "DeviceVersion", "DeviceEventClassID")

_NAME = r"([^\s=:：,;|\"'{}<>]{1,64}+)"
_NUMBERED = re.compile(r"\(\d{1,6}\)$")
_QUOTED = re.compile(r'\s?"((?:[^"\\]|\\.)*+)"|\s?\'((?:[^\'\\]|\\.)*+)\'', re.DOTALL)
_DAY, _HOUR = re.compile(r"\d{4}[-/]\d\d[-/]\d\d"), re.compile(r"\d\d:\d\d:\d\d(?:\.\d{1,9})?")
_SEPARATORS = {" ": r"\s", "\t": r"[\t]", ",": r"[,，]", ";": r"[;；]", "|": r"[|]"}
_SEEN = {sign: re.compile(rf"([\s,，;；|])[ \-]?{_NAME}[{sign}]") for sign in ("=", ":：")}
_NAMES = {(mark, sign): re.compile(rf"(?:^|(?<={around}))[\s\-]{{0,4}}+{_NAME}\s?[{sign}]") for mark, around in _SEPARATORS.items() for sign in ("=", ":：")}
_FIRST = {sign: re.compile(rf"(?:^|(?<=[\s:：\])]))[\s\-]{{0,4}}+{_NAME}\s?[{sign}]") for sign in ("=", ":：")}


def cef(frame: bytes, *, limits: Limits, encoding: str) -> dict[str, str]:
    r"""One CEF record → the names of its header and extension; raises ``Unreadable``.

    >>> row = cef(rb"CEF:0|ACME|Wall|1.0|100|deny \| drop|7|src=192.0.2.7 msg=a\=b c act=blocked", limits=Limits(), encoding="utf-8")
    >>> row["DeviceProduct"], row["Name"], row["Severity"], row["src"], row["msg"], row["act"]
    ('Wall', 'deny | drop', '7', '192.0.2.7', 'a=b c', 'blocked')
    """
    header, version, rest = _begun(text_of(frame, limits=limits, encoding=encoding), "CEF:", limits)
    parts, rest = _header(rest, 6)
    if len(parts) < 6:
        raise Unreadable(f"A CEF header has 7 parts, here are {len(parts) + 1}", "The record was cut off, or “|” in its header is not written as “\\|”: check the sender.")
    row = {"CEFVersion": version, **dict(zip((*_DEVICE, "Name", "Severity"), parts))}
    _extension(row, rest, limits)
    return under(row, header)


def leef(frame: bytes, *, limits: Limits, encoding: str) -> dict[str, str]:
    r"""One LEEF record → the names of its header and attributes; raises ``Unreadable``.

    >>> row = leef(b"LEEF:2.0|ACME|IPS|2|exploit|^|src=192.0.2.7^usrName=lin", limits=Limits(), encoding="utf-8")
    >>> row["DeviceVendor"], row["DeviceEventClassID"], row["src"], row["usrName"]
    ('ACME', 'exploit', '192.0.2.7', 'lin')
    """
    header, version, rest = _begun(text_of(frame, limits=limits, encoding=encoding), "LEEF:", limits)
    parts, rest = _header(rest, 4)
    if len(parts) < 4:
        raise Unreadable(f"A LEEF header has 5 parts, here are {len(parts) + 1}", "The record was cut off: check the sender.")
    row = {"LEEFVersion": version, **dict(zip(_DEVICE, parts))}
    mark = "\t"
    if version.startswith("2"):
        given, _, attributes = rest.partition("|")
        if len(given) <= 5 and "=" not in given:
            mark, rest = _delimiter(given), attributes
    for part in rest.split(mark):
        name, equals, value = part.partition("=")
        if equals and name.strip():
            put(row, name.strip()[:64], value)
        elif part.strip():
            put(row, "rest", part)
        if len(row) > limits.fields:
            raise _too_many(limits)
    return under(row, header)


def _begun(text: str, mark: str, limits: Limits) -> tuple[dict[str, str], str, str]:
    """The syslog header before the mark, the version behind it, and the rest."""
    start = text.find(mark, 0, 1024)
    if start < 0:
        raise Unreadable(f"No “{mark}” in this record", "This source sends another format too: let the format be found by itself, or choose the one that fits.")
    header = syslogs.parsed(text[:start].rstrip() + " -", limits=limits) if start else {}
    header.pop("message", None)
    version, _, rest = text[start + len(mark) :].partition("|")
    return header, version[:8], rest


def _header(rest: str, count: int) -> tuple[list[str], str]:
    parts: list[str] = []
    position = 0
    while len(parts) < count and (found := _HEADER.match(rest, position)) is not None:
        if not found[0]:
            break
        parts.append(_unescaped(found[1]))
        position = found.end()
    return parts, rest[position:]


def _unescaped(value: str) -> str:
    return _ESCAPED.sub(lambda found: _PLAIN.get(found[1], found[1]), value) if "\\" in value else value


def _extension(row: dict[str, str], text: str, limits: Limits) -> None:
    """A value ends where the next name begins. Text before the first name is kept as ``rest``."""
    names = list(_CEF_NAME.finditer(text))
    if len(names) + len(row) > limits.fields:
        raise _too_many(limits)
    before = text[: names[0].start()] if names else text
    if before.strip():
        row["rest"] = before.strip()
    for found, end in zip(names, [*(each.start() for each in names[1:]), len(text)]):
        put(row, found[1], _unescaped(text[found.end() : end].strip()))


def _delimiter(text: str) -> str:
    """``^``, or a code: ``x09``, ``0x09``."""
    code = text.lower().removeprefix("0x").removeprefix("x")
    if text.lower().startswith(("0x", "x")) and code:
        try:
            return chr(int(code, 16))
        except ValueError:
            return "\t"
    return text[:1] or "\t"


def _too_many(limits: Limits) -> Unreadable:
    return Unreadable(f"More than {limits.fields:,} fields", "Send one event per record.")


def kv(frame: bytes, *, limits: Limits, encoding: str) -> dict[str, str]:
    """One line of names and values → a row; what stands before the first name is ``message``; raises ``Unreadable``.

    >>> row = kv(b'<189>date=2026-11-20 time=08:00:01 devname="FG 1" srcip=192.0.2.7 msg="a b=c"', limits=Limits(), encoding="utf-8")
    >>> row["devname"], row["srcip"], row["msg"], row["facility"]
    ('FG 1', '192.0.2.7', 'a b=c', 'local7')
    >>> kv("源IP:192.0.2.7, 动作:拒绝, 时间:08:00:01".encode(), limits=Limits(), encoding="utf-8")
    {'源IP': '192.0.2.7', '动作': '拒绝', '时间': '08:00:01'}
    """
    header, text = syslogs.split(text_of(frame, limits=limits, encoding=encoding), limits=limits)
    row = of_text(text, limits=limits)
    if not row or set(row) == {"message"}:
        raise Unreadable("No name=value pair in this record", "This source sends another format too: let the format be found by itself, or choose syslog.")
    day, hour = row.get("date", ""), row.get("time", "")
    if _DAY.fullmatch(day) and _HOUR.fullmatch(hour):  # written as two fields, meant as one
        row.setdefault("timestamp", f"{day} {hour}{row.get('tz', '')}".replace("/", "-"))
    return under(row, header)


def of_text(text: str, *, limits: Limits) -> dict[str, str]:
    """The pairs of one text; nothing when there are none."""
    sign, mark = manner(text)
    row: dict[str, str] = {}
    found = _FIRST[sign].search(text)
    if found is None:
        return row
    if text[: found.start()].strip(" ,;:"):
        row["message"] = text[: found.start()].strip(" ,;:")
    pattern = _NAMES[mark, sign]
    while found is not None:
        if len(row) >= limits.fields:
            raise _too_many(limits)
        name = _NUMBERED.sub("", found[1])
        quoted = _QUOTED.match(text, found.end())
        if quoted is not None:
            value = _unescaped_quotes(quoted[1] if quoted[1] is not None else quoted[2])
            found = pattern.search(text, quoted.end())
        else:
            start = found.end()
            found = pattern.search(text, start)
            value = text[start : found.start() if found else len(text)].strip(" \t\r\n,，;；|")
        put(row, name or "field", value)
    return row


def _unescaped_quotes(value: str) -> str:
    return value.replace('\\"', '"').replace("\\'", "'").replace("\\\\", "\\") if "\\" in value else value


def manner(text: str) -> tuple[str, str]:
    """By what names are parted from values, and pairs from pairs: the most frequent."""
    head = text[:8192]
    counts = {sign: Counter(pattern.findall(head)) for sign, pattern in _SEEN.items()}
    equals, colons = (Counter(mark for mark, _ in found.elements()) for found in counts.values())
    sign, marks = ("=", equals) if "=" in head and sum(equals.values()) >= min(2, sum(colons.values())) else (":：", colons)
    plain = {"，": ",", "；": ";", "\n": " ", "\r": " "}
    tally: Counter[str] = Counter()
    for mark, number in marks.items():
        tally[plain.get(mark, mark) if plain.get(mark, mark) in _SEPARATORS else " "] += number
    return sign, max(_SEPARATORS, key=lambda mark: (tally[mark], mark == " "))
