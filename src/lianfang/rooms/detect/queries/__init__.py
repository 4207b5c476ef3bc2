"""Questions about rules and findings.

Rules belong to the node: whoever may see rules sees all of them. Findings belong to organisations: each viewer sees theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db.models import Case, Count, F, Max, Min, OuterRef, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Concat, Left

from lianfang.engines.policy import HIDDEN
from lianfang.kernel import clock
from lianfang.kernel.errors import Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.queries import reading
from lianfang.rooms.detect.types import ENTITIES, IOC, OWN_PACK, FindingLine, Health, Hit, PackLine, Problem, RuleLine
from lianfang.rooms.lake import queries as lake

# ---- rules -----------------------------------------------------------------------------------------------------


def rule_rows(viewer: Viewer) -> QuerySet[models.Rule]:
    """The rules a viewer may see: all that are in a pack, or none. The words of keyword alarms are shown with the alarms."""
    rows = models.Rule.objects.filter(gone=False).exclude(pack__name=OWN_PACK).select_related("pack").defer("text", "pack__problems")
    if not viewer.may("detect.rule.view"):
        return rows.none()
    return rows if viewer.sees_node else rows.annotate(own_fired=_own(viewer, Sum("count")), own_last=_own(viewer, Max("last")))


def _own(viewer: Viewer, what: Sum | Max) -> Subquery:
    """A figure of each rule from the findings in the viewer's scope alone: how often a rule fires elsewhere is not theirs to know."""
    mine = models.Finding.objects.seen_by(viewer).filter(rule_uid=OuterRef("uid")).order_by().values("rule_uid")
    return Subquery(mine.annotate(found=what).values("found"))


def fired(row: models.Rule) -> int:
    """How often a rule fired, as far as who asked may know."""
    return (row.own_fired or 0) if hasattr(row, "own_fired") else row.fired


def last_fired(row: models.Rule) -> datetime | None:
    """When it fired last, as far as who asked may know."""
    return row.own_last if hasattr(row, "own_last") else row.last_fired


def rules(viewer: Viewer) -> list[RuleLine]:
    """All rules, the loudest first."""
    return [rule_line(row) for row in rule_rows(viewer)]


def rule(uid: str, viewer: Viewer) -> RuleLine:
    """One rule by its uid."""
    return rule_line(rule_row(uid, viewer))


def rule_row(uid: str, viewer: Viewer) -> models.Rule:
    """One rule by its uid, as it stands in the table; also one that is no longer in its pack."""
    row = models.Rule.objects.filter(uid=uid).exclude(pack__name=OWN_PACK).select_related("pack").first() if viewer.may("detect.rule.view") else None
    if row is None:
        raise Missing("There is no such rule", why="It is not installed, or you may not see rules.", todo="Look at the list of rules.")
    return row


def rule_line(row: models.Rule) -> RuleLine:
    """A row as a value."""
    same = ("uid", "title", "title_zh", "level", "severity", "status", "author", "enabled", "problem", "alarm")
    return RuleLine(id=str(row.pk), pack=row.pack.name, fired=fired(row), last_fired=last_fired(row), techniques=tuple(row.techniques), tactics=tuple(row.tactics), **{name: getattr(row, name) for name in same})


def coverage() -> dict[tuple[str, str], int]:
    """How many rules that are on carry each technique (with its parent) or tactic: (kind, value) → rules."""
    rows = models.RuleMark.objects.filter(kind__in=("technique", "tactic"), rule__enabled=True, rule__gone=False).order_by().values("kind", "value").annotate(n=Count("pk"))
    return {(row["kind"], row["value"]): row["n"] for row in rows}


# ---- packs -----------------------------------------------------------------------------------------------------


def is_installed(path: str | Path) -> bool:
    """Whether exactly this pack, as it lies there now, is installed."""
    read = reading.read(path)
    return models.Pack.objects.filter(name=read.name, digest=read.digest).exists()


def pack_rows(viewer: Viewer) -> QuerySet[models.Pack]:
    """The packs a viewer may see: all or none."""
    return models.Pack.objects.all() if viewer.may("detect.pack.view") else models.Pack.objects.none()


def packs(viewer: Viewer) -> list[PackLine]:
    """All installed packs."""
    return [pack_line(row) for row in pack_rows(viewer)]


def pack_line(row: models.Pack) -> PackLine:
    """A row as a value."""
    return PackLine(str(row.pk), row.name, row.version, row.digest, row.licence, row.rules, row.usable, tuple(Problem(**one) for one in row.problems), row.installed)


