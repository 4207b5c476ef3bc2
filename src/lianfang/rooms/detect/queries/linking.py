"""Linking: a correlation as a form, and as the Sigma text that it is. As for rules, the text is the correlation; the form is one way to read and write it.

In: rules chosen one after the other, what their matches have in common, within which time, from how many on; or a text. Out: the other.
What a text says beyond that cannot be shown as a form: ``read`` raises ``Invalid`` that says what it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from lianfang.engines.rules import correlation
from lianfang.engines.rules.correlation import ABSENCE, AMOUNTS, Correlation
from lianfang.kernel.errors import Invalid
from lianfang.rooms.detect import models
from lianfang.rooms.detect.queries import building, loading
from lianfang.rooms.detect.queries.building import PASSED, SHOWN, unshown
from lianfang.rooms.detect.types import BASELINE, OWN_PACK

KINDS = ("event_count", "value_count", "temporal", "temporal_ordered", "value_sum", "value_avg", "value_median", "value_percentile", ABSENCE)
"""Sigma's eight types, and ours."""
OPERATORS = ("gte", "gt", "lte", "lt", "eq")
UNITS = ("s", "m", "h", "d")
PLAIN = frozenset(("temporal", "temporal_ordered", ABSENCE))
"""What has no number: all rules matched, or the second did not."""
OF_FIELD = frozenset(("value_count", *AMOUNTS))
SHARED = ("src_ip", "dst_ip", "host", "user", "actor_user", "process", "file", "domain", "url", "source")
"""Stored columns that all sources fill, offered to group by."""
MOST_RULES, OFFERED = 12, 20
NOBODY = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class Linked:
    """A correlation as the form shows it. ``refs``: uids of rules; ``number`` and ``unit``: the timespan; ``bound``, ``name``, ``percentile``: from which value on, of which field."""

    title: str = ""
    title_zh: str = ""
    kind: str = "event_count"
    refs: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ()
    number: str = "5"
    unit: str = "m"
    op: str = "gte"
    bound: str = "10"
    name: str = ""
    percentile: str = "95"
    generate: bool = True
    level: str = "medium"
    techniques: tuple[str, ...] = ()
    alarm: str = ""
    description: str = ""
    description_zh: str = ""
    falsepositives: tuple[str, ...] = ()
    uid: str = ""
    author: str = ""
    status: str = "experimental"
    aliases: Mapping[str, Any] = field(default_factory=dict)
    """What other names fields of the group have in the events of single rules; passed on as the text has it."""
    rest: Mapping[str, Any] = field(default_factory=dict)


def usable() -> QuerySet[models.Rule]:
    """The rules, and correlations, whose matches can be looked at."""
    return nameable().exclude(category=BASELINE)


def nameable() -> QuerySet[models.Rule]:
    """The same and baselines: whatever finds something of its own accord; keyword alarms have their own list."""
    return models.Rule.objects.filter(gone=False, problem="").exclude(pack__name=OWN_PACK).defer("text")


def offered(words: str, *, among: QuerySet[models.Rule], but: Collection[str] = ()) -> list[models.Rule]:
    """Those of ``among`` whose title or id has these words, without some; those that are on first. Nothing without words."""
    asked = Q()
    for word in words.split()[:6]:
        asked &= Q(title__icontains=word) | Q(title_zh__icontains=word) | Q(uid=word)
    return list(among.filter(asked).exclude(uid__in=but).order_by("-enabled", "-severity", "title", "uid")[:OFFERED]) if words.strip() else []


def named(refs: Sequence[str]) -> list[tuple[str, models.Rule | None]]:
    """These rules, in this order; ``None`` where there is none."""
    found = {rule.uid: rule for rule in nameable().filter(uid__in=refs)}
    return [(uid, found.get(uid)) for uid in refs]


def fields_of(refs: Sequence[str]) -> list[str]:
    """What the matches of these rules can be grouped by: shared columns, and the fields that the rules look at."""
    return list(dict.fromkeys((*SHARED, *sorted({name for _uid, rule in named(refs) if rule for name in rule.fields}))))


def must_stand(one: Correlation) -> None:
    """Its rules are there, and it is not built upon itself. Raises ``Invalid``."""
    missing = [uid for uid, rule in named(one.refs) if rule is None or rule.category == BASELINE]
    if missing:
        raise Invalid(_("The rule cannot be compiled"), why=_("There is no rule with the id %(id)s on this node.") % {"id": missing[0][:64]}, todo=_("Choose rules of the list."))
    try:
        correlation.in_order({**{other.uid: other for other in loading.correlations()}, one.uid: one})
    except correlation.Unfit:
        raise Invalid(_("The rule cannot be compiled"), why=_("The correlation is built upon itself."), todo=_("Choose other rules.")) from None


