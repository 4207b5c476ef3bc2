"""The data level of an event: the highest that anything in it asks for (JR/T 0158-2018, levels 1 to 4).

In: columns of a batch and declared rules. Out: a level for each row. A rule asks for a class, for a column to be filled,
or for a pattern in a column; patterns run once for each distinct value, on RE2, so hostile text costs no more than its
length. The rules that ship are our reading of the standard for security logs; an institution replaces them by a file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import re2
import yaml

from lianfang.kernel.errors import Invalid
from lianfang.kernel.labels import DataLevel

DEFAULT = DataLevel.L2
"""A security log of an institution without anything special in it: internal."""


@dataclass(frozen=True, slots=True)
class LevelRule:
    """Raises rows to ``level`` when all that it names holds: ``classes`` (OCSF uid), ``present`` (any column), ``matches`` (column → RE2)."""

    name: str
    level: DataLevel
    why: str
    classes: frozenset[int] = frozenset()
    present: tuple[str, ...] = ()
    matches: tuple[tuple[str, str], ...] = ()

    def rows(self, columns: Mapping[str, Sequence[Any]]) -> set[int]:
        """Numbers of the rows it speaks of. Distinct values first: most rules speak of no row of a batch, and then no row is looked at."""
        found: set[int] | None = None
        if self.classes:
            found = _among(columns.get("class_uid", ()), self.classes)
        if self.present and found != set():
            filled = {row for name in self.present if any(values := columns.get(name, ())) for row, value in enumerate(values) if value not in (None, "", [], ())}
            found = filled if found is None else found & filled
        if self.matches and found != set():
            matched = set().union(*(_matching(columns.get(name, ()), pattern) for name, pattern in self.matches))
            found = matched if found is None else found & matched
        return found or set()


_SECRET = r"(?i)(?:pass(?:word|wd|phrase)?|pwd|secret|api[_-]?key|access[_-]?token|口令|密码)\s*[=:：]\s*\S"  # noqa: S105  (what to look for, not a secret)
_SECRET_FLAG = r"(?i)(?:^|\s)(?:/p:|-p(?:assword)?\s+|--password[= ]|/pass(?:word)?:)\S"  # noqa: S105
_RESIDENT = r"(?:^|\D)[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?:\D|$)"

BASELINE: tuple[LevelRule, ...] = (
    LevelRule("credentials", DataLevel.L4, "A password or key seems to stand in the text.", matches=tuple((name, pattern) for name in ("process_cmd", "parent_cmd", "script", "url", "message") for pattern in (_SECRET, _SECRET_FLAG))),
    LevelRule("resident-id", DataLevel.L4, "A resident identity number seems to stand in the text.", matches=tuple((name, _RESIDENT) for name in ("url", "message", "process_cmd"))),
    LevelRule("identity", DataLevel.L3, "It tells who signed in, or whose account was changed.", classes=frozenset({3001, 3002, 3003, 3005, 3006}), present=("user", "user_uid", "actor_user")),
    LevelRule("script", DataLevel.L3, "It holds the text of a script.", present=("script",)),
)


def classify(columns: Mapping[str, Sequence[Any]], rules: Iterable[LevelRule] = BASELINE) -> list[DataLevel]:
    """The level of every row: the highest that a rule asks for, at least ``DEFAULT``.

    >>> classify({"class_uid": [1007, 1007], "process_cmd": ["whoami", "net use x /user:a password=b"]})
    [<DataLevel.L2: 2>, <DataLevel.L4: 4>]
    """
    levels = [DEFAULT] * max((len(values) for values in columns.values()), default=0)
    for rule in sorted(rules, key=lambda rule: rule.level):
        for row in rule.rows(columns):
            levels[row] = rule.level
    return levels


def reasons(columns: Mapping[str, Sequence[Any]], row: int, rules: Iterable[LevelRule] = BASELINE) -> list[LevelRule]:
    """The rules that speak of one row, highest level first."""
    one = {name: values[row : row + 1] for name, values in columns.items()}
    return sorted((rule for rule in rules if rule.rows(one)), key=lambda rule: -rule.level)


def load(path: Path) -> tuple[LevelRule, ...]:
    """Rules from YAML: a list of ``{name, level, why, classes?, present?, matches?: {column: pattern}}``; ``Invalid`` names the rule at fault."""
    entries = yaml.safe_load(Path(path).read_text("utf-8"))
    if not isinstance(entries, list):
        raise Invalid(f"{path.name} is no list of rules", todo="Write one entry per rule.")
    return tuple(_rule(entry, path.name) for entry in entries)


def _rule(entry: Any, file: str) -> LevelRule:
    name = str(entry.get("name", "?")) if isinstance(entry, dict) else "?"
    try:
        matches = tuple((str(column), str(pattern)) for column, pattern in entry.get("matches", {}).items())
        for _column, pattern in matches:
            re2.compile(pattern)
        return LevelRule(name, DataLevel(entry["level"]), str(entry["why"]), frozenset(entry.get("classes", ())), tuple(entry.get("present", ())), matches)
    except (AttributeError, KeyError, TypeError, ValueError, re2.error) as error:
        raise Invalid(f"The level rule “{name}” in {file} cannot be used", why=f"{type(error).__name__}: {error}", todo="It needs name, level (1–4), why, and classes, present or matches (column: RE2 pattern).") from error


def _among(values: Sequence[Any], wanted: Collection[Any]) -> set[int]:
    """The rows whose value is among those wanted."""
    there = set(values).intersection(wanted)
    return {row for row, value in enumerate(values) if value in there} if there else set()


def _matching(values: Sequence[Any], pattern: str) -> set[int]:
    """Over UTF-8: offsets in characters would be counted on every search."""
    if not any(values):
        return set()
    search = re2.compile(pattern.encode()).search
    return _among(values, [value for value in set(values) if value and search(value.encode("utf-8", "replace")) is not None])
