"""Raising: findings of a batch become alerts, folded and ranked, once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial

from django.db import transaction
from django.db.models import Count, Q
from django.utils.translation import gettext as _

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import actions as ledger
from lianfang.commons.people import actions as people
from lianfang.kernel import clock
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.detect import queries as detect
from lianfang.rooms.detect.queries import framework
from lianfang.rooms.detect.types import FindingLine
from lianfang.rooms.respond import models
from lianfang.rooms.respond.actions import folding, grouping, ranking, weighing
from lianfang.rooms.respond.actions.folding import Key, Session
from lianfang.rooms.respond.types import GAP, MEMORY, OPEN, STORY, AlertRaised

TOLD = 100
REACHED = 5
"""Alerts of one batch that go out by mail or webhook: the most important; the others wait in the queue."""
HOSTS_AT_ONCE = 200
AROUND = 400
"""How many alerts of one host ranking looks at; the newest."""

_FILLED = ("first", "last", "hour", "raised", "count", "severity", "level", "backfilled", "events", "techniques", "tactics", "entities", "recovered", "changed")


@transaction.atomic
def raise_alerts(batch: str, *, actor: Viewer = SYSTEM) -> int:
    """Fold the findings of ``batch`` into alerts and rank the hosts they lie on. Returns how many new alerts stand; repeating it changes nothing."""
    findings = _not_yet_folded(detect.findings_of(batch))
    if not findings:
        return 0
    sessions = [session for session in _folded(findings) if session.changed]
    fresh = [session.alert for session in sessions if not session.stored]
    _store(sessions)
    grouping.stir([*(session.alert for session in sessions), *(gone for session in sessions for gone in session.absorbed)])
    ranked = rank_hosts({(session.alert.territory, session.alert.host) for session in sessions}, touched=[session.alert for session in sessions])
    fresh.sort(key=lambda alert: (-ranked.get(alert.pk, 0), alert.pk))
    _tell(batch, findings, fresh, sessions, actor=actor)
    return len(fresh)


def _not_yet_folded(findings: list[FindingLine]) -> list[FindingLine]:
    known = set(map(str, models.Folded.objects.filter(finding__in=[finding.id for finding in findings]).values_list("finding", flat=True)))
    return [finding for finding in findings if finding.id not in known]


def _folded(findings: list[FindingLine]) -> list[Session]:
    by_key: dict[Key, list[FindingLine]] = defaultdict(list)
    for finding in findings:
        by_key[folding.key_of(finding)].append(finding)
    near = _near(findings)
    return [session for key, group in by_key.items() for session in folding.fold(group, near.get(key, []))]


def _near(findings: list[FindingLine]) -> dict[Key, list[Session]]:
    """Stored alerts that these findings may fold into."""
    since, until = min(finding.first for finding in findings) - GAP, max(finding.last for finding in findings) + GAP
    hosts, rules = sorted({finding.host for finding in findings}), {finding.rule_uid for finding in findings}
    near: dict[Key, list[Session]] = defaultdict(list)
    for start in range(0, len(hosts), HOSTS_AT_ONCE):
        for alert in models.Alert.objects.filter(host__in=hosts[start : start + HOSTS_AT_ONCE], last__gte=since, first__lte=until, rule_uid__in=rules):
            near[folding.key_of(alert)].append(Session(alert, stored=True))
    return near


def _store(sessions: list[Session]) -> None:
    """Write new and changed alerts, which findings they hold, and what they carry."""
    now = clock.now()
    for session in sessions:
        session.alert.changed = now
    models.Alert.objects.bulk_create([session.alert for session in sessions if not session.stored], batch_size=500)
    models.Alert.objects.bulk_update([session.alert for session in sessions if session.stored], _FILLED, batch_size=200)
    for session in sessions:
        if session.absorbed:
            gone = [alert.pk for alert in session.absorbed]
            models.Folded.objects.filter(alert__in=gone).update(alert=session.alert)
            models.Comment.objects.filter(alert__in=gone).update(alert=session.alert)
            models.Alert.objects.filter(pk__in=gone).delete()
    models.Folded.objects.bulk_create([models.Folded(finding=finding.id, alert=session.alert) for session in sessions for finding in session.fresh], batch_size=1000, ignore_conflicts=True)
    models.Mark.objects.bulk_create([mark for session in sessions for mark in _marks(session.alert)], batch_size=1000, ignore_conflicts=True)


def _marks(alert: models.Alert) -> list[models.Mark]:
    techniques = dict.fromkeys(name for technique in alert.techniques for name in (technique, technique.split(".")[0]))
    pairs = [*(("technique", name) for name in techniques), *(("tactic", tactic) for tactic in alert.tactics)]
    return [models.Mark(alert=alert, kind=kind, value=value) for kind, value in pairs]


def rank_hosts(hosts: set[tuple[str, str]], *, touched: Iterable[models.Alert]) -> dict[object, int]:
    """Rank the open alerts of these (territory, host) anew, as far as ``touched`` can have changed them. Returns scores by alert."""
    touched = list(touched)
    since, until = min(alert.first for alert in touched) - STORY, max(alert.last for alert in touched) + STORY
    names, fresh = sorted({host for _territory, host in hosts}), {alert.pk for alert in touched}
    ranked: dict[object, int] = {}
    for start in range(0, len(names), HOSTS_AT_ONCE):
        rows = models.Alert.objects.filter(host__in=names[start : start + HOSTS_AT_ONCE], last__gte=since, first__lte=until).order_by("-last", "-id")
        around: dict[tuple[str, str], list[models.Alert]] = defaultdict(list)
        for alert in rows.iterator(chunk_size=1000):
            group = around[(alert.territory, alert.host)]
            if len(group) < AROUND:
                group.append(alert)
        weights = weighing.Weights(alert for place in hosts & set(around) for alert in around[place] if alert.state in OPEN)
        for place in hosts & set(around):
            ranked |= _rank_host(around[place], fresh, weights)
    return ranked


def _rank_host(alerts: list[models.Alert], fresh: set[object], weights: weighing.Weights) -> dict[object, int]:
    """Score the open alerts of one host; writes those whose score or reasons changed."""
    order = framework.attack().order
    sights = {alert.pk: _sight(alert) for alert in alerts}
    near = [sights[alert.pk] for alert in alerts if alert.pk in fresh]
    open_ones = [alert for alert in alerts if alert.state in OPEN and any(sights[alert.pk].within(other, STORY) for other in near)]
    past, changed, ranked = _past(open_ones), [], {}
    for alert in open_ones:
        _sum, reasons = ranking.rank(sights[alert.pk], severity=alert.severity, status=alert.status, count=alert.count, around=sights.values(), past=past[alert.pk], order=order)
        score, reasons = weights.weighed(alert, reasons)
        ranked[alert.pk] = score
        terms = [asdict(reason) for reason in reasons]
        if terms != alert.reasons:
            alert.score, alert.reasons = score, terms
            changed.append(alert)
    models.Alert.objects.bulk_update(changed, ["score", "reasons"], batch_size=200)
    return ranked


def _sight(alert: models.Alert) -> ranking.Sight:
    return ranking.Sight(alert.rule_uid, alert.kind, tuple(alert.tactics), alert.first, alert.last)


def _past(alerts: list[models.Alert]) -> dict[object, ranking.Past]:
    """What was known before: kept from the first ranking where there was one, otherwise asked of the table once for all."""
    known = {alert.pk: {term["name"]: term["facts"] for term in alert.reasons} for alert in alerts}
    asked = [alert for alert in alerts if "rarity" not in known[alert.pk]]
    hosts, before = _spread(asked), _earlier(asked)
    past: dict[object, ranking.Past] = {}
    for alert in alerts:
        terms = known[alert.pk]
        if "rarity" in terms and "novelty" in terms:
            past[alert.pk] = ranking.Past(terms["rarity"]["hosts"], terms["novelty"]["before"])
        else:
            past[alert.pk] = ranking.Past(hosts.get((alert.territory, alert.rule_uid), 1), before.get(alert.rule_uid, 0))
    return past


def _spread(alerts: list[models.Alert]) -> dict[tuple[str, str], int]:
    """On how many hosts of the same organisation each rule fired."""
    if not alerts:
        return {}
    since = max(alert.last for alert in alerts) - MEMORY
    rows = models.Alert.objects.filter(rule_uid__in={alert.rule_uid for alert in alerts}, territory__in={alert.territory for alert in alerts}, last__gte=since)
    return {(row["territory"], row["rule_uid"]): row["hosts"] for row in rows.order_by().values("territory", "rule_uid").annotate(hosts=Count("host", distinct=True))}


def _earlier(alerts: list[models.Alert]) -> dict[str, int]:
    """How many alerts of each rule this host had before (all ``alerts`` are of one host)."""
    if not alerts:
        return {}
    first, place = min(alert.first for alert in alerts), alerts[0]
    rows = models.Alert.objects.filter(~Q(pk__in=[alert.pk for alert in alerts]), host=place.host, territory=place.territory, rule_uid__in={alert.rule_uid for alert in alerts}, last__gte=first - MEMORY, first__lt=first)
    return {row["rule_uid"]: row["n"] for row in rows.order_by().values("rule_uid").annotate(n=Count("pk"))}


def _tell(batch: str, findings: list[FindingLine], fresh: list[models.Alert], sessions: list[Session], *, actor: Viewer) -> None:
    """One record for the batch, and one fact when there is something new."""
    one = findings[0]
    detail = {"findings": len(findings), "raised": len(fresh), "extended": sum(session.stored for session in sessions), "joined": sum(len(session.absorbed) for session in sessions), "alerts": [str(alert.pk) for alert in fresh[:20]]}
    ledger.record("respond.alerted", Ref("lake", "batch", batch.partition(":")[0]), actor=actor, label=one.source_name, detail=detail, territory=one.territory, industry=one.industry)
    for alert in [alert for alert in fresh if not alert.sample and not alert.backfilled][:REACHED]:
        people.reach(partial(_spoken, alert), key=f"alert:{alert.pk}", permission="respond.alert.view", severity=alert.severity, about=alert.ref, territory=alert.territory, industry=alert.industry)
    if fresh:
        jobs.publish(AlertRaised(batch=batch, count=len(fresh), alerts=[str(alert.pk) for alert in fresh[:TOLD]]))


def _spoken(alert: models.Alert) -> str:
    """An alert in one line, in the language of the moment; nothing of its content."""
    return _("Alert: %(title)s (%(host)s)") % {"title": alert, "host": alert.host or alert.source_name}
