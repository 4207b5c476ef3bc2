"""Nested JSON → one flat row of text. Nothing is dropped but ``null`` and empty containers.

Names of nested fields are joined by dots; lists of plain values become lines of one text, lists of objects get numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from lianfang.engines.connect.limits import Limits, Unreadable

NUL = "␀"
"""Stands for U+0000, which databases refuse: visible, never silent."""


class Inexact(Exception):
    """A number that the fast parser may have rounded: parse again, slowly and exactly."""


def leaf(value: Any) -> str:
    """A plain value as text: numbers as written, truth as ``true`` and ``false``.

    >>> leaf(4624), leaf(True)
    ('4624', 'true')
    """
    if type(value) is str:
        return value
    if value is True or value is False:
        return "true" if value else "false"
    if type(value) is float:
        raise Inexact
    return str(value)


def put(row: dict[str, str], name: str, text: str) -> None:
    """Set a field; a name that is taken gets a number, so that no value hides another.

    >>> row = {"a.b": "1"}; put(row, "a.b", "2"); row
    {'a.b': '1', 'a.b#2': '2'}
    """
    if name not in row:
        row[name] = text
        return
    taken, free = 1, 2  # found by halves: thousands of one name must not cost their square
    while f"{name}#{free}" in row:
        taken, free = free, free * 2
    while free - taken > 1:
        middle = (taken + free) // 2
        taken, free = (middle, free) if f"{name}#{middle}" in row else (taken, middle)
    row[f"{name}#{free}"] = text


def flat(value: dict[str, Any], *, limits: Limits, into: dict[str, str] | None = None, prefix: str = "", depth: int = 1) -> dict[str, str]:
    """A nested object → flat row; raises ``Unreadable`` beyond the limits of depth or number of fields.

    >>> flat({"a": {"b": 1}, "c": ["x", "y"], "d": [{"e": None}, {"e": 2}]}, limits=Limits())
    {'a.b': '1', 'c': 'x\\ny', 'd.1.e': '2'}
    """
    row = {} if into is None else into
    if depth > limits.depth:
        raise Unreadable(f"Nested deeper than {limits.depth} levels", "Flatten the record at the sender, or raise the depth limit of the source.")
    for name, item in value.items():
        _put_any(row, prefix + name, item, limits, depth)
    if len(row) > limits.fields:
        raise Unreadable(f"More than {limits.fields:,} fields", "Send one event per record.")
    return row


def _put_any(row: dict[str, str], name: str, item: Any, limits: Limits, depth: int) -> None:
    if item is None:
        return
    if isinstance(item, dict):
        flat(item, limits=limits, into=row, prefix=name + ".", depth=depth + 1)
    elif not isinstance(item, list):
        put(row, name, leaf(item))
    elif any(isinstance(part, dict | list) for part in item):
        flat({str(number): part for number, part in enumerate(item)}, limits=limits, into=row, prefix=name + ".", depth=depth + 1)
    elif item:
        put(row, name, lines(item))


def lines(parts: Iterable[Any], *, text: Callable[[Any], str] = leaf) -> str:
    """Plain values as lines of one text, so that a search sees each of them."""
    return "\n".join(text(part) for part in parts if part is not None)
