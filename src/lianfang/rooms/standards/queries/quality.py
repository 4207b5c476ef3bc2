"""Scores: shares of right rows, weighed by rule, per table and word, now and over time; from counts, never from a scan.

In: the viewer, whose rules and rows they are. Out: scores in per cent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from lianfang.engines.columns.measures import ROWS, Check
from lianfang.kernel import clock
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.types import EVENT_TABLES, Tally
from lianfang.rooms.standards import models
from lianfang.rooms.standards.queries.elements import above
from lianfang.rooms.standards.types import Figure, Kind, Scores, Trend, Word

DAY = 86_400
TRENDED = {"24h": (timedelta(hours=24), 3_600), "7d": (timedelta(days=7), 21_600), "30d": (timedelta(days=30), DAY)}
"""Name of a span → how long it is, and the seconds of one stretch."""
AHEAD = timedelta(hours=1)
"""Clocks of sources may run ahead a little."""

BASIC: tuple[dict[str, Any], ...] = (
    {"kind": Kind.SOURCES, "threshold": 90.0},
    {"kind": Kind.DELAY, "column": "time", "seconds": 300, "threshold": 95.0},
    {"kind": Kind.ORDER, "column": "time", "other": "received", "threshold": 99.0},
    {"kind": Kind.MEMBER, "column": "src_ip", "other": "ips", "threshold": 99.0},
    {"kind": Kind.TOGETHER, "column": "src_port", "other": "src_ip", "threshold": 99.0},
    {"kind": Kind.FILLED, "column": "host", "threshold": 80.0},
)
"""What hardly any organisation goes without."""


def basic_left(viewer: Viewer) -> list[dict[str, Any]]:
    """Those of them that the viewer's organisation does not have yet."""
    have = set(models.Rule.objects.filter(organisation=viewer.organisation).values_list("kind", "column", "other"))
    return [values for values in BASIC if (values["kind"], values.get("column", ""), values.get("other", "")) not in have]


def rules_for(viewer: Viewer) -> QuerySet[models.Rule]:
    """The rules in use that speak of the viewer's rows: those of their organisation, and of the organisations above."""
    return models.Rule.objects.filter(Q(organisation=viewer.organisation) | Q(territory__in=above(viewer)), enabled=True)


def last_measuring() -> models.Measuring | None:
    """When the tables were measured last."""
    return models.Measuring.objects.filter(pk=1).first()


def begin_of(rule: models.Rule, now: datetime) -> datetime:
    """Where a rule's window begins: with a whole hour."""
    return _hour(now - timedelta(hours=rule.window))


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def figures_of(rule: models.Rule, *, now: datetime) -> Figure:
    """What the counts say of a rule over its window, among the rows of its organisation that whoever declared it may see."""
    viewer = replace(SYSTEM, territory=(rule.territory,), clearance=DataLevel(rule.clearance))
    since = begin_of(rule, now)
    if rule.kind == Kind.SOURCES:
        return _covered(rule.tables, since, now, viewer)
    if rule.kind == Kind.FRESH:
        newest = max((moment for table in rule.tables if (moment := lake.freshness(table, viewer=viewer).received)), default=None)
        return Figure(1, int(newest is None or now - newest > timedelta(seconds=rule.seconds or 0)))
    check = rule.asked
    tallies = lake.measured([check], since=since, until=now + AHEAD, viewer=viewer, tables=rule.tables, seconds=0) if check else []
    return _sum(one for one in tallies if check and one.check == check.key)


def _covered(tables: Iterable[str], since: datetime, until: datetime, viewer: Viewer) -> Figure:
    found = [lake.coverage(table, since=since, until=until, viewer=viewer) for table in tables]
    return Figure(sum(one.expected for one in found), sum(len(one.gaps) for one in found))


def _sum(tallies: Iterable[Tally]) -> Figure:
    kept = list(tallies)
    return Figure(sum(one.applied for one in kept), sum(one.failed for one in kept))


