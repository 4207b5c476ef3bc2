"""Events that satisfy a rule, and near misses, built from the rule's own tree.

``build`` searches for a set of conditions that makes the tree hold, field by field, and for the shortest values that fulfil
them; what is not needed is left out of the event. Where there is none it says whether that is certain (the rule contradicts
itself) or only that none was found. ``near_misses`` takes such an event and makes one needed condition false at a time.
Every value is tried against the reference (``naive``) before it is used: this module may fail to find one, never be wrong.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, permutations, product

import re2

from lianfang.engines.rules import expressions, naive, patterns
from lianfang.engines.rules.spelling import plain
from lianfang.engines.rules.trees import AND, KEYWORDS, LOGSOURCE, NOT, OR, REFERENCES, Atom, Tree, atoms_of
from lianfang.engines.rules.types import LogSource

Literal = tuple[Atom, bool]
"""A condition, and whether it is to hold."""

Wants = Mapping[str, frozenset[Literal]]
"""What is wanted of each field."""

_STEPS = 3_000
_TRIES = 1_500
_GLUES = ("", " ", "x", "~ ", "\\", "/", "7", "\n")
_NEUTRAL = ("x", "", "7", "a.b", "Z:\\x", "10.1.2.3", "0")
_CARRIERS = ("Message", "Data", "Details", "Text")
_TEXT = frozenset({"eq", "contains", "startswith", "endswith", "like", "re"})
_MOST_PER_CONDITION = 3
_MOST_EXCEPTIONS = 40
_LOOKALIKES = {"k": "\u212a", "K": "\u212a", "s": "\u017f", "S": "\u017f", "i": "\u0131", "I": "\u0130"}
"""Letters that Unicode, but not Sigma, takes for the same when case is ignored."""


@dataclass(frozen=True, slots=True)
class Event:
    """A flat event, and the log source it comes from."""

    row: dict[str, str]
    source: LogSource


@dataclass(frozen=True, slots=True)
class Built:
    """An event that satisfies a rule with the conditions it fulfils; or why there is none, and whether that is certain."""

    event: Event | None
    wants: Wants = field(default_factory=dict)
    reason: str = ""
    certain: bool = False


@dataclass(frozen=True, slots=True)
class Variant:
    """An event changed in one place, and what was changed; ``needed``: the condition that was made false (or the exception that was made true)."""

    event: Event
    changed: str
    needed: Literal | None = None


def build(atoms: Sequence[Atom], tree: Tree, source: LogSource = ("", "", "")) -> Built:
    """An event that satisfies the tree. ``source``: where it comes from, when the tree does not ask."""
    search = _Search(atoms, tree, (source[0].lower(), source[1].lower(), source[2].lower()))
    found = search.solve([(tree, True)], {})
    if found is not None:
        event = search.event(found)
        if event is not None and naive.holds(atoms, tree, event.row, event.source):
            return Built(event, found)
        search.certain = False
    return Built(None, reason=search.why or "No fitting values were found.", certain=search.certain and bool(search.why))


class _Search:
    """Depth first over the alternatives of a tree; what the values chosen so far fulfil already is tried first."""

    def __init__(self, atoms: Sequence[Atom], tree: Tree, source: LogSource) -> None:
        self.atoms, self.tree, self.source = atoms, tree, source
        self.steps, self.why, self.certain = 0, "", True
        self.memo: dict[frozenset[Literal], str | _Nothing | None] = {}
        used = {plain(atoms[number].field) for number in atoms_of(tree)}
        self.carrier = next((name for name in _CARRIERS if plain(name) not in used), "Carrier of keywords")

    def solve(self, goals: list[tuple[Tree, bool]], wants: Wants) -> Wants | None:
        self.steps += 1
        if self.steps > _STEPS:
            self._dead_end("No way through its alternatives was found within the limit of steps.", certain=False)
            return None
        more = dict(wants)
        choices = self._expand(goals, more)
        if choices is None:
            return None
        now = self.event(more)
        if not choices:
            if now is None:
                self._dead_end("No values were found that fulfil all conditions together.", certain=False)
            return None if now is None else more
        (branches, wanted), *rest = sorted(choices, key=lambda choice: len(choice[0]))
        for branch in self._ordered(branches, wanted, now):
            found = self.solve([(branch, wanted), *(((OR if on else AND, others), on) for others, on in rest)], more)
            if found is not None or self.steps > _STEPS:
                return found
        return None

    def _ordered(self, branches: tuple[Tree, ...], wanted: bool, now: Event | None) -> Iterable[Tree]:
        if now is None:
            return branches
        return sorted(branches, key=lambda branch: naive.holds(self.atoms, branch, now.row, now.source) != wanted)

    def _expand(self, goals: list[tuple[Tree, bool]], wants: dict[str, frozenset[Literal]]) -> list[tuple[tuple[Tree, ...], bool]] | None:
        """Add to ``wants`` all that must be in any case; returns the alternatives that remain. ``None`` where a field cannot be what is wanted of it."""
        waiting, choices, touched = list(goals), [], set[str]()
        while waiting:
            node, wanted = waiting.pop()
            if isinstance(node, int):
                touched |= _want(wants, self.atoms[node], wanted)
            elif node[0] == NOT:
                waiting.append((node[1][0], not wanted))
            elif (node[0] == AND) == wanted:
                waiting += [(branch, wanted) for branch in node[1]]
            else:
                choices.append((node[1], wanted))
        for name in touched:
            if isinstance(self._value(name, wants), _Nothing):
                self._dead_end(*_why(name, wants[name]))
                return None
        return choices

    def _dead_end(self, why: str, certain: bool) -> None:
        self.why = self.why or why
        self.certain = self.certain and certain

    def _value(self, name: str, wants: Wants, more: Iterable[Literal] = ()) -> str | _Nothing | None:
        literals = frozenset((*(one for one in wants.get(name, ()) if one[0].op not in REFERENCES), *more))
        if name == LOGSOURCE:
            return "" if len({atom.pattern for atom, wanted in literals if wanted}) <= 1 else _NOTHING
        if literals not in self.memo:
            self.memo[literals] = value_for(literals)
        return self.memo[literals]

    def event(self, wants: Wants) -> Event | None:
        """The event that fulfils what is wanted, whole; ``None`` where fields that are compared with each other get in each other's way."""
        row: dict[str, str] = {}
        source = next((tuple(atom.pattern.split("|")) for atom, wanted in wants.get(LOGSOURCE, ()) if wanted), self.source)
        barred = tuple((atom, wanted) for atom, wanted in wants.get(KEYWORDS, ()) if not wanted)
        for name in sorted(wants.keys() - {LOGSOURCE}, key=lambda name: sum(atom.op in REFERENCES for atom, _ in wants[name])):
            more = [*self._compared(name, wants, row), *((atom._replace(field=name), False) for atom, _ in barred if name != KEYWORDS)]
            value = self._value(name, wants, more)
            if isinstance(value, _Nothing):
                return None
            if value is not None:
                row[name if name != KEYWORDS else self.carrier] = value
        return Event(row, (source[0], source[1], source[2]))

    def _compared(self, name: str, wants: Wants, row: dict[str, str]) -> Iterator[Literal]:
        """Comparisons with another field, whose value is known, as comparisons with that value."""
        for atom, wanted in wants[name]:
            if atom.op in REFERENCES and atom.pattern in row:
                if atom.op == "ref" and wanted:
                    value = self._value(name, wants, [one for one in wants.get(atom.pattern, ()) if one[0].op not in REFERENCES])
                    if isinstance(value, str):
                        row[atom.pattern] = value
                op = {"ref": "eq", "ref_start": "startswith", "ref_end": "endswith"}[atom.op]
                yield Atom(name, op, patterns.lower(row[atom.pattern])), wanted


