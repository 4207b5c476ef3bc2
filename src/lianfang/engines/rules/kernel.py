"""The distinct-value kernel: what is common to rows, JSON and Arrow.

1. **Fields** turn values into numbers of atom sets, remembering every distinct value.
2. **Classes** are the rule set partially evaluated for one (log source, channel, event id): the residual trees, the fields
   they still ask for, and an index from necessary atoms to candidate rules.
3. A class remembers its verdict for every combination of atom sets, so that a rule is evaluated once for each combination.

Channels and event ids are themselves seen as atom sets: all event ids that no rule mentions share one class, and nobody can
make more classes than the rules can tell apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, repeat
from typing import Any, NamedTuple

from lianfang.engines.rules import patterns
from lianfang.engines.rules.compiled import Compiled
from lianfang.engines.rules.matchers import Engine, Matcher
from lianfang.engines.rules.memory import LONG, Budget, KeyMemo, ValueMemo, text
from lianfang.engines.rules.sieve import Sieve, literals
from lianfang.engines.rules.spelling import Spelling
from lianfang.engines.rules.trees import AND, KEYWORDS, LOGSOURCE, REFERENCES, Atom, Clue, Test, Tree, atoms_of, necessary, outcome, settle, test_of
from lianfang.engines.rules.types import LogSource
from lianfang.engines.rules.watch import Watch, worth

CHANNEL, EVENT_ID = "Channel", "EventID"
CLASS_FIELDS = (CHANNEL, EVENT_ID)
WATCHED = "@watched"
"""The field that stands for all fields which no rule asks for but which may hold an indicator."""

UNKNOWN: LogSource = ("", "", "")
WINDOWS: LogSource = ("windows", "", "")

_SET_BYTES = 400
_MOST_CLASSES = 5_000
_MOST_GLANCES = 6
_WEIGHT = {"eq": 0.0, "any": 10.0, "null": 10.0, "re": 0.5, "cidr": 1.0}

Verdict = tuple[str, ...]
ClassKey = tuple[int, int, int]


class Part(NamedTuple):
    """What is known of a subtree: its atoms, the rarest of which one must hold, and whether none of them asks for the class. Keeps the tree, so that its id stays its own."""

    tree: Tree
    atoms: tuple[int, ...]
    clue: Clue | None
    pure: bool


@dataclass(slots=True)
class Counters:
    """What the kernel counts as it works."""

    values: int = 0
    keys: int = 0


class Field:
    """One field of the rules: value → number of the set of atoms true of it. Set 0 is the set of an absent field."""

    def __init__(self, name: str, matcher: Matcher, budget: Budget, counters: Counters, watch: Indicators | None = None) -> None:
        self.name, self.matcher, self.counters = name, matcher, counters
        self.watch = watch if watch is not None and worth(name) else None
        self.sets: list[frozenset[int]] = [matcher.absent]
        self.numbers: dict[frozenset[int], int] = {matcher.absent: 0}
        self.budget = budget
        self.memo = ValueMemo(self.learn, budget)

    def learn(self, raw: bytes) -> int:
        """Match a value that was not seen before."""
        self.counters.values += 1
        found = self.matcher.match(raw)
        if self.watch is not None:
            found |= self.watch.find(raw)
        return self.number(found)

    def number(self, found: frozenset[int]) -> int:
        """The number of an atom set, interned."""
        known = self.numbers.get(found)
        if known is None:
            known = self.numbers[found] = len(self.sets)
            self.sets.append(found)
        return known

    def mean_length(self) -> float:
        """About how long the values of this field are, by those remembered first."""
        some = [len(value) for value in islice(self.memo, 200) if isinstance(value, str)]
        return (sum(some) + LONG * len(self.memo.digests)) / (len(some) + len(self.memo.digests) or 1)


class Indicators:
    """Watch-list hits as atoms beyond those of the rules, numbered when first hit."""

    def __init__(self, watch: Watch, first: int) -> None:
        self.watch, self.first = watch, first
        self.uids: list[str] = []
        self.numbers: dict[str, int] = {}

    def find(self, raw: bytes) -> frozenset[int]:
        return frozenset(self._number(uid) for uid in self.watch.find(raw))

    def _number(self, uid: str) -> int:
        if uid not in self.numbers:
            self.numbers[uid] = self.first + len(self.uids)
            self.uids.append(uid)
        return self.numbers[uid]

    def uids_in(self, true: Iterable[int]) -> list[str]:
        return sorted(self.uids[atom - self.first] for atom in true if atom >= self.first)


class Columns:
    """The fields a class reads, in the order of its keys: plain fields, comparisons of two fields, keywords, watched fields."""

    __slots__ = ("fields", "keywords", "references", "watched")

    def __init__(self, fields: tuple[str, ...], references: tuple[int, ...], keywords: frozenset[int]) -> None:
        self.fields, self.references, self.keywords = fields, references, keywords
        self.watched: dict[str, None] = {}


class Class:
    """The rules that are still open for one kind of event."""

    def __init__(self, kernel: Kernel, open_rules: list[tuple[int, Tree]], certain: list[int]) -> None:
        self.kernel, self.trees, self.certain = kernel, dict(open_rules), certain
        self.columns = self._columns()
        self.unconditional: list[int] = []
        self.index: dict[int, list[int]] = defaultdict(list)
        self._index_rules()
        self.keys = KeyMemo(self.judge, kernel.budget)
        self.plans: dict[str, Any] = {}
        self.tests: dict[int, Test] = {}
        self._fields: list[Field] | None = None
        self.seen = self.glances = 0
        self.watch = kernel.indicators is not None

    def turn(self) -> None:
        """Let the verdicts grow old."""
        self.keys.turn()
        if self.plans.get("glance") is not None:
            self.plans["glance"].turn()

    def forget_glance(self) -> None:
        """Become acquainted with the class once more, unless that was tried often."""
        self.glances += 1
        self.seen = 0
        self.plans["glance"] = None
        if self.glances < _MOST_GLANCES:
            del self.plans["glance"]

    @property
    def idle(self) -> bool:
        """No event of this class can match anything."""
        return not self.trees and not self.certain and not self.watch

    def _columns(self) -> Columns:
        atoms = {atom for tree in self.trees.values() for atom in self.kernel.atoms_in(tree)}
        named = [self.kernel.atoms[atom] for atom in atoms]
        names = {atom.field for atom in named if atom.op not in REFERENCES}
        references = tuple(sorted(atom for atom in atoms if self.kernel.atoms[atom].op in REFERENCES))
        keywords = frozenset(atom for atom in atoms if self.kernel.atoms[atom].field == KEYWORDS)
        return Columns(tuple(sorted(names - {KEYWORDS})), references, keywords)

    def _index_rules(self) -> None:
        for rule, tree in self.trees.items():
            clue = self.kernel.clue(tree)
            if clue is None:
                self.unconditional.append(rule)
            else:
                for atom in clue.atoms:
                    self.index[atom].append(rule)

    def fields(self) -> list[Field]:
        """The fields whose set numbers make up a key, in order (see ``Columns``); the watched ones are as many as there are."""
        columns, kernel = self.columns, self.kernel
        if self._fields is None:
            names = [*columns.fields, *(kernel.reference_name(atom) for atom in columns.references), *([KEYWORDS] if columns.keywords else [])]
            self._fields = [kernel.field(name) for name in names]
        return self._fields + [kernel.field(WATCHED)] * len(columns.watched) if columns.watched else self._fields

    def _test(self, rule: int) -> Test:
        if rule not in self.tests:
            self.tests[rule] = test_of(self.trees[rule])
        return self.tests[rule]

    def judge(self, key: tuple[int, ...]) -> Verdict:
        """Which rules hold for a combination of atom sets."""
        kernel = self.kernel
        kernel.counters.keys += 1
        true = frozenset().union(*[field.sets[number] for field, number in zip(self.fields(), key)])
        candidates = set(self.unconditional).union(*[self.index[atom] for atom in self.index.keys() & true])
        fired = [rule for rule in candidates if outcome(self._test(rule), true)]
        uids = [kernel.uids[rule] for rule in sorted(self.certain + fired)]
        if kernel.indicators is not None:
            uids += kernel.indicators.uids_in(true)
        return tuple(uids)


class Kernel:
    """One compiled rule set, ready to judge; holds all caches. Not for two threads at once."""

    def __init__(self, compiled: Compiled, engine: Engine, *, cache_bytes: int, watch: Watch | None, matchers: dict[str, Matcher]) -> None:
        self.atoms, self.uids, self.trees = compiled.atoms, [rule.uid for rule in compiled.rules], compiled.trees
        self.engine, self.matchers = engine, matchers
        self.era = 0
        self.budget, self.counters = Budget(cache_bytes), Counters()
        self.indicators = Indicators(watch, len(self.atoms)) if watch is not None else None
        self._sieves: dict[tuple[frozenset[int], bool], Sieve | None] = {}
        self._sievable: dict[frozenset[int], bool] = {}
        self.by_field: dict[str, list[tuple[int, Atom]]] = defaultdict(list)
        for number, atom in enumerate(self.atoms):
            self.by_field[atom.field].append((number, atom))
        self.spelling = Spelling(self._names())
        self.weights = [1.0 / (1 + len(pattern)) + _WEIGHT.get(op, 0.0) for _, op, pattern, _ in self.atoms]
        self.gates = self.by_field.pop(LOGSOURCE, [])
        self._index_classes()
        self._start()

    def _names(self) -> Iterator[str]:
        yield from CLASS_FIELDS
        for atom in self.atoms:
            if atom.field not in (KEYWORDS, LOGSOURCE):
                yield atom.field
            if atom.op in REFERENCES:
                yield atom.pattern

    def _start(self) -> None:
        """Empty caches: set numbers and class keys of the era before mean nothing any more."""
        self.era += 1
        self.fields: dict[str, Field] = {}
        self.classes: dict[ClassKey, Class] = {}
        self.distinct: dict[tuple[tuple[int, ...], tuple[tuple[int, int], ...]], Class] = {}
        self._parts: dict[int, Part] = {}
        self._conjunctions: dict[tuple[int, ...], Tree] = {}
        self.origins: dict[LogSource, int] = {}
        self.origin_sets: list[frozenset[int]] = []
        self.origin_numbers: dict[frozenset[int], int] = {}
        self.channel, self.event_id = self.field(CHANNEL), self.field(EVENT_ID)

    def wake(self, databases: Mapping[str, bytes]) -> None:
        """Make ready what the first events would wait for: the parts of every rule, and the fields whose databases lie at hand."""
        for tree in self.trees:
            self._part(tree)
        for name, serialised in databases.items():
            self.matcher(name).restore(serialised)

    # ---- fields ----

    def field(self, name: str) -> Field:
        """A field by its name in the rules; made when first asked for."""
        found = self.fields.get(name)
        if found is None:
            found = self.fields[name] = Field(name, self.matcher(name), self.budget, self.counters, self.indicators)
        return found

    def matcher(self, name: str) -> Matcher:
        """What tells the atoms of a field; kernels of the same rules share them."""
        if name not in self.matchers:
            self.matchers[name] = Matcher(self.by_field.get(name, ()), self.engine.scanner)
        return self.matchers[name]

    @staticmethod
    def reference_name(atom: int) -> str:
        """The pseudo-field of a comparison between two fields."""
        return f"@reference {atom}"

    def reference(self, atom: int, left: Any, right: Any) -> int:
        """The set number of a comparison between two fields of one event."""
        field = self.field(self.reference_name(atom))
        return field.number(frozenset((atom,))) if _refers(self.atoms[atom].op, left, right) else 0

    def sieve(self, atoms: frozenset[int], *, json: bool, usual: Callable[[], Sequence[bytes]]) -> Sieve | None:
        """A sieve for atoms, shared by the classes that ask for the same; ``None`` where none can be made. ``usual``: some events, as they come."""
        key = (atoms, json)
        if key not in self._sieves:
            texts = literals(self.atoms[atom] for atom in sorted(atoms))
            self._sieves[key] = Sieve(texts, self.engine.spotter, json=json, usual=b"\n".join(usual())) if texts else None
        return self._sieves[key]

    def sievable(self, atoms: frozenset[int]) -> bool:
        """Whether a sieve can be made, so that not every value need be read."""
        if atoms not in self._sievable:
            self._sievable[atoms] = literals(self.atoms[atom] for atom in atoms) is not None
        return self._sievable[atoms]

    def keyword(self, values: Iterable[Any]) -> int:
        """The set number of all values of an event taken together."""
        field = self.field(KEYWORDS)
        numbers = set(map(field.memo.__getitem__, values))
        if len(numbers) == 1:
            return numbers.pop()
        return field.number(frozenset().union(*(field.sets[number] for number in numbers)))

    # ---- classes ----

    def origin(self, logsource: LogSource) -> int:
        """The number of the set of gates that stand open for a log source."""
        found = self.origins.get(logsource)
        if found is None:
            if len(self.origins) > 10_000:
                self.origins.clear()
            found = self.origins[logsource] = self._origin(logsource)
        return found

    def _origin(self, logsource: LogSource) -> int:
        said = tuple(patterns.lower(part or "") for part in logsource)
        gates = frozenset(number for number, atom in self.gates if all(not want or want == have for want, have in zip(atom.pattern.split("|"), said)))
        if gates not in self.origin_numbers:
            self.origin_numbers[gates] = len(self.origin_sets)
            self.origin_sets.append(gates)
        return self.origin_numbers[gates]

    def class_of(self, key: ClassKey) -> Class:
        """The class of (origin, channel set, event id set)."""
        found = self.classes.get(key)
        if found is None:
            found = self.classes[key] = self._specialise(self.origin_sets[key[0]], self.channel.sets[key[1]], self.event_id.sets[key[2]])
        return found

    def _index_classes(self) -> None:
        self.class_atoms = frozenset(number for number, atom in enumerate(self.atoms) if atom.field in (*CLASS_FIELDS, LOGSOURCE) and atom.op not in REFERENCES)
        self.class_index: dict[int, list[int]] = defaultdict(list)
        self.class_free: list[int] = []
        for rule, tree in enumerate(self.trees):
            clue = necessary(tree, self._class_weight)
            if clue is None:
                self.class_free.append(rule)
            else:
                for atom in clue.atoms:
                    self.class_index[atom].append(rule)

    def _class_weight(self, atom: int) -> float | None:
        if atom not in self.class_atoms:
            return None
        return {EVENT_ID: 1.0, CHANNEL: 5.0}.get(self.atoms[atom].field, 3.0)

    def _specialise(self, *true: frozenset[int]) -> Class:
        holding = frozenset().union(*true)
        known = {atom: atom in holding for atom in self.class_atoms}
        candidates = set(self.class_free).union(*(self.class_index[atom] for atom in holding if atom in self.class_index))
        open_rules: list[tuple[int, Tree]] = []
        certain: list[int] = []
        for rule in sorted(candidates):
            left = self.settled(self.trees[rule], known)
            if left is True:
                certain.append(rule)
            elif left is not False:
                open_rules.append((rule, left))
        alike = (tuple(certain), tuple((rule, id(tree)) for rule, tree in open_rules))
        if alike not in self.distinct:
            self.distinct[alike] = Class(self, open_rules, certain)
        return self.distinct[alike]

    def settled(self, tree: Tree, known: Mapping[int, bool]) -> Tree | bool:
        """``settle``, but branches without a class atom, nearly all of a rule, are taken as they are."""
        if isinstance(tree, int):
            return known.get(tree, tree) if tree in known else tree
        if self._part(tree).pure:
            return tree
        if tree[0] != AND:
            return settle(tree, known)
        settled = [self.settled(branch, known) for branch in tree[1]]
        if any(branch is False for branch in settled):
            return False
        left = tuple(branch for branch in settled if branch is not True and branch is not False)
        return True if not left else left[0] if len(left) == 1 else self._conjunctions.setdefault(tuple(map(id, left)), (AND, left))

    def _part(self, tree: Tree) -> Part:
        """What is known of a subtree, worked out once: classes share most of their subtrees."""
        found = self._parts.get(id(tree))
        if found is None:
            found = self._parts[id(tree)] = self._joined(tree) if not isinstance(tree, int) and tree[0] == AND else self._worked_out(tree)
        return found

    def _worked_out(self, tree: Tree) -> Part:
        atoms = tuple(dict.fromkeys(atoms_of(tree)))
        return Part(tree, atoms, necessary(tree, self.weights.__getitem__), self.class_atoms.isdisjoint(atoms))

    def _joined(self, tree: tuple[str, tuple[Tree, ...]]) -> Part:
        """A conjunction knows what its branches know."""
        parts = [self._part(branch) for branch in tree[1]]
        clue = min((part.clue for part in parts if part.clue is not None), key=lambda clue: clue.weight, default=None)
        return Part(tree, tuple(dict.fromkeys(atom for part in parts for atom in part.atoms)), clue, all(part.pure for part in parts))

    def atoms_in(self, tree: Tree) -> tuple[int, ...]:
        """All atoms of a tree."""
        return self._part(tree).atoms

    def clue(self, tree: Tree) -> Clue | None:
        """The rarest atoms of which one must hold."""
        return self._part(tree).clue

    # ---- memory ----

    def tidy(self) -> None:
        """Between chunks, never within one: let caches grow old, or start anew when the interned sets themselves grew too many."""
        if sum(len(field.sets) for field in self.fields.values()) * _SET_BYTES > self.budget.limit or len(self.distinct) > _MOST_CLASSES or len(self.classes) > 20 * _MOST_CLASSES:
            self._restart()
        elif self.budget.due:
            for field in self.fields.values():
                field.memo.turn()
            for each in self.distinct.values():
                each.turn()
            self.budget.turn()

    def _restart(self) -> None:
        self._start()
        self.budget.turn()


def _refers(op: str, left: Any, right: Any) -> bool:
    if left is None or right is None:
        return False
    mine, other = patterns.lower(text(left)), patterns.lower(text(right))
    if op == "ref_start":
        return mine.startswith(other)
    return mine.endswith(other) if op == "ref_end" else mine == other


def default_source(channel: Any) -> LogSource:
    """Where an event comes from when nobody said: an event with a channel comes from Windows."""
    return UNKNOWN if channel is None else WINDOWS


def origins(kernel: Kernel, logsources: Sequence[LogSource] | None, channels: Sequence[Any]) -> Iterable[int]:
    """The origin number of each event."""
    if logsources is not None:
        return map(kernel.origin, logsources)
    if None not in channels:
        return repeat(kernel.origin(WINDOWS), len(channels))
    return [kernel.origin(default_source(channel)) for channel in channels]
