"""One pack put to the same events three ways: by the engine, by the plain interpreter (``naive``), by one SQL statement for each rule.

The engine sees every event as it is. The two others are slow, and are asked less often without being asked less:

- What a rule says of an event depends on nothing but the fields that it names (a keyword: on all of them). Of the events that agree on
  these one is judged, and its verdict is compared with the engine's on every one of them.
- What must hold for a rule to hold is judged first, and where it does not hold the rule does not: conditions on channel, event id and log source
  once for all events of a kind (they are the same in all of them), conditions on one field once for each of its values. SQL is asked about
  every event that stands for others, and about one of each kind.

Both are statements about the rule as it is written, none about the engine.
"""

from __future__ import annotations

import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection
from sigma.exceptions import SigmaError
from sigma.pipelines.sysmon import sysmon_pipeline
from sigma.pipelines.windows import windows_logsource_pipeline

from lianfang.engines.rules import Compiled, Examiner, naive, sources, synthesis
from lianfang.engines.rules.sources import RuleText
from lianfang.engines.rules.spelling import plain
from lianfang.engines.rules.trees import AND, KEYWORDS, LOGSOURCE, REFERENCES, Tree, atoms_of
from lianfang.engines.rules.types import LogSource

KIND = ("Channel", "EventID")
Row = Mapping[str, str]


@dataclass(slots=True)
class Verdict:
    """What the three say of a pack: by rule, the events (by number) on which they disagree; ``unsaid``: why there is no SQL for a rule."""

    engine_only: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    naive_only: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    sql_only: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    sql_lacks: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    unsaid: dict[str, str] = field(default_factory=dict)
    hits: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    judged: int = 0
    asked: int = 0

    @property
    def by_sql(self) -> dict[str, list[int]]:
        """uid → how many events SQL alone finds, how many it alone does not: of the representatives that were asked about."""
        return {uid: [len(self.sql_only.get(uid, ())), len(self.sql_lacks.get(uid, ()))] for uid in sorted({*self.sql_only, *self.sql_lacks})}


def compare(compiled: Compiled, texts: Mapping[str, str], rows: Sequence[Row], *, engine: str = "auto", source: LogSource = ("windows", "", "")) -> Verdict:
    """Put all rules to all events. ``texts``: path → text of the rules; ``source``: the log source of all events."""
    verdict = Verdict()
    for index, uids in Examiner(compiled, engine=engine).rows(rows, source):
        for uid in uids:
            verdict.hits[uid].add(index)
    said = statements(compiled, texts, source, verdict)
    by_naive, asked = _interpreted(compiled, rows, source, verdict)
    with sqlite3.connect(":memory:") as database:
        _load(database, compiled, rows, sorted(set().union(*asked.values())))
        for uid, statement in said.items():
            _by_sql(database, uid, statement, asked[uid], by_naive[uid], verdict)
    return verdict


def made_of(compiled: Compiled) -> dict[LogSource, list[dict[str, str]]]:
    """Log source → events: for each rule the smallest that satisfies it, and its near misses."""
    found: dict[LogSource, list[dict[str, str]]] = {}
    for rule, tree in zip(compiled.rules, compiled.trees):
        built = synthesis.build(compiled.atoms, tree, rule.logsource)
        for event in (built.event, *(near.event for near in synthesis.near_misses(built))) if built.event else ():
            found.setdefault(event.source, []).append(event.row)
    return found


def shipped() -> list[RuleText]:
    """The texts of the rules that come with the product; correlations look at matches, not at events."""
    return [text for path in ("content/rules/starter", "content/rules/correlations/steps") for text in sources.load(path) if "samples" not in Path(text.path).parts and not text.path.endswith("pack.yml")]


# ---- the interpreter -------------------------------------------------------------------------------------------


