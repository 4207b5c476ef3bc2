"""Switching rules on and off: everywhere by who sees the whole node, for one source by who sees that source.

Takes effect in every examiner within two seconds.
"""

from __future__ import annotations

from django.db import transaction

from lianfang.commons.ledger import actions as ledger
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.actions.editions import next_edition
from lianfang.rooms.detect.actions.guarding import must_for_node, must_for_source
from lianfang.rooms.detect.queries import scenarios


@transaction.atomic
def switch(rule: models.Rule, on: bool | None, source: str | None = None, *, actor: Viewer) -> None:
    """Switch ``rule`` on or off. With ``source`` (a source's name) only there; ``on=None`` there lets the general switch speak again."""
    if source is None:
        must_for_node(actor, "detect.rule.switch")
        _everywhere(rule, bool(on))
    else:
        must_for_source(actor, "detect.rule.switch", source)
        _for_source(rule, on, source)
    next_edition()
    ledger.record("detect.rule_switched", rule.ref, actor=actor, label=rule.title, detail={"on": on, "source": source or ""})


def _everywhere(rule: models.Rule, on: bool) -> None:
    if not models.Rule.objects.filter(pk=rule.pk, enabled=not on).update(enabled=on, changed=clock.now()):
        raise Conflict("The rule is on already" if on else "The rule is off already", why="Somebody was faster.", todo="Nothing needs to be done.")
    rule.enabled = on


def _for_source(rule: models.Rule, on: bool | None, source: str) -> None:
    models.RuleSwitch.objects.filter(rule=rule, source=source).delete()
    if on is not None:
        models.RuleSwitch.objects.create(rule=rule, source=source, source_name=source, on=on)


def enable(rule: models.Rule, *, actor: Viewer) -> None:
    """Switch a rule on everywhere."""
    switch(rule, True, actor=actor)


def disable(rule: models.Rule, *, actor: Viewer) -> None:
    """Switch a rule off everywhere."""
    switch(rule, False, actor=actor)


@transaction.atomic
def switch_scenario(one: scenarios.Scenario, on: bool, *, actor: Viewer) -> int:
    """Switch every rule of a scenario that is not so yet; returns how many, each with its record."""
    must_for_node(actor, "detect.rule.switch")
    rules = {rule.pk: rule for stage in one.stages for rule in scenarios.rules_of(stage, actor) if rule.enabled != on}
    for rule in rules.values():
        switch(rule, on, actor=actor)
    return len(rules)
