"""Measuring: every rule in use is counted where it was not counted yet, then judged; who owns it is told once when it falls, once when it recovers.

In: rules and uses. Out: counts beside the tables, scores on the rules, the facts ``QualityFell`` and ``QualityRecovered``.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from django.db import transaction
from django.utils.translation import gettext

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.jobs.types import JobRef
from lianfang.commons.ledger import actions as ledger
from lianfang.commons.people import actions as people
from lianfang.engines.columns.measures import Check
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.lake import actions as lake
from lianfang.rooms.lake.types import EVENT_TABLES
from lianfang.rooms.standards import models
from lianfang.rooms.standards.queries.elements import checks_of
from lianfang.rooms.standards.queries.quality import figures_of
from lianfang.rooms.standards.types import EVENTS, Figure, QualityFell, QualityRecovered, Standing, Use

Progress = Callable[[float, str], object]
COUNTING = 90.0
"""Per cent of the work that counting is; the rest is judging."""


@transaction.atomic
def start_measuring(*, actor: Viewer) -> JobRef:
    """Have everything measured now."""
    actor.must("standards.rule.measure")
    ledger.record("standards.measuring_asked", Ref("standards", "measuring", EVENTS), actor=actor, label=EVENTS, territory=actor.path, industry=actor.industry_path)
    return jobs.enqueue("standards.measure_now", key="standards.measure_now", actor=actor)


def measure(*, progress: Progress = lambda _percent, _said: None) -> int:
    """Count, judge, tell; returns how many data files were read. Raises ``Conflict`` while another measures."""
    with jobs.leased("standards.measure", seconds=3_600) as mine:
        if not mine:
            raise Conflict("The tables are being measured already", todo="Wait until that is done.", retry=True)
        begun = monotonic()
        read = lake.measure(wanted(), progress=lambda percent, table: progress(percent * COUNTING / 100, table))
        rules = list(models.Rule.objects.filter(enabled=True))
        for number, rule in enumerate(rules):
            progress(COUNTING + (100 - COUNTING) * number / len(rules), rule.name)
            _judge(rule)
        models.Measuring.objects.update_or_create(pk=1, defaults={"done": clock.now(), "files": read, "seconds": monotonic() - begun})
        return read


def wanted() -> dict[str, list[Check]]:
    """Table → what is to be counted: of every rule in use, and of every use that is suggested or confirmed."""
    found: dict[str, dict[str, Check]] = {table: {} for table in EVENT_TABLES}
    for rule in models.Rule.objects.filter(enabled=True):
        if check := rule.asked:
            for table in rule.tables:
                found[table][check.key] = check
    for use in models.ElementUse.objects.filter(dataset=EVENTS).exclude(state=Use.REFUSED).select_related("element"):
        for check in checks_of(use.element, use.column):
            for table in EVENT_TABLES:
                found[table][check.key] = check
    return {table: [checks[key] for key in sorted(checks)] for table, checks in found.items()}


def _judge(rule: models.Rule) -> None:
    now = clock.now()
    figure = figures_of(rule, now=now)
    share = figure.share
    standing = Standing.NOTHING if share is None else Standing.BELOW if share < rule.threshold else Standing.KEPT
    with transaction.atomic():
        row = models.Rule.objects.select_for_update().filter(pk=rule.pk, enabled=True).first()
        if row is None:
            return
        was = row.below_since is not None
        row.standing, row.score, row.applied, row.failed, row.measured = standing, share, figure.applied, figure.failed, now
        row.below_since = (row.below_since or now) if standing == Standing.BELOW else None
        row.save(update_fields=("standing", "score", "applied", "failed", "measured", "below_since"))
        if was != (standing == Standing.BELOW):
            _tell(row, figure, fell=not was)


def _tell(row: models.Rule, figure: Figure, *, fell: bool) -> None:
    score = figure.share if figure.share is not None else 100.0
    detail = {"score": round(score, 2), "threshold": row.threshold, "applied": figure.applied, "failed": figure.failed, "hours": row.window}
    ledger.record("standards.quality_fell" if fell else "standards.quality_recovered", row.ref, actor=SYSTEM, label=row.name, detail=detail, territory=row.territory, industry=row.industry)
    if fell:
        people.reach(lambda: gettext("Quality of “%(name)s” fell to %(score)s %%") % {"name": row.name, "score": f"{score:.1f}"}, key=f"quality:{row.pk}:{clock.text(clock.now())}", permission="standards.rule.change", severity=3, about=row.ref, territory=row.territory, industry=row.industry)
    known = {"rule": str(row.pk), "title": row.name, "organisation": row.organisation, "score": score}
    jobs.publish(QualityFell(**known, threshold=row.threshold) if fell else QualityRecovered(**known))
