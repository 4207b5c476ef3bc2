"""Grouping: alerts become incidents, by what takes part in them and by time (``engines.graphs``).

Alerts change day by day of an organisation; such a day is *stirred*, and a job groups it anew with the days around it, as
far as incidents reach that lie there. So the grouping follows from event times and entities alone: late, reversed and
repeated alerts end the same. Where a person put an alert, it stays, and what comes later may join it there.
"""

from __future__ import annotations

import ipaddress
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F

from lianfang.engines.graphs import Edge, Entity, Group, Rules, Sight, groups
from lianfang.kernel import clock
from lianfang.rooms.detect.queries import framework
from lianfang.rooms.respond import models
from lianfang.rooms.respond.actions import ranking
from lianfang.rooms.respond.types import CHAIN, OPEN

HOUR = 3600.0
KINDS = Rules(
    reach={"hosts": CHAIN.total_seconds(), "users": 6 * HOUR, "ips": 12 * HOUR, "hashes": 24 * HOUR, "domains": 12 * HOUR, "urls": 12 * HOUR},
    strength={"hosts": 1.0, "users": 0.8, "ips": 0.7, "hashes": 0.9, "domains": 0.7, "urls": 0.8},
)
"""How far each kind of entity reaches, and how much it says."""
EVERYWHERE = frozenset({"system", "local service", "network service", "anonymous logon", "root", "administrator", "admin", "nobody", "-", "unknown"})
"""Accounts that are somebody else on every machine."""
DAY = timedelta(days=1)
FARTHEST = 14
"""Days around a stirred one that are grouped with it at most; what lies beyond stays where it is."""
TAKEN = 200
"""Stirred days that one run takes up."""
MOST = 20_000
"""Alerts that are grouped together at most; the newest."""
SHOWN = 50


