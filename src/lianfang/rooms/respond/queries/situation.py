"""The situation at a glance: what is open, how it came, where, and by which means. One look of a few indexed questions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, QuerySet

from lianfang.commons.frame.language import chinese
from lianfang.kernel import clock
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect.queries import framework
from lianfang.rooms.respond import models
from lianfang.rooms.respond.queries.asking import seen, version
from lianfang.rooms.respond.types import OPEN, State

SPANS: dict[str, timedelta] = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}
TOP = 8
IMPORTANT = 8
REMEMBERED = 64
SAMPLED = 500
"""How many acknowledged alerts the median waiting time is taken over; the newest."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A host, rule or alarm type with its alerts: how many in the span, how many open, and the loudest of them."""

    key: str
    name: str
    alerts: int
    open: int
    severity: int
    score: int
    share: int


@dataclass(frozen=True, slots=True)
class Situation:
    """What the overview shows, for one viewer and span."""

    since: datetime
    until: datetime
    step: timedelta
    open_by_severity: dict[int, int]
    open: int
    new: int
    unassigned: int
    mine: int
    raised: int
    raised_before: int
    closed: int
    false_share: int | None
    wait: timedelta | None
    series: list[tuple[datetime, dict[int, int]]]
    hosts: list[Ranked]
    rules: list[Ranked]
    alarms: list[Ranked]
    tactics: dict[str, int]
    important: list[models.Alert]
    newest: datetime | None


_known: dict[tuple[Any, ...], Situation] = {}


def situation(viewer: Viewer, *, span: str = "24h") -> Situation:
    """The situation of everything in the viewer's scope. Colleagues of the same scope and language share one answer until an alert changes."""
    key = (settings.DATABASES["default"]["NAME"], viewer.territory, viewer.industry, viewer.may("respond.alert.view"), span, chinese(), version(viewer))
    found = _known.get(key)
    if found is None:
        found = _asked(viewer, span)
        if len(_known) >= REMEMBERED:
            _known.clear()
        _known[key] = found
    return replace(found, mine=seen(viewer).filter(state__in=OPEN, assignee=viewer.id).count() if viewer.id else 0)


def _asked(viewer: Viewer, span: str) -> Situation:
    until, length = clock.now(), SPANS.get(span, SPANS["24h"])
    since, rows = until - length, seen(viewer)
    recent, waiting = rows.filter(last__gte=since), rows.filter(state__in=OPEN)
    states = dict(waiting.order_by().values_list("state").annotate(n=Count("pk")))
    closed = rows.filter(state=State.CLOSED, closed__gte=since)
    verdicts = dict(closed.order_by().values_list("verdict").annotate(n=Count("pk")))
    step = timedelta(hours=1) if length <= timedelta(days=2) else timedelta(days=1)
    return Situation(
        since=since, until=until, step=step,
        open_by_severity=_by_severity(waiting), open=sum(states.values()), new=states.get(State.NEW, 0),
        unassigned=waiting.filter(assignee="").count(), mine=0,
        raised=rows.filter(raised__gte=since).count(), raised_before=rows.filter(raised__gte=since - length, raised__lt=since).count(),
        closed=sum(verdicts.values()), false_share=_share(verdicts.get("false_positive", 0), sum(verdicts.values())), wait=_wait(rows.filter(acknowledged__gte=since)),
        series=_series(rows.filter(hour__gte=models.hour_of(since)), since, until, step), hosts=_top(recent.exclude(host=""), "host"), rules=_top_rules(recent), alarms=_top_alarms(recent), tactics=_tactics(recent),
        important=list(waiting.order_by("-score", "-last", "-id")[:IMPORTANT]), newest=rows.aggregate(last=Max("raised"))["last"],
    )  # fmt: skip


def _by_severity(rows: QuerySet[models.Alert]) -> dict[int, int]:
    found = dict(rows.order_by().values_list("severity").annotate(n=Count("pk")))
    return {level: found.get(level, 0) for level in (5, 4, 3, 2, 1)}


def _share(part: int, whole: int) -> int | None:
    return round(100 * part / whole) if whole else None


def _wait(rows: QuerySet[models.Alert]) -> timedelta | None:
    """The median time between raising and acknowledging."""
    waits = [acknowledged - raised for raised, acknowledged in rows.order_by("-acknowledged").values_list("raised", "acknowledged")[:SAMPLED]]
    return median(waits) if waits else None


def _series(rows: QuerySet[models.Alert], since: datetime, until: datetime, step: timedelta) -> list[tuple[datetime, dict[int, int]]]:
    """Alerts by severity per hour or UTC day of their last event; stretches without any are there too."""
    width = int(step / timedelta(hours=1))
    first, last = models.hour_of(since) // width + (width == 1), models.hour_of(until) // width
    counts = {stretch: dict.fromkeys((1, 2, 3, 4, 5), 0) for stretch in range(first, last + 1)}
    for hour, severity, number in rows.order_by().values_list("hour", "severity").annotate(n=Count("pk")):
        if hour // width in counts:
            counts[hour // width][severity] += number
    return [(datetime.fromtimestamp(stretch * width * 3600, UTC), found) for stretch, found in counts.items()]


def _top(rows: QuerySet[models.Alert], column: str) -> list[Ranked]:
    """The values of a column with the highest scores, then the most alerts."""
    found = rows.order_by().values(column).annotate(n=Count("pk"), loudest=Max("severity"), best=Max("score")).order_by("-best", "-n", column)[:TOP]
    found = [row for row in found if row[column]]
    waiting = dict(rows.filter(state__in=OPEN, **{f"{column}__in": [row[column] for row in found]}).order_by().values_list(column).annotate(n=Count("pk")))
    most = max((row["n"] for row in found), default=1)
    return [Ranked(row[column], row[column], row["n"], waiting.get(row[column], 0), row["loudest"], row["best"], round(100 * row["n"] / most)) for row in found]


def _top_rules(rows: QuerySet[models.Alert]) -> list[Ranked]:
    ranked = _top(rows, "rule_uid")
    names: dict[str, str] = {}
    for row in ranked:
        one = rows.filter(rule_uid=row.key).order_by("-last", "-id").first()
        names[row.key] = str(one) if one else row.key
    return [Ranked(row.key, names[row.key], row.alerts, row.open, row.severity, row.score, row.share) for row in ranked]


def _top_alarms(rows: QuerySet[models.Alert]) -> list[Ranked]:
    ranked = sorted(_top(rows, "alarm"), key=lambda row: -row.alerts)
    return [Ranked(row.key, framework.alarm_name(row.key), row.alerts, row.open, row.severity, row.score, row.share) for row in ranked]


def _tactics(rows: QuerySet[models.Alert]) -> dict[str, int]:
    """Alerts per tactic, in the order of the matrix; every tactic is there."""
    found = dict(models.Mark.objects.filter(kind="tactic", alert__in=rows.order_by().values("pk")).order_by().values_list("value").annotate(n=Count("pk")))
    return {tactic.key: found.get(tactic.key, 0) for tactic in framework.attack().tactics}

