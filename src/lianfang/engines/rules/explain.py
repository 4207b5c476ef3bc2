"""Why did it fire: the conditions of a rule that held for one event, and where in the text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import re2

from lianfang.engines.rules import patterns
from lianfang.engines.rules.kernel import Kernel
from lianfang.engines.rules.memory import text
from lianfang.engines.rules.rowpath import first
from lianfang.engines.rules.trees import KEYWORDS, LOGSOURCE, NOT, REFERENCES, Atom, Tree, atoms_of, holds
from lianfang.engines.rules.types import LogSource, Match

Span = tuple[int, int]

_MOST_SPANS = 50


def matches(kernel: Kernel, tree: Tree, row: Mapping[str, Any], logsource: LogSource) -> tuple[bool, tuple[Match, ...]]:
    """Whether the tree holds for the row, and the positive conditions that made it hold, in the order of the rule."""
    true = _true(kernel, tree, row, logsource)
    if not holds(tree, true):
        return False, ()
    found: dict[Match, None] = {}
    for atom in _supporting(tree, true):
        for match in _matches_of(kernel, kernel.atoms[atom], row):
            found.setdefault(match)
    return True, tuple(found)


def _true(kernel: Kernel, tree: Tree, row: Mapping[str, Any], logsource: LogSource) -> frozenset[int]:
    atoms = [kernel.atoms[number] for number in atoms_of(tree)]
    true = set(kernel.origin_sets[kernel.origin(logsource)])
    for name in {atom.field for atom in atoms if atom.field not in (KEYWORDS, LOGSOURCE) and atom.op not in REFERENCES}:
        true |= _set(kernel, name, first(row, kernel.spelling.of(name)))
    if any(atom.field == KEYWORDS for atom in atoms):
        true |= frozenset().union(*(_set(kernel, KEYWORDS, value) for value in row.values() if value is not None))
    for number in atoms_of(tree):
        atom = kernel.atoms[number]
        if atom.op in REFERENCES and kernel.reference(number, first(row, kernel.spelling.of(atom.field)), first(row, kernel.spelling.of(atom.pattern))):
            true.add(number)
    return frozenset(true)


def _set(kernel: Kernel, name: str, value: Any) -> frozenset[int]:
    field = kernel.field(name)
    return field.sets[field.memo[value]]


def _supporting(tree: Tree, true: frozenset[int]) -> Iterator[int]:
    """The atoms on true branches; what is negated supports by its absence and has nothing to show."""
    if isinstance(tree, int):
        yield tree
    elif tree[0] != NOT:
        for branch in tree[1]:
            if holds(branch, true):
                yield from _supporting(branch, true)


def _matches_of(kernel: Kernel, atom: Atom, row: Mapping[str, Any]) -> Iterator[Match]:
    if atom.field == LOGSOURCE:
        return
    if atom.field == KEYWORDS:
        for name, value in row.items():
            if value is not None and (places := spans(atom, text(value))):
                yield Match(name, atom.op, atom.pattern, text(value), places)
        return
    name = next((spelled for spelled in kernel.spelling.of(atom.field) if row.get(spelled) is not None), atom.field)
    value = text(row[name]) if row.get(name) is not None else ""
    yield Match(name, atom.op, atom.pattern, value, spans(atom, value))


def spans(atom: Atom, value: str) -> tuple[Span, ...]:
    """Where the atom's pattern stands in the value.

    >>> spans(Atom("CommandLine", "contains", "-enc"), "powershell -ENC aQBl")
    ((11, 15),)
    """
    size, length = len(value), len(atom.pattern)
    match atom.op:
        case "contains":
            return tuple(_occurrences(atom, value))
        case "startswith":
            return ((0, length),)
        case "endswith":
            return ((size - length, size),)
        case "like":
            return tuple(_pieces(atom, value))
        case "re":
            return tuple(_found(patterns.portable(atom.pattern), value))
        case "eq" | "cidr" | "any" | "lt" | "lte" | "gt" | "gte" | "ref" | "ref_start" | "ref_end":
            return ((0, size),) if size else ()
    return ()


def _occurrences(atom: Atom, value: str) -> Iterator[Span]:
    where = value if atom.cased else patterns.lower(value)
    start, count = where.find(atom.pattern), 0
    while start >= 0 and atom.pattern and count < _MOST_SPANS:
        yield start, start + len(atom.pattern)
        start, count = where.find(atom.pattern, start + len(atom.pattern)), count + 1


def _pieces(atom: Atom, value: str) -> Iterator[Span]:
    """The literal runs of a wildcard pattern, each where the first match has it."""
    body = "".join(
        ("(?s:.)*?" if piece == patterns.MULTI else "(?s:.)") if wild else f"({patterns.literal_portable(piece, cased=atom.cased)})"
        for wild, piece in patterns.like_parts(atom.pattern)
    )
    found = re2.search(rf"\A{body}\z", _clean(value))
    if found:
        yield from (found.span(group) for group in range(1, (found.re.groups or 0) + 1))


def _found(expression: str, value: str) -> Iterator[Span]:
    for count, found in enumerate(re2.finditer(expression, _clean(value))):
        if count >= _MOST_SPANS:
            return
        if found.end() > found.start():
            yield found.start(), found.end()


def _clean(value: str) -> str:
    return patterns.raw(value).decode()


def watched(kernel: Kernel, uid: str, row: Mapping[str, Any]) -> tuple[Match, ...]:
    """The values of a row that hold an indicator."""
    if kernel.indicators is None:
        return ()
    _, kind, indicator = uid.split(":", 2)
    sought = Atom("", "contains", patterns.lower(indicator))
    found = []
    for name, value in row.items():
        if value is not None and uid in kernel.indicators.watch.find(patterns.raw(text(value))):
            found.append(Match(name, kind, indicator, text(value), spans(sought, text(value)) or ((0, len(text(value))),)))
    return tuple(found)
