"""Rules at work on a batch: columns, the records they came of, and every other place in which the same values stand.

In: columns by name and the native fields of each record. Out: the same without what the rules hide. Distinct values are worked
once; what was hidden in one column of a record is then covered in all its other texts and lists, the raw log among them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lianfang.engines.masking.keyed import Keyed
from lianfang.engines.masking.methods import hide
from lianfang.engines.masking.rules import OURS, Raw, Rule
from lianfang.engines.masking.texts import Cover, cleared, covered, ordered
from lianfang.engines.schema.events import BY_NAME, Kind

WHOLE = ("raw", "unmapped", "message")
"""Columns in which anything of the record may stand."""
MEMO = 50_000
Columns = Mapping[str, Sequence[Any]]
Row = Mapping[str, str]


@dataclass(slots=True)
class Shielded:
    """What is left. ``touched``: numbers of the rows in which something was hidden; ``taken``: (domain, stand-in) → value, of rules that can be led back."""

    columns: dict[str, Sequence[Any]]
    touched: frozenset[int] = frozenset()
    taken: dict[tuple[str, str], str] = field(default_factory=dict)
    covers: dict[int, tuple[Cover, ...]] = field(default_factory=dict)

    def native(self, number: int, row: Row) -> dict[str, str]:
        """The native fields of one row without what was hidden."""
        covers = self.covers.get(number, ())
        return {name: covered(value, covers) for name, value in row.items()} if covers else dict(row)


class Shield:
    """Some rules with their keys. ``secret(domain)`` gives each domain its own.

    >>> from lianfang.engines.masking.rules import rule_of
    >>> rule = rule_of({"name": "users", "way": "in", "columns": ["user"], "verb": "mask", "form": "name"})
    >>> Shield([rule], lambda domain: bytes(32)).run({"user": ["zhangwei"], "raw": ['{"User": "zhangwei", "Id": 4}']}).columns
    {'user': ['z*******'], 'raw': ['{"User": "z*******", "Id": 4}']}
    """

    def __init__(self, rules: Iterable[Rule], secret: Callable[[str], bytes]):
        self.rules = tuple(rules)
        self._of_kind = {kind: rule for rule in reversed(self.rules) for kind in rule.kinds}
        self._keyed = {domain: Keyed(secret(domain)) for domain in {rule.domain for rule in self.rules}}
        self._memos: dict[str, dict[str, Cover]] = {}
        self._hidden: dict[str, dict[str, str | None]] = {}

    def __bool__(self) -> bool:
        return bool(self.rules)

    def run(self, columns: Columns, rows: Sequence[Row] = ()) -> Shielded:
        """Hide what the rules say. ``rows``: native fields; without them those of ``unmapped`` count."""
        work = _Work(columns, rows)
        for rule in self.rules:
            for column in rule.columns:
                if column in columns:
                    self._column(rule, column, work)
            if rule.fields:
                self._fields(rule, work)
        if self._of_kind:
            self._texts(work)
        return work.done()

    def text(self, text: str) -> str:
        """One text without the values of the rules' kinds: for what could not be read."""
        return self._cleared([text])[0][0] if self._of_kind else text

    # ---- inside ------------------------------------------------------------------------------------------------

    def _hide(self, rule: Rule, values: Iterable[str]) -> dict[str, str | None]:
        """Value → what stands in for it; remembered from batch to batch."""
        known = self._hidden.setdefault(rule.name, {})
        if len(known) > MEMO:
            known.clear()
        new = sorted({value for value in values if value} - known.keys())
        known.update(zip(new, hide(new, rule.method, self._keyed[rule.domain], spare=rule.spare)))
        return known

    def _cover(self, rule: Rule, value: str, hidden: str | None) -> Cover:
        memo = self._memos.setdefault(rule.name, {})
        if len(memo) > MEMO:
            memo.clear()
        found = memo.get(value)
        if found is None:
            found = memo[value] = Cover(value, hidden)
        return found

    def _column(self, rule: Rule, name: str, work: _Work) -> None:
        values, kind = work.columns[name], BY_NAME[name].kind
        if kind is Kind.TEXT:
            known = self._hide(rule, {value for value in values if value})
            new = list(values)
            for at, value in enumerate(values):
                if value and known[value] != value:
                    new[at] = known[value]
                    self._note(rule, at, value, known[value], work)
            work.columns[name] = new
            work.direct.add(name)
        elif kind is Kind.LIST:
            known = self._hide(rule, {value for each in values for value in each or ()})
            for at, each in enumerate(values):
                for value in each or ():
                    if known[value] != value:
                        self._note(rule, at, value, known[value], work)
        else:
            filled = [at for at, value in enumerate(values) if value is not None]
            new = [_hour(value) if isinstance(value, datetime) else None for value in values]
            work.columns[name] = new
            work.shut.update(filled)  # the way in which a number or a time was written is not known
            work.touched.update(filled)

    def _fields(self, rule: Rule, work: _Work) -> None:
        found = [(at, row[name]) for at, row in enumerate(work.rows) for name in rule.fields if row.get(name)]
        known = self._hide(rule, {value for _at, value in found})
        for at, value in found:
            if known[value] != value:
                self._note(rule, at, value, known[value], work)

    def _texts(self, work: _Work) -> None:
        """Values of the rules' kinds inside any text of the records."""
        names = work.texts()
        distinct = list({value for name in names for value in work.columns[name] if value} | {value for name in work.lists() for each in work.columns[name] for value in each or ()})
        new, replaced = self._cleared(distinct)
        table = {text: (after, told) for text, after, told in zip(distinct, new, replaced) if told}
        if not table:
            return
        for name in names:
            values = list(work.columns[name])
            for at, value in enumerate(values):
                if value in table:
                    values[at] = table[value][0]
                    self._note_all(at, table[value][1], work)
            work.columns[name] = values
        for name in work.lists():
            for at, each in enumerate(work.columns[name]):
                for value in each or ():
                    if value in table:
                        self._note_all(at, table[value][1], work)

    def _cleared(self, texts: Sequence[str]) -> tuple[list[str], list[dict[str, tuple[str, str]]]]:
        def hide(kind: str, values: Sequence[str]) -> list[str]:
            told = self._hide(self._of_kind[kind], values)
            return ["***" if told[value] is None else str(told[value]) for value in values]

        return cleared(texts, self._of_kind, hide)

    def _note_all(self, at: int, found: Mapping[str, tuple[str, str]], work: _Work) -> None:
        for value, (kind, hidden) in found.items():
            if hidden != value:
                self._note(self._of_kind[kind], at, value, hidden, work)

    def _note(self, rule: Rule, at: int, value: str, hidden: str | None, work: _Work) -> None:
        work.covers.setdefault(at, {}).setdefault(value, self._cover(rule, value, hidden))
        work.touched.add(at)
        if rule.raw is Raw.REMOVE:
            work.shut.add(at)
        if rule.reversible and hidden is not None:
            work.taken[rule.domain, hidden] = value


