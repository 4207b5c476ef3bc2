"""Recovering: a keyword alarm is over, and its alerts say so; one that nobody has taken is closed if its makers wished that."""

from __future__ import annotations

from django.db import transaction

from lianfang.commons.ledger import actions as ledger
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.detect.types import MonitorRecovered
from lianfang.rooms.respond import models
from lianfang.rooms.respond.actions import grouping
from lianfang.rooms.respond.types import OPEN, State, Verdict


@transaction.atomic
def mark_recovered(fact: MonitorRecovered, *, actor: Viewer = SYSTEM) -> int:
    """Mark the open alerts of a keyword alarm, or close them; returns how many.

    Raises ``Conflict`` to be tried again while the alert is not raised yet: findings and recoveries come by ways of their own.
    """
    at, began = clock.parse(fact.at), clock.parse(fact.began)
    rows = models.Alert.objects.filter(rule_uid__in=fact.rules, territory=fact.territory)
    if not rows.filter(last__gte=began).exists():
        raise Conflict("The alert is not raised yet", why=f"“{fact.title}” has recovered before its finding was folded.", todo="It is tried again by itself.", retry=True)
    found = list(rows.filter(state__in=OPEN, first__lte=at, recovered=None))
    for alert in found:
        _mark(alert, fact, actor)
    return len(found)


def _mark(alert: models.Alert, fact: MonitorRecovered, actor: Viewer) -> None:
    now, at = clock.now(), clock.parse(fact.at)
    change = {"recovered": at, "changed": now}
    closes = fact.closes and alert.untouched
    if closes:
        change |= {"state": State.CLOSED, "verdict": Verdict.RECOVERED, "closed": now}
    if models.Alert.objects.filter(pk=alert.pk, state=alert.state, assignee=alert.assignee).update(**change):
        grouping.stir([alert])
        detail = {"at": fact.at, "event": fact.event, "closed": closes}
        ledger.record("respond.recovered", alert.ref, actor=actor, label=alert.title, detail=detail, territory=alert.territory, industry=alert.industry)
