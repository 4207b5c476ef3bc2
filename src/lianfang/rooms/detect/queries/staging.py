"""Staging: the stages of a scenario as a form, and as the plain data that is stored; what can be chosen for them.

In: what a form sent, or stages as data. Out: the other, checked against what exists: event models, rules and correlations, techniques.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from django.utils.translation import gettext as _

from lianfang.commons.frame.language import either
from lianfang.kernel.errors import Invalid
from lianfang.rooms.detect import models
from lianfang.rooms.detect.queries import framework, library, linking

MOST_STAGES, MOST_CHOSEN, OFFERED = 12, 60, 12


@dataclass(frozen=True, slots=True)
class Staged:
    """One stage: event models by key, rules and correlations by uid, techniques by id."""

    zh: str = ""
    en: str = ""
    models: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()
    needs_zh: str = ""
    needs_en: str = ""

    @property
    def name(self) -> str:
        return either(self.zh, self.en) or self.zh or self.en


@dataclass(frozen=True, slots=True)
class Offers:
    """What could be chosen for a stage: rules, and event models."""

    rules: tuple[models.Rule, ...] = ()
    kinds: tuple[library.EventModel, ...] = ()


def read(stages: Any) -> tuple[Staged, ...]:
    """Stages as they are stored, or as the API sends them. Raises ``Invalid`` for data of another shape."""
    if not isinstance(stages, list) or not all(isinstance(one, Mapping) for one in stages):
        raise _unfit(_("The stages are no list"), _("Each is a mapping with zh, en, models, rules, techniques, needs_zh and needs_en."))
    return tuple(Staged(**{name: _text(one.get(name)) for name in ("zh", "en", "needs_zh", "needs_en")}, **{name: _texts(one.get(name)) for name in ("models", "rules", "techniques")}) for one in stages)


def plain(stages: Sequence[Staged]) -> list[dict[str, Any]]:
    """As they are stored."""
    return [{name: list(value) if isinstance(value, tuple) else value for name, value in asdict(one).items()} for one in stages]


def must_stand(stages: Sequence[Staged]) -> None:
    """Raises ``Invalid`` for stages that could never be seen, or that name what does not exist."""
    if not 0 < len(stages) <= MOST_STAGES:
        raise _unfit(_("A scenario has from 1 to %(n)d stages") % {"n": MOST_STAGES}, _("Add a stage, or take some away."))
    rules = set(linking.nameable().filter(uid__in={uid for one in stages for uid in one.rules}).values_list("uid", flat=True))
    for number, one in enumerate(stages, 1):
        said = {"n": number, "name": one.name}
        if not one.name:
            raise _unfit(_("Stage %(n)d has no name") % said, _("Say in a few words what happens in it."))
        if not one.models:
            raise _unfit(_("Stage %(n)d, “%(name)s”, names no event model") % said, _("Choose the kinds of events in which it can be seen."))
        if not (one.rules or one.techniques):
            raise _unfit(_("Stage %(n)d, “%(name)s”, names no rule and no technique") % said, _("Choose rules or correlations that see it, or a technique whose rules do."))
        unknown = [key for key in one.models if key not in library.event_models()] + [uid for uid in one.rules if uid not in rules] + [id for id in one.techniques if id not in framework.attack().techniques]
        if unknown:
            raise _unfit(_("Stage %(n)d, “%(name)s”, names what does not exist here: %(what)s") % {**said, "what": unknown[0]}, _("Take it away, or choose something of the lists."))


def _unfit(what: str, todo: str) -> Invalid:
    return Invalid(what, todo=todo, details={"stages": [f"{what}: {todo}"]})


def offers(words: str, stage: Staged) -> Offers:
    """What has these words in its name; without words the event models that the stage's rules are about."""
    if not words.strip():
        about = models.RuleMark.objects.filter(kind="model", rule__uid__in=stage.rules).values_list("value", flat=True)
        return Offers(kinds=tuple(library.event_models()[key] for key in sorted(set(about) - set(stage.models)) if key in library.event_models())[:OFFERED])
    low = words.lower().split()[:6]
    rules = linking.offered(words, among=linking.nameable(), but=stage.rules)
    found = [one for key, one in library.event_models().items() if key not in stage.models and all(word in f"{key} {one.name_zh} {one.name_en}".lower() for word in low)]
    return Offers(tuple(rules), tuple(found[:OFFERED]))


def posted(data: Mapping[str, Any], *, op: str = "") -> tuple[Staged, ...]:
    """The stages as a form sent them (``stage.<n>.zh``, ``stage.<n>.model.<m>``, …); ``op``: ``add``, ``drop:2``, ``up:2``, ``take:2:rule:<uid>``, ``leave:2:model:<key>``."""
    numbers = sorted({int(found[1]) for name in data if (found := re.fullmatch(r"stage\.(\d+)\.zh", name))})[:MOST_STAGES]
    stages = [_posted(data, f"stage.{number}.") for number in numbers]
    return tuple(_moved(stages, op) if op else stages)


def _posted(data: Mapping[str, Any], place: str) -> Staged:
    def chosen(kind: str) -> tuple[str, ...]:
        names = sorted((name for name in data if re.fullmatch(re.escape(f"{place}{kind}.") + r"\d+", name)), key=lambda name: int(name.rpartition(".")[2]))
        return _texts([data[name] for name in names])

    techniques = tuple(dict.fromkeys(one.upper() for one in re.split(r"[\s,;，；、]+", str(data.get(f"{place}techniques", ""))) if one))
    texts = {name: _text(data.get(f"{place}{name}")) for name in ("zh", "en", "needs_zh", "needs_en")}
    return Staged(**texts, models=chosen("model"), rules=chosen("rule"), techniques=techniques[:MOST_CHOSEN])


def _moved(stages: list[Staged], op: str) -> list[Staged]:
    verb, _colon, rest = op.partition(":")
    number, _colon, what = rest.partition(":")
    if verb == "add":
        return [*stages, Staged()][:MOST_STAGES]
    at = int(number) if number.isdigit() and int(number) < len(stages) else -1
    if at < 0:
        return stages
    if verb == "drop":
        return stages[:at] + stages[at + 1 :]
    if verb == "up" and at:
        return [*stages[: at - 1], stages[at], stages[at - 1], *stages[at + 1 :]]
    kind, _colon, value = what.partition(":")
    name = {"rule": "rules", "model": "models"}.get(kind, "")
    if name and verb in ("take", "leave"):
        before: tuple[str, ...] = getattr(stages[at], name)
        stages[at] = replace(stages[at], **{name: _texts([*before, value]) if verb == "take" else tuple(one for one in before if one != value)})
    return stages


def _text(said: Any) -> str:
    return " ".join(str(said or "").split())[:200]


def _texts(said: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(one)[:64] for one in said if one))[:MOST_CHOSEN] if isinstance(said, list | tuple) else ()
