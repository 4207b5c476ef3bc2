"""The verbs of a mapping that work on one value: split, take, regex, enum, lookup, parse; each a pure function.

In: the text of one field. Out: a value of the kind its column has, or ``None`` when the text holds none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from typing import Any

import re2

from lianfang.engines.connect.times import plausible
from lianfang.engines.schema import observables
from lianfang.engines.schema.events import Kind
from lianfang.kernel.errors import Invalid

Text = Callable[[str], Any]
_INT64 = range(-(1 << 63), 1 << 63)


def text(value: str) -> str | None:
    """A text as it is; ``-`` and nothing are nothing.

    >>> text("a"), text("-")
    ('a', None)
    """
    return None if value in ("", "-") else value


def whole(value: str) -> int | None:
    """Decimal or ``0x`` number within 64 bits.

    >>> whole("42"), whole("0x1f4"), whole("4.0"), whole("a"), whole("9" * 30)
    (42, 500, 4, None, None)
    """
    if len(value) > 40:
        return None
    try:
        number = int(value, 16) if value[:2] in ("0x", "0X") else int(value.partition(".")[0] if value.rstrip("0").endswith(".") else value)
    except ValueError:
        return None
    return number if number in _INT64 else None


def host(value: str) -> str | None:
    r"""A machine's name without leading backslashes.

    >>> host("\\\\WS1"), host("-")
    ('WS1', None)
    """
    return text(value.strip().lstrip("\\"))


PARSERS: dict[str, Text] = {
    "text": text,
    "int": whole,
    "ip": observables.ip,
    "domain": observables.domain,
    "hash": observables.digest,
    "url": observables.url,
    "url_host": observables.host_of,
    "host": host,
    "lower": lambda value: text(value.lower()),
    "upper": lambda value: text(value.upper()),
}
"""``parse:`` names; ``time`` and ``local_time`` (a time that names no zone is UTC, or the node's) need the moment of receipt."""

TIMES = ("time", "local_time")


def default_parser(column: str, kind: Kind) -> str:
    """How a column is read when a template does not say."""
    if kind is Kind.TEXT:
        return "ip" if column.endswith("_ip") else "text"
    if kind is Kind.LIST:
        return {"ips": "ip", "hashes": "hash", "domains": "domain"}.get(column, "text")
    return {Kind.INT: "int", Kind.TIME: "time"}[kind]


def parser(name: str, *, received: datetime, zone: tzinfo) -> Text:
    """The function behind a ``parse:`` name."""
    if name == "time":
        return lambda value: plausible(value, near=received)
    if name == "local_time":
        return lambda value: plausible(value, near=received, zone=zone)
    return PARSERS[name]


def splitter(separator: str, *, holding: str = "") -> Callable[[str], list[str]]:
    """``split``: parts without surrounding blanks, empty ones gone; only those ``holding`` a mark where nothing else is looked for.

    >>> splitter(";")("a; b;;"), splitter(";", holding="=")("a; b=1")
    (['a', 'b'], ['b=1'])
    """
    if holding:
        return lambda value: [part.strip() for part in value.split(separator) if holding in part] if holding in value else []
    return lambda value: [part for part in map(str.strip, value.split(separator)) if part]


def taker(how: int | str | tuple[str, str]) -> Callable[[Any], Any]:
    """``take``: a part by number, or what stands after or before a mark, of a text or of each part.

    >>> taker(-1)(["a", "b"]), taker(("after", "="))(["MD5=1", "x"]), taker(("before", "@"))("a@b")
    ('b', ['1'], 'a')
    """
    if isinstance(how, int):
        return lambda parts: parts[how] if isinstance(parts, list) and -len(parts) <= how < len(parts) else None
    if isinstance(how, str):
        return taker({"first": 0, "last": -1}[how])
    side, mark = how
    return lambda found: _beside(found, side, mark)


def _beside(found: Any, side: str, mark: str) -> Any:
    """Only parts that hold the mark are cut: of thirty lines one does."""
    if isinstance(found, list):
        return [cut for part in found if mark in part and (cut := part.partition(mark)[2 if side == "after" else 0])]
    before, there, after = found.partition(mark)
    return (after if side == "after" else before) if there else None


def chooser(table: Mapping[str, Any]) -> Callable[[str], Any]:
    """``enum`` and ``lookup``: a table from text to value, capital letters aside; ``*`` is for all others.

    >>> chooser({"0x1": 1, "*": 99})("0X1"), chooser({"a": 1})("b")
    (1, None)
    """
    lowered = {str(name).lower(): value for name, value in table.items()}
    otherwise = lowered.pop("*", None)
    return lambda value: lowered.get(value.strip().lower(), otherwise)


def pattern(expression: str) -> Any:
    """A RE2 pattern over UTF-8 (offsets in characters would be counted on every match); raises ``Invalid`` with RE2's own words."""
    try:
        return re2.compile(expression.encode())
    except re2.error as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise Invalid(f"RE2 does not accept the pattern {expression[:80]}", why=reason, todo="RE2 has no look-around and no back references (github.com/google/re2/wiki/Syntax).") from error