def stir(alerts: Iterable[models.Alert]) -> None:
    """Note that these alerts are new, changed or gone, in the caller's transaction."""
    days = {(alert.territory, day) for alert in alerts for day in range(models.hour_of(alert.first) // 24, models.hour_of(alert.last) // 24 + 1)}
    models.Stirred.objects.bulk_create([models.Stirred(territory=territory, day=day) for territory, day in sorted(days)], ignore_conflicts=True)
    for one in {territory for territory, _day in days}:
        models.Stirred.objects.filter(territory=one, day__in=[day for territory, day in days if territory == one]).update(turn=F("turn") + 1)


def group_alerts() -> int:
    """Group anew what was stirred; returns how many incidents changed."""
    changed = 0
    by_territory: dict[str, list[models.Stirred]] = defaultdict(list)
    for row in models.Stirred.objects.order_by("day", "id")[:TAKEN]:
        by_territory[row.territory].append(row)
    for territory, rows in by_territory.items():
        for first, last in _runs(sorted(row.day for row in rows)):
            changed += _group(territory, first, last, [row for row in rows if first <= row.day <= last])
    return changed


def _runs(days: list[int]) -> list[tuple[int, int]]:
    """Days as stretches in which no two neighbours lie more than three days apart: they are grouped in one go."""
    runs: list[tuple[int, int]] = []
    for day in days:
        if runs and day - runs[-1][1] <= 3:
            runs[-1] = (runs[-1][0], day)
        else:
            runs.append((day, day))
    return runs


def _group(territory: str, first_day: int, last_day: int, stirred: list[models.Stirred]) -> int:
    """Read and worked out first, then written in one transaction: what is received is stored meanwhile. What was stirred since stays stirred, and
    where a person moved an alert since, all of it waits for the next time."""
    since, until = _reach(territory, _midnight(first_day - 1), _midnight(last_day + 2))
    alerts = list(models.Alert.objects.filter(territory=territory, last__gte=since, first__lt=until).order_by("-last", "-id")[:MOST])
    members = {member.alert_id: member for member in models.Member.objects.filter(alert__in=[alert.pk for alert in alerts])}
    before = {member.incident_id for member in members.values()}
    outside = set(models.Member.objects.filter(incident__in=before).exclude(alert__in=list(members)).values_list("incident_id", flat=True))
    held = {str(pk): str(member.incident_id) for pk, member in members.items() if member.held or member.incident_id in outside}
    by_key = {str(alert.pk): alert for alert in alerts}
    found = groups((sight_of(alert) for alert in alerts), KINDS, held=held)
    with transaction.atomic():
        if _moved(alerts, members):
            return 0
        places = _placed(found, {str(pk): member.incident_id for pk, member in members.items()}, held, before)
        changed = {_keep([by_key[key] for key in group.members], group, incident, members, territory) for group, incident in places}
        empty = models.Incident.objects.filter(territory=territory, first__lt=until, last__gte=since, members=None)
        gone = empty.count()
        empty.delete()
        for row in stirred:
            models.Stirred.objects.filter(pk=row.pk, turn=row.turn).delete()
    return len(changed - {None}) + gone


def _moved(alerts: list[models.Alert], members: Mapping[UUID, models.Member]) -> bool:
    """Whether alerts went or were put elsewhere since they were read."""
    names = [alert.pk for alert in alerts]
    now = {alert: (incident, held) for alert, incident, held in models.Member.objects.filter(alert__in=names).values_list("alert", "incident", "held")}
    return now != {pk: (member.incident_id, member.held) for pk, member in members.items()} or models.Alert.objects.filter(pk__in=names).count() != len(names)


def _midnight(day: int) -> datetime:
    return datetime.fromtimestamp(day * 86_400, UTC)


def _reach(territory: str, since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """Whole days that hold all incidents which lie in them, within bounds."""
    earliest, latest = since - FARTHEST * DAY, until + FARTHEST * DAY
    while True:
        spans = models.Incident.objects.filter(territory=territory, first__lt=until, last__gte=since).values_list("first", "last")
        first = min((span[0] for span in spans), default=since)
        last = max((span[1] for span in spans), default=until)
        wider = max(earliest, min(since, _midnight(models.hour_of(first) // 24))), min(latest, max(until, _midnight(models.hour_of(last) // 24 + 1)))
        if wider == (since, until):
            return wider
        since, until = wider


def sight_of(alert: models.Alert) -> Sight:
    """An alert as grouping sees it. Needs no database."""
    entities = {Entity(kind, name) for kind, values in alert.entities.items() if kind in KINDS.reach for value in values if (name := _telling(kind, str(value)))}
    if alert.host:
        entities.add(Entity("hosts", alert.host.lower()[:300]))
    return Sight(str(alert.pk), alert.host, alert.rule_uid, alert.first.timestamp(), alert.last.timestamp(), frozenset(entities))


def _telling(kind: str, value: str) -> str:
    """What an entity is called, or nothing where it names nobody in particular."""
    name = value.strip().lower()[:300]
    if kind == "users":
        return "" if name.rpartition("\\")[2] in EVERYWHERE or name.endswith("$") else name
    if kind == "ips":
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return ""
        return "" if address.is_loopback or address.is_unspecified or address.is_multicast or address.is_link_local else name
    return "" if kind == "domains" and "." not in name else name


Placed = list[tuple[Group, models.Incident | None]]


def _placed(found: list[Group], now: Mapping[str, UUID], held: Mapping[str, str], before: set[UUID]) -> Placed:
    """Each group with the incident that goes on as it: where a person put one of it, else the one most of it comes from, the older first."""
    rows = {row.pk: row for row in models.Incident.objects.select_for_update().filter(pk__in=before)}
    taken: set[UUID] = set()
    places: dict[int, models.Incident] = {}
    for at, group in enumerate(found):
        mine = next((UUID(held[key]) for key in group.members if key in held), None)
        if mine is not None:
            places[at] = rows[mine]
            taken.add(mine)
    wishes = []
    for at, group in enumerate(found):
        for pk, share in Counter(now[key] for key in group.members if key in now).items():
            wishes.append((-share, rows[pk].created, str(pk), at, pk))
    for _share, _created, _name, at, pk in sorted(wishes):
        if at not in places and pk not in taken:
            places[at] = rows[pk]
            taken.add(pk)
    return [(group, places.get(at)) for at, group in enumerate(found)]


def _keep(alerts: list[models.Alert], group: Group, incident: models.Incident | None, members: Mapping[UUID, models.Member], territory: str) -> UUID | None:
    """Write one group; gives its incident where anything changed."""
    fresh = incident is None
    row = incident or models.Incident(territory=territory)
    if not fresh:
        alerts = [*alerts, *models.Alert.objects.filter(member__incident=row).exclude(pk__in=list(members))]
    before = {name: getattr(row, name) for name in _SUMMED}
    summed(row, alerts)
    differs = fresh or any(getattr(row, name) != before[name] for name in _SUMMED)
    if differs:
        row.changed = clock.now()
        row.save()
    new, other = [], []
    for key in group.members:
        wanted = _member(UUID(key), row, group.by.get(key), members.get(UUID(key)))
        known = members.get(UUID(key))
        if known is None:
            new.append(wanted)
        elif any(getattr(known, name) != getattr(wanted, name) for name in _LINK):
            other.append(wanted)
    models.Member.objects.bulk_create(new, batch_size=500)
    models.Member.objects.bulk_update(other, _LINK, batch_size=200)
    return row.pk if differs or new or other else None


_LINK = ("incident_id", "one", "kind", "value", "gap", "weight")
_SUMMED = ("organisation", "industry", "title", "title_zh", "severity", "score", "reasons", "alerts", "waiting", "events", "hosts", "tactics", "techniques", "first", "last", "verdict")


def _member(alert: UUID, row: models.Incident, edge: Edge | None, known: models.Member | None) -> models.Member:
    link: dict[str, Any] = {"one": UUID(edge.one), "kind": edge.entity.kind, "value": edge.entity.name, "gap": edge.gap, "weight": edge.weight} if edge else {"one": None, "kind": "", "value": "", "gap": 0.0, "weight": 0.0}
    return models.Member(alert_id=alert, incident=row, held=known.held if known else False, **link)


def summed(row: models.Incident, alerts: list[models.Alert]) -> None:
    """What an incident says of its alerts. Needs no database."""
    order = framework.attack().order
    alerts.sort(key=lambda alert: (alert.first, str(alert.pk)))
    waiting = [alert for alert in alerts if alert.state in OPEN]
    named_by = max(alerts, key=lambda alert: (alert.severity, -alert.first.timestamp(), alert.rule_uid))
    if not row.named:
        row.title, row.title_zh = named_by.title, named_by.title_zh
    row.organisation, row.industry = named_by.organisation, named_by.industry
    row.alerts, row.waiting, row.events = len(alerts), len(waiting), sum(alert.count for alert in alerts)
    row.severity = max(alert.severity for alert in alerts)
    row.first, row.last = alerts[0].first, max(alert.last for alert in alerts)
    row.hosts = list(dict.fromkeys(alert.host for alert in alerts if alert.host))[:SHOWN]
    row.tactics = sorted({tactic for alert in alerts for tactic in alert.tactics}, key=lambda tactic: (order.get(tactic, 99), tactic))
    row.techniques = sorted({technique for alert in alerts for technique in alert.techniques})[:SHOWN]
    row.verdict = row.verdict if not waiting else ""
    row.score, reasons = ranking.rank_incident([ranking.Sight(alert.rule_uid, alert.kind, tuple(alert.tactics), alert.first, alert.last) for alert in alerts], loudest=max(alert.score for alert in waiting or alerts), hosts=len({alert.host for alert in alerts if alert.host}), order=order)
    row.reasons = [asdict(reason) for reason in reasons]
    if not waiting:
        row.score, row.reasons = 0, []  # nobody has to look at it first