# ---- findings --------------------------------------------------------------------------------------------------


def findings_of(batch: str) -> list[FindingLine]:
    """The findings of one batch that speak, whosoever; for the rooms above, which act as the node. What an exception took is not among them."""
    return [finding_line(row) for row in models.Finding.objects.filter(batch=batch, exemption=None).order_by("first", "id")]


def finding_rows(viewer: Viewer) -> QuerySet[models.Finding]:
    """The findings in a viewer's scope; ``named`` is the user as the lake would show them to this viewer."""
    shown = lake.veil(viewer).shown("user", "actor_user")
    masked = Case(When(user="", then=Value("")), When(shown, then=F("user")), default=Concat(Left("user", 1), Value(HIDDEN))) if shown is not None else F("user")
    return models.Finding.objects.seen_by(viewer).annotate(named=masked)


def entities_of(copied: dict[str, list[str]], *, host: str, level: int | None, territory: str, viewer: Viewer) -> dict[str, list[str]]:
    """What took part in a finding or an alert, by kind: what the viewer may not read in the events is masked here too. The host itself stays, as it does there."""
    veil, found = lake.veil(viewer), {}
    for kind, values in copied.items():
        names = ENTITIES.get(kind, (kind,))
        hidden = veil.hides(*names, level=level, territory=territory)
        found[kind] = list(dict.fromkeys(lake.masked(names[-1], one) if hidden and one != host else one for one in values))
    return found


def findings(ids: Iterable[Any], viewer: Viewer) -> list[FindingLine]:
    """The findings with these ids, as far as the viewer sees them; the earliest first."""
    rows = finding_rows(viewer).filter(pk__in=list(ids)).order_by("first", "id")
    return [replace(finding_line(row), user=row.named, entities=entities_of(row.entities, host=row.host, level=row.level, territory=row.territory, viewer=viewer)) for row in rows]


def finding_line(row: models.Finding) -> FindingLine:
    """A row as a value."""
    same = ("batch", "organisation", "territory", "industry", "kind", "rule_uid", "title", "title_zh", "severity", "status", "author", "licence", "alarm", "host", "user", "source", "source_name", "first", "last", "count", "entities", "level", "backfilled", "sample")
    return FindingLine(id=str(row.pk), techniques=tuple(row.techniques), tactics=tuple(row.tactics), events=tuple(row.events), **{name: getattr(row, name) for name in same})


def hits(viewer: Viewer, *, since: datetime | None = None, rule: str = "", limit: int = 200) -> list[Hit]:
    """Indicators that were met in what the viewer sees, the most often met first; ``rule``: this one alone, as findings name it (``ioc:<kind>:<value>``)."""
    viewer.must("detect.finding.view")
    rows = models.Finding.objects.seen_by(viewer).filter(kind="ioc", **({"last__gte": since} if since else {}), **({"rule_uid": rule[:190]} if rule else {}))
    told = rows.order_by().values("rule_uid").annotate(events=Sum("count"), findings=Count("pk"), hosts=Count("host", distinct=True), begun=Min("first"), ended=Max("last")).order_by("-events", "rule_uid")
    return [Hit(*row["rule_uid"].removeprefix(IOC).split(":", 1), row["events"], row["findings"], row["hosts"], row["begun"], row["ended"]) for row in told[:limit]]


def firing(uid: str, viewer: Viewer, *, days: int = 14) -> list[tuple[datetime, int]]:
    """Events that a rule fired on, per day of event time, the oldest first; days without any are there too."""
    until = clock.now()
    start = (until - timedelta(days=days - 1)).replace(hour=0, minute=0, second=0, microsecond=0)
    counts = dict.fromkeys((start + timedelta(days=n) for n in range(days)), 0)
    rows = models.Finding.objects.seen_by(viewer).filter(rule_uid=uid, last__gte=start).order_by().values("window").annotate(n=Sum("count"))
    for row in rows:
        day = row["window"].replace(hour=0, minute=0, second=0, microsecond=0)
        if day in counts:
            counts[day] += row["n"]
    return list(counts.items())


# ---- examiners -------------------------------------------------------------------------------------------------


def health() -> Health:
    """How the examiner that spoke last stands. It speaks only when logs come in: a quiet node's last word still holds."""
    row = models.Examination.objects.order_by("-said").first()
    return Health(row.loaded, row.problems, row.edition, row.watch, row.said, row.stats) if row else Health(0, 0, 0, "", None, {})
