"""Storing: what an examiner found in one batch becomes findings, in one transaction, once.

The same batch brought again (a replay after a crash) finds its findings there and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import actions as ledger
from lianfang.kernel import clock
from lianfang.kernel.labels import Severity
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.actions import folding
from lianfang.rooms.detect.queries import watch
from lianfang.rooms.detect.types import IOC, KEPT_EVENTS, SAMPLE, FindingsStored

COPIED = ("title", "title_zh", "author", "severity", "status", "techniques", "tactics", "alarm")


@transaction.atomic
def store(batch: str, source: str, columns: Mapping[str, Sequence[Any]], hits: Mapping[int, Sequence[str]], *, organisation: str = "", backfilled: bool = False, taken: Mapping[UUID, Mapping[int, Sequence[str]]] | None = None, earlier: Mapping[str, Sequence[tuple[datetime, str]]] | None = None, actor: Viewer = SYSTEM) -> int:
    """Fold and keep what was found in ``batch``, whose source belongs to ``organisation`` (its id); returns how many findings were stored (0: they were there before).

    ``taken``: hits that exceptions took; they are findings too, which name their exception and of which nobody above is told.
    ``earlier``: events of other batches (when, which) that belong to what a rule found here; they join its first finding.
    """
    spoken = folding.fold(hits, columns)
    folds = spoken + [fold for exemption, mine in (taken or {}).items() for fold in folding.fold(mine, columns, exemption=exemption)]
    if not folds or models.Finding.objects.filter(batch=batch).exists():
        return 0
    for uid, before in (earlier or {}).items():
        _join(next(fold for fold in folds if fold.rule_uid == uid), before)
    said = _said({fold.rule_uid for fold in folds})
    about = {"batch": batch, "source": source, "source_name": source, "organisation": organisation, "sample": source.startswith(SAMPLE), "backfilled": backfilled}
    models.Finding.objects.bulk_create([finding(fold, said.get(fold.rule_uid, {}), about) for fold in folds], batch_size=500, ignore_conflicts=True)
    count({uid: [(fold.last, fold.count) for fold in folds if fold.rule_uid == uid] for uid in {fold.rule_uid for fold in folds}})
    count_taken([(fold.exemption, fold.last, fold.count) for fold in folds if fold.exemption])
    detail = {"findings": len(folds), "excepted": len(folds) - len(spoken), "events": sum(fold.count for fold in folds), "rules": len({fold.rule_uid for fold in folds}), "backfilled": backfilled}
    ledger.record("detect.found", Ref("lake", "batch", batch.partition(":")[0]), actor=actor, label=source, detail=detail, territory=folds[0].territory, industry=folds[0].industry)
    if spoken:
        jobs.publish(FindingsStored(batch=batch, count=len(spoken)))
    return len(folds)


def count_taken(taken: Sequence[tuple[UUID, datetime, int]]) -> None:
    """Each exception's own figures: how much it has taken, and when last; ``taken``: the exception, when, and how many events, of each finding."""
    for exemption in sorted({one for one, _last, _events in taken}):
        mine = [(last, events) for one, last, events in taken if one == exemption]
        last = max(at for at, _events in mine)
        rows = models.Exemption.objects.filter(pk=exemption)
        rows.update(findings=F("findings") + len(mine), events=F("events") + sum(events for _at, events in mine))
        rows.filter(Q(last=None) | Q(last__lt=last)).update(last=last)


def _join(fold: folding.Fold, before: Sequence[tuple[datetime, str]]) -> None:
    if before:
        fold.first, fold.count = min(fold.first, *(at for at, _event in before)), fold.count + len(before)
        fold.events = [*(event for _at, event in before), *fold.events][:KEPT_EVENTS]


@transaction.atomic
def note(batch: str, fold: folding.Fold, said: Mapping[str, Any], *, source: str, organisation: str, about: Mapping[str, Any] | None = None, actor: Viewer = SYSTEM) -> bool:
    """Keep what the node itself found without an event that says it; ``said``: what a rule would say of itself, ``about``: further columns. ``False``: it was there before."""
    if models.Finding.objects.filter(batch=batch).exists():
        return False
    row = finding(fold, dict(said), {"batch": batch, "source": source, "source_name": source, "organisation": organisation, "sample": source.startswith(SAMPLE), "backfilled": False, **(about or {})})
    row.save(force_insert=True)
    ledger.record("detect.found", row.ref, actor=actor, label=row.title, detail={"findings": 1}, territory=fold.territory, industry=fold.industry)
    jobs.publish(FindingsStored(batch=batch, count=1))
    return True


def _said(uids: set[str]) -> dict[str, dict[str, Any]]:
    """What each rule or indicator says of itself, to be copied."""
    said: dict[str, dict[str, Any]] = watch.described(sorted(uid for uid in uids if uid.startswith(IOC)))
    for rule in models.Rule.objects.filter(uid__in=[uid for uid in uids if not uid.startswith(IOC)]).select_related("pack").defer("text"):
        said[rule.uid] = {name: getattr(rule, name) for name in COPIED} | {"licence": rule.pack.licence}
    return said


def finding(fold: folding.Fold, said: dict[str, Any], about: dict[str, Any]) -> models.Finding:
    """A row of what was found, with what the rule ``said`` of itself."""
    about = {"kind": "ioc" if fold.rule_uid.startswith(IOC) else "sigma"} | about
    copied = {"title": fold.rule_uid, "severity": Severity.MEDIUM} | said
    return models.Finding(
        key=fold.key(about["batch"]), rule_uid=fold.rule_uid[:190], territory=fold.territory, industry=fold.industry, host=fold.host, user=fold.user, level=fold.level,
        window=fold.window, first=fold.first, last=fold.last, count=fold.count, events=fold.events, entities=fold.plain_entities(), exemption=fold.exemption, **copied, **about,
    )  # fmt: skip


def count(fired: Mapping[str, Sequence[tuple[datetime, int]]]) -> None:
    """Each rule's own figures: how often, and when last; ``fired``: by rule, the moments and how many events each stands for."""
    for uid, times in sorted(fired.items()):
        last = min(max(at for at, _events in times), clock.now())
        rows = models.Rule.objects.filter(uid=uid)
        rows.update(fired=F("fired") + sum(events for _at, events in times))
        rows.filter(Q(last_fired=None) | Q(last_fired__lt=last)).update(last_fired=last)
