"""Which rules can fire at all on the kinds of events that come in, and what the others wait for.

In: compiled rules, and kinds of events: log source, channel, event id, the fields that such events have. Decided from each
rule's tree, by partial evaluation: the conditions on the kind are settled, those on fields that no such event has are those
of an absent field, all others are open. A rule whose tree settles to false on every kind can never fire, whatever comes. A
field that a rule only mentions, as an exception or as one of several ways, keeps it from nothing. A correlation can fire when
enough of the rules that it is built upon can.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from lianfang.engines.rules import patterns
from lianfang.engines.rules.compiled import Compiled
from lianfang.engines.rules.correlation import ABSENCE, Correlation, in_order
from lianfang.engines.rules.kernel import CHANNEL, CLASS_FIELDS, EVENT_ID
from lianfang.engines.rules.matchers import Matcher, engine_of
from lianfang.engines.rules.spelling import plain
from lianfang.engines.rules.trees import KEYWORDS, LOGSOURCE, REFERENCES, Atom, Tree, atoms_of, necessary, settle
from lianfang.engines.rules.types import LogSource

State = Literal["ready", "fields", "source"]


@dataclass(frozen=True, slots=True)
class Kind:
    """Events of one log source, channel and event id (``""``: they have none), and the names of all fields that some of them have."""

    source: LogSource
    channel: str
    event_id: str
    fields: frozenset[str]


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a rule is from firing. ``ready``: it can; ``fields``: events of its kind come, but without ``missing``, all of which
    it needs; ``source``: no event of its kind comes. ``kind``: index of the kind on which it can fire, or needs least to."""

    state: State
    missing: tuple[str, ...] = ()
    kind: int | None = None


def reach(compiled: Compiled, kinds: Sequence[Kind]) -> list[Reach]:
    """How far each rule is from firing, in the order of the rules."""
    return _Survey(compiled).over(kinds)


def reach_upon(correlations: Iterable[Correlation], told: Mapping[str, Reach]) -> dict[str, Reach]:
    """How far correlations are from firing; ``told``: how far each rule is, by uid.

    >>> from lianfang.engines.rules.types import Rule
    >>> both = Correlation(Rule("both", "Both"), "temporal_ordered", ("a", "b"), 60_000, bound=2)
    >>> reach_upon([both], {"a": Reach("ready", (), 0), "b": Reach("fields", ("user",), 1)})
    {'both': Reach(state='fields', missing=('user',), kind=1)}
    """
    known = dict(told)
    found = {}
    for one in in_order({one.uid: one for one in correlations}):
        known[one.uid] = found[one.uid] = _upon(one, [known.get(ref, Reach("source")) for ref in one.refs])
    return found


def _upon(one: Correlation, parts: Sequence[Reach]) -> Reach:
    """The parts that are least far from firing, as many as it takes."""
    there = [part.state == "ready" for part in parts]
    if _enough(one, there):
        return Reach("ready", (), next((part.kind for part in parts if part.state == "ready"), None))
    missing, kind = set[str](), None
    for number, part in sorted(enumerate(parts), key=lambda pair: len(pair[1].missing)):
        if part.state == "fields":
            there[number], kind = True, part.kind if kind is None else kind
            missing.update(part.missing)
            if _enough(one, there):
                return Reach("fields", tuple(sorted(missing)), kind)
    return Reach("source")


def _enough(one: Correlation, there: Sequence[bool]) -> bool:
    """Whether it may fire when matches of only these rules come."""
    if one.expression is not None:
        return any(there) and _may(one.expression, there)
    if one.kind == "temporal":
        return sum(there) >= max(1, one.bound + (one.op == "gt") if one.op in ("gt", "gte", "eq") else 1)
    if one.kind == "temporal_ordered":
        return all(there)
    return there[0] if one.kind == ABSENCE else any(there)


def _may(tree: Any, there: Sequence[bool]) -> bool:
    if isinstance(tree, int):
        return there[tree]
    return True if tree[0] == "not" else (all if tree[0] == "and" else any)(_may(branch, there) for branch in tree[1:])