class _Nothing:
    """No value was found. (``None`` is a value: the field is absent.)"""


_NOTHING = _Nothing()


def _want(wants: dict[str, frozenset[Literal]], atom: Atom, wanted: bool) -> set[str]:
    """Add a condition; returns the fields of which more is wanted now."""
    before = wants.get(atom.field, frozenset())
    touched = {atom.field}
    if atom.op in REFERENCES and wanted:
        touched |= _want(wants, Atom(atom.pattern, "any", ""), True) | _want(wants, Atom(atom.field, "any", ""), True)
        before = wants[atom.field]
    wants[atom.field] = before | {(atom, wanted)}
    return touched


# ---- the value of one field ------------------------------------------------------------------------------------


def value_for(literals: frozenset[Literal]) -> str | _Nothing | None:
    """The first candidate that is all that is wanted: a text, or ``None`` for an absent field."""
    ordered = sorted(literals)
    for value in islice(_candidates([atom for atom, wanted in ordered if wanted], [atom for atom, wanted in ordered if not wanted]), _TRIES):
        if all(_true(atom, value) == wanted for atom, wanted in ordered):
            return value
    return _NOTHING


def _true(atom: Atom, value: str | None) -> bool:
    """Whether a condition holds for a value of its field."""
    return naive.holds_of(atom, {atom.field: value}, ("", "", ""))


