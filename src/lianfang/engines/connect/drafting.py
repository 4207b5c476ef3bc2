"""A template made by picking: for each field where it goes, constants, a class. Written as the YAML that experts write.

In: a ``Draft``. Out: the text of a template; and back, as far as a template says no more than a draft can.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from lianfang.engines.connect.template import document
from lianfang.engines.schema.events import BY_NAME, BY_PATH, Kind
from lianfang.kernel.errors import Invalid

_SIMPLE = frozenset({"template", "title", "priority", "detect", "class", "activity", "severity", "status", "const", "map", "unmapped", "tests", "logsource"})
_LINE = frozenset({"from", "first_of", "to", "parse", "regex", "enum"})


@dataclass(frozen=True, slots=True)
class Pick:
    """One field: into ``to`` (a column, or its OCSF path), or by the named groups of ``regex``; ``table`` turns texts into values."""

    field: str
    to: str = ""
    parse: str = ""
    regex: str = ""
    table: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """A mapping as a person picks it."""

    name: str
    title: str = ""
    klass: str = ""
    activity: str = ""
    severity: str = ""
    status: str = ""
    const: tuple[tuple[str, str], ...] = ()
    picks: tuple[Pick, ...] = ()


def written(draft: Draft, tests: Sequence[Mapping[str, Any]] = ()) -> str:
    """The draft as YAML. Values are checked where the text is compiled; raises ``Invalid`` only for numbers that are none.

    >>> print(written(Draft("acme.vpn", "ACME", klass="authentication", picks=(Pick("sip", "src_endpoint.ip"), Pick("act", "status_id", table=(("ok", "1"),))))))
    template: acme.vpn
    title:
      zh: ACME
      en: ACME
    detect: {}
    class: authentication
    map:
    - from: sip
      to: src_ip
    - from: act
      to: status_id
      enum:
        ok: 1
    unmapped: keep
    <BLANKLINE>
    """
    title = draft.title or draft.name
    found: dict[str, Any] = {"template": draft.name, "title": {"zh": title, "en": title}, "detect": {}}
    if draft.klass:
        found["class"] = _number(draft.klass)
        if draft.activity:
            found["activity"] = _number(draft.activity)
    for word, value in (("severity", draft.severity), ("status", draft.status)):
        if value:
            found[word] = _number(value)
    if draft.const:
        found["const"] = {column_of(name): _value(column_of(name), value) for name, value in draft.const}
    found["map"] = [line for pick in draft.picks for line in _lines(pick)]
    found["unmapped"] = "keep"
    if tests:
        found["tests"] = [dict(test) for test in tests]
    return dumped(found)


def dumped(found: Mapping[str, Any]) -> str:
    """A document as YAML, in its own order."""
    return yaml.safe_dump(_unlocated(found), sort_keys=False, allow_unicode=True, width=160)


def _unlocated(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _unlocated(item) for name, item in value.items()}
    return [_unlocated(item) for item in value] if isinstance(value, list | tuple) else value


def _lines(pick: Pick) -> list[dict[str, Any]]:
    """A field may have a target, a pattern, or both."""
    found: list[dict[str, Any]] = []
    if pick.to:
        column = column_of(pick.to)
        line: dict[str, Any] = {"from": pick.field, "to": column}
        if pick.parse:
            line["parse"] = pick.parse
        if pick.table:
            line["enum"] = {text: _value(column, value) for text, value in pick.table}
        found.append(line)
    if pick.regex:
        found.append({"from": pick.field, "regex": pick.regex})
    return found


def column_of(name: str) -> str:
    """A column by its name or OCSF path; a name that is none stays, and the compiler says so."""
    found = BY_NAME.get(name) or BY_PATH.get(name)
    return found.name if found else name


def _value(column: str, value: str) -> Any:
    return _number(value) if column in BY_NAME and BY_NAME[column].kind is Kind.INT else value


def _number(value: str) -> int | str:
    return int(value) if value.lstrip("-").isascii() and value.lstrip("-").isdigit() else value


def draft_of(text: str) -> Draft | None:
    """The draft behind a template's text; ``None`` when it says more (cases, conditions, split, take, lookup). Raises ``Invalid`` for what is no YAML."""
    found = document(text, path="mapping")
    if not isinstance(found, dict) or "template" not in found:
        raise Invalid("This is no mapping template", todo="Begin it with “template: a.name”.")
    lines = found.get("map") or []
    if set(found) - _SIMPLE or found.get("detect") or found.get("logsource") or any(not isinstance(line, dict) or set(line) - _LINE for line in lines):
        return None
    title = found.get("title") or {}
    picks = [pick for line in lines for pick in _picks(line)]
    said = {word: str(found.get(word, "")) for word in ("activity", "severity", "status")}
    const = tuple((str(name), str(value)) for name, value in (found.get("const") or {}).items())
    return Draft(str(found["template"]), str(title.get("zh") or title.get("en") or ""), str(found.get("class", "")), const=const, picks=tuple(picks), **said)


def _picks(line: Mapping[str, Any]) -> list[Pick]:
    fields = [line["from"]] if "from" in line else list(line.get("first_of", []))
    table = tuple((str(text), str(value)) for text, value in (line.get("enum") or {}).items())
    return [Pick(str(field), str(line.get("to", "")), str(line.get("parse", "")), str(line.get("regex", "")), table) for field in fields]