class _Survey:
    def __init__(self, compiled: Compiled) -> None:
        self.compiled, self.atoms = compiled, compiled.atoms
        self.by_rule = [tuple(atoms_of(tree)) for tree in compiled.trees]
        self.asked = Counter(name for atoms in self.by_rule for name in {self.atoms[atom].field for atom in atoms})
        self.plainly = {name: plain(name) for atom in self.atoms for name in (atom.field, atom.pattern if atom.op in REFERENCES else atom.field)}
        self.matchers = {
            name: Matcher([(number, atom) for number, atom in enumerate(self.atoms) if atom.field == name and atom.op not in REFERENCES], engine_of("fallback").scanner) for name in CLASS_FIELDS
        }
        self.gates = [(number, tuple(atom.pattern.split("|"))) for number, atom in enumerate(self.atoms) if atom.field == LOGSOURCE]

    @cached_property
    def index(self) -> tuple[dict[int, list[int]], list[int]]:
        """Rules by the conditions on the kind of which one must hold; rules that ask for no kind."""
        by_atom: dict[int, list[int]] = defaultdict(list)
        free: list[int] = []
        for rule, tree in enumerate(self.compiled.trees):
            clue = necessary(tree, lambda number: 1.0 if self._of_kind(self.atoms[number]) else None)
            for atom in clue.atoms if clue else ():
                by_atom[atom].append(rule)
            if clue is None:
                free.append(rule)
        return by_atom, free

    @staticmethod
    def _of_kind(atom: Atom) -> bool:
        return atom.field in (*CLASS_FIELDS, LOGSOURCE) and atom.op not in REFERENCES

    def over(self, kinds: Sequence[Kind]) -> list[Reach]:
        best = [Reach("source")] * len(self.compiled.trees)
        by_atom, free = self.index
        for at, kind in enumerate(kinds):
            holding = self._holding(kind)
            present = {plain(name) for name in kind.fields} | {plain(name) for name, value in ((CHANNEL, kind.channel), (EVENT_ID, kind.event_id)) if value}
            for rule in {*free, *(rule for atom in holding for rule in by_atom.get(atom, ()))}:
                if best[rule].state != "ready":
                    best[rule] = min(best[rule], self._on(rule, at, holding, present), key=_distance)
        return best

    def _holding(self, kind: Kind) -> frozenset[int]:
        """The conditions on the kind that hold for it."""
        said = tuple(patterns.lower(part) for part in kind.source)
        gates = {number for number, wants in self.gates if all(not want or want == have for want, have in zip(wants, said))}
        values = ((CHANNEL, kind.channel), (EVENT_ID, kind.event_id))
        return frozenset(gates).union(*(self.matchers[name].match(patterns.raw(value)) if value else self.matchers[name].absent for name, value in values))

    def _on(self, rule: int, at: int, holding: frozenset[int], present: set[str]) -> Reach:
        """One rule on one kind."""
        tree = self.compiled.trees[rule]
        own = settle(tree, {atom: atom in holding for atom in self.by_rule[rule] if self._of_kind(self.atoms[atom])})
        if own is False:
            return Reach("source")
        absent = self._absent(rule, present)
        if own is True or self._open(own, rule, absent):
            return Reach("ready", (), at)
        return Reach("fields", self._needed(own, rule, absent), at)

    def _absent(self, rule: int, present: set[str]) -> set[str]:
        """The fields that a rule asks for and no event of the kind has."""
        names = {name for atom in map(self.atoms.__getitem__, self.by_rule[rule]) for name in (atom.field, *((atom.pattern,) if atom.op in REFERENCES else ()))}
        return {name for name in names - {KEYWORDS, LOGSOURCE, *CLASS_FIELDS} if self.plainly[name] not in present}

    def _open(self, tree: Tree, rule: int, absent: set[str]) -> bool:
        """Whether the tree may still hold when these fields are absent."""
        known = {}
        for number in self.by_rule[rule]:
            atom = self.atoms[number]
            if atom.field in absent or (atom.op in REFERENCES and atom.pattern in absent):
                known[number] = atom.op == "null"
        return settle(tree, known) is not False

    def _needed(self, tree: Tree, rule: int, absent: set[str]) -> tuple[str, ...]:
        """A smallest set of the absent fields with which the rule may fire: each is left out in turn, those that few rules ask for first."""
        needed = set(absent)
        for name in sorted(absent, key=lambda name: (self.asked[name], name)):
            if self._open(tree, rule, absent - (needed - {name})):
                needed.discard(name)
        return tuple(sorted(needed))


def _distance(one: Reach) -> tuple[int, int]:
    return {"ready": 0, "fields": 1, "source": 2}[one.state], len(one.missing)
