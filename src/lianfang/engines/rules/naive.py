"""The reference: rules interpreted one by one, atom by atom, in the plainest Python that says what they mean.

It shares nothing with the kernel but the trees, and is there to be compared with: it uses Python's ``re``, whose running time
an attacker can blow up, so it never looks at a stream.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lianfang.engines.rules.compiled import Compiled
from lianfang.engines.rules.trees import AND, KEYWORDS, LOGSOURCE, OR, Atom, Tree
from lianfang.engines.rules.types import LogSource

Row = Mapping[str, Any]


def examine(compiled: Compiled, rows: Sequence[Row], logsources: Sequence[LogSource] | None = None) -> list[tuple[int, tuple[str, ...]]]:
    """As ``Examiner.rows`` for rows that spell their fields as the rules do; slow."""
    hits = []
    for index, row in enumerate(rows):
        source = logsources[index] if logsources is not None else ("windows", "", "") if row.get("Channel") is not None else ("", "", "")
        fired = tuple(rule.uid for rule, tree in zip(compiled.rules, compiled.trees) if holds(compiled.atoms, tree, row, source))
        if fired:
            hits.append((index, fired))
    return hits


def holds(atoms: Sequence[Atom], tree: Tree, row: Row, source: LogSource) -> bool:
    """The value of a tree for one event."""
    if isinstance(tree, int):
        return holds_of(atoms[tree], row, source)
    op, branches = tree
    if op == AND:
        return all(holds(atoms, branch, row, source) for branch in branches)
    if op == OR:
        return any(holds(atoms, branch, row, source) for branch in branches)
    return not holds(atoms, branches[0], row, source)


def holds_of(atom: Atom, row: Row, source: LogSource) -> bool:
    """Whether one condition holds for one event."""
    if atom.field == LOGSOURCE:
        return all(want in ("", have.lower()) for want, have in zip(atom.pattern.split("|"), source))
    if atom.field == KEYWORDS:
        return any(_value(atom, value) for value in row.values() if value is not None)
    value = row.get(atom.field)
    if atom.op == "null":
        return value is None
    if value is None:
        return False
    if atom.op.startswith("ref"):
        other = row.get(atom.pattern)
        return other is not None and _TEXT[{"ref": "eq", "ref_start": "startswith", "ref_end": "endswith"}[atom.op]](fold(value), fold(other))
    return _value(atom, value)


def _value(atom: Atom, value: str) -> bool:
    if not value.isascii():
        value = "".join("?" if "\ud800" <= char <= "\udfff" else char for char in value)
    if atom.op == "any":
        return True
    if atom.op == "re":
        return re.search(atom.pattern, value, re.ASCII) is not None
    if atom.op == "cidr":
        return any(_within(address, atom.pattern) for address in _addresses(value))
    if atom.op in _COMPARE:
        return _number(value) is not None and _COMPARE[atom.op](_number(value), float(atom.pattern))
    text, pattern = (value, atom.pattern) if atom.cased else (fold(value), fold(atom.pattern))
    return _like(text, pattern) if atom.op == "like" else _TEXT[atom.op](text, pattern)


_TEXT: dict[str, Callable[[str, str], bool]] = {
    "eq": lambda text, pattern: text == pattern,
    "contains": lambda text, pattern: pattern in text,
    "startswith": lambda text, pattern: text.startswith(pattern),
    "endswith": lambda text, pattern: text.endswith(pattern),
}
_COMPARE: dict[str, Callable[[Any, float], bool]] = {
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
}


_UPPER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def fold(text: str) -> str:
    """ASCII letters in lower case, letter by letter."""
    return text.translate(_UPPER)


def _number(value: str) -> float | None:
    if not re.fullmatch(r"[+-]?(\d{1,300}(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", value.strip(), re.ASCII) or not value.strip().isascii():
        return None
    return int(value) if re.fullmatch(r"[+-]?\d+", value.strip(), re.ASCII) else float(value)


def _addresses(value: str) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        address = ipaddress.ip_address(value.strip())
    except ValueError:
        return
    yield address
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        yield address.ipv4_mapped


def _within(address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: str) -> bool:
    whole = ipaddress.ip_network(network, strict=False)
    return address.version == whole.version and address in whole


def _like(text: str, pattern: str) -> bool:
    return re.fullmatch("".join(_signs(pattern)), text, re.DOTALL) is not None


def _signs(pattern: str) -> Iterator[str]:
    chars = iter(pattern)
    for char in chars:
        if char == "*":
            yield ".*"
        elif char == "?":
            yield "."
        else:
            yield re.escape(next(chars, "\\") if char == "\\" else char)
