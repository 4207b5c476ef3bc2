"""From values to verdicts, for a batch of events of one class, column by column in C-level loops.

A class that is seen often gets a *glance*: a few of its fields, cheap and telling, such that every open rule needs one of
a few rare atoms on them (``necessary``). Only events with such an atom are read further. A glance is chosen by what the
class's own events looked like, and given up when it lets too many through. It can cost time, never a hit.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import compress
from typing import Any, Protocol, cast

from lianfang.engines.rules.kernel import Class, Verdict
from lianfang.engines.rules.memory import KeyMemo
from lianfang.engines.rules.sieve import traceable
from lianfang.engines.rules.trees import KEYWORDS, REFERENCES, Clue, Test, necessary, outcome, shade, test_of

Key = tuple[int, ...]

_FAMILIAR = 3000
_SAMPLE = 256
_TEXTS = 32
_MOST_RULES = 600
_TRIAL = 4096
_TOO_MANY = 0.5
_LENGTH_UNIT = 250.0
_UNSEEN = 0.02
_TRACE = 0.05
_TRACE_COST = 0.004
_MOST_TRACES = 128
_FURTHER = 8.0


class Batch(Protocol):
    """Events of one class, whatever they came as."""

    def __len__(self) -> int: ...

    def column(self, name: str) -> Iterable[Any]:
        """The values of one field."""

    def keywords(self, each: Class) -> Sequence[int]:
        """The keyword set of each event."""

    def watched(self, each: Class) -> list[Iterable[int]]:
        """Set numbers of the fields that only the watch list reads."""

    def spotted(self, each: Class) -> Collection[int]:
        """Indexes of the events with a keyword."""

    def traces(self, glance: Glance) -> Collection[int] | None:
        """Indexes of the events with a keyword or a trace in their raw text; ``None`` if there is no raw text to search."""

    def texts(self, most: int) -> list[bytes]:
        """The raw text of the first events, if there is any."""

    def pick(self, indexes: list[int]) -> Batch:
        """Some of the events, with all their fields."""


def judge(each: Class, batch: Batch) -> Iterator[tuple[int, Verdict]]:
    """(index in the batch, verdict) for the events that fired."""
    if each.idle or not len(batch):
        return
    glance = each.plans.get("glance")
    if glance is None:
        yield from _fully(each, batch)
        return
    near = glance.near(batch)
    if near:
        for at, verdict in _fully(each, batch.pick(near)):
            yield near[at], verdict


def _fully(each: Class, batch: Batch) -> Iterator[tuple[int, Verdict]]:
    keys = _keys(each, batch)
    if "glance" not in each.plans:
        keys = list(keys)
        acquaint(each, len(keys), keys[:_SAMPLE], lambda: batch.texts(_TEXTS))
    verdicts = list(map(each.keys.__getitem__, keys))
    yield from ((at, verdicts[at]) for at in compress(range(len(verdicts)), verdicts))


def _keys(each: Class, batch: Batch) -> Iterable[Key]:
    kernel, columns = each.kernel, each.columns
    numbers: list[Iterable[int]] = [map(kernel.field(name).memo.__getitem__, batch.column(name)) for name in columns.fields]
    for atom in columns.references:
        left, right = (batch.column(name) for name in (kernel.atoms[atom].field, kernel.atoms[atom].pattern))
        numbers.append([kernel.reference(atom, one, other) for one, other in zip(left, right)])
    if columns.keywords:
        numbers.append(batch.keywords(each))
    if each.watch:
        numbers += batch.watched(each)
    return zip(*numbers) if numbers else [()] * len(batch)


def acquaint(each: Class, events: int, keys: list[Key], texts: Callable[[], list[bytes]]) -> None:
    """Count events of a new class; once it is familiar, decide on its glance by some of their keys and raw texts."""
    each.seen += events
    if each.seen >= _FAMILIAR and len(keys) > 1:
        plain = each.watch or each.certain or len(each.trees) > _MOST_RULES
        each.plans["glance"] = None if plain else _choose(each, keys[:_SAMPLE], [text.lower() for text in texts()])


class Glance:
    """What to look at first: ``fields`` by value; in raw text also ``traces``, literals of atoms on ``traced`` fields, which are not read."""

    def __init__(self, each: Class, choice: Choice) -> None:
        self.each, self.fields, self.traced = each, tuple(sorted(choice.fields)), tuple(sorted(choice.traced))
        atoms = each.kernel.atoms
        self.index = choice.index
        self.traces = frozenset(atom for atom in choice.index if atoms[atom].field in choice.traced)
        self.short, self.long = Look(self, self.fields), Look(self, (*self.fields, *self.traced))
        self.looked = self.passed = 0

    def near(self, batch: Batch) -> list[int]:
        """Indexes of the events that need to be read further."""
        traces = batch.traces(self)
        look = self.long if traces is None else self.short
        near = look.near(batch)
        found = batch.spotted(self.each) if traces is None else traces
        if found:
            near = sorted({*near, *found})
        self.count(len(batch), len(near))
        return near

    def turn(self) -> None:
        """Let what it remembers grow old."""
        self.short.keys.turn()
        self.long.keys.turn()

    def count(self, looked: int, passed: int) -> None:
        """Remember how much it lets through. One that lets too much through is given up: the class is looked at anew, a few times at most."""
        self.looked, self.passed = self.looked + looked, self.passed + passed
        if self.looked >= _TRIAL:
            if self.passed > _TOO_MANY * self.looked:
                self.each.forget_glance()
            self.looked = self.passed = 0


class Look:
    """Some fields of a class, and whether what they hold leaves any rule possible."""

    def __init__(self, glance: Glance, fields: tuple[str, ...]) -> None:
        each = glance.each
        self.glance, self.sources = glance, [each.kernel.field(name) for name in fields]
        self.sight = Sight(each, frozenset(fields))
        self.keys = KeyMemo(self.opens, each.kernel.budget)

    def opens(self, key: Key) -> bool:
        """Whether an event with these atom sets may fire a rule that has its clue here."""
        true = frozenset().union(*(field.sets[number] for field, number in zip(self.sources, key)))
        return self.sight.leaves_open(self.glance.index, true)

    def near(self, batch: Batch) -> list[int]:
        if not self.sources:
            return []
        keys = zip(*(map(field.memo.__getitem__, batch.column(field.name)) for field in self.sources))
        return list(compress(range(len(batch)), map(self.keys.__getitem__, keys)))


class Sight:
    """The rules of a class as seen through some of its fields."""

    def __init__(self, each: Class, fields: frozenset[str]) -> None:
        self.trees, self.atoms, self.fields = each.trees, each.kernel.atoms, fields
        self.tests: dict[int, Test] = {}

    def __contains__(self, atom: object) -> bool:
        name, op, _, _ = self.atoms[cast(int, atom)]
        return name in self.fields and op not in REFERENCES

    def leaves_open(self, index: Mapping[int, list[int]], true: frozenset[int]) -> bool:
        """Whether a rule that has its clue among the true atoms on these fields may still fire."""
        rules = {rule for atom in true if atom in index and atom in self for rule in index[atom]}
        return any(outcome(self._test(rule), true) is not False for rule in rules)

    def _test(self, rule: int) -> Test:
        if rule not in self.tests:
            self.tests[rule] = test_of(shade(self.trees[rule], self))
        return self.tests[rule]


class Choice:
    """A way to glance at a class: which fields are read, which only traced, the clue of every rule, and what it would cost per event."""

    def __init__(self, facts: Acquaintance, fields: frozenset[str], traced: frozenset[str], before: dict[int, Clue]) -> None:
        self.fields, self.traced = fields, traced
        self.clues = facts.clues(fields, traced, before)
        self.possible = len(self.clues) == len(facts.each.trees)
        self.index: dict[int, list[int]] = defaultdict(list)
        for rule, clue in self.clues.items():
            for atom in clue.atoms:
                self.index[atom].append(rule)
        self.cost = facts.cost(self) if self.possible else float("inf")


class Acquaintance:
    """What the events of a class looked like: how often each combination of atoms came, and some raw texts."""

    def __init__(self, each: Class, keys: list[Key], texts: list[bytes]) -> None:
        self.each, self.kernel, self.size, self.texts = each, each.kernel, len(keys), texts
        fields = each.fields()
        self.samples = Counter(frozenset().union(*(field.sets[number] for field, number in zip(fields, key))) for key in keys)
        self.frequency: Counter[int] = Counter()
        for true, count in self.samples.items():
            for atom in true:
                self.frequency[atom] += count
        self.costs = {name: 1.0 + self.kernel.field(name).mean_length() / _LENGTH_UNIT for name in each.columns.fields}
        self.whole = sum(self.costs.values()) + _FURTHER
        self.traces: dict[int, float | None] = {}

    def clues(self, fields: frozenset[str], traced: frozenset[str], before: dict[int, Clue]) -> dict[int, Clue]:
        """A clue for every rule on these fields, keeping those of ``before`` that still serve; stops at the first rule without one."""
        usable = fields | {KEYWORDS}
        atoms = self.kernel.atoms
        found = {}
        for rule in self.each.trees:
            clue = before.get(rule)
            if clue is None or not all(atoms[atom].field in usable or (atoms[atom].field in traced and self._trace(atom) is not None) for atom in clue.atoms):
                clue = self._clue(rule, usable, traced)
            if clue is None:
                break
            found[rule] = clue
        return found

    def _clue(self, rule: int, usable: frozenset[str], traced: frozenset[str]) -> Clue | None:
        def weigh(atom: int) -> float | None:
            name, op, pattern, _ = self.kernel.atoms[atom]
            if op in REFERENCES:
                return None
            if name in usable:
                return self.frequency[atom] + _UNSEEN / (1 + len(pattern))
            return self._trace(atom) if name in traced else None

        return necessary(self.each.trees[rule], weigh)

    def _trace(self, atom: int) -> float | None:
        """In how many events the literal of an atom stands anywhere, plus a little; ``None`` if it cannot be traced."""
        if atom not in self.traces:
            literal = traceable(self.kernel.atoms[atom])
            share = None if literal is None else sum(literal.encode() in text for text in self.texts) / (len(self.texts) or 1)
            self.traces[atom] = None if share is None else share * self.size + _TRACE
        return self.traces[atom]

    def cost(self, choice: Choice) -> float:
        """In the time of one look-up."""
        traced = [self._trace(atom) or 0.0 for atom in choice.index if self.kernel.atoms[atom].field in choice.traced]
        if len(traced) > _MOST_TRACES:
            return float("inf")
        sight = Sight(self.each, choice.fields)
        passing = sum(traced) + sum(count for true, count in self.samples.items() if sight.leaves_open(choice.index, true))
        return len(traced) * _TRACE_COST + sum(self.costs[name] for name in choice.fields) + passing / self.size * self.whole


def _choose(each: Class, keys: list[Key], texts: list[bytes]) -> Glance | None:
    """Trace fields instead of reading them, or leave them out, dearest first, as long as that pays."""
    facts = Acquaintance(each, keys, texts)
    best = Choice(facts, frozenset(each.columns.fields), frozenset(), {})
    if not best.possible:
        return None
    for name in sorted(best.fields, key=lambda name: (-facts.costs[name], name)):
        fewer = best.fields - {name}
        other = Choice(facts, fewer, best.traced, best.clues)
        if other.cost > best.cost and texts:
            other = Choice(facts, fewer, best.traced | {name}, best.clues)
        best = other if other.cost <= best.cost else best
    return Glance(each, best) if best.cost < facts.whole - _FURTHER else None
