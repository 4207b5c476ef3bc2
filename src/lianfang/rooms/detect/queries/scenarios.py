"""Scenarios: kinds of attack in stages, and which stages this node can see.

In: ``content/scenarios`` and what people of this node described, rules and their marks, counts of the lake. Out: for each stage what feeds it, which rules see it, when one fired last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import yaml
from django.conf import settings
from django.db.models import Max, Q, Sum
from django.db.models.functions import TruncDate

from lianfang.commons.frame.language import either
from lianfang.kernel import clock
from lianfang.kernel.errors import Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.queries import last_fired, library, rule_rows, staging

STARTER, CORRELATIONS = "lianfang-starter", "lianfang-correlations"


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of an attack: in which events it can be seen, by which rules and correlations, and which logs have to be there."""

    zh: str
    en: str
    models: tuple[str, ...]
    rules: tuple[str, ...]
    correlations: tuple[str, ...]
    techniques: tuple[str, ...]
    needs_zh: str
    needs_en: str
    uids: tuple[str, ...] = ()
    """Rules and correlations by their ids, where people of this node chose them."""

    @property
    def name(self) -> str:
        return either(self.zh, self.en)

    @property
    def needs(self) -> str:
        return either(self.needs_zh, self.needs_en)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of attack."""

    key: str
    alarm: str
    zh: str
    en: str
    about_zh: str
    about_en: str
    stages: tuple[Stage, ...]
    own: str = ""
    """The id of the row, where people of this node described it."""

    @property
    def name(self) -> str:
        return either(self.zh, self.en)

    @property
    def about(self) -> str:
        return either(self.about_zh, self.about_en)


@dataclass(frozen=True, slots=True)
class Sight:
    """A stage as this node sees it: its models with the events of the last days, its rules, when one of them fired last."""

    stage: Stage
    fed: Mapping[str, int]
    rules: tuple[models.Rule, ...]
    last: datetime | None

    @property
    def seen(self) -> bool:
        """Whether logs come in and a rule looks at them."""
        return any(self.fed.values()) and any(rule.loaded for rule in self.rules)


@cache
def scenarios() -> dict[str, Scenario]:
    """Those that ship, by key."""
    found = [yaml.safe_load(path.read_text("utf-8")) for path in sorted((settings.CONTENT / "scenarios").glob("*.yaml"))]
    return {one["key"]: Scenario(one["key"], one["alarm"], one["zh"], one["en"], one["about"]["zh"], one["about"]["en"], tuple(_stage(stage) for stage in one["stages"])) for one in found}


def _stage(said: Mapping[str, Any]) -> Stage:
    correlations = tuple(f"chains/{name}.yml" for name in said.get("correlations", ()))
    return Stage(said["zh"], said["en"], tuple(said["models"]), tuple(said["rules"]), correlations, tuple(said["techniques"]), said["needs"]["zh"], said["needs"]["en"])


def every() -> dict[str, Scenario]:
    """Those that ship and the node's own that are switched on, by key."""
    return scenarios() | {row.key: of_row(row) for row in models.OwnScenario.objects.filter(enabled=True).order_by("created", "id")}


def of_row(row: models.OwnScenario) -> Scenario:
    """One of the node's own, as all others are."""
    stages = tuple(Stage(one.zh or one.en, one.en or one.zh, one.models, (), (), one.techniques, one.needs_zh or one.needs_en, one.needs_en or one.needs_zh, one.rules) for one in staging.read(row.stages))
    return Scenario(row.key, row.alarm, row.zh or row.en, row.en or row.zh, row.about_zh or row.about_en, row.about_en or row.about_zh, stages, str(row.pk))


def scenario(key: str) -> Scenario:
    """One of them; raises ``Missing``."""
    found = every().get(key)
    if found is None:
        raise Missing("There is no such scenario", todo="Choose one of the list.")
    return found


def of_model(key: str) -> list[Scenario]:
    """The scenarios of which an event model is part."""
    return [one for one in every().values() if any(key in stage.models for stage in one.stages)]


def sights(one: Scenario, viewer: Viewer, *, standings: Mapping[str, library.Standing] | None = None) -> list[Sight]:
    """The stages of a scenario as this node, and this viewer, see them."""
    known = standings or {each.model.key: each for each in library.standings(viewer)}
    return [_sight(stage, known, viewer) for stage in one.stages]


def _sight(stage: Stage, known: Mapping[str, library.Standing], viewer: Viewer) -> Sight:
    rules = tuple(rules_of(stage, viewer))
    fired = [moment for rule in rules if (moment := last_fired(rule))]
    return Sight(stage, {key: known[key].events for key in stage.models if key in known}, rules, max(fired, default=None))


def rules_of(stage: Stage, viewer: Viewer) -> list[models.Rule]:
    """The rules of a stage: those of the shipped packs that it names, and all that carry one of its techniques and are about one of its models."""
    rows = rule_rows(viewer)
    named = rows.filter(Q(pack__name=STARTER, path__in=stage.rules) | Q(pack__name=CORRELATIONS, path__in=stage.correlations) | Q(uid__in=stage.uids))
    about = models.RuleMark.objects.filter(kind="model", value__in=stage.models).values("rule")
    carrying = rows.filter(pk__in=models.RuleMark.objects.filter(kind="technique", value__in=stage.techniques, rule__in=about).values("rule"))
    return sorted({rule.pk: rule for rule in (*named, *carrying)}.values(), key=lambda rule: (-rule.severity, rule.uid))


def findings_by_day(one: Scenario, viewer: Viewer, *, since: datetime) -> dict[str, int]:
    """Findings of the rules of a scenario by day of their last event, as far as the viewer sees them; days without any are left out."""
    uids = {rule.uid for stage in one.stages for rule in rules_of(stage, viewer)}
    rows = models.Finding.objects.seen_by(viewer).filter(rule_uid__in=uids, last__gte=since, last__lte=clock.now()).order_by().annotate(day=TruncDate("last")).values("day").annotate(n=Sum("count"), latest=Max("last"))
    return {f"{row['day']}": row["n"] for row in rows}
