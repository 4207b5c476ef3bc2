"""Log anomaly alarms: made, changed, switched, removed; and every minute what is not as usual about log templates becomes a finding, once.

Out of the hot path: a job asks the lake, which has the templates by then. Each finding is a transaction of its own, once by its key; how far was looked
comes last, and the next look begins a little before it: killed anywhere, nothing is left out and nothing told twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.translation import gettext as _

from lianfang.commons.frame.scoped import whose
from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import actions as ledger
from lianfang.engines.series import OPEN
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.actions import folding, storing
from lianfang.rooms.detect.queries.anomalies import uid_of
from lianfang.rooms.detect.types import ANOMALY
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.types import Layer, Odd, OddTemplate

FIELDS = ("name", "source", "layer", "fresh", "more", "fewer", "learning", "calendar", "severity", "note", "enabled")
OVERLAP = timedelta(minutes=15)
"""Templates are dated when they are read and seen when that is committed."""
LONGEST = timedelta(hours=2)
"""What a node that was switched off for longer would tell is no longer now."""
MOST_SPARED = 500
HOUR = timedelta(hours=1)
TITLES = {
    Odd.NEW: ("{name}: a line never seen before ({source})", "{name}：{source} 出现从未见过的日志"),
    Odd.MORE: ("{name}: many more of one line than usual ({source})", "{name}：{source} 某类日志远多于平时"),
    Odd.FEWER: ("{name}: one line is missing ({source})", "{name}：{source} 某类日志缺失或远少于平时"),
}
MANY = ("{name}: {n} kinds of lines never seen before ({source})", "{name}：{source} 同时出现 {n} 类从未见过的日志")


def look_at_logs() -> int:
    """Judge what was read since the last look; returns how many findings were stored."""
    with jobs.leased("detect.look_at_logs", seconds=900) as mine:
        return sum(_look(row) for row in models.AnomalyAlarm.objects.filter(enabled=True).select_related("calendar").order_by("pk")) if mine else 0


def _look(row: models.AnomalyAlarm) -> int:
    now, hours = clock.now(), row.hours()
    found = 0
    if hours is None or hours.session(now) is not None:
        wanted = {Odd.NEW: row.fresh, Odd.MORE: row.more, Odd.FEWER: row.fewer}
        spared, others = set(row.spared), _of_their_own() if not row.source else set()
        odd = lake.odd_templates(source=row.source, layer=row.layer, within=row.territory, since=max(row.looked - OVERLAP, row.created, now - LONGEST), learning=row.span, viewer=SYSTEM)
        found = sum(_store(row, one) for one in odd if wanted[one.odd] and one.template not in spared and one.source not in others and (hours is None or hours.session(one.hour) or one.odd != Odd.FEWER) and not _told_as_one(row, one))
    models.AnomalyAlarm.objects.filter(pk=row.pk).update(looked=now)
    return found


def _told_as_one(row: models.AnomalyAlarm, one: OddTemplate) -> bool:
    """Whether a new template was among many that were told together."""
    return one.odd == Odd.NEW and clock.text(one.found) <= row.bursts.get(one.source, "")


def _of_their_own() -> set[str]:
    """Sources that have an alarm of their own: no other speaks of them."""
    return set(models.AnomalyAlarm.objects.filter(enabled=True).exclude(source="").values_list("source", flat=True))


def _store(alarm: models.AnomalyAlarm, one: OddTemplate) -> int:
    """As a finding with the line that is its example, unless it was told. The lake is asked outside of the transaction, and not again for what was told."""
    told = (str(alarm.pk), one.odd, one.template, *([] if one.odd == Odd.NEW else [one.hour.isoformat()]))
    batch = f"{ANOMALY}-{hashlib.sha256('|'.join(told).encode()).hexdigest()[:32]}:{one.source}"[:120]
    events = [] if models.Finding.objects.filter(batch=batch).exists() else lake.events([one.sample], viewer=SYSTEM)
    if not events:
        return 0
    organisation, territory, industry = one.place
    fold = folding.whole(uid_of(alarm.pk, one.odd, one.template), [{**event, "time": int(event["time"].timestamp() * 1000), "event": event["event_id"]} for event in events], territory=territory)
    fold.industry, fold.level = industry, max(fold.level, one.level)
    begin, end = (one.first, one.last) if one.odd == Odd.NEW else (max(one.hour, one.first), min(one.last, one.hour + HOUR))
    fold.count, fold.first, fold.last = max(1, one.count), begin, max(begin, end)
    titles = MANY if one.alike else TITLES[one.odd]
    english, chinese = (title.format(name=alarm.name, source=one.source, n=one.alike + 1)[:250] for title in titles)
    said = {"title": english, "title_zh": chinese, "severity": alarm.severity, "status": "test", "author": alarm.made_by, "alarm": "" if one.layer == Layer.SECURITY else "outage"}
    if one.alike:
        alarm.bursts[one.source] = clock.text(one.found)
    with transaction.atomic():
        stored = storing.note(batch, fold, said, source=one.source, organisation=organisation, about={"kind": ANOMALY, "chain": _chain(one)})
        if stored:
            models.AnomalyAlarm.objects.filter(pk=alarm.pk).update(told=F("told") + 1, last=clock.now(), bursts=alarm.bursts)
    return int(stored)


def _chain(one: OddTemplate) -> dict[str, Any]:
    """Its numbers, as ``queries.departures`` tells them."""
    curve = [{"label": "", "at": _milliseconds(at), "n": n, "low": low, "high": high} for at, n, low, high in one.curve]
    return {
        "kind": f"{ANOMALY}_{one.odd}", "group": "", "entity": one.source, "value": one.text.replace(OPEN, "⋯")[:300], "at": _milliseconds(one.hour), "first": _milliseconds(one.first if one.odd == Odd.NEW else one.hour),
        "seen": one.count, "usual": one.usual, "spread": one.spread, "far": (one.count - one.usual) / one.spread if one.spread else 0.0, "samples": one.lines, "members": one.known, "alike": one.alike, "since": _milliseconds(one.since), "until": _milliseconds(clock.now()), "known": [], "level": one.level,
        "columns": {"entity": ["source"], "value": ["raw", "message"], "group": []}, "numbers": [["days", 8]], "curve": curve,
    }  # fmt: skip


def _milliseconds(moment: Any) -> int:
    return int(moment.timestamp() * 1000)


# ---- what people change --------------------------------------------------------------------------------------------


@transaction.atomic
def create_anomaly(values: Mapping[str, Any], *, actor: Viewer) -> models.AnomalyAlarm:
    """Over a source in the actor's scope, or over those of the actor's organisation and below."""
    actor.must("detect.anomalyalarm.add")
    row = models.AnomalyAlarm(**_known(values), made_by=actor.name)
    _must_fit(row, actor)
    _save(row)
    _told("anomalyalarm_added", row, actor, **{name: str(getattr(row, name)) for name in FIELDS if getattr(row, name) not in ("", None, False)})
    return row


@transaction.atomic
def change_anomaly(row: models.AnomalyAlarm, values: Mapping[str, Any], *, actor: Viewer) -> models.AnomalyAlarm:
    """Other sources, other numbers: what is found from now on counts by them."""
    actor.must("detect.anomalyalarm.change")
    row = models.AnomalyAlarm.objects.select_for_update().get(pk=row.pk)
    before = {name: getattr(row, name) for name in FIELDS}
    for name, value in _known(values).items():
        setattr(row, name, value)
    _must_fit(row, actor)
    _save(row)
    _told("anomalyalarm_changed", row, actor, **{name: str(getattr(row, name))[:300] for name in FIELDS if getattr(row, name) != before[name]})
    return row


@transaction.atomic
def switch_anomaly(row: models.AnomalyAlarm, *, actor: Viewer) -> models.AnomalyAlarm:
    """Into use, or out of it; what came meanwhile is not told afterwards."""
    actor.must("detect.anomalyalarm.change")
    row = models.AnomalyAlarm.objects.select_for_update().get(pk=row.pk)
    row.enabled, row.looked = not row.enabled, clock.now() + OVERLAP
    row.save(update_fields=["enabled", "looked"])
    _told("anomalyalarm_enabled" if row.enabled else "anomalyalarm_disabled", row, actor)
    return row


@transaction.atomic
def remove_anomaly(row: models.AnomalyAlarm, *, actor: Viewer) -> None:
    """It goes; findings and alerts that came of it stay."""
    actor.must("detect.anomalyalarm.delete")
    _told("anomalyalarm_removed", row, actor)
    row.delete()


@transaction.atomic
def spare_template(row: models.AnomalyAlarm, template: str, *, actor: Viewer) -> models.AnomalyAlarm:
    """Nobody wants to hear of this template any more; the oldest of too many are heard of again."""
    actor.must("detect.anomalyalarm.change")
    row = models.AnomalyAlarm.objects.select_for_update().get(pk=row.pk)
    line = lake.log_template(template, viewer=actor)
    row.spared = [*(one for one in row.spared if one != line.id), line.id][-MOST_SPARED:]
    row.save(update_fields=["spared"])
    _told("anomalyalarm_spared", row, actor, template=line.id, source=line.source)
    return row


@transaction.atomic
def hear_all_again(row: models.AnomalyAlarm, *, actor: Viewer) -> models.AnomalyAlarm:
    """No template is spared any more."""
    actor.must("detect.anomalyalarm.change")
    row = models.AnomalyAlarm.objects.select_for_update().get(pk=row.pk)
    row.spared, number = [], len(row.spared)
    row.save(update_fields=["spared"])
    _told("anomalyalarm_heard", row, actor, templates=number)
    return row


def forget_source(source: str, *, actor: Viewer = SYSTEM) -> None:
    """The alarms over a source go with it. In the caller's transaction."""
    for row in models.AnomalyAlarm.objects.filter(source=source):
        _told("anomalyalarm_removed", row, actor, source=source)
        row.delete()


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in FIELDS}


def _must_fit(row: models.AnomalyAlarm, actor: Viewer) -> None:
    if not (row.fresh or row.more or row.fewer):
        said = _("Say what is an alarm.")
        raise Invalid(_("The alarm is not complete"), why=said, todo=_("Tick at least one."), details={"fresh": [said]})
    if row.source and row.layer:
        said = _("A source is of one layer already.")
        raise Invalid(_("The alarm is not complete"), why=said, todo=_("Choose a source or a layer."), details={"layer": [said]})
    place = lake.belongs(row.source, viewer=actor) if row.source else whose(actor) if row._state.adding else {}
    for name, value in place.items():
        setattr(row, name, value)
    row.hours()


def _save(row: models.AnomalyAlarm) -> None:
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise Invalid(_("There is an alarm of this name"), why=_("Names are unique in an organisation."), todo=_("Choose another name."), details={"name": [_("Choose another name.")]}) from error


def _told(verb: str, row: models.AnomalyAlarm, actor: Viewer, **detail: Any) -> None:
    ledger.record(f"detect.{verb}", row.ref, actor=actor, label=row.name, detail=detail, territory=row.territory, industry=row.industry)