class _Work:
    """A batch in hand."""

    def __init__(self, columns: Columns, rows: Sequence[Row]):
        self.columns: dict[str, Sequence[Any]] = dict(columns)
        self._rows = rows
        self.direct: set[str] = set()
        self.covers: dict[int, dict[str, Cover]] = {}
        self.shut: set[int] = set()
        self.touched: set[int] = set()
        self.taken: dict[tuple[str, str], str] = {}

    @property
    def rows(self) -> Sequence[Row]:
        """Native fields, from ``unmapped`` where nothing else is left of them."""
        if not self._rows:
            self._rows = [_object(text) for text in self.columns.get("unmapped", ())]
        return self._rows

    def texts(self) -> list[str]:
        return [name for name, values in self.columns.items() if name not in OURS and name not in self.direct and name in BY_NAME and BY_NAME[name].kind is Kind.TEXT and any(values)]

    def lists(self) -> list[str]:
        return [name for name, values in self.columns.items() if name not in OURS and name in BY_NAME and BY_NAME[name].kind is Kind.LIST and any(values)]

    def done(self) -> Shielded:
        """Everything that was noted, covered everywhere else."""
        sets: dict[tuple[str, ...], tuple[Cover, ...]] = {}
        covers = {}
        for at, own in self.covers.items():
            key = tuple(sorted(own))
            covers[at] = sets.setdefault(key, ordered(own))
        for name in self.texts():
            self.columns[name] = _over(self.columns[name], covers, remember=name != "raw")
        for name in self.lists():
            values = list(self.columns[name])
            for at, found in covers.items():
                if values[at]:
                    values[at] = [covered(value, found) for value in values[at]]
            self.columns[name] = values
        for name in WHOLE if self.shut else ():
            if name in self.columns:
                self.columns[name] = [None if at in self.shut else value for at, value in enumerate(self.columns[name])]
        return Shielded(self.columns, frozenset(self.touched), self.taken, covers)


def _over(values: Sequence[Any], covers: Mapping[int, tuple[Cover, ...]], *, remember: bool) -> list[Any]:
    new, memo = list(values), dict[tuple[int, str], str]()
    for at, own in covers.items():
        value = new[at]
        if not value:
            continue
        if not remember:
            new[at] = covered(value, own)
            continue
        key = (id(own), value)
        told = memo.get(key)
        if told is None:
            told = memo[key] = covered(value, own)
        new[at] = told
    return new


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _object(text: Any) -> dict[str, str]:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return {str(name): value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for name, value in found.items()} if isinstance(found, dict) else {}