# ---- form → text -----------------------------------------------------------------------------------------------


def written(linked: Linked) -> str:
    """The correlation as Sigma. Raises ``Invalid`` for what is not complete."""
    _must_be_complete(linked)
    said: dict[str, Any] = {"type": linked.kind, "rules": list(linked.refs), "group-by": list(linked.group_by), "timespan": f"{int(linked.number)}{linked.unit}", "aliases": dict(linked.aliases), "generate": linked.generate}
    if linked.kind not in PLAIN:
        condition: dict[str, Any] = {linked.op: int(linked.bound)}
        if linked.kind in OF_FIELD:
            condition["field"] = linked.name
        if linked.kind == "value_percentile":
            condition["percentile"] = int(linked.percentile)
        said["condition"] = condition
    rest = dict(linked.rest)
    own = {name: text for name, text in (("title_zh", linked.title_zh), ("description_zh", linked.description_zh)) if text} | rest.pop("lianfang", {})
    tags = [*rest.pop("tags", ()), *(f"attack.{one.lower()}" for one in linked.techniques), *([f"lianfang.alarm.{linked.alarm}"] if linked.alarm else [])]
    whole = {
        "title": linked.title or linked.title_zh, "id": linked.uid, "status": linked.status, "description": linked.description or linked.description_zh, "author": linked.author, **rest, "tags": tags,
        "correlation": {name: value for name, value in said.items() if value or name == "rules"}, "falsepositives": list(linked.falsepositives), "level": linked.level, "lianfang": own,
    }  # fmt: skip
    return yaml.safe_dump({name: value for name, value in whole.items() if value}, allow_unicode=True, sort_keys=False, width=1000)


def _must_be_complete(linked: Linked) -> None:
    if not (linked.title or linked.title_zh):
        raise Invalid(_("The rule has no title"), todo=_("Say in a few words what it finds."))
    least, most = {"temporal": (2, MOST_RULES), "temporal_ordered": (2, MOST_RULES), ABSENCE: (1, 2)}.get(linked.kind, (1, MOST_RULES))
    if not least <= len(linked.refs) <= most:
        raise Invalid(_("Choose from %(least)d to %(most)d rules") % {"least": least, "most": most}, why=_("So many take part in a correlation of this type."), todo=_("Find them by words of their titles, and add them."))
    _must_be_number(linked.number, 1, _("The timespan is no whole number"))
    if linked.kind not in PLAIN:
        _must_be_number(linked.bound, 0, _("The threshold is no whole number"))
    if linked.kind in OF_FIELD and not linked.name:
        raise Invalid(_("No field is named whose values count"), todo=_("Choose one of the fields of its rules."))
    if linked.kind == "value_percentile":
        _must_be_number(linked.percentile, 1, _("The percentile is no whole number"))


def _must_be_number(text: str, least: int, what: str) -> None:
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) >= least):
        raise Invalid(what, todo=_("Write digits."))


# ---- text → form -----------------------------------------------------------------------------------------------


def read(text: str) -> Linked:
    """The form of a correlation; raises ``Invalid`` with what of it no form shows."""
    said = building.document(text)
    linked = said["correlation"]
    if beyond := sorted(set(said) - (SHOWN - {"logsource", "detection"} | {"correlation"}) - PASSED):
        raise unshown(_("It has the section “%(name)s”.") % {"name": beyond[0]})
    if beyond := sorted(set(linked) - {"type", "rules", "group-by", "timespan", "condition", "aliases", "generate"}):
        raise unshown(_("It has the section “%(name)s”.") % {"name": beyond[0]})
    kind, span = str(linked.get("type", "")), re.fullmatch(r"(\d+)([smhd])", str(linked.get("timespan", "")))
    if kind not in KINDS or span is None:
        raise unshown(_("Its type or timespan is none that the form knows."))
    own = said.get("lianfang") if isinstance(said.get("lianfang"), dict) else {}
    alarm, techniques, _others = building.tags_of(said)
    return Linked(
        title=str(said.get("title", "")), title_zh=str((own or {}).get("title_zh", "")), kind=kind, refs=_texts(linked.get("rules")), group_by=_texts(linked.get("group-by")), number=span[1], unit=span[2], generate=bool(linked.get("generate")),
        level=str(said.get("level", "medium")), techniques=techniques, alarm=alarm, description=str(said.get("description", "")), description_zh=str((own or {}).get("description_zh", "")), falsepositives=tuple(map(str, said.get("falsepositives") or ())),
        uid=str(said.get("id", "")), author=str(said.get("author", "")), status=str(said.get("status", "experimental")), aliases=linked.get("aliases") or {}, rest=_rest(said), **_condition(kind, linked.get("condition")),
    )  # fmt: skip


