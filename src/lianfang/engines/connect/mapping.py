"""Rows of native fields → columns of events, by templates, on the distinct-value kernel.

In: flat rows (text → text), the moment of receipt, the node's time zone. Out: one list per column of
``engines.schema.events`` that mapping can fill, the Sigma log source of each row, and the name of its template.
Rows are grouped by shape (their field names) and by which conditions of the templates hold; a group is mapped column by
column, and each verb runs once per distinct value. Rows are never changed; fields that no line took are in ``unmapped``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from itertools import chain, repeat
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec

from lianfang.engines.connect import template as templates_
from lianfang.engines.connect import verbs
from lianfang.engines.connect.memo import Memo, Pool
from lianfang.engines.connect.template import Case, Step, Template, Test
from lianfang.engines.schema import observables
from lianfang.engines.schema.events import BY_NAME, COLUMNS, Kind
from lianfang.kernel.errors import Invalid, Missing

Row = dict[str, str]
Logsource = tuple[str, str, str]

FILLED: tuple[str, ...] = tuple(column.name for column in COLUMNS if column.name not in ("event_id", "source", "territory", "industry", "level", "rules", "raw"))
"""The columns that ``Mapped.columns`` always has, each as long as the rows."""

_FEW = 8
"""Rows of a rarer shape are mapped together, whatever their fields are."""

_KEPT_LAYOUTS = 4096
_LISTS: dict[str, tuple[tuple[str, Callable[[str], str | None]], ...]] = {
    "ips": (("host_ip", observables.ip), ("src_ip", observables.ip), ("dst_ip", observables.ip)),
    "hashes": (),
    "domains": (("domain", observables.domain), ("src_host", observables.domain), ("dst_host", observables.domain), ("url", observables.host_of)),
}
"""What lists gather by themselves, beside what templates send there."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """``columns[name][i]`` belongs to row ``i``; lists hold tuples, times are aware UTC, ``None`` is nothing. ``failed``: row → fields whose text gave no value."""

    columns: dict[str, list[Any]]
    logsources: list[Logsource]
    template: list[str]
    failed: Mapping[int, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Operation:
    """One look at one field: through a memo (or as it is), into columns; ``late`` only fills gaps, ``owns`` means the column says it all."""

    field: str
    memo: Memo | None
    targets: tuple[str, ...]
    as_list: bool
    late: bool
    owns: bool
    spread: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """What is done with rows of one shape for which the same conditions hold: a straight line, resolved once."""

    template: str
    logsource: Logsource
    constants: tuple[tuple[str, Any], ...]
    operations: tuple[_Operation, ...]
    rest: tuple[str, ...]
    record: Any


@dataclass(slots=True, eq=False)
class _Group:
    """Rows under one layout: their numbers, the texts of their fields, and what becomes of them.

    ``same`` are columns with one value in all rows, ``whole`` those of ``columns`` without a gap.
    """

    layout: _Layout
    indexes: list[int]
    cells: dict[str, list[str]]
    rows: list[Row] | None = None
    columns: dict[str, list[Any]] = field(default_factory=dict)
    same: dict[str, Any] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    lists: dict[str, list[list[Any]]] = field(default_factory=dict)
    kept: dict[int, Row] = field(default_factory=dict)

    def texts(self, name: str) -> list[Any]:
        """The texts of one field; ``rows`` are set when their shapes differ."""
        return self.cells[name] if self.rows is None else [row.get(name) for row in self.rows]


class Templates:
    """Compiled templates. One instance per process and thread: it holds the memos, bounded by ``cache_bytes``.

    >>> source = "{template: t, detect: {a: '*'}, class: process_activity, map: [{from: a, to: process}]}"
    >>> mapped = Templates([templates_.parse(source)]).map([{"a": "x", "b": "y"}], received=datetime(2026, 1, 1, tzinfo=UTC))
    >>> [mapped.columns[name] for name in ("class_uid", "process", "unmapped")]
    [[1007], ['x'], ['{"b":"y"}']]
    """

    def __init__(self, templates: Iterable[Template], *, cache_bytes: int = 64 << 20):
        self.templates = tuple(sorted(templates, key=lambda item: (-item.priority, item.name)))
        self.fallback = Template("fallback", {}, -1, (), (), (Case((), (("class_uid", 0), ("activity_id", 0), ("severity_id", 1)), (), ("", "", "")),))
        self._tests: dict[str, dict[Test, int]] = {}
        for test in (test for item in self.templates for test in item.conditions):
            bits = self._tests.setdefault(test.field, {})
            bits.setdefault(test, len(bits))
        self._pool = Pool(cache_bytes // 2)
        self._masks = {name: self._mask(name) for name in self._tests}
        self._memos: dict[Any, Memo] = {}
        self._timed: tuple[Any, ...] = ()
        self._layouts: dict[Any, _Layout] = {}

    @classmethod
    def load(cls, folder: Path | str | Sequence[Path | str], *, cache_bytes: int = 64 << 20) -> Templates:
        """All ``*.yaml`` templates below a folder, or several; ``tables.yaml`` holds tables for ``lookup``. Raises ``Invalid``, ``Missing``."""
        folders = [Path(item) for item in ([folder] if isinstance(folder, str | Path) else folder)]
        files = sorted({path for item in folders for path in item.rglob("*.yaml")})
        if not files:
            raise Missing(f"No mapping template in {', '.join(map(str, folders))}", todo="Check the path; templates are *.yaml files.")
        tables = tables_of(folders)
        found = [templates_.read(path, tables) for path in files if path.name != "tables.yaml"]
        _unique(found)
        return cls(found, cache_bytes=cache_bytes)

    def map(self, rows: Sequence[Row], *, received: datetime, zone: tzinfo = UTC) -> Mapped:
        """Rows → columns. ``zone`` is that of sources which write local times without saying so."""
        self._at(received, zone)
        groups = list(self._groups(rows))
        for group in groups:
            _run(group)
            self._finish(group, received)
        return _joined(groups, len(rows), received)

    # ---- which rows go together --------------------------------------------------------------------------------

    def _mask(self, name: str) -> Memo:
        bits = self._tests[name]

        def mask(value: str | None) -> int:
            return sum(1 << bit for test, bit in bits.items() if test.holds(value))

        return Memo(mask, pool=self._pool, absent=mask(None))

    def _groups(self, rows: Sequence[Row]) -> Iterator[_Group]:
        """By shape: one pass over the rows gives the columns of all their fields."""
        shapes: dict[tuple[str, ...], tuple[list[int], list[str]]] = {}
        for index, row in enumerate(rows):
            names = tuple(row)
            found = shapes.get(names)
            if found is None:
                found = shapes[names] = ([], [])
            found[0].append(index)
            found[1].extend(row.values())
        rare: list[int] = []
        for names, (indexes, flat) in shapes.items():
            if len(indexes) < _FEW or not names:
                rare += indexes
                continue
            width = len(names)
            yield from self._split(names, indexes, {name: flat[number::width] for number, name in enumerate(names)})
        if rare:
            yield from self._mixed(rare, [rows[index] for index in rare])

    def _split(self, names: tuple[str, ...], indexes: list[int], cells: dict[str, list[str]]) -> Iterator[_Group]:
        """Rows of one shape, apart where other conditions hold. Conditions are tried on distinct values."""
        fixed: dict[str, int] = {}
        varying: list[tuple[str, list[int]]] = []
        for name in self._tests.keys() & cells.keys():
            memo, texts = self._masks[name], cells[name]
            if texts[0] == texts[-1] and texts.count(texts[0]) == len(texts):  # half the price of a set: nothing is hashed
                fixed[name] = memo[texts[0]]
                continue
            masks = {text: memo[text] for text in set(texts)}
            if len(set(masks.values())) == 1:
                fixed[name] = masks.popitem()[1]
            else:
                varying.append((name, [masks[text] for text in cells[name]]))
        if not varying:
            yield _Group(self._layout(names, fixed), indexes, cells)
            return
        apart: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for position, key in enumerate(zip(*(masks for _, masks in varying))):
            apart[key].append(position)
        for key, positions in apart.items():
            take = itemgetter(*positions) if len(positions) > 1 else lambda items, only=positions[0]: (items[only],)
            layout = self._layout(names, {**fixed, **dict(zip((name for name, _ in varying), key))})
            yield _Group(layout, list(take(indexes)), {name: list(take(texts)) for name, texts in cells.items()})

    def _mixed(self, indexes: list[int], rows: list[Row]) -> Iterator[_Group]:
        """Rows of rare shapes: those for which the same conditions hold go together, whatever their fields."""
        tested = sorted(set().union(*rows) & self._tests.keys())  # a field that no row has holds what absent fields hold
        masks = [self._masks[name].of([row.get(name) for row in rows]) for name in tested]
        apart: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for position, key in enumerate(zip(*masks) if masks else repeat((), len(rows))):
            apart[key].append(position)
        for key, positions in apart.items():
            layout = self._layout(None, {name: mask for name, mask in zip(tested, key) if mask != self._masks[name].absent})
            yield _Group(layout, [indexes[position] for position in positions], {}, [rows[position] for position in positions])

    # ---- what is done with them --------------------------------------------------------------------------------

    def _layout(self, names: tuple[str, ...] | None, masks: dict[str, int]) -> _Layout:
        key = (names, tuple(sorted(masks.items())))
        layout = self._layouts.get(key)
        if layout is None:
            if len(self._layouts) >= _KEPT_LAYOUTS:
                self._layouts.clear()
            layout = self._layouts[key] = self._resolve(names, masks)
        return layout

    def _resolve(self, names: tuple[str, ...] | None, masks: dict[str, int]) -> _Layout:
        def all_hold(tests: tuple[Test, ...]) -> bool:
            return all(masks.get(test.field, self._masks[test.field].absent) >> self._tests[test.field][test] & 1 for test in tests)

        chosen = next((item for item in self.templates if all_hold(item.detect)), self.fallback)
        case = next(item for item in chosen.cases if all_hold(item.when))
        operations: list[_Operation] = []
        for step in (*case.steps, *chosen.steps):
            if all_hold(step.when):
                self._operations(step, names, operations)
        owned = {operation.field for operation in operations if operation.owns}
        rest = tuple(name for name in names or () if name not in owned)
        return _Layout(chosen.name, case.logsource, case.const, tuple(operations), rest, _record(rest))

    def _operations(self, step: Step, names: tuple[str, ...] | None, so_far: list[_Operation]) -> None:
        """A step on rows of this shape; ``from: "*"`` looks at every field."""
        as_list = BY_NAME[step.targets[0]].kind is Kind.LIST
        plain = step.faithful and step.parse == ("text",) and not as_list
        fields = step.fields if step.fields != ("*",) else (names if names is not None else ("*",))
        for name in fields:
            if names is not None and name not in names:
                continue
            late = not as_list and any(set(step.targets) & set(before.targets) for before in so_far)
            owns = step.faithful and not late and step.fields != ("*",)
            so_far.append(_Operation(name, None if plain else self._memo(step), step.targets, as_list, late, owns, step.regex is not None))

    def _memo(self, step: Step) -> Memo:
        memo = self._memos.get(step.key)
        if memo is None:
            memo = self._memos[step.key] = Memo(self._function(step), pool=self._pool)
        return memo

    def _function(self, step: Step) -> verbs.Text:
        received, zone = self._timed
        parsers = tuple(verbs.parser(name, received=received, zone=zone) for name in step.parse)
        stages: list[Callable[[Any], Any]] = []
        if step.split is not None:
            stages.append(verbs.splitter(step.split, holding=step.take[1] if isinstance(step.take, tuple) else ""))
        if step.take is not None:
            stages.append(verbs.taker(step.take))
        if step.regex is not None:
            return _matcher(stages, verbs.pattern(step.regex), parsers)
        finish = verbs.chooser(dict(step.table)) if step.table else parsers[0]
        return _chain(stages, finish, as_list=BY_NAME[step.targets[0]].kind is Kind.LIST)

    def _at(self, received: datetime, zone: tzinfo) -> None:
        """Memos of times hold for one day of receipt and one zone."""
        noon = received.astimezone(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
        if self._timed != (noon, zone):
            self._timed = (noon, zone)
            timed = {key for key in self._memos if set(key[1]) & set(verbs.TIMES)}
            self._pool.forget(self._memos.pop(key) for key in timed)
            self._layouts.clear()

    def _finish(self, group: _Group, received: datetime) -> None:
        """Constants, the time of receipt where there is no other, lists, and what is left over."""
        for column, value in (*group.layout.constants, ("time", received)):
            present = group.columns.get(column)
            if present is None:
                group.same.setdefault(column, value)
            elif column not in group.whole:
                group.columns[column] = [value if old is None else old for old in present]
        self._gather(group)
        _leftover(group)

    def _gather(self, group: _Group) -> None:
        """The lists: what templates sent there, and the columns that always belong there."""
        for name, sources in _LISTS.items():
            parts = group.lists.get(name, [])
            for column, read in sources:
                texts = group.columns.get(column)
                if texts is not None and any(texts):
                    parts.append(self._own(column, read).of(texts))
                elif column in group.same:
                    parts.append([self._own(column, read)[group.same[column]]] * len(group.indexes))
            if parts:
                group.columns[name] = _united(parts)

    def _own(self, column: str, read: verbs.Text) -> Memo:
        memo = self._memos.get((column, ()))
        if memo is None:
            memo = self._memos[column, ()] = Memo(read, pool=self._pool)
        return memo


def tables_of(folders: Sequence[Path | str]) -> dict[str, Any]:
    """The tables for ``lookup`` of some folders: their ``tables.yaml``."""
    tables: dict[str, Any] = {}
    for path in sorted({path for item in folders for path in Path(item).rglob("tables.yaml")}):
        tables |= templates_.document(path.read_text("utf-8"), path=str(path))
    return tables


def _run(group: _Group) -> None:
    """All operations of the layout, column by column."""
    for operation in group.layout.operations:
        if operation.as_list:
            _run_list(group, operation)
            continue
        if operation.late and group.whole.issuperset(operation.targets):
            continue
        texts = group.texts(operation.field)
        results = _clean(texts, group.rows is not None) if operation.memo is None else operation.memo.of(texts)
        gaps = results is not texts and not all(results) and None in results
        if operation.owns and gaps:
            _keep_failed(group, operation.field, texts, results)
        if operation.spread:
            _spread(group, operation.targets, results)
        else:
            _put(group, operation.targets[0], results, gaps)


def _put(group: _Group, target: str, results: list[Any], gaps: bool) -> None:
    """Results into a column; what is already there stays."""
    if target not in group.columns:
        group.columns[target] = results
    elif target not in group.whole:
        results = group.columns[target] = [new if old is None else old for old, new in zip(group.columns[target], results)]
        gaps = None in results
    if not gaps:
        group.whole.add(target)


def _run_list(group: _Group, operation: _Operation) -> None:
    memo = operation.memo
    assert memo is not None  # noqa: S101 - lists are always read by a memo
    if operation.field == "*":
        results = [tuple(item for value in row.values() for item in memo[value] or ()) for row in group.rows or ()]
    else:
        texts = group.texts(operation.field)
        results = memo.of(texts)
        if operation.owns and not all(results):
            _keep_failed(group, operation.field, texts, results)
    if any(results):
        group.lists.setdefault(operation.targets[0], []).append(results)


def _clean(texts: list[Any], mixed: bool) -> list[Any]:
    """Texts as they are; ``-``, nothing and (in rows of mixed shapes) absent are nothing. The same list where there is nothing to clean."""
    if not mixed and "-" not in texts and "" not in texts:
        return texts
    return [None if text is None or text in ("", "-") else text for text in texts]


def _spread(group: _Group, targets: tuple[str, ...], results: list[Any]) -> None:
    """Tuples (the named groups of a regex) into their columns."""
    nothing = (None,) * len(targets)
    for target, values in zip(targets, zip(*[found or nothing for found in results])):
        _put(group, target, list(values), None in values)


def _united(parts: list[list[Any]]) -> list[tuple[str, ...]]:
    """The parts of each row in one tuple, each value once."""
    known: dict[tuple[Any, ...], tuple[str, ...]] = {}
    result = []
    for key in zip(*parts):
        found = known.get(key)
        if found is None:
            found = known[key] = tuple(dict.fromkeys(item for part in key if part for item in (part if isinstance(part, tuple) else (part,))))
        result.append(found)
    return result


def _record(names: tuple[str, ...]) -> Any:
    """A type whose JSON is an object with these names: three times as fast to make and write as a dictionary."""
    if not names:
        return None
    fields = [(f"f{number}", str) for number in range(len(names))]
    return msgspec.defstruct("Rest", fields, rename={f"f{number}": name for number, name in enumerate(names)}, gc=False)


def _leftover(group: _Group) -> None:
    """``unmapped``: the fields that no column holds, as JSON."""
    layout, kept = group.layout, group.kept
    if group.rows is not None:
        owned = {operation.field for operation in layout.operations if operation.owns}
        rests: list[Any] = [{name: value for name, value in row.items() if name not in owned} | kept.get(number, {}) for number, row in enumerate(group.rows)]
        group.columns["unmapped"] = [_encode(rest).decode() if rest else None for rest in rests]
        return
    if layout.record is not None:
        records = map(layout.record, *[group.cells[name] for name in layout.rest])
        group.columns["unmapped"] = list(map(bytes.decode, map(_encode, records)))  # one after the other: each is still in the cache
    for number, fields in kept.items():
        rest = {name: group.cells[name][number] for name in layout.rest} | fields
        group.columns.setdefault("unmapped", [None] * len(group.indexes))[number] = _encode(rest).decode()


_encode = msgspec.json.Encoder().encode


def _chain(stages: list[Callable[[Any], Any]], finish: verbs.Text, *, as_list: bool) -> verbs.Text:
    """Stages one after the other; a list of parts ends as a tuple, or as its first part that says something."""

    def run(value: Any) -> Any:
        for stage in stages:
            value = stage(value)
            if value is None:
                return None
        found = [item for item in map(finish, value) if item is not None] if isinstance(value, list) else [finish(value)]
        if as_list:
            return tuple(item for item in found if item is not None) or None
        return found[0] if found else None

    return run


def _matcher(stages: list[Callable[[Any], Any]], pattern: Any, parsers: tuple[verbs.Text, ...]) -> verbs.Text:
    """Named groups → one value per target, or ``None`` when nothing matches. Of a list of parts, the first that matches."""

    def run(value: Any) -> Any:
        for stage in stages:
            value = stage(value)
        for part in value if isinstance(value, list) else [value]:
            found = pattern.search(part.encode("utf-8", "replace")) if isinstance(part, str) else None
            if found is not None:
                return tuple(parse(text.decode("utf-8", "replace")) if text else None for parse, text in zip(parsers, found.groups()))
        return None

    return run


def _keep_failed(group: _Group, name: str, cells: list[str | None], results: list[Any]) -> None:
    """A text that gave no value is kept among the unmapped."""
    if None not in results:
        return
    for index, (cell, result) in enumerate(zip(cells, results)):
        if result is None and cell and cell != "-":
            group.kept.setdefault(index, {})[name] = cell


def _joined(groups: list[_Group], size: int, received: datetime) -> Mapped:
    """Columns of groups → columns in the order of the rows."""
    order = list(chain.from_iterable(group.indexes for group in groups))
    put = _permutation(order)
    columns = {name: _column(groups, name, size, put) for name in FILLED}
    columns["received"] = [received] * size
    columns["event_day"] = _days(columns["time"])
    columns["template"] = put(_repeated(groups, lambda group: group.layout.template))
    failed = {group.indexes[number]: tuple(fields) for group in groups for number, fields in group.kept.items()}
    return Mapped(columns, put(_repeated(groups, lambda group: group.layout.logsource)), columns["template"], failed)


def _repeated(groups: list[_Group], say: Callable[[_Group], Any]) -> list[Any]:
    """What is said of a group, once per row."""
    return list(chain.from_iterable([say(group)] * len(group.indexes) for group in groups))


def _column(groups: list[_Group], name: str, size: int, put: Callable[[list[Any]], list[Any]]) -> list[Any]:
    """One column, in order; ``None`` or an empty tuple where a group has none."""
    empty = () if BY_NAME[name].kind is Kind.LIST else None
    found = [group.columns.get(name) for group in groups]
    if not any(found):
        values = [group.same.get(name, empty) for group in groups]
        if values.count(values[0] if values else empty) == len(values):
            return [values[0] if values else empty] * size
    flat: list[Any] = []
    for group, items in zip(groups, found):
        flat += items or [group.same.get(name, empty)] * len(group.indexes)
    return put(flat)


def _permutation(order: list[int]) -> Callable[[list[Any]], list[Any]]:
    """``order[k]`` is where item ``k`` belongs."""
    if order == list(range(len(order))):
        return lambda items: items
    places = [0] * len(order)
    for position, index in enumerate(order):
        places[index] = position
    take = itemgetter(*places)
    return lambda items: list(take(items))


def _days(times: list[datetime]) -> list[str]:
    """``YYYY-MM-DD`` of each moment."""
    numbers = list(map(datetime.toordinal, times))
    if numbers and numbers.count(numbers[0]) == len(numbers):
        return [datetime.fromordinal(numbers[0]).date().isoformat()] * len(numbers)
    names = {number: datetime.fromordinal(number).date().isoformat() for number in set(numbers)}
    return list(map(names.__getitem__, numbers))


def _unique(templates: list[Template]) -> None:
    names: dict[str, str] = {}
    for item in templates:
        if item.name in names:
            raise Invalid(f"{item.path}: the template “{item.name}” is also in {names[item.name]}", todo="Give it another name.", details={"path": item.path})
        names[item.name] = item.path