def _interpreted(compiled: Compiled, rows: Sequence[Row], source: LogSource, verdict: Verdict) -> tuple[dict[str, set[int]], dict[str, set[int]]]:
    """By rule: the events that stand for others and fire by the interpreter, and all that stand for others."""
    fires: dict[str, set[int]] = defaultdict(set)
    asked: dict[str, set[int]] = defaultdict(set)
    judges = [_Judge(compiled, tree, source) for tree in compiled.trees]
    for indices in kinds(rows).values():
        table, mine = _Columns(rows, indices), set(indices.tolist())
        first = {name: table.values(name)[0] for name in KIND}
        open_to = {parts: all(naive.holds(compiled.atoms, part, first, source) for part in parts) for parts in {judge.firm for judge in judges}}
        for rule, judge in zip(compiled.rules, judges):
            asked[rule.uid].add(int(indices[0]))
            fired: set[int] = set()
            if open_to[judge.firm]:
                code, which = table.alike(judge.names)
                truth = np.array([judge.holds(table, place) for place in which])
                verdict.judged += len(which)
                asked[rule.uid].update(indices[which].tolist())
                fired = set(indices[truth[code]].tolist())
                fires[rule.uid] |= fired & asked[rule.uid]
            by_engine = verdict.hits[rule.uid] & mine if rule.uid in verdict.hits else set()
            if fired != by_engine:
                verdict.naive_only[rule.uid] |= fired - by_engine
                verdict.engine_only[rule.uid] |= by_engine - fired
    return fires, asked


class _Judge:
    """One rule by the interpreter. Conditions that must hold and look at one field are asked first, once for each of its values."""

    def __init__(self, compiled: Compiled, tree: Tree, source: LogSource) -> None:
        self.atoms, self.tree, self.source = compiled.atoms, tree, source
        self.names = fields_of(compiled, tree)
        self.firm = tuple(part for part in _needed(tree) if {compiled.atoms[number].field for number in atoms_of(part)} <= {*KIND, LOGSOURCE})
        alone = [(part, fields_of(compiled, part)) for part in _needed(tree) if part not in self.firm]
        self.needed: list[tuple[Tree, str, dict[str | None, bool]]] = [(part, next(iter(names)), {}) for part, names in alone if len(names) == 1 and KEYWORDS not in names]

    def holds(self, table: _Columns, place: int) -> bool:
        for part, name, known in self.needed:
            value = table.values(name)[place]
            if value not in known:
                known[value] = naive.holds(self.atoms, part, {name: value}, self.source)
            if not known[value]:
                return False
        return naive.holds(self.atoms, self.tree, table.row(place, self.names), self.source)


class _Columns:
    """The events of one kind, field by field; a field is found under other spellings of its name, as the engine finds it."""

    def __init__(self, rows: Sequence[Row], indices: np.ndarray) -> None:
        self.rows = [rows[index] for index in indices]
        self._values: dict[str, list[str | None]] = {}
        self._codes: dict[str, np.ndarray] = {}

    def values(self, name: str) -> list[str | None]:
        if name not in self._values:
            self._values[name] = [spelled(row, name) for row in self.rows]
        return self._values[name]

    def alike(self, names: frozenset[str]) -> tuple[np.ndarray, np.ndarray]:
        """A number for each event, the same where all of these fields agree; and for each number an event that has it."""
        if KEYWORDS in names:
            whole: dict[tuple[tuple[str, str], ...], int] = {}
            code = np.array([whole.setdefault(tuple(row.items()), len(whole)) for row in self.rows])
        else:
            code = np.zeros(len(self.rows), np.int64)
            for name in sorted(names):
                mine = self._coded(name)
                if mine.any():
                    code = np.unique(code * (int(mine.max()) + 1) + mine, return_inverse=True)[1]
        return code, np.unique(code, return_index=True)[1]

    def _coded(self, name: str) -> np.ndarray:
        if name not in self._codes:
            seen: dict[str | None, int] = {}
            self._codes[name] = np.array([seen.setdefault(value, len(seen)) for value in self.values(name)], np.int64)
        return self._codes[name]

    def row(self, place: int, names: frozenset[str]) -> dict[str, str | None]:
        """One event, as far as a rule looks at it."""
        row = dict(self.rows[place]) if KEYWORDS in names else {}
        return row | {name: self.values(name)[place] for name in names if name != KEYWORDS}


