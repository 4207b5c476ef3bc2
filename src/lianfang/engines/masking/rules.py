"""Rules of desensitising as experts write them: what is hidden, how, on the way in or on the way out, of which sources or for whom.

In: plain data (from YAML or a form). Out: checked rules; everything that is wrong is said at once.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from lianfang.engines.masking.methods import Form, Method, Verb, method_of
from lianfang.engines.masking.texts import KINDS
from lianfang.engines.schema.events import BY_NAME, BY_PATH, Kind
from lianfang.kernel.errors import Invalid
from lianfang.kernel.labels import DataLevel

OURS = frozenset(("event_id", "event_day", "time", "received", "source", "territory", "industry", "level", "class_uid", "activity_id", "severity_id", "status_id", "rules", "template"))
"""Columns that the node itself writes or steers by: no rule hides them (the time can be cut to the hour)."""
KNOWN = frozenset(("name", "zh", "why", "zh_why", "way", "sources", "to", "below", "columns", "fields", "classes", "kinds", "verb", "form", "first", "last", "keep_domain", "domain", "spare", "reversible", "examine", "raw"))
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")


class Way(StrEnum):
    """When a rule works."""

    IN = "in"
    OUT = "out"


class To(StrEnum):
    """Where data goes on its way out."""

    EXPORT = "export"
    API = "api"


class Examine(StrEnum):
    """What rules of detection see: what is stored, or what came in."""

    STORED = "stored"
    ORIGINAL = "original"


class Raw(StrEnum):
    """What becomes of the raw log, the message and the other fields of a touched record: covered where the value stands in them, or taken away."""

    COVER = "cover"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. ``sources``: names with ``*`` (none: all); ``below``: only recipients cleared for less than this; ``classes``: codes of data classes; ``spare``: values, lower case, that stay."""

    name: str
    way: Way
    method: Method
    zh: str = ""
    why: str = ""
    sources: tuple[str, ...] = ()
    to: tuple[To, ...] = (To.EXPORT, To.API)
    below: int = 5
    columns: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    domain: str = ""
    spare: frozenset[str] = frozenset()
    reversible: bool = False
    examine: Examine = Examine.STORED
    raw: Raw = Raw.COVER

    def of_source(self, name: str) -> bool:
        """Whether it speaks of a source."""
        return not self.sources or any(fnmatch.fnmatchcase(name, pattern) for pattern in self.sources)

    def for_whom(self, to: To, clearance: DataLevel) -> bool:
        """Whether it speaks of what goes there, to somebody of this clearance."""
        return self.way is Way.OUT and to in self.to and clearance < self.below


def load(path: Path) -> dict[str, Mapping[str, Any]]:
    """The rules of a file by name, each checked; raises ``Invalid``."""
    try:
        entries = yaml.safe_load(Path(path).read_text("utf-8"))["rules"]
        rules = {str(entry["name"]): entry for entry in entries}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise Invalid(f"{Path(path).name} is no list of rules", why=str(error), todo="It begins with “rules:”, one entry for each, each with a name.") from error
    for entry in rules.values():
        rule_of(entry)
    return rules


def rule_of(entry: Mapping[str, Any]) -> Rule:
    """A rule from what was written; raises ``Invalid`` with everything that is wrong.

    >>> rule_of({"name": "users", "way": "in", "columns": ["user.name"], "verb": "pseudonym", "form": "name"}).columns
    ('user',)
    """
    faults: list[str] = []
    name = str(entry.get("name", ""))
    if not NAME.fullmatch(name):
        faults.append("name: small letters, digits and “-”, at most 60")
    faults += [f"{unknown}: there is no such entry" for unknown in sorted(set(map(str, entry)) - KNOWN)]
    chosen = {each: _one(entry, each, kinds, usual, faults) for each, kinds, usual in (("way", Way, None), ("examine", Examine, Examine.STORED), ("raw", Raw, Raw.COVER))}
    try:
        method = method_of(entry)
    except (ValueError, AttributeError) as error:
        faults.append(f"verb: {error}")
        method = Method(Verb.REMOVE)
    lists = {each: _texts(entry, each, faults) for each in ("sources", "to", "columns", "fields", "classes", "kinds", "spare")}
    columns = tuple(BY_PATH[each].name if each in BY_PATH and each not in BY_NAME else each for each in lists["columns"])
    faults += [fault for column in columns for fault in _column(column, method)]
    faults += [f"kinds: nothing inside a text is known as “{kind}”; there are {', '.join(KINDS)}" for kind in lists["kinds"] if kind not in KINDS]
    faults += [f"to: “{to}” is no way out; there are {', '.join(To)}" for to in lists["to"] if to not in list(To)]
    if not (columns or lists["fields"] or lists["classes"] or lists["kinds"]):
        faults.append("columns, fields, classes or kinds: one of them must say what is hidden")
    below = entry.get("below") or 5
    if below not in (2, 3, 4, 5):
        faults.append("below: a level from 2 to 4, or nothing for everybody")
    if entry.get("reversible") and method.verb not in (Verb.PSEUDONYM, Verb.HASH):
        faults.append("reversible: only a pseudonym or a digest can be led back")
    if faults:
        raise Invalid(f"The rule “{name[:60]}” cannot be used", why="; ".join(faults[:20]), todo="Mend these entries.", details={"definition": faults[:20]})
    return Rule(
        name, Way(chosen["way"]), method, str(entry.get("zh", "")), str(entry.get("why", "")), lists["sources"], tuple(To(to) for to in lists["to"]) or tuple(To), int(below), columns, lists["fields"], lists["classes"], lists["kinds"],
        str(entry.get("domain") or name), frozenset(value.lower() for value in lists["spare"]), bool(entry.get("reversible")), Examine(chosen["examine"]), Raw(chosen["raw"]),
    )  # fmt: skip


def _one(entry: Mapping[str, Any], name: str, kinds: type[StrEnum], usual: StrEnum | None, faults: list[str]) -> StrEnum:
    try:
        return kinds(str(entry.get(name) or usual))
    except ValueError:
        faults.append(f"{name}: one of {', '.join(kinds)}")
        return next(iter(kinds))


def _texts(entry: Mapping[str, Any], name: str, faults: list[str]) -> tuple[str, ...]:
    given = entry.get(name) or []
    if not isinstance(given, list) or not all(isinstance(each, str | int) and not isinstance(each, bool) for each in given):
        faults.append(f"{name}: a list of words")
        return ()
    return tuple(str(each) for each in given)


def _column(name: str, method: Method) -> Iterable[str]:
    known = BY_NAME.get(name)
    if known is None:
        yield f"columns: there is no column “{name}”"
    elif name == "time":
        if (method.verb, method.form) != (Verb.TRUNCATE, Form.TIME):
            yield "columns: the time can only be cut (verb truncate, form time)"
    elif name in OURS:
        yield f"columns: “{name}” is written by the node itself and cannot be hidden"
    elif known.kind is Kind.INT and method.verb is not Verb.REMOVE:
        yield f"columns: “{name}” holds numbers, which can only be removed"
