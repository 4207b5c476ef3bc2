"""Grouping: alerts become incidents, by what takes part in them and by time (``engines.graphs``).

Alerts change day by day of an organisation; such a day is *stirred*, and a job groups it anew with the days around it, as
far as incidents reach that lie there. So the grouping follows from event times and entities alone: late, reversed and
repeated alerts end the same. Where a person put an alert, it stays, and what comes later may join it there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet

from lianfang.engines.graphs import Edge, Entity, Group, Rules, Sight, groups
from lianfang.kernel import clock
from lianfang.rooms.detect.queries import framework
from lianfang.rooms.respond import models
from lianfang.rooms.respond.actions import ranking
from lianfang.rooms.respond.types import CHAIN, OPEN, telling

HOUR = 3600.0
KINDS = Rules(
    reach={"hosts": CHAIN.total_seconds(), "users": 6 * HOUR, "ips": 12 * HOUR, "hashes": 24 * HOUR, "domains": 12 * HOUR, "urls": 12 * HOUR},
    strength={"hosts": 1.0, "users": 0.8, "ips": 0.7, "hashes": 0.9, "domains": 0.7, "urls": 0.8},
)
"""How far each kind of entity reaches, and how much it says."""
DAY = timedelta(days=1)
FARTHEST = 14
"""Days around a stirred one that are grouped with it at most; what lies beyond stays where it is."""
TAKEN = 200
"""Stirred days that one run takes up."""
MOST = 20_000
"""Alerts that are grouped together at most; the newest."""
PIECE = 300
"""Rows that are asked for, or written, in one go."""
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
    """Read and worked out first, then written some incidents at a time: what is received is stored meanwhile. What was stirred since stays stirred,
    and where a person did something since, all of it is looked at again the next time."""
    since, until = _reach(territory, _midnight(first_day - 1), _midnight(last_day + 2))
    stretch = models.Alert.objects.filter(territory=territory, last__gte=since, first__lt=until).order_by("-last", "-id")
    alerts = {alert.pk: alert for alert in stretch.only(*_READ)[:MOST]}
    members = _members_of(stretch, alerts)
    rows = {row.pk: row for row in _pieces(models.Incident, "pk", {member.incident_id for member in members.values()})}
    beyond: dict[UUID, list[UUID]] = defaultdict(list)
    for member in _pieces(models.Member, "incident", rows):
        if member.alert_id not in alerts:
            beyond[member.incident_id].append(member.alert_id)
    others = {alert.pk: alert for alert in _pieces(models.Alert.objects.only(*_READ), "pk", [pk for far in beyond.values() for pk in far])}
    held = {str(pk): str(member.incident_id) for pk, member in members.items() if member.held or member.incident_id in beyond}
    found = groups((sight_of(alert) for alert in alerts.values()), KINDS, held=held)
    places = _placed(found, {str(pk): member.incident_id for pk, member in members.items()}, held, rows)
    changes = [change for group, row in places if (change := _changed(group, row, alerts, [others[pk] for pk in beyond.get(row.pk, ()) if pk in others] if row else [], members, territory))]
    written = [_write(some, members) for some in _parcels(changes)]
    if not all(written):
        return sum(map(len, written))
    gone = models.Incident.objects.filter(territory=territory, first__lt=until, last__gte=since, members=None).delete()[1].get(models.Incident._meta.label, 0)
    for stir in stirred:
        models.Stirred.objects.filter(pk=stir.pk, turn=stir.turn).delete()
    return sum(map(len, written)) + gone


def _members_of(stretch: QuerySet[models.Alert], alerts: Mapping[UUID, models.Alert]) -> dict[UUID, models.Member]:
    """Where these alerts are now. What was put somewhere after they were read is not among ``alerts``."""
    return {member.alert_id: member for member in models.Member.objects.filter(alert__in=stretch.order_by().values("pk")) if member.alert_id in alerts}


def _pieces(rows: Any, field: str, keys: Iterable[UUID]) -> Iterator[Any]:
    """Rows by many keys, some at a time: a question with ten thousand of them takes longer to put than to answer."""
    wanted = list(keys)
    for start in range(0, len(wanted), PIECE):
        yield from getattr(rows, "objects", rows).filter(**{f"{field}__in": wanted[start : start + PIECE]})


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
    entities = {Entity(kind, name) for kind, values in alert.entities.items() if kind in KINDS.reach for value in values if (name := telling(kind, str(value)))}
    if alert.host:
        entities.add(Entity("hosts", alert.host.lower()[:300]))
    return Sight(str(alert.pk), alert.host, alert.rule_uid, alert.first.timestamp(), alert.last.timestamp(), frozenset(entities))


Placed = list[tuple[Group, models.Incident | None]]


def _placed(found: list[Group], now: Mapping[str, UUID], held: Mapping[str, str], rows: Mapping[UUID, models.Incident]) -> Placed:
    """Each group with the incident that goes on as it: where a person put one of it, else the one most of it comes from, the older first."""
    taken: set[UUID] = set()
    places: dict[int, models.Incident] = {}
    for at, group in enumerate(found):
        mine = next((UUID(held[key]) for key in group.members if key in held), None)
        if mine in rows:
            places[at] = rows[mine]
            taken.add(mine)
    wishes = []
    for at, group in enumerate(found):
        for pk, share in Counter(now[key] for key in group.members if key in now).items():
            if pk in rows:
                wishes.append((-share, rows[pk].created, str(pk), at, pk))
    for _share, _created, _name, at, pk in sorted(wishes):
        if at not in places and pk not in taken:
            places[at] = rows[pk]
            taken.add(pk)
    return [(group, places.get(at)) for at, group in enumerate(found)]


@dataclass(frozen=True, slots=True)
class _Change:
    """An incident as it should stand. ``known``: as when it was read, ``None`` for a new one; ``new`` and ``other``: its members that are not so yet."""

    row: models.Incident
    known: datetime | None
    differs: bool
    new: list[models.Member]
    other: list[models.Member]

    @property
    def size(self) -> int:
        return 1 + len(self.new) + len(self.other)


def _changed(group: Group, incident: models.Incident | None, alerts: Mapping[UUID, models.Alert], beyond: list[models.Alert], members: Mapping[UUID, models.Member], territory: str) -> _Change | None:
    """What is to be written so that ``group`` stands as its incident, or nothing. ``beyond``: alerts of the incident that were not grouped now."""
    row = incident or models.Incident(territory=territory)
    before = {name: getattr(row, name) for name in _SUMMED}
    summed(row, [*(alerts[UUID(key)] for key in group.members), *beyond])
    differs = incident is None or any(getattr(row, name) != before[name] for name in _SUMMED)
    new, other = [], []
    for key in map(UUID, group.members):
        known = members.get(key)
        wanted = _member(key, row, group.by.get(str(key)), known)
        if known is None:
            new.append(wanted)
        elif any(getattr(known, name) != getattr(wanted, name) for name in _LINK):
            other.append(wanted)
    return _Change(row, incident and incident.changed, differs, new, other) if differs or new or other else None


def _parcels(changes: list[_Change]) -> Iterator[list[_Change]]:
    """As many changes as one transaction writes."""
    parcel: list[_Change] = []
    for change in changes:
        if parcel and sum(one.size for one in parcel) + change.size > PIECE:
            yield parcel
            parcel = []
        parcel.append(change)
    if parcel:
        yield parcel


@transaction.atomic
def _write(changes: list[_Change], members: Mapping[UUID, models.Member]) -> list[UUID]:
    """Write these incidents; nothing where a person did something with one of them, or one of their alerts went, since they were read."""
    standing = dict(models.Incident.objects.select_for_update().filter(pk__in=[one.row.pk for one in changes if one.known]).values_list("pk", "changed"))
    names = {member.alert_id for one in changes for member in (*one.new, *one.other)}
    now = {alert: (incident, held) for alert, incident, held in models.Member.objects.select_for_update().filter(alert__in=names).values_list("alert", "incident", "held")}
    known = {pk: (members[pk].incident_id, members[pk].held) for pk in names if pk in members}
    if standing != {one.row.pk: one.known for one in changes if one.known} or now != known or models.Alert.objects.filter(pk__in=names).count() != len(names):
        return []
    for one in changes:
        one.row.changed = clock.now()
        if one.known is None:
            one.row.save(force_insert=True)
        elif one.differs:
            one.row.save(update_fields=[*_SUMMED, "changed"])
    models.Member.objects.bulk_create([member for one in changes for member in one.new], batch_size=500)
    models.Member.objects.bulk_update([member for one in changes for member in one.other], _LINK, batch_size=200)
    return [one.row.pk for one in changes]


_LINK = ("incident_id", "one", "kind", "value", "gap", "weight")
_READ = ("territory", "organisation", "industry", "kind", "rule_uid", "title", "title_zh", "severity", "techniques", "tactics", "host", "first", "last", "count", "entities", "score", "state")
"""What grouping reads of an alert."""
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
    row.score, reasons = ranking.rank_incident([ranking.Sight(alert.rule_uid, alert.kind, tuple(alert.tactics), alert.first, alert.last) for alert in alerts], loudest=max(alert.score for alert in waiting or alerts), hosts=len({alert.host for alert in alerts if alert.host}), order=order, importance=max(ranking.importance_of(alert.reasons) for alert in waiting or alerts))
    row.reasons = [asdict(reason) for reason in reasons]
    if not waiting:
        row.score, row.reasons = 0, []  # nobody has to look at it first