def kinds(rows: Sequence[Row]) -> dict[tuple[str | None, ...], np.ndarray]:
    """(channel, event id) → the numbers of its events."""
    found: dict[tuple[str | None, ...], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        found[tuple(spelled(row, name) for name in KIND)].append(index)
    return {kind: np.array(indices) for kind, indices in found.items()}


def spelled(row: Row, name: str) -> str | None:
    """The value of a field, under its own name or one that differs in case, spaces and the like."""
    if (value := row.get(name)) is not None:
        return value
    other = _plainly(tuple(row)).get(_plain(name))
    return row[other] if other is not None else None


@lru_cache(maxsize=20_000)
def _plainly(names: tuple[str, ...]) -> dict[str, str]:
    return {_plain(name): name for name in reversed(names)}


_plain = lru_cache(maxsize=20_000)(plain)


def fields_of(compiled: Compiled, tree: Tree) -> frozenset[str]:
    """All that a rule looks at in an event."""
    atoms = [compiled.atoms[number] for number in atoms_of(tree)]
    return frozenset({atom.field for atom in atoms} | {atom.pattern for atom in atoms if atom.op in REFERENCES}) - {LOGSOURCE}


def _needed(tree: Tree) -> Iterator[Tree]:
    """The parts of a rule that must hold, whatever else does."""
    if not isinstance(tree, int) and tree[0] == AND:
        for branch in tree[1]:
            yield from _needed(branch)
    else:
        yield tree


# ---- SQL -------------------------------------------------------------------------------------------------------


def statements(compiled: Compiled, texts: Mapping[str, str], source: LogSource, verdict: Verdict) -> dict[str, str]:
    """uid → the statement that pySigma's SQLite backend makes of a rule. Rules of other log sources are left out: SQL knows no log source."""
    found: dict[str, str] = {}
    for rule, tree in zip(compiled.rules, compiled.trees):
        gates = [part for part in _needed(tree) if {compiled.atoms[number].field for number in atoms_of(part)} == {LOGSOURCE}]
        if not all(naive.holds(compiled.atoms, gate, {}, source) for gate in gates):
            verdict.unsaid[rule.uid] = "another log source"
            continue
        try:
            found[rule.uid] = _statement(texts[rule.path])
        except SigmaError as error:
            verdict.unsaid[rule.uid] = str(error)
    return found


@lru_cache(maxsize=5_000)
def _statement(text: str) -> str:
    return str(sqliteBackend(sysmon_pipeline() + windows_logsource_pipeline()).convert(SigmaCollection.from_yaml(text))[0])


def _load(database: sqlite3.Connection, compiled: Compiled, rows: Sequence[Row], indices: Iterable[int]) -> None:
    """One table with a column for each field that a rule names; what an event lacks is NULL. Names of columns know no case, so that spellings fall together."""
    asked = sorted({name for tree in compiled.trees for name in fields_of(compiled, tree)} - {KEYWORDS})
    names = list({name.lower(): name for name in asked}.values())
    columns = ", ".join(f'"{name}" TEXT COLLATE NOCASE' for name in names)
    database.execute(f"CREATE TABLE logs (at INTEGER PRIMARY KEY, {columns})")
    database.execute("CREATE TABLE asked (at INTEGER PRIMARY KEY)")
    database.create_function("regexp", 2, _regexp, deterministic=True)
    database.executemany(f"INSERT INTO logs VALUES ({', '.join('?' * (len(names) + 1))})", ((at, *(spelled(rows[at], name) for name in names)) for at in indices))


def _regexp(pattern: str, value: str | None) -> bool | None:
    return None if value is None else re.search(pattern, value, re.ASCII) is not None


def _by_sql(database: sqlite3.Connection, uid: str, statement: str, asked: set[int], fires: set[int], verdict: Verdict) -> None:
    database.execute("DELETE FROM asked")
    database.executemany("INSERT INTO asked VALUES (?)", ((at,) for at in sorted(asked)))
    _, condition = statement.split(" WHERE ", 1)
    try:
        found = {at for (at,) in database.execute(f"SELECT at FROM asked CROSS JOIN logs USING (at) WHERE {condition}")}
    except sqlite3.Error as error:
        verdict.unsaid[uid] = str(error)
        return
    verdict.asked += len(asked)
    if found - fires:
        verdict.sql_only[uid] = found - fires
    if fires - found:
        verdict.sql_lacks[uid] = fires - found
