"""The classes of data, as a file that experts edit: classes ⊃ sub-classes ⊃ items, each item with a level and how it is known.

In: YAML. Out: a checked ``Taxonomy``; what is wrong is said with its place, all of it at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import re2
import yaml

from lianfang.engines.grading.levels import Rules
from lianfang.engines.grading.names import Dictionary
from lianfang.engines.grading.shapes import KINDS
from lianfang.kernel.errors import Invalid
from lianfang.kernel.labels import DataLevel

MOST_FAULTS = 20


@dataclass(frozen=True, slots=True)
class Item:
    """A kind of data. ``names``: roots of its name; ``kinds``: values that are it; ``shape``: RE2 that its values must fit where the name says it."""

    code: str
    zh: str
    en: str
    level: DataLevel
    names: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    shape: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """A class or a sub-class."""

    code: str
    zh: str
    en: str


@dataclass(frozen=True)
class Taxonomy:
    """All items by code. ``above``: sub-class → its class, item → its sub-class."""

    edition: str
    classes: dict[str, Group]
    subclasses: dict[str, Group]
    items: dict[str, Item]
    above: dict[str, str]
    rules: Rules = field(default_factory=Rules)

    @cached_property
    def dictionary(self) -> Dictionary:
        """The roots of all items; an item's Chinese name is one of its roots."""
        return Dictionary({code: (item.zh, *item.names) for code, item in self.items.items()})

    @cached_property
    def of_kind(self) -> dict[str, tuple[str, ...]]:
        """Recognised kind → the items whose values are of it; the first is meant where nothing else is said."""
        found: dict[str, tuple[str, ...]] = {}
        for code, item in self.items.items():
            for kind in item.kinds:
                found[kind] = (*found.get(kind, ()), code)
        return found

    def place(self, code: str) -> tuple[Group, Group, Item]:
        """Class, sub-class and item of a code; raises ``Invalid``."""
        if code not in self.items:
            raise Invalid(f"There is no item {code[:20]}", why="The classes of data do not list it.", todo="Choose an item of the list.", details={"item": ["unknown"]})
        subclass = self.above[code]
        return self.classes[self.above[subclass]], self.subclasses[subclass], self.items[code]

    def tree(self) -> Iterator[tuple[Group, list[tuple[Group, list[Item]]]]]:
        """Classes with their sub-classes with their items, in the order of the file."""
        for code, outer in self.classes.items():
            yield outer, [(inner, [item for item in self.items.values() if self.above[item.code] == below]) for below, inner in self.subclasses.items() if self.above[below] == code]


def load(path: Path) -> Taxonomy:
    """A taxonomy from its file; raises ``Invalid`` with every fault found (up to 20) and where it stands."""
    try:
        entry = yaml.safe_load(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Invalid(f"{Path(path).name} cannot be read", why=str(error), todo="Mend the file.") from error
    return built(entry, Path(path).name)


def built(entry: Any, file: str) -> Taxonomy:
    """A taxonomy from what stood in a file."""
    reader = _Reader()
    taxonomy = reader.taxonomy(entry)
    if reader.faults:
        raise Invalid(f"{file} is no list of data classes", why="; ".join(reader.faults[:MOST_FAULTS]), todo="Mend these entries.", details={"faults": reader.faults[:MOST_FAULTS]})
    return taxonomy


class _Reader:
    """Reads entries and keeps what is wrong with them."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def taxonomy(self, entry: Any) -> Taxonomy:
        classes: dict[str, Group] = {}
        subclasses: dict[str, Group] = {}
        items: dict[str, Item] = {}
        above: dict[str, str] = {}
        if not isinstance(entry, dict) or not isinstance(entry.get("classes"), list):
            self.faults.append("it has no list “classes”")
            return Taxonomy("", classes, subclasses, items, above)
        for outer in self._entries(entry["classes"], "", "subclasses"):
            self._put(classes, Group(*self._named(outer)))
            for inner in self._entries(outer.get("subclasses"), str(outer.get("code")), "items"):
                self._put(subclasses, Group(*self._named(inner)))
                above[str(inner["code"])] = str(outer["code"])
                for row in self._entries(inner.get("items"), str(inner.get("code")), ""):
                    if item := self._item(row):
                        self._put(items, item)
                        above[item.code] = str(inner["code"])
        self._twice(items)
        return Taxonomy(str(entry.get("edition", "")), classes, subclasses, items, above, self._rules(entry.get("rules"), items))

    def _entries(self, rows: Any, above: str, below: str) -> Iterator[Mapping[str, Any]]:
        if not isinstance(rows, list) or not rows:
            self.faults.append(f"{above or 'classes'}: nothing is below it")
            return
        for number, row in enumerate(rows, 1):
            code = str(row.get("code", "")) if isinstance(row, dict) else ""
            if not code:
                self.faults.append(f"{above or 'classes'}: entry {number} has no code")
            elif not code.startswith(above) or code == above:
                self.faults.append(f"{code}: a code begins with that of what it is part of ({above})")
            else:
                yield row

    def _named(self, row: Mapping[str, Any]) -> tuple[str, str, str]:
        code = str(row["code"])
        if missing := [name for name in ("zh", "en") if not isinstance(row.get(name), str) or not row[name].strip()]:
            self.faults.append(f"{code}: {', '.join(missing)} missing")
        return code, str(row.get("zh", "")), str(row.get("en", ""))

    def _item(self, row: Mapping[str, Any]) -> Item | None:
        code, zh, en = self._named(row)
        kinds = tuple(str(row.get("kinds", "")).split())
        if unknown := sorted(set(kinds) - set(KINDS)):
            self.faults.append(f"{code}: no recogniser is called {', '.join(unknown)}")
        if extra := sorted(set(row) - {"code", "zh", "en", "level", "names", "kinds", "shape"}):
            self.faults.append(f"{code}: unknown entry {', '.join(map(str, extra))}")
        try:
            re2.compile(str(row.get("shape", "")))
            return Item(code, zh, en, DataLevel(row.get("level", 0)), tuple(str(row.get("names", "")).split()), kinds, str(row.get("shape", "")))
        except re2.error as error:
            self.faults.append(f"{code}: the shape is no RE2 pattern ({error})")
        except ValueError:
            self.faults.append(f"{code}: the level is one of {', '.join(str(int(level)) for level in DataLevel)}")
        return None

    def _rules(self, entry: Any, items: Mapping[str, Item]) -> Rules:
        try:
            rules = Rules.read(entry or {})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self.faults.append(f"rules: {type(error).__name__}: {error}")
            return Rules()
        self.faults += [f"rules: {prefix} begins no item" for prefix in rules.prefixes() if not any(code.startswith(prefix) for code in items)]
        return rules

    def _put(self, known: dict[str, Any], one: Any) -> None:
        if one.code in known:
            self.faults.append(f"{one.code}: stands there twice")
        known[one.code] = one

    def _twice(self, items: Mapping[str, Item]) -> None:
        self.faults += [f"{name}: two items have this name" for name, times in Counter(item.zh for item in items.values()).items() if times > 1]
