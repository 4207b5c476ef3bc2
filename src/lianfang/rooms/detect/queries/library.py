"""The library of event models: every class × activity of the pinned OCSF release, and what this node makes of it.

In: the schema, the mapping templates, the marks of rules, counts of the lake. Out: models with their name in two languages,
their place among incidents, which mappings make such events, which sources brought them, which rules are about them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

from django.db.models import Count

from lianfang.commons.frame.language import either
from lianfang.engines.connect.kinds import Kind, kinds
from lianfang.engines.connect.template import Template
from lianfang.engines.schema import ocsf
from lianfang.kernel import clock
from lianfang.kernel.errors import Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.queries import incidents
from lianfang.rooms.lake import queries as lake

DAYS = 30
"""How far back a source counts as feeding a model."""


@dataclass(frozen=True, slots=True)
class EventModel:
    """One kind of event: ``key`` is ``<class>.<activity>`` in the numbers of OCSF."""

    key: str
    class_uid: int
    activity_id: int
    activity: str
    category_uid: int
    deprecated: bool

    @property
    def name_en(self) -> str:
        return ocsf.caption(self.class_uid, self.activity_id, language="en")

    @property
    def name_zh(self) -> str:
        return ocsf.caption(self.class_uid, self.activity_id, language="zh")

    @property
    def name(self) -> str:
        """In the reader's language."""
        return either(self.name_zh, self.name_en)

    @property
    def short(self) -> str:
        """The activity alone."""
        return either(ocsf.ACTIVITIES_ZH[self.activity], self.activity)

    @property
    def place(self) -> incidents.Place:
        """What such an event would be evidence of."""
        return incidents.of_model(self.class_uid, self.activity)


@dataclass(frozen=True, slots=True)
class Standing:
    """What this node has of a model, as far as the viewer sees it: events of the last days by source and by day, mappings (names), rules."""

    model: EventModel
    sources: Mapping[str, int]
    days: Mapping[date, int]
    mappings: tuple[str, ...]
    rules: int

    @property
    def events(self) -> int:
        return sum(self.sources.values())


def key_of(class_uid: int, activity_id: int) -> str:
    """How a model is called in marks and addresses."""
    return f"{class_uid}.{activity_id}"


@cache
def event_models() -> dict[str, EventModel]:
    """All models by key, in the order of the schema; an event of no class, or whose activity is unknown, is of none."""
    return {
        key_of(one.uid, number): EventModel(key_of(one.uid, number), one.uid, number, activity, one.category_uid, one.deprecated)
        for one in sorted(ocsf.CLASSES.values(), key=lambda one: (one.category_uid, one.uid))
        for number, activity in one.activities.items()
        if one.uid and number
    }


def event_model(key: str) -> EventModel:
    """One model; raises ``Missing``."""
    found = event_models().get(key)
    if found is None:
        raise Missing("There is no such event model", why=f"OCSF {ocsf.RELEASE} has no class and activity “{key}”.", todo="Look it up in the library.")
    return found


_kept: list[tuple[tuple[Template, ...], tuple[Kind, ...]]] = []


def made() -> tuple[Kind, ...]:
    """Every kind of event that the mappings of this node make; worked out again when one of them changed."""
    templates = lake.in_use()
    if not _kept or _kept[0][0] != templates:
        _kept[:] = [(templates, tuple(kind for template in templates for kind in kinds(template)))]
    return _kept[0][1]


def standings(viewer: Viewer) -> list[Standing]:
    """Every model with what this node has of it."""
    sources, days = _fed(viewer)
    visible = {template.name for template in lake.in_use(viewer)}
    mappings: dict[str, dict[str, None]] = defaultdict(dict)
    for kind in (kind for kind in made() if kind.template in visible):
        mappings[key_of(kind.class_uid, kind.activity_id)][kind.template] = None
    rules = _rules()
    return [Standing(model, sources.get(key, {}), days.get(key, {}), tuple(mappings.get(key, ())), rules.get(key, 0)) for key, model in event_models().items()]


def standing(key: str, viewer: Viewer) -> Standing:
    """The same of one model; raises ``Missing``."""
    event_model(key)
    return next(one for one in standings(viewer) if one.model.key == key)


def _fed(viewer: Viewer) -> tuple[dict[str, Counter[str]], dict[str, Counter[date]]]:
    sources: dict[str, Counter[str]] = defaultdict(Counter)
    days: dict[str, Counter[date]] = defaultdict(Counter)
    if viewer.may("lake.event.view"):
        until = clock.now() + timedelta(days=1)
        for one in lake.fed(since=until - timedelta(days=DAYS + 1), until=until, viewer=viewer):
            key = key_of(one.class_uid, one.activity_id)
            sources[key][one.source] += one.count
            days[key][one.day] += one.count
    return sources, days


def _rules() -> dict[str, int]:
    """How many rules in packs are about each model."""
    rows = models.RuleMark.objects.filter(kind="model", rule__gone=False).order_by().values("value").annotate(n=Count("pk"))
    return {row["value"]: row["n"] for row in rows}


def models_of(rule: models.Rule) -> list[EventModel]:
    """What a rule is about, in the order of the schema."""
    keys = set(models.RuleMark.objects.filter(rule=rule, kind="model").values_list("value", flat=True))
    return [model for key, model in event_models().items() if key in keys]


def categories() -> list[tuple[int, str, str]]:
    """The categories of the schema that have a model: number, Chinese, English name."""
    seen = dict.fromkeys(model.category_uid for model in event_models().values())
    return [(uid, ocsf.CATEGORIES_ZH[uid], ocsf.CATEGORIES[uid]) for uid in seen]


def titles(names: Sequence[str]) -> list[str]:
    """What mappings are called in the reader's language."""
    said = {template.name: template.title for template in lake.in_use()}
    return [either(said.get(name, {}).get("zh", ""), said.get(name, {}).get("en", "")) or name for name in names]