def _candidates(wanted: list[Atom], barred: list[Atom]) -> Iterator[str | None]:
    ops = {atom.op for atom in wanted}
    if not wanted or "null" in ops:
        yield None
    if "eq" in ops:
        equal = sorted((atom for atom in wanted if atom.op == "eq"), key=lambda atom: not atom.cased)
        for atom in equal:
            yield from (atom.pattern, atom.pattern.upper(), atom.pattern.title())
        return
    if ops & {"lt", "lte", "gt", "gte"}:
        yield from _numbers(wanted)
    if "cidr" in ops:
        yield from _addresses(wanted)
    if ops & _TEXT:
        yield from _texts([atom for atom in wanted if atom.op in _TEXT])
    yield from _NEUTRAL
    yield from (atom.pattern + "x" for atom in barred if atom.op in _TEXT)
    yield from _numbers(barred)


def _numbers(compared: list[Atom]) -> Iterator[str]:
    """The bounds, a little beside them, and between them."""
    bounds = [float(atom.pattern) for atom in compared if atom.op in ("lt", "lte", "gt", "gte")]
    between = [(low + high) / 2 for low, high in zip(sorted(bounds), sorted(bounds)[1:])]
    for number in [*bounds, *(bound + step for bound in bounds for step in (1, -1, 0.5, -0.5)), *between]:
        yield str(int(number)) if number == int(number) else str(number)


