"""Proof, rule by rule: that the engine fires where a rule must fire, is silent where it must be, and agrees with the reference.

For each rule an event is built that satisfies it, and near misses (``synthesis``); all go through the engine as rows, as JSON
lines and as an Arrow table. Held against the reference are: the rule itself on every one of its events; every other rule that
the engine says fired; and on a sample of the events all rules whatsoever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import pyarrow as pa

from lianfang.engines.rules import naive, synthesis
from lianfang.engines.rules.compiled import Compiled
from lianfang.engines.rules.examiner import Examiner
from lianfang.engines.rules.spelling import plain
from lianfang.engines.rules.synthesis import Built, Event, Variant
from lianfang.engines.rules.trees import Tree
from lianfang.engines.rules.types import Rule

PATHS = ("rows", "JSON lines", "Arrow")
_RULES_AT_ONCE = 60
_SAMPLED = 4
"""Events of a round that are put to every rule by the reference: that is slow, and finds what the engine fails to say of other rules."""
_KEPT = 20

State = Literal["proven", "differs", "contradiction", "unbuilt"]
Tell = Callable[[int, int], Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """An event on which the engine and the reference disagree about a rule; ``way``: as what the event was given to the engine."""

    uid: str
    way: str
    changed: str
    row: dict[str, str]
    engine: bool
    reference: bool


@dataclass(frozen=True, slots=True)
class Proof:
    """What trying one rule showed.

    ``state``: proven; differs (see ``differences``); contradiction (no event can satisfy it, see ``reason``); unbuilt (none was
    found, see ``reason``). ``event``: the smallest that satisfies it; ``silent`` and ``firing``: on how many of its variants the
    rule is silent, and fires all the same.
    """

    rule: Rule
    state: State
    reason: str = ""
    event: dict[str, str] | None = None
    silent: int = 0
    firing: int = 0
    differences: tuple[Difference, ...] = ()


def prove(compiled: Compiled, *, engine: str = "auto", tell: Tell = lambda *_: None) -> Iterator[Proof]:
    """Try every rule; ``tell(done, total)`` hears how far it is. Engines as for ``Examiner``."""
    bench = _Bench(compiled, engine)
    pairs = list(zip(compiled.rules, compiled.trees, strict=True))
    for start in range(0, len(pairs), _RULES_AT_ONCE):
        tell(start, len(pairs))
        yield from bench.prove(pairs[start : start + _RULES_AT_ONCE])
    tell(len(pairs), len(pairs))


@dataclass(frozen=True, slots=True)
class _Tried:
    """An event that was tried, for which rule of the round."""

    at: int
    variant: Variant


class _Bench:
    """The engine under test, and the reference beside it."""

    def __init__(self, compiled: Compiled, engine: str) -> None:
        self.compiled, self.examiner = compiled, Examiner(compiled, engine=engine)
        self.trees = {rule.uid: tree for rule, tree in zip(compiled.rules, compiled.trees)}
        self.order = {rule.uid: at for at, rule in enumerate(compiled.rules)}

    def prove(self, pairs: Sequence[tuple[Rule, Tree]]) -> Iterator[Proof]:
        built = [synthesis.build(self.compiled.atoms, tree, rule.logsource) for rule, tree in pairs]
        tried = [_Tried(at, variant) for at, one in enumerate(built) if one.event for variant in (Variant(one.event, "as built"), *synthesis.near_misses(one))]
        answers = [self._answers(way, [one.variant.event for one in tried]) for way in PATHS]
        found: list[list[Difference]] = [[] for _ in pairs]
        fired = [[0, 0] for _ in pairs]
        for number, one in enumerate(tried):
            uid = pairs[one.at][0].uid
            expected = self._reference(uid, one.variant.event)
            fired[one.at][expected] += 1
            for way, answer in zip(PATHS, answers):
                found[one.at] += self._compared(uid, expected, answer[number], way, one.variant)
        for number in range(0, len(tried), -(-len(tried) // _SAMPLED) or 1):
            found[tried[number].at] += self._whole(tried[number].variant, answers[0][number])
        for (rule, _tree), made, differences, (silent, firing) in zip(pairs, built, found, fired):
            yield _proof(rule, made, differences, silent, firing)

    def _answers(self, way: str, events: Sequence[Event]) -> list[frozenset[str]]:
        rows, sources = [event.row for event in events], [event.source for event in events]
        if way == "rows":
            hits = self.examiner.rows(rows, sources)
        elif way == "Arrow":
            hits = self.examiner.arrow(pa.Table.from_pylist(rows, schema=pa.schema({name: pa.string() for name in dict.fromkeys(name for row in rows for name in row)})), sources) if rows else []
        else:
            hits = self.examiner.json_lines([msgspec.json.encode(row) for row in rows], sources)
        by_event = {index: frozenset(uids) for index, uids in hits}
        return [by_event.get(index, frozenset()) for index in range(len(events))]

    def _reference(self, uid: str, event: Event) -> bool:
        return naive.holds(self.compiled.atoms, self.trees[uid], Spelled(event.row), event.source)

    def _compared(self, uid: str, expected: bool, answer: frozenset[str], way: str, variant: Variant) -> Iterator[Difference]:
        """The rule itself, and whatever else the engine says fired."""
        if (uid in answer) != expected:
            yield Difference(uid, way, variant.changed, variant.event.row, uid in answer, expected)
        for other in answer - {uid}:
            if not self._reference(other, variant.event):
                yield Difference(other, way, variant.changed, variant.event.row, True, False)

    def _whole(self, variant: Variant, answer: frozenset[str]) -> Iterator[Difference]:
        """Rules that fired by the reference alone."""
        for uid in self.order:
            if uid not in answer and self._reference(uid, variant.event):
                yield Difference(uid, PATHS[0], variant.changed, variant.event.row, False, True)


class Spelled(dict[str, str]):
    """A row whose fields are also found under other spellings of their names, as the engine finds them."""

    def __init__(self, row: dict[str, str]) -> None:
        super().__init__(row)
        self.plainly = {plain(name): value for name, value in reversed(row.items())}

    def get(self, name: str, default: Any = None) -> Any:
        value = super().get(name)
        return value if value is not None else self.plainly.get(plain(name), default)


def _proof(rule: Rule, built: Built, differences: Iterable[Difference], silent: int, firing: int) -> Proof:
    if built.event is None:
        return Proof(rule, "contradiction" if built.certain else "unbuilt", built.reason)
    kept = tuple(differences)[:_KEPT]
    return Proof(rule, "differs" if kept else "proven", "", built.event.row, silent, firing, kept)
