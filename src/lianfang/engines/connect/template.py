"""A mapping template: YAML → checked, frozen values. Ten verbs, no code.

``detect`` (which rows), ``class``, ``const``, ``map`` with ``from``/``first_of``, ``to``, ``parse``, ``take``, ``split``,
``enum``, ``regex``, ``when``, ``lookup``; ``cases`` are the same again for some of the rows; ``logsource`` names them for
Sigma; ``unmapped: keep`` says what always holds; ``tests`` show a sample and what becomes of it.
Every error says the file, the line, what is wrong and what to write instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from lianfang.engines.connect import verbs
from lianfang.engines.schema.events import BY_NAME, BY_PATH, Kind
from lianfang.engines.schema.ocsf import class_of
from lianfang.kernel.errors import Invalid

NOT_OURS = frozenset({"event_id", "event_day", "received", "source", "territory", "industry", "level", "rules", "template", "unmapped", "raw"})
"""Columns that a template cannot fill: the lake does, or the mapper itself."""

_TOP = frozenset({"template", "title", "priority", "detect", "logsource", "class", "activity", "severity", "status", "const", "map", "cases", "tables", "unmapped", "tests"})
_CASE = frozenset({"when", "class", "activity", "severity", "status", "const", "map", "logsource", "title"})
_ENTRY = frozenset({"from", "first_of", "to", "parse", "take", "split", "enum", "regex", "when", "lookup"})


class Located(dict[str, Any]):
    """A mapping of YAML that remembers its line."""

    line = 0


class _Loader(yaml.SafeLoader):
    """SafeLoader whose mappings are ``Located``; a key given twice is an error, not a surprise."""

    def located(self, node: yaml.MappingNode) -> Located:
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise Invalid(f"“{twice}” is written twice", details={"line": node.start_mark.line + 1})
        found = Located({str(name): value for name, value in self.construct_mapping(node).items()})
        found.line = node.start_mark.line + 1
        return found


def _construct(loader: _Loader, node: yaml.MappingNode) -> Iterator[Located]:
    made = Located()
    yield made
    filled = loader.located(node)
    made.update(filled)
    made.line = filled.line


_Loader.add_constructor("tag:yaml.org,2002:map", _construct)


@dataclass(frozen=True, slots=True)
class Test:
    """One condition on one field: any of the patterns; ``*`` present, ``None`` absent; ASCII letters in any case."""

    field: str
    patterns: tuple[str | None, ...]

    def holds(self, value: str | None) -> bool:
        """
        >>> Test("Channel", ("Security", "a*")).holds("security"), Test("x", (None,)).holds(None)
        (True, True)
        """
        return any(_like(pattern, value) for pattern in self.patterns)


def _like(pattern: str | None, value: str | None) -> bool:
    if pattern is None or value is None:
        return pattern is None and value is None
    pattern, value = pattern.lower(), value.lower()
    head, star, tail = pattern.partition("*")
    if not star:
        return pattern == value
    if not head and tail.endswith("*"):
        return tail[:-1] in value
    return len(value) >= len(head) + len(tail) and value.startswith(head) and value.endswith(tail)


@dataclass(frozen=True, slots=True)
class Step:
    """One line of ``map``: fields to look at in order, what to do with the text, columns to fill, and when."""

    fields: tuple[str, ...]
    targets: tuple[str, ...]
    parse: tuple[str, ...]
    when: tuple[Test, ...] = ()
    split: str | None = None
    take: int | str | tuple[str, str] | None = None
    regex: str | None = None
    table: tuple[tuple[str, Any], ...] = ()

    @property
    def key(self) -> tuple[Any, ...]:
        """Steps with the same key share one memo: what they do with a text is the same."""
        return (self.targets if self.regex else BY_NAME[self.targets[0]].kind, self.parse, self.split, self.take, self.regex, self.table)

    @property
    def faithful(self) -> bool:
        """Whether the columns say all that the field said: then it need not be kept among the unmapped."""
        return not (self.split or self.take is not None or self.regex or self.table)


@dataclass(frozen=True, slots=True)
class Case:
    """What holds for some of the rows of a template."""

    when: tuple[Test, ...]
    const: tuple[tuple[str, Any], ...]
    steps: tuple[Step, ...]
    logsource: tuple[str, str, str]


@dataclass(frozen=True)
class Template:
    """A whole template. ``cases`` ends with the one that holds for all other rows."""

    name: str
    title: Mapping[str, str]
    priority: int
    detect: tuple[Test, ...]
    steps: tuple[Step, ...]
    cases: tuple[Case, ...]
    tests: tuple[Mapping[str, Any], ...] = ()
    path: str = ""

    @cached_property
    def conditions(self) -> tuple[Test, ...]:
        """Every condition of the template."""
        steps = [*self.steps, *(step for case in self.cases for step in case.steps)]
        return (*self.detect, *(test for case in self.cases for test in case.when), *(test for step in steps for test in step.when))


@dataclass
class _Reader:
    """Reads one file and knows where it is."""

    path: str
    tables: Mapping[str, Mapping[str, Any]]
    line: int = field(default=1)

    def wrong(self, what: str, *, why: str = "", todo: str = "") -> Invalid:
        return Invalid(f"{self.path}, line {self.line}: {what}", why=why, todo=todo, details={"path": self.path, "line": self.line})

    def at(self, value: Any) -> None:
        self.line = getattr(value, "line", self.line) or self.line

    def known(self, value: Any, names: frozenset[str], place: str) -> Located:
        self.at(value)
        if not isinstance(value, Located):
            raise self.wrong(f"{place} must be names and values", todo=f"Write it like “{place}: {{…}}”.")
        for name in value:
            if name not in names:
                raise self.wrong(f"{place} does not know “{name}”", todo=f"It knows {', '.join(sorted(names))}.")
        return value

    def template(self, document: Any) -> Template:
        top = self.known(document, _TOP, "A template")
        for name in ("template", "detect"):
            if name not in top:
                raise self.wrong(f"A template needs “{name}”", todo="See content/mappings/README.md.")
        if top.get("unmapped", "keep") != "keep":
            raise self.wrong("unmapped can only be “keep”", why="No field is ever lost.", todo="Write “unmapped: keep” or leave it out.")
        own = top.get("tables")
        self.tables = {**self.tables, **(own if isinstance(own, dict) else {})}
        base = self.logsource(top.get("logsource", {}), ("", "", ""))
        constants = self.constants(top)
        cases = [self.case(case, base, constants) for case in self.items(top.get("cases", []), "cases")]
        cases.append(Case((), tuple(constants.items()), (), base))
        self.at(top)
        return Template(
            name=str(top["template"]), title=top.get("title", {}), priority=int(top.get("priority", 50)), detect=self.conditions(top["detect"]),
            steps=self.steps(top.get("map", [])), cases=tuple(cases), tests=tuple(self.items(top.get("tests", []), "tests")), path=self.path,
        )  # fmt: skip

    def items(self, value: Any, place: str) -> list[Any]:
        if not isinstance(value, list):
            raise self.wrong(f"{place} must be a list", todo="Begin each item with “- ”.")
        return value

    def case(self, value: Any, base: tuple[str, str, str], constants: dict[str, Any]) -> Case:
        case = self.known(value, _CASE, "A case")
        if "when" not in case:
            raise self.wrong("A case needs “when”", todo="Write when: {EventID: 1}.")
        own = self.constants(case, inherited=constants)
        return Case(self.conditions(case["when"]), tuple(own.items()), self.steps(case.get("map", [])), self.logsource(case.get("logsource", {}), base))

    def logsource(self, value: Any, base: tuple[str, str, str]) -> tuple[str, str, str]:
        found = self.known(Located(value) if isinstance(value, dict) else value, frozenset({"product", "category", "service"}), "logsource")
        product, category, service = (str(found.get(name, inherited)) for name, inherited in zip(("product", "category", "service"), base))
        return product, category, service

    def constants(self, value: Located, *, inherited: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """``class``, ``activity``, ``severity``, ``status`` and ``const`` as columns."""
        found = dict(inherited or {"class_uid": 0, "activity_id": 0, "severity_id": 1})
        try:
            if "class" in value:
                found["class_uid"], found["activity_id"] = class_of(value["class"]).uid, 0
            if "activity" in value:
                event, activity = class_of(found["class_uid"]), value["activity"]
                found["activity_id"] = event.activity(activity) if isinstance(activity, str) else activity
                if found["activity_id"] not in event.activities:
                    raise Invalid(f"{event.caption} has no activity {activity}")
        except Invalid as error:
            raise self.wrong(error.what, why=error.why, todo=error.todo) from error
        for word, column in (("severity", "severity_id"), ("status", "status_id")):
            if word in value:
                found[column] = self.number(value[word], word)
        return {**found, **{self.column(name): self.constant(name, item) for name, item in value.get("const", {}).items()}}

    def number(self, value: Any, word: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(f"{word} must be a number", todo="Use the OCSF numbers, such as 1.")
        return value

    def constant(self, name: str, value: Any) -> Any:
        kind = BY_NAME[self.column(name)].kind
        if kind is Kind.TEXT:
            return str(value)
        if kind is Kind.INT:
            return self.number(value, name)
        raise self.wrong(f"{name} cannot be a constant", todo="Fill it in map.")

    def column(self, name: str) -> str:
        """A column by its name or by its OCSF path."""
        found = BY_NAME.get(name) or BY_PATH.get(name)
        if found is None or found.name in NOT_OURS:
            raise self.wrong(f"“{name}” is not a column that a template can fill", todo=f"Columns are {', '.join(column for column in BY_NAME if column not in NOT_OURS)}.")
        return found.name

    def conditions(self, value: Any) -> tuple[Test, ...]:
        self.at(value)
        if not isinstance(value, dict):
            raise self.wrong("A condition must name fields and values", todo="Write it like {EventID: 4624}.")
        return tuple(Test(str(name), self.patterns(wanted)) for name, wanted in value.items())

    def patterns(self, wanted: Any) -> tuple[str | None, ...]:
        return tuple(None if item is None else str(item).lower() if isinstance(item, bool) else str(item) for item in (wanted if isinstance(wanted, list) else [wanted]))

    def steps(self, value: Any) -> tuple[Step, ...]:
        return tuple(self.step(item) for item in self.items(value, "map"))

    def step(self, value: Any) -> Step:
        entry = self.known(value, _ENTRY, "A line of map")
        fields = self.sources(entry)
        regex = entry.get("regex")
        groups = self.groups(regex) if regex is not None else ()
        if bool(groups) == ("to" in entry):
            raise self.wrong("A line needs “to”, or a regex whose named groups are columns", todo="Write to: host, or (?P<host>…).")
        targets = tuple(self.column(name) for name in groups or [str(entry["to"])])
        if fields == ("*",) and BY_NAME[targets[0]].kind is not Kind.LIST:
            raise self.wrong("from: \"*\" fills lists only", todo="Use it with to: ips, hashes or domains.")
        return Step(
            fields=fields, targets=targets, parse=tuple(self.parse(entry.get("parse"), target) for target in targets),
            when=self.conditions(entry["when"]) if "when" in entry else (), split=self.separator(entry.get("split")), take=self.take(entry.get("take")), regex=regex,
            table=self.table(entry, targets[0]),
        )  # fmt: skip

    def sources(self, entry: Located) -> tuple[str, ...]:
        if ("from" in entry) == ("first_of" in entry):
            raise self.wrong("A line needs either “from” or “first_of”", todo="Write from: Image, or first_of: [UtcTime, SystemTime].")
        return (str(entry["from"]),) if "from" in entry else tuple(map(str, self.items(entry["first_of"], "first_of")))

    def groups(self, expression: str) -> tuple[str, ...]:
        try:
            index = {name.decode(): number for name, number in verbs.pattern(expression).groupindex.items()}
        except Invalid as error:
            raise self.wrong(error.what, why=error.why, todo=error.todo) from error
        return tuple(sorted(index, key=index.__getitem__))

    def parse(self, name: Any, target: str) -> str:
        name = name or verbs.default_parser(target, BY_NAME[target].kind)
        if name not in verbs.PARSERS and name not in verbs.TIMES:
            raise self.wrong(f"parse does not know “{name}”", todo=f"It knows {', '.join([*verbs.PARSERS, *verbs.TIMES])}.")
        kind = BY_NAME[target].kind
        if (kind is Kind.INT) != (name == "int") or (kind is Kind.TIME) != (name in verbs.TIMES):
            raise self.wrong(f"“{target}” holds {kind}, parse: {name} gives something else", todo="Leave parse out to get what the column needs.")
        return str(name)

    def separator(self, value: Any) -> str | None:
        if value is not None and (not isinstance(value, str) or not value):
            raise self.wrong("split needs a text", todo='Write split: ",".')
        return value

    def take(self, how: Any) -> Any:
        sides = isinstance(how, dict) and len(how) == 1 and set(how) <= {"after", "before"} and all(isinstance(mark, str) and mark for mark in how.values())
        if how is None or isinstance(how, int) or how in ("first", "last") or sides:
            return next(iter(how.items())) if isinstance(how, dict) else how
        raise self.wrong(f"take does not know {how}", todo="Write a number, first, last, {after: text} or {before: text}.")

    def table(self, entry: Located, target: str) -> tuple[tuple[str, Any], ...]:
        if "enum" in entry and "lookup" in entry:
            raise self.wrong("A line has either “enum” or “lookup”")
        found = entry.get("enum", self.tables.get(entry["lookup"]) if "lookup" in entry else {})
        if not isinstance(found, dict):
            raise self.wrong(f"There is no table “{entry.get('lookup')}”", todo=f"Tables are {', '.join(sorted(self.tables)) or 'none'}: write them under tables in tables.yaml.")
        kind = BY_NAME[target].kind
        for value in found.values():
            if not isinstance(value, int if kind is Kind.INT else str):
                raise self.wrong(f"The table gives {value!r}, but “{target}” holds {kind}", todo="Put quotes around texts, none around numbers.")
        return tuple((str(name), value) for name, value in found.items())


def read(path: Path, tables: Mapping[str, Mapping[str, Any]]) -> Template:
    """One template file; raises ``Invalid`` with file and line."""
    return parse(path.read_text("utf-8"), path=str(path), tables=tables)


def parse(source: str, *, path: str = "template", tables: Mapping[str, Mapping[str, Any]] | None = None) -> Template:
    """The text of a template → ``Template``; raises ``Invalid`` with file and line."""
    return _Reader(path, tables or {}).template(document(source, path=path))


def document(source: str, *, path: str) -> Any:
    """YAML with line numbers; raises ``Invalid``."""
    try:
        return yaml.load(source, _Loader)  # noqa: S506 - a SafeLoader
    except Invalid as error:
        raise Invalid(f"{path}, line {error.details.get('line')}: {error.what}", todo="Keep one of them.", details={"path": path, **error.details}) from error
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise Invalid(f"{path}, line {line}: this is not YAML", why=str(getattr(error, "problem", "") or error)[:200], todo="Check the indentation, and put quotes around texts with “: ” or “*”.", details={"path": path, "line": line}) from error