def _addresses(inside: list[Atom]) -> Iterator[str]:
    for atom in inside:
        if atom.op == "cidr":
            network = ipaddress.ip_network(atom.pattern, strict=False)
            for step in (1, 0, 2, network.num_addresses - 1, network.num_addresses // 2, network.num_addresses // 3):
                yield str(network[min(step, network.num_addresses - 1)])


def _texts(wanted: list[Atom]) -> Iterator[str]:
    """The longest beginning, all that must be contained, and the longest end, put together in several ways."""
    start = max((atom.pattern for atom in wanted if atom.op == "startswith"), key=len, default="")
    end = max((atom.pattern for atom in wanted if atom.op == "endswith"), key=len, default="")
    inner = _outermost([atom for atom in wanted if atom.op == "contains"], start, end)
    free = [atom for atom in wanted if atom.op in ("like", "re")]
    yield from _overlaid(start, end, inner)
    for glue in _GLUES:
        for order in islice(permutations(inner), 6):
            core = glue.join(order)
            if not free:
                yield start + (glue if start and core else "") + core + (glue if core and end else "") + end
                yield start + glue + core + glue + end
            else:
                yield from _freely(free, start, core, end, glue)


def _overlaid(start: str, end: str, inner: list[str]) -> Iterator[str]:
    """A beginning and an end that share text: ``C:\\Temp`` and ``\\Temp\\x.exe``."""
    if start and end and not inner:
        for shared in range(min(len(start), len(end)), 0, -1):
            if patterns.lower(start[-shared:]) == patterns.lower(end[:shared]):
                yield start + end[shared:]


def _outermost(contained: list[Atom], start: str, end: str) -> list[str]:
    """Texts that must be contained, without those that others contain already."""
    texts = sorted({atom.pattern for atom in contained}, key=len, reverse=True)
    kept: list[str] = []
    for text in texts:
        if not any(patterns.lower(text) in patterns.lower(other) for other in (*kept, start, end)):
            kept.append(text)
    return sorted(kept, key=[atom.pattern for atom in contained].index)


def _freely(free: list[Atom], start: str, core: str, end: str, glue: str) -> Iterator[str]:
    """With wildcards and regular expressions: side by side, and one within the other."""
    for drawn in islice(product(*(list(_drawn(atom, core)) for atom in free)), 60):
        whole = glue.join(dict.fromkeys(drawn))
        yield start + whole + end
        yield from (start + glue + core + glue + whole + glue + end, start + glue + whole + glue + core + glue + end)
    if len(free) > 1:
        for outer in free:
            others = glue.join(next(iter(_drawn(atom, "")), "") for atom in free if atom is not outer)
            yield from (start + text + end for text in islice(_drawn(outer, glue.join((core, others))), 6))


def _drawn(atom: Atom, filler: str) -> Iterator[str]:
    if atom.op == "re":
        yield from dict.fromkeys(expressions.texts(atom.pattern, filler))
        return
    for fill in dict.fromkeys((filler, "", "x")):
        left = [fill]
        yield "".join((left.pop() if left else "") if text == patterns.MULTI else "x" if wild else text for wild, text in patterns.like_parts(atom.pattern))


# ---- certainty -------------------------------------------------------------------------------------------------


def _why(name: str, literals: frozenset[Literal]) -> tuple[str, bool]:
    """Why a field cannot be what is wanted of it, and whether that is certain."""
    wanted, barred = [atom for atom, on in literals if on], [atom for atom, on in literals if not on]
    shown = _named(name)
    for atom in wanted:
        if (atom, False) in literals:
            return f"{shown}: “{_told(atom)}” must hold and must not hold.", True
        for other in wanted:
            if _exclude(atom, other):
                return f"{shown}: “{_told(atom)}” and “{_told(other)}” cannot both hold.", True
        for other in barred:
            if _implies(atom, other):
                return f"{shown}: “{_told(atom)}” must hold, but then “{_told(other)}”, which must not, holds as well.", True
    if not wanted and {"any", "null"} <= {atom.op for atom in barred}:
        return f"{shown}: it must be neither present nor absent.", True
    return f"{shown}: no value was found for {', '.join(('' if on else 'not ') + _told(atom) for atom, on in sorted(literals)[:6])}.", False


def _named(name: str) -> str:
    return {KEYWORDS: "any value", LOGSOURCE: "the log source"}.get(name, name)


def _told(atom: Atom) -> str:
    return f"{atom.op} {atom.pattern}".strip()


def _exclude(one: Atom, other: Atom) -> bool:
    """Whether two conditions on one field certainly cannot both hold."""
    if one.op == "null":
        return other.op != "null"
    if one.field in (KEYWORDS, LOGSOURCE) or (one.op != "eq" and one.op != other.op):
        return False
    mine, theirs = patterns.lower(one.pattern), patterns.lower(other.pattern)
    if one.op == "startswith":
        return not mine.startswith(theirs) and not theirs.startswith(mine)
    if one.op == "endswith":
        return not mine.endswith(theirs) and not theirs.endswith(mine)
    if one.op != "eq" or one.cased or other.cased:
        return False
    return re2.search(patterns.portable(f"(?i){other.pattern}"), one.pattern) is None if other.op == "re" else not _true(other, one.pattern)


def _implies(one: Atom, other: Atom) -> bool:
    """Whether the first certainly cannot hold without the second."""
    if other.op == "any":
        return one.op != "null"
    if other.cased or other.op not in ("eq", "contains", "startswith", "endswith", "like", "cidr", "lt", "lte", "gt", "gte"):
        return False
    if one.op == "eq":
        return _true(other, one.pattern)
    mine, theirs = patterns.lower(one.pattern), patterns.lower(other.pattern)
    if other.op == "contains" and one.op in ("contains", "startswith", "endswith"):
        return theirs in mine
    if other.op == "startswith" and one.op == "startswith":
        return mine.startswith(theirs)
    return other.op == "endswith" and one.op == "endswith" and mine.endswith(theirs)


# ---- near misses -----------------------------------------------------------------------------------------------


def near_misses(built: Built) -> Iterator[Variant]:
    """The event changed in one place at a time: without a field, with a condition just not fulfilled, with an exception fulfilled,
    in other case, with letters that only look alike, from another source. Whether the rule fires on each is for the reference to say."""
    event, wants = built.event, built.wants
    if event is None:
        return
    rows = {name: name if name != KEYWORDS else next((carrier for carrier in event.row if carrier not in wants), "") for name in wants if name != LOGSOURCE}
    for name, place in rows.items():
        if place in event.row:
            yield Variant(_without(event, place), f"without {place}")
            yield from _twisted(event, place)
            for atom in sorted(atom for atom, wanted in wants[name] if wanted):
                yield from _missing(event, place, atom, [other for other, on in wants[name] if on and other != atom])
    yield from islice(_excepted(event, wants, rows), _MOST_EXCEPTIONS)
    yield Variant(Event(event.row, ("elsewhere", "", "")), "from another log source")


def _with(event: Event, place: str, value: str) -> Event:
    return Event(event.row | {place: value}, event.source)


def _without(event: Event, place: str) -> Event:
    return Event({name: value for name, value in event.row.items() if name != place}, event.source)


def _twisted(event: Event, place: str) -> Iterator[Variant]:
    """The same value to whom case means nothing; not the same to whom letters are bytes."""
    value = event.row[place]
    if value.swapcase() != value:
        yield Variant(_with(event, place, value.swapcase()), f"{place} in other case")
    odd = "".join(_LOOKALIKES.get(char, char) for char in value)
    if odd != value:
        yield Variant(_with(event, place, odd), f"{place} with letters that only look alike")
    yield from (Variant(_with(event, place, around), f"{place} with more around it") for around in (value + "\n", " " + value, value + value))


def _missing(event: Event, place: str, atom: Atom, others: list[Atom]) -> Iterator[Variant]:
    """Values for which a condition just does not hold; where possible the others of the field still do."""
    spoilt = [value for value in _spoilt(atom, event.row[place]) if not _true(atom, value)]
    best = sorted(dict.fromkeys(spoilt), key=lambda value: sum(other.op not in REFERENCES and not _true(other, value) for other in others))
    yield from (Variant(_with(event, place, value), f"{place}: not {_told(atom)}", (atom, True)) for value in best[:_MOST_PER_CONDITION])


def _spoilt(atom: Atom, value: str) -> Iterator[str]:
    if atom.op in ("lt", "lte", "gt", "gte"):
        yield from _numbers([atom])
    if atom.op == "cidr":
        network = ipaddress.ip_network(atom.pattern, strict=False)
        for number in (int(network.network_address) - 1, int(network.broadcast_address) + 1):
            if 0 <= number < 1 << network.max_prefixlen:
                yield str(ipaddress.ip_address(number) if network.version == 4 else ipaddress.IPv6Address(number))
    found = patterns.lower(value).find(patterns.lower(atom.pattern)) if atom.op in _TEXT and atom.op not in ("re", "like") else -1
    if found >= 0 and atom.pattern:
        middle = found + len(atom.pattern) // 2
        yield from (value[:middle] + value[middle + 1 :], value[:middle] + "¤" + value[middle:], value[:found] + value[found + len(atom.pattern) :])
    yield from (value + "x", "x" + value, value[:-1], value[1:])
    for at in range(0, len(value), max(1, len(value) // 12)):
        yield value[:at] + value[at + 1 :]
        yield value[:at] + "¤" + value[at + 1 :]
    yield "¤"


def _excepted(event: Event, wants: Wants, rows: Mapping[str, str]) -> Iterator[Variant]:
    """What must not hold, made to hold."""
    for name, literals in wants.items():
        for atom in sorted(atom for atom, wanted in literals if not wanted and atom.op not in REFERENCES):
            value = value_for(frozenset(one for one in literals if one[1] and one[0].op not in REFERENCES) | {(atom, True)})
            place = rows.get(name) or (_CARRIERS[0] if name == KEYWORDS else "")
            if place and value is None:
                yield Variant(_without(event, place), f"{place}: {_told(atom)}", (atom, False))
            elif place and isinstance(value, str):
                yield Variant(_with(event, place, value), f"{place}: {_told(atom)}", (atom, False))