def overview(*, viewer: Viewer, span: str = "24h") -> list[Scores]:
    """Each table that holds anything of the span: its scores by word over the span, as the viewer may know them."""
    viewer.must("standards.rule.view")
    now, rules = clock.now(), list(rules_for(viewer))
    since = _hour(now - TRENDED[span][0])
    tallies = lake.measured(_checks(rules), since=since, until=now + AHEAD, viewer=viewer, seconds=0)
    counts, rows = {(one.table, one.check): Figure(one.applied, one.failed) for one in tallies}, {one.table: one.applied for one in tallies if one.check == ROWS}
    found = []
    for table in EVENT_TABLES:
        if rows.get(table):
            parts = [(rule, _figure(rule, table, counts, since, now, viewer)) for rule in rules if table in rule.tables]
            words = {word.value: weighed((rule.weight, figure) for rule, figure in parts if rule.word == word) for word in Word}
            found.append(Scores(table, rows[table], words, weighed((rule.weight, figure) for rule, figure in parts)))
    return found


def _figure(rule: models.Rule, table: str, counts: Mapping[tuple[str, str], Figure], since: datetime, now: datetime, viewer: Viewer) -> Figure:
    if rule.kind == Kind.SOURCES:
        return _covered([table], since, now, viewer)
    if rule.kind == Kind.FRESH:
        newest = lake.freshness(table, viewer=viewer).received
        return Figure(1, int(newest is None or now - newest > timedelta(seconds=rule.seconds or 0)))
    check = rule.asked
    return counts.get((table, check.key), Figure(0, 0)) if check else Figure(0, 0)


def weighed(parts: Iterable[tuple[int, Figure]]) -> float | None:
    """The mean of shares, each with its weight; ``None`` when nothing was asked.

    >>> weighed([(1, Figure(10, 0)), (3, Figure(10, 10)), (5, Figure(0, 0))])
    25.0
    """
    kept = [(weight, figure.share) for weight, figure in parts if figure.share is not None]
    return sum(weight * (share or 0.0) for weight, share in kept) / sum(weight for weight, _share in kept) if kept else None


def trends(*, viewer: Viewer, span: str, table: str = "") -> Trend:
    """How the scores of a table went by word, or (without one) how each table's score went."""
    viewer.must("standards.rule.view")
    rules = [rule for rule in rules_for(viewer) if rule.asked and (not table or table in rule.tables)]
    tables = (table,) if table else EVENT_TABLES
    seconds, starts, counts = _counted(rules, tables, span, viewer)
    lines: dict[str, tuple[float | None, ...]] = {}
    for name in [word.value for word in Word] if table else tables:
        mine = [(rule, rule.asked) for rule in rules if (rule.word == name if table else name in rule.tables)]
        line = tuple(weighed((rule.weight, counts.get((start, table or name, check.key), Figure(0, 0))) for rule, check in mine if check) for start in starts)
        if any(score is not None for score in line):
            lines[name] = line
    return Trend(seconds, starts, lines)


def trend_of_rule(rule: models.Rule, *, viewer: Viewer, span: str) -> Trend:
    """How one rule was kept, per table."""
    check = rule.asked
    if check is None:
        return Trend(0, (), {})
    seconds, starts, counts = _counted([rule], rule.tables, span, viewer)
    lines = {table: tuple(counts.get((start, table, check.key), Figure(0, 0)).share for start in starts) for table in rule.tables}
    return Trend(seconds, starts, {table: line for table, line in lines.items() if any(score is not None for score in line)})


def _counted(rules: Iterable[models.Rule], tables: Iterable[str], span: str, viewer: Viewer) -> tuple[int, tuple[datetime, ...], dict[tuple[datetime, str, str], Figure]]:
    length, seconds = TRENDED[span]
    now = clock.now()
    tallies = lake.measured(_checks(rules), since=_hour(now - length), until=now + AHEAD, viewer=viewer, tables=tuple(tables), seconds=seconds) if viewer.may("lake.event.view") else []
    counts: dict[tuple[datetime, str, str], Figure] = defaultdict(lambda: Figure(0, 0))
    for one in tallies:
        counts[one.start, one.table, one.check] = Figure(one.applied, one.failed)
    return seconds, tuple(sorted({one.start for one in tallies})), dict(counts)


def _checks(rules: Iterable[models.Rule]) -> list[Check]:
    return [check for rule in rules if (check := rule.asked)]
