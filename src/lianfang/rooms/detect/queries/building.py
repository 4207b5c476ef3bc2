"""Building: a rule as a form, and as the Sigma text that it is. The text is the rule; the form is one way to read and write it.

In: groups of conditions on the fields of an event model, or a text. Out: the other. What a text says beyond groups of conditions
cannot be shown as a form: ``read`` raises ``Invalid`` that says what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml
from django.utils.translation import gettext as _

from lianfang.commons.frame.language import either
from lianfang.engines.connect.kinds import Kind
from lianfang.engines.schema.events import BY_NAME
from lianfang.kernel.errors import Invalid, Missing
from lianfang.rooms.detect.queries import library
from lianfang.rooms.lake import queries as lake

OPERATORS = ("is", "contains", "startswith", "endswith", "re", "cidr", "lt", "lte", "gt", "gte", "exists", "missing")
"""How a field is compared; most are Sigma's modifiers."""
_TEXTUAL = frozenset({"is", "contains", "startswith", "endswith", "re"})
MODEL = "model"
"""The selection that ties a rule to its event model; the form writes it, nobody edits it there."""
MOST_GROUPS, MOST_LINES, MOST_VALUES = 12, 20, 200
LEVELS = ("informational", "low", "medium", "high", "critical")


@dataclass(frozen=True, slots=True)
class Line:
    """One condition: a field, an operator, values of which one has to fit (``every``: all of them)."""

    field: str = ""
    operator: str = "contains"
    values: tuple[str, ...] = ()
    every: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions of which all have to hold (``some``: one of them); ``unless``: the rule does not fire when they do."""

    lines: tuple[Line, ...] = (Line(),)
    some: bool = False
    unless: bool = False


@dataclass(frozen=True, slots=True)
class Built:
    """A rule as the form shows it. ``model`` and ``mapping`` say whose fields are meant; ``some``: one of the groups is enough."""

    title: str = ""
    title_zh: str = ""
    model: str = ""
    mapping: str = ""
    groups: tuple[Group, ...] = (Group(),)
    some: bool = False
    level: str = "medium"
    techniques: tuple[str, ...] = ()
    alarm: str = ""
    description: str = ""
    description_zh: str = ""
    falsepositives: tuple[str, ...] = ()
    uid: str = ""
    author: str = ""
    status: str = "experimental"
    logsource: Mapping[str, str] = field(default_factory=dict)
    """Of a rule that names no event model: the logs it is about, as its author wrote it."""
    rest: Mapping[str, Any] = field(default_factory=dict)
    """What the text says beside all this and a form need not show: references, dates; under ``tags`` and ``lianfang`` what else these hold."""


@dataclass(frozen=True, slots=True)
class Known:
    """A field that the logs of a mapping have: its own name, and what column it fills."""

    name: str
    title: str


# ---- what the form offers --------------------------------------------------------------------------------------


def mappings_of(model: str) -> list[tuple[str, str]]:
    """Name and title of the mappings that make events of a model and say what Sigma calls such logs."""
    names = list(dict.fromkeys(kind.template for kind in library.made() if library.key_of(kind.class_uid, kind.activity_id) == model and any(kind.logsource)))
    return list(zip(names, library.titles(names), strict=True))


def makeable() -> list[library.EventModel]:
    """The models that a mapping of this node makes: a rule about another could never fire."""
    made = {library.key_of(kind.class_uid, kind.activity_id) for kind in library.made()}
    return [model for key, model in library.event_models().items() if key in made]


def fields_of(mapping: str) -> list[Known]:
    """The dictionary of a mapping: the native fields that it knows, each with what it means."""
    template = next((one for one in lake.in_use() if one.name == mapping), None)
    if template is None:
        return []
    found: dict[str, dict[str, None]] = {}
    for step in (*template.steps, *(step for case in template.cases for step in case.steps)):
        for name in step.fields:
            if name != "*":
                found.setdefault(name, {}).update({either(BY_NAME[target].zh, BY_NAME[target].en): None for target in step.targets})
    for test in (*template.detect, *(test for case in template.cases for test in case.when)):
        found.setdefault(test.field, {})
    return [Known(name, either("、", ", ").join(titles)) for name, titles in sorted(found.items(), key=lambda pair: pair[0].lower())]


def _kinds(model: str, mapping: str) -> list[Kind]:
    return [kind for kind in library.made() if kind.template == mapping and library.key_of(kind.class_uid, kind.activity_id) == model]


def logsource_of(model: str, mapping: str) -> dict[str, str]:
    """What Sigma calls the logs of a mapping that become events of a model. Raises ``Missing``."""
    kinds = _kinds(model, mapping)
    if not kinds:
        raise Missing(_("No such mapping makes events of this model"), todo=_("Choose an event model and the kind of log it comes from."))
    product, category, service = kinds[0].logsource
    return {name: said for name, said in (("product", product), ("category", "" if service else category), ("service", service)) if said}


def selection_of(model: str, mapping: str) -> Any:
    """What native fields say in events of a model and not in others of the same log, as a Sigma selection; nothing where all are of it."""
    here, all_of = _kinds(model, mapping), [kind for kind in library.made() if kind.template == mapping]
    alike = {name for kind in here for name in kind.known if {one.known.get(name, ...) for one in here} == {one.known.get(name, ...) for one in all_of}}
    said = [{name: text for name, text in kind.known.items() if name not in alike} for kind in here]
    if not all(said):
        return {}
    by_fields: dict[tuple[str, ...], dict[str, dict[str | None, None]]] = {}
    for one in said:
        values = by_fields.setdefault(tuple(one), {name: {} for name in one})
        for name, text in one.items():
            values[name][text] = None
    selections = [{name: _plainly(list(values)) for name, values in one.items()} for one in by_fields.values()]
    return selections[0] if len(selections) == 1 else selections


def _plainly(values: Sequence[str | None]) -> Any:
    told = [int(one) if one is not None and one.isdigit() and str(int(one)) == one else one for one in values]
    return told[0] if len(told) == 1 else told


# ---- form → text -----------------------------------------------------------------------------------------------


def written(built: Built) -> str:
    """The rule as Sigma. Raises ``Invalid`` for conditions that are not complete."""
    detection: dict[str, Any] = {}
    if built.model and built.mapping:
        tied = selection_of(built.model, built.mapping)
        if tied:
            detection[MODEL] = tied
    positive, negative = [], []
    for number, group in enumerate(built.groups, 1):
        name = f"group_{number}"
        detection[name] = _selection(group, number)
        (negative if group.unless else positive).append(name)
    detection["condition"] = _condition(MODEL in detection, positive, negative, some=built.some)
    rest = dict(built.rest)
    own = {name: said for name, said in (("title_zh", built.title_zh), ("description_zh", built.description_zh), ("model", built.model), ("mapping", built.mapping)) if said} | rest.pop("lianfang", {})
    tags = [*rest.pop("tags", ()), *(f"attack.{one.lower()}" for one in built.techniques), *([f"lianfang.alarm.{built.alarm}"] if built.alarm else [])]
    whole = {
        "title": built.title or built.title_zh, "id": built.uid, "status": built.status, "description": built.description or built.description_zh, "author": built.author, **rest, "tags": tags,
        "logsource": logsource_of(built.model, built.mapping) if built.model or not built.logsource else dict(built.logsource), "detection": detection, "falsepositives": list(built.falsepositives), "level": built.level, "lianfang": own,
    }  # fmt: skip
    return yaml.safe_dump({name: said for name, said in whole.items() if said or name == "detection"}, allow_unicode=True, sort_keys=False, width=1000)


def _condition(tied: bool, positive: Sequence[str], negative: Sequence[str], *, some: bool) -> str:
    if not positive and not tied:
        raise Invalid(_("A rule needs a condition that has to hold"), why=_("All groups only say when it does not fire."), todo=_("Add a group that has to hold."))
    joined = (" or " if some else " and ").join(positive)
    parts = [*([MODEL] if tied else []), *([f"({joined})" if some and len(positive) > 1 else joined] if positive else []), *(f"not {name}" for name in negative)]
    return " and ".join(parts)


def _selection(group: Group, number: int) -> Any:
    pairs = [_pair(line, number) for line in group.lines]
    if not pairs:
        raise Invalid(_("Group %(n)d holds no condition") % {"n": number}, todo=_("Add one, or take the group away."))
    if group.some and len(pairs) > 1:
        return [{name: said} for name, said in pairs]
    if len(dict(pairs)) < len(pairs):
        twice = next(name for at, (name, _said) in enumerate(pairs) if name in [other for other, _also in pairs[:at]])
        raise Invalid(_("Group %(n)d asks “%(field)s” twice in the same way") % {"n": number, "field": twice.split("|")[0]}, why=_("All conditions of this group have to hold."), todo=_("Write the values into one condition, or into another group."))
    return dict(pairs)


def _pair(line: Line, number: int) -> tuple[str, Any]:
    if not line.field.strip():
        raise Invalid(_("A condition of group %(n)d names no field") % {"n": number}, todo=_("Choose a field of the list."))
    if line.operator in ("exists", "missing"):
        return f"{line.field}|exists", line.operator == "exists"
    values: list[Any] = [one for one in line.values if one != ""]
    if not values:
        raise Invalid(_("The condition on “%(field)s” has no value") % {"field": line.field}, todo=_("Write at least one value, each on a line of its own."))
    if line.operator not in _TEXTUAL and line.operator != "cidr":
        values = [_number(one, line.field) for one in values]
    name = line.field if line.operator == "is" else f"{line.field}|{line.operator}"
    every = line.every and len(values) > 1 and line.operator in _TEXTUAL
    return f"{name}|all" if every else name, values if len(values) > 1 else values[0]


def _number(text: str, name: str) -> int | float:
    try:
        number = float(text)
    except ValueError:
        raise Invalid(_("“%(text)s” is no number") % {"text": text}, why=_("“%(field)s” is compared with numbers here.") % {"field": name}, todo=_("Write digits.")) from None
    return int(number) if number.is_integer() else number


# ---- text → form -----------------------------------------------------------------------------------------------

SHOWN = frozenset({"title", "id", "status", "description", "author", "tags", "logsource", "detection", "falsepositives", "level", "lianfang"})
_ALARM, _TECHNIQUE = "lianfang.alarm.", re.compile(r"attack\.t\d{4}(\.\d{3})?")
PASSED = frozenset({"references", "date", "modified", "license", "related", "fields"})


def document(text: str) -> dict[str, Any]:
    """The text as one mapping; raises ``Invalid`` for what is no rule at all."""
    try:
        said = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        place = getattr(error, "problem_mark", None)
        raise Invalid(_("This is not YAML"), why=str(getattr(error, "problem", "") or error).split("\n")[0], todo=_("Look at line %(n)d.") % {"n": place.line + 1} if place else _("Check the text.")) from None
    if not isinstance(said, dict) or not (isinstance(said.get("detection"), dict) or isinstance(said.get("correlation"), dict)):
        raise Invalid(_("This is not a Sigma rule"), why=_("A rule is one mapping with “title”, “logsource” and “detection”, or with “correlation”."), todo=_("Begin with the form, or with a copy of another rule."))
    return said


def read(text: str) -> Built:
    """The form of a rule; raises ``Invalid`` with what of it no form shows."""
    said = document(text)
    own = said.get("lianfang") if isinstance(said.get("lianfang"), dict) else {}
    assert isinstance(own, dict)  # noqa: S101  (said above)
    if beyond := sorted(set(said) - SHOWN - PASSED):
        raise unshown(_("It has the section “%(name)s”.") % {"name": beyond[0]})
    model, mapping, logsource = _place(said, own)
    detection = dict(said["detection"])
    condition = " ".join(str(detection.pop("condition", "")).split())
    tied = detection.pop(MODEL, {}) if MODEL in detection and own.get("model") else {}
    if tied and tied != selection_of(model, mapping):
        raise unshown(_("The selection “model” was changed by hand."))
    groups = tuple(_group(name, one, unless=bool(re.search(rf"\bnot {re.escape(name)}\b", condition))) for name, one in detection.items())
    some = " or " in condition
    positive = [name for name, group in zip(detection, groups) if not group.unless]
    negative = [name for name, group in zip(detection, groups) if group.unless]
    if condition not in _forms(bool(tied), positive, negative, some=some):
        raise unshown(_("Its condition is more than groups that have to hold, or must not: %(condition)s") % {"condition": condition})
    alarm, techniques, _others = tags_of(said)
    return Built(
        title=str(said.get("title", "")), title_zh=str(own.get("title_zh", "")), model=model, mapping=mapping, groups=groups, some=some, level=str(said.get("level", "medium")), techniques=techniques, alarm=alarm, description=str(said.get("description", "")),
        description_zh=str(own.get("description_zh", "")), falsepositives=tuple(map(str, said.get("falsepositives") or ())), uid=str(said.get("id", "")), author=str(said.get("author", "")), status=str(said.get("status", "experimental")), logsource=logsource, rest=rest_of(said),
    )  # fmt: skip


def tags_of(said: Mapping[str, Any]) -> tuple[str, tuple[str, ...], list[str]]:
    """Alarm type, techniques, and the other tags."""
    tags = [str(tag) for tag in said.get("tags") or ()]
    alarm = next((tag.removeprefix(_ALARM) for tag in tags if tag.startswith(_ALARM)), "")
    techniques = [tag for tag in tags if _TECHNIQUE.fullmatch(tag.lower())]
    return alarm, tuple(tag.removeprefix("attack.").upper() for tag in techniques), [tag for tag in tags if tag not in techniques and not tag.startswith(_ALARM)]


def rest_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """What the form passes on without showing it."""
    rest: dict[str, Any] = {name: said[name] for name in said if name in PASSED}
    own = said.get("lianfang") if isinstance(said.get("lianfang"), dict) else {}
    others = {name: value for name, value in (own or {}).items() if name not in ("title_zh", "description_zh", "model", "mapping")}
    return rest | ({"tags": tags} if (tags := tags_of(said)[2]) else {}) | ({"lianfang": others} if others else {})


def unshown(why: str) -> Invalid:
    return Invalid(_("This rule cannot be shown as a form"), why=why, todo=_("Edit its text."))


def _forms(tied: bool, positive: Sequence[str], negative: Sequence[str], *, some: bool) -> set[str]:
    """The ways to write the condition of these groups."""
    try:
        plain = _condition(tied, positive, negative, some=some)
    except Invalid:
        return set()
    return {plain, plain.replace("(", "").replace(")", "")} if not (tied or negative) else {plain}


def _place(said: Mapping[str, Any], own: Mapping[str, Any]) -> tuple[str, str, dict[str, str]]:
    """Model and mapping that the text names; where it names none, its log source."""
    logsource = said.get("logsource") if isinstance(said.get("logsource"), dict) else {}
    assert isinstance(logsource, dict)  # noqa: S101  (said above)
    asked = {name: str(logsource[name]) for name in ("product", "category", "service") if logsource.get(name)}
    if own.get("model") and own.get("mapping"):
        model, mapping = str(own["model"]), str(own["mapping"])
        if not _kinds(model, mapping) or logsource_of(model, mapping) != asked:
            raise unshown(_("Its event model or its log source was changed by hand."))
        return model, mapping, {}
    return "", "", asked


def _group(name: str, said: Any, *, unless: bool) -> Group:
    if isinstance(said, dict):
        return Group(tuple(_line(key, value) for key, value in said.items()), False, unless)
    if isinstance(said, list) and said and all(isinstance(one, dict) and len(one) == 1 for one in said):
        return Group(tuple(_line(key, value) for one in said for key, value in one.items()), len(said) > 1, unless)
    raise unshown(_("The selection “%(name)s” is no list of conditions on fields.") % {"name": name})


def _line(key: Any, value: Any) -> Line:
    name, *modifiers = str(key).split("|")
    every = modifiers[-1:] == ["all"]
    operator = "|".join(modifiers[:-1] if every else modifiers) or "is"
    values = value if isinstance(value, list) else [value]
    if operator == "exists" and isinstance(value, bool):
        return Line(name, "exists" if value else "missing")
    if operator not in OPERATORS or any(isinstance(one, dict | list | bool) or one is None for one in values):
        raise unshown(_("The condition “%(key)s” compares in a way that the form does not know.") % {"key": key})
    return Line(name, operator, tuple(map(str, values)), every)


def renamed(text: str, *, uid: str, author: str = "", title: str = "") -> str:
    """The same rule under an identifier of its own (and, where given, a title and author), written as before where it can be."""
    found = re.sub(r"(?m)^id:.*$", f"id: {uid}", text) if re.search(r"(?m)^id:", text) else f"id: {uid}\n{text}"
    for name, said in (("author", author), ("title", title)):
        if said:
            line = yaml.safe_dump({name: said}, allow_unicode=True, width=1000).strip()
            found = re.sub(rf"(?m)^{name}:.*(\n[ \t]+.*)*$", lambda _match, line=line: line, found) if re.search(rf"(?m)^{name}:", found) else f"{line}\n{found}"
    return found


def tidied(text: str) -> str:
    """The text in the order that the form writes, where a form can show it."""
    try:
        return written(read(text))
    except Invalid:
        return text


def unknown_fields(built: Built) -> list[str]:
    """Fields of the form that the dictionary of its mapping does not hold."""
    known = {one.name.lower() for one in fields_of(built.mapping)}
    return [] if not known else list(dict.fromkeys(line.field for group in built.groups for line in group.lines if line.field and line.field.lower() not in known))


def posted(data: Mapping[str, Any], *, op: str = "") -> Built:
    """The form as it was sent: ``group.<n>.<m>.field`` and so on; ``op`` adds or takes away: ``add``, ``add:2``, ``drop:2``, ``drop:2:0``."""
    groups: list[Group] = []
    for number in _numbers(data, r"group\.(\d+)\.if"):
        lines = tuple(_posted_line(data, f"group.{number}.{at}.") for at in _numbers(data, rf"group\.{number}\.(\d+)\.field"))
        groups.append(Group(lines, data.get(f"group.{number}.join") == "some", data.get(f"group.{number}.if") == "unless"))
    built = Built(
        logsource={name: str(data[f"logsource.{name}"]) for name in ("product", "category", "service") if data.get(f"logsource.{name}")}, **passed_on(str(data.get("text", ""))),
        groups=tuple(groups[:MOST_GROUPS]) or (Group(),), some=data.get("join") == "some", techniques=tuple(dict.fromkeys(one.strip().upper() for one in re.split(r"[\s,;，；]+", str(data.get("techniques", ""))) if one.strip())),
        falsepositives=tuple(lines_of(data.get("falsepositives", ""))), **{name: " ".join(str(data.get(name, "")).split())[:250] for name in ("title", "title_zh", "model", "mapping", "alarm", "uid", "author")},
        level=str(data.get("level", "medium")), description=str(data.get("description", "")).strip()[:4000], description_zh=str(data.get("description_zh", "")).strip()[:4000],
    )  # fmt: skip
    return _moved(built, op) if op else built


def passed_on(text: str) -> dict[str, Any]:
    """What the text beside the form holds and the form does not show."""
    try:
        said = document(text)
    except Invalid:
        return {}
    return {"rest": rest_of(said), "status": str(said.get("status", "experimental"))}


def _moved(built: Built, op: str) -> Built:
    verb, *places = op.split(":")
    group, line = [*(int(place) for place in places if place.isdigit()), -1, -1][:2]
    groups = list(built.groups)
    if verb == "add" and group < 0:
        groups.append(Group())
    elif verb == "add" and group < len(groups):
        groups[group] = replace(groups[group], lines=(*groups[group].lines, Line())[:MOST_LINES])
    elif verb == "drop" and 0 <= group < len(groups):
        left = tuple(one for at, one in enumerate(groups[group].lines) if at != line)
        if line >= 0 and left:
            groups[group] = replace(groups[group], lines=left)
        else:
            del groups[group]
    return replace(built, groups=tuple(groups[:MOST_GROUPS]) or (Group(),))


def _posted_line(data: Mapping[str, Any], place: str) -> Line:
    operator = str(data.get(f"{place}operator", "contains"))
    return Line(str(data.get(f"{place}field", "")).strip()[:200], operator if operator in OPERATORS else "contains", tuple(lines_of(data.get(f"{place}values", ""))), data.get(f"{place}every") in ("1", "on", True))


def lines_of(text: Any) -> Iterable[str]:
    return [line.strip("\r") for line in str(text).split("\n") if line.strip()][:MOST_VALUES]


def _numbers(data: Mapping[str, Any], pattern: str) -> list[int]:
    return sorted({int(found[1]) for name in data if (found := re.fullmatch(pattern, name))})[:MOST_GROUPS * MOST_LINES]
