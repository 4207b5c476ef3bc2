"""Staging: scenarios that people of this node describe: written, changed, switched, removed. They serve every organisation, so who writes them sees the whole node.

Each step is a record in the ledger, with what the scenario said before and says now: that is its history.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from lianfang.commons.ledger import actions as ledger
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.actions.guarding import must_for_node
from lianfang.rooms.detect.queries import framework, staging

FIELDS = ("zh", "en", "about_zh", "about_en", "alarm", "stages")


@transaction.atomic
def create_scenario(values: Mapping[str, Any], *, actor: Viewer) -> models.OwnScenario:
    """A scenario of the node's own; from now on it stands among all others."""
    must_for_node(actor, "detect.ownscenario.add")
    row = models.OwnScenario(made_by=actor.name)
    _take(row, values, actor)
    row.save(force_insert=True)
    _told("added", row, actor, says=_said(row))
    return row


@transaction.atomic
def change_scenario(row: models.OwnScenario, values: Mapping[str, Any], *, actor: Viewer) -> models.OwnScenario:
    """Another version of it."""
    must_for_node(actor, "detect.ownscenario.change")
    row = models.OwnScenario.objects.select_for_update().get(pk=row.pk)
    before = _said(row)
    _take(row, values, actor)
    now = _said(row)
    changed = sorted(name for name in FIELDS if before[name] != now[name])
    if changed:
        row.version += 1
        row.save()
        _told("changed", row, actor, said={name: before[name] for name in changed}, says={name: now[name] for name in changed})
    return row


def enable_scenario(row: models.OwnScenario, *, actor: Viewer) -> None:
    """Show it again among all others."""
    _switch(row, True, actor)


def disable_scenario(row: models.OwnScenario, *, actor: Viewer) -> None:
    """Leave it out of all views; its rules stay as they are."""
    _switch(row, False, actor)


@transaction.atomic
def _switch(row: models.OwnScenario, on: bool, actor: Viewer) -> None:
    must_for_node(actor, "detect.ownscenario.change")
    if not models.OwnScenario.objects.filter(pk=row.pk, enabled=not on).update(enabled=on, changed=clock.now(), changed_by=actor.name):
        raise Conflict(_("The scenario is on already") if on else _("The scenario is off already"), why=_("Somebody was faster."), todo=_("Nothing needs to be done."))
    _told("enabled" if on else "disabled", row, actor)


@transaction.atomic
def remove_scenario(row: models.OwnScenario, *, actor: Viewer) -> None:
    """It goes; the ledger keeps what it said."""
    must_for_node(actor, "detect.ownscenario.delete")
    _told("removed", row, actor, said=_said(row))
    row.delete()


def _take(row: models.OwnScenario, values: Mapping[str, Any], actor: Viewer) -> None:
    for name in FIELDS:
        if name in values:
            setattr(row, name, values[name])
    if not (row.zh or row.en):
        raise Invalid(_("The scenario has no name"), todo=_("Say in a few words what kind of attack it is."), details={"zh": [_("The scenario has no name")]})
    if row.alarm and row.alarm not in framework.alarms():
        raise Invalid(_("There is no such alarm type"), why=row.alarm[:40], todo=_("Choose one of the list."), details={"alarm": [_("Choose one of the list.")]})
    stages = staging.read(row.stages)
    staging.must_stand(stages)
    row.stages, row.changed, row.changed_by = staging.plain(stages), clock.now(), actor.name


def _said(row: models.OwnScenario) -> dict[str, Any]:
    return {name: getattr(row, name) for name in FIELDS}


def _told(verb: str, row: models.OwnScenario, actor: Viewer, **detail: Any) -> None:
    ledger.record(f"detect.ownscenario_{verb}", row.ref, actor=actor, label=str(row), detail={"version": row.version, **detail})
