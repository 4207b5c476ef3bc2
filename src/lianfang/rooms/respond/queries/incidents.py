"""Incidents as viewers see them: their alerts with why each belongs, and the picture of what takes part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from lianfang.commons.ledger import queries as ledger
from lianfang.engines.policy import HIDDEN
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.respond import models
from lianfang.rooms.respond.queries.asking import seen, took_part

SHOWN = 200
"""Alerts of one incident that its page shows; the loudest."""
DRAWN = 40
"""Entities in the picture; those with the most links."""
KINDS = ("hosts", "users", "ips", "hashes", "domains", "urls")
WIRED = frozenset({"hosts", "users", "ips"})
"""Kinds that are drawn though only one alert tells of them."""


def incidents(viewer: Viewer) -> QuerySet[models.Incident]:
    """The incidents in a viewer's scope."""
    rows: QuerySet[models.Incident] = models.Incident.objects.seen_by(viewer)
    return rows if viewer.may("respond.incident.view") else rows.none()


def incident_of(alert: models.Alert, viewer: Viewer) -> models.Incident | None:
    """The incident that an alert belongs to, as far as the viewer sees it."""
    return incidents(viewer).filter(members__alert=alert).first()


@dataclass(frozen=True, slots=True)
class Step:
    """An alert of an incident, and the link by which it hangs on another (``on``); ``on`` is ``None`` for the one it begins with."""

    alert: models.Alert
    on: models.Alert | None
    kind: str
    value: str
    gap: float
    weight: float
    held: bool


def steps(row: models.Incident, viewer: Viewer) -> list[Step]:
    """The alerts of an incident in the order of their events; what the viewer may not read is hidden in the reasons too."""
    loudest = list(seen(viewer).filter(member__incident=row).select_related("member").order_by("-score", "-last", "-id")[:SHOWN])
    by_pk: dict[UUID, models.Alert] = {alert.pk: alert for alert in loudest}
    found = []
    for alert in sorted(loudest, key=lambda alert: (alert.first, str(alert.pk))):
        link = alert.member
        readable = {value.lower() for value in [alert.host, *(value for values in took_part(alert, viewer).values() for value in values)]}
        value = link.value if link.value in readable or not link.value else HIDDEN
        found.append(Step(alert, by_pk.get(link.one), link.kind, value, link.gap, link.weight, link.held))
    return found


def incident_whole(pk: Any, viewer: Viewer) -> dict[str, Any]:
    """One incident as plain data: what its page tells. Raises ``Refused`` without the permission, ``Missing`` outside the scope."""
    viewer.must("respond.incident.view")
    row: models.Incident = models.Incident.objects.fetch(pk, viewer)
    plain = {name: getattr(row, name) for name in ("severity", "score", "alerts", "waiting", "events", "hosts", "tactics", "techniques", "first", "last", "verdict", "assignee", "assignee_name", "created", "changed")}
    told = [
        {"alert": str(step.alert.pk), "title": str(step.alert), "host": step.alert.host, "severity": step.alert.severity, "score": step.alert.score, "state": step.alert.state, "first": step.alert.first, "last": step.alert.last,
         "on": str(step.on.pk) if step.on else None, "shares": {"kind": step.kind, "value": step.value} if step.kind else None, "gap_seconds": step.gap, "weight": step.weight, "held": step.held}
        for step in steps(row, viewer)
    ]  # fmt: skip
    reasons = [asdict(reason) | {"title": reason.title, "words": reason.words} for reason in row.why]
    remarks = [{"author": one.author_name, "text": one.text, "written": one.written} for one in row.remarks.all()]
    done = [{"time": entry.time, "verb": entry.verb, "actor": entry.actor_name, "detail": dict(entry.detail)} for entry in ledger.timeline(row.ref, viewer)]
    return {"id": str(row.pk), "title": str(row)} | plain | {"reasons": reasons, "members": told, "comments": remarks, "timeline": done}


@dataclass(frozen=True, slots=True)
class Picture:
    """Entities (kind, name, alerts that tell of them, loudest severity) and which hosts each met (two places in the list, alerts)."""

    entities: tuple[tuple[str, str, int, int], ...]
    ties: tuple[tuple[int, int, int], ...]
    more: int


def picture(alerts: Sequence[models.Alert], viewer: Viewer) -> Picture:
    """Who and what, and between whom: each entity tied to the hosts on which alerts told of it."""
    told: Counter[tuple[str, str]] = Counter()
    ties: Counter[tuple[tuple[str, str], tuple[str, str]]] = Counter()
    loud: dict[tuple[str, str], int] = {}
    for alert in alerts:
        host = ("hosts", alert.host) if alert.host else None
        mine: dict[tuple[str, str], Any] = {(kind, value): None for kind, values in took_part(alert, viewer).items() if kind in KINDS for value in values}
        for entity in {**mine, **({host: None} if host else {})}:
            told[entity] += 1
            loud[entity] = max(loud.get(entity, 0), alert.severity)
            if host and entity != host:
                ties[host, entity] += 1
    kept = [entity for entity, number in sorted(told.items(), key=lambda item: (item[0][0] != "hosts", -item[1], item[0])) if number > 1 or entity[0] in WIRED]
    shown = kept[:DRAWN]
    places = {entity: at for at, entity in enumerate(shown)}
    return Picture(tuple((*entity, told[entity], loud[entity]) for entity in shown), tuple((places[one], places[other], number) for (one, other), number in ties.items() if one in places and other in places), len(kept) - len(shown))