def tidied(text: str) -> str:
    """The text in the order that the form writes, where a form can show it."""
    try:
        return written(read(text))
    except Invalid:
        return text


def _condition(kind: str, said: Any) -> dict[str, str]:
    if kind in PLAIN and said is None:
        return {}
    operators = [name for name in said if name in OPERATORS] if isinstance(said, Mapping) else []
    if kind in PLAIN or len(operators) != 1 or set(said) - {*operators, "field", "percentile"} or not isinstance(said.get("field", ""), str):
        raise unshown(_("Its condition is more than one comparison with a number."))
    return {"op": operators[0], "bound": str(said[operators[0]]), "name": said.get("field", ""), "percentile": str(said.get("percentile", 95))}


def _rest(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in building.rest_of(said).items() if name != "logsource"}


def _texts(said: Any) -> tuple[str, ...]:
    return (said,) if isinstance(said, str) else tuple(map(str, said or ()))


def by_ids(rule: models.Rule) -> str:
    """The text of an installed correlation with its rules by their ids: names hold within their pack alone."""
    found = next(one for one in loading.correlations() if one.uid == rule.uid)
    said = next(one for one in yaml.safe_load_all(rule.text) if isinstance(one, dict) and str(one.get("id")) == rule.uid)
    linked = dict(said["correlation"])
    condition = linked.get("condition")
    names = list(_texts(linked.get("rules"))) or [one for one in re.findall(r"[\w-]+", str(condition)) if one not in ("and", "or", "not")]
    places = dict(zip(dict.fromkeys(names), found.refs, strict=True))
    linked["rules"] = list(found.refs)
    if isinstance(condition, str):
        linked["condition"] = re.sub(r"[\w-]+", lambda word: places.get(word[0], word[0]), condition)
    if linked.get("aliases"):
        linked["aliases"] = {alias: {places.get(name, name): value for name, value in names_of.items()} for alias, names_of in linked["aliases"].items()}
    return yaml.safe_dump({**{name: value for name, value in said.items() if name != "name"}, "correlation": linked}, allow_unicode=True, sort_keys=False, width=1000)


def posted(data: Mapping[str, Any], *, op: str = "") -> Linked:
    """The form as it was sent; ``op`` adds a rule (``take:<uid>``), takes one away (``drop:2``) or lets it change places with the one before (``up:2``)."""
    refs = [str(data[name]) for name in sorted((name for name in data if re.fullmatch(r"ref\.\d+", name)), key=lambda name: int(name[4:]))]
    text = str(data.get("text", ""))
    linked = Linked(
        refs=tuple(dict.fromkeys(refs))[:MOST_RULES], group_by=_listed(data.get("group_by", "")), generate=data.get("generate") in ("1", "on", True), techniques=tuple(one.upper() for one in _listed(data.get("techniques", ""))),
        falsepositives=tuple(building.lines_of(data.get("falsepositives", ""))), **{name: " ".join(str(data.get(name, "")).split())[:250] for name in ("title", "title_zh", "number", "bound", "name", "percentile", "alarm", "uid", "author")},
        kind=_one_of(data.get("kind"), KINDS), unit=_one_of(data.get("unit"), UNITS), op=_one_of(data.get("op_is"), OPERATORS), level=str(data.get("level", "medium")),
        description=str(data.get("description", "")).strip()[:4000], description_zh=str(data.get("description_zh", "")).strip()[:4000], **_kept(text),
    )  # fmt: skip
    return _moved(linked, op) if op else linked


def _kept(text: str) -> dict[str, Any]:
    """What the text beside the form holds and the form does not show."""
    try:
        said = building.document(text)
    except Invalid:
        return {}
    linked = said.get("correlation")
    return {"rest": _rest(said), "status": str(said.get("status", "experimental")), "aliases": (linked.get("aliases") or {}) if isinstance(linked, Mapping) else {}}


def _moved(linked: Linked, op: str) -> Linked:
    verb, _colon, what = op.partition(":")
    refs = list(linked.refs)
    if verb == "take" and what not in refs:
        refs = [*refs, what][:MOST_RULES]
    elif what.isdigit() and int(what) < len(refs):
        at = int(what)
        if verb == "drop":
            del refs[at]
        elif verb == "up" and at:
            refs[at - 1], refs[at] = refs[at], refs[at - 1]
    return replace(linked, refs=tuple(refs))


def _listed(text: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.strip() for one in re.split(r"[\s,;，；、]+", str(text)) if one.strip()))[:20]


def _one_of(said: Any, choices: Sequence[str]) -> str:
    return str(said) if said in choices else choices[0]
