"""Surveying: which rules can fire on the kinds of events that came in lately, and what the others wait for.

What comes of it stands in the rules themselves, so that lists can be filtered by it. Done anew when rules or kinds changed,
and once a day, because kinds that came no more for a month count no more.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from django.db import transaction

from lianfang.engines.rules import coverage
from lianfang.kernel import clock
from lianfang.rooms.detect import models
from lianfang.rooms.detect.actions.editions import KINDS
from lianfang.rooms.detect.queries import loading
from lianfang.rooms.detect.types import NODE_RULES

LATELY = timedelta(days=30)
"""A kind of event that came within this time counts as one that comes."""

REACH, WAITS = "reach", "waits"
AT_ONCE = 100
"""Rules that are written in one transaction: what is received is stored in between."""


def survey(*, again: bool = False) -> bool:
    """Look which rules can fire, if anything changed since the last look (or ``again``); returns whether it looked."""
    basis = _basis()
    if not again and models.Survey.objects.filter(name=REACH, basis=basis).exists():
        return False
    kinds = list(models.EventKind.objects.filter(last__gte=clock.now() - LATELY).order_by("pk"))
    packs = _packs()
    compiled = loading.joined([loading.load_pack(pack) for pack in packs]) if packs else None
    told = coverage.reach(compiled, [coverage.Kind((kind.product, kind.category, kind.service), kind.channel, kind.event_id, frozenset(kind.fields)) for kind in kinds]) if compiled else []
    reach = {rule.uid: one for rule, one in zip(compiled.rules if compiled else (), told)}
    reach |= coverage.reach_upon(compiled.correlations, reach) if compiled else {}
    found = {uid: (one.state, list(one.missing), kinds[one.kind].pk if one.kind is not None else "") for uid, one in reach.items()}
    found |= {uid: (models.Reach.READY if since else models.Reach.SOURCE, [], "") for uid, since in _usual()}  # a baseline counts events of the lake, whatever their source calls its fields
    _write(found)
    models.Survey.objects.update_or_create(name=REACH, defaults={"basis": basis, "at": clock.now()})
    return True


def _packs() -> list[models.Pack]:
    """The installed packs, and what people of this node wrote; words of keyword alarms look at their own source alone."""
    return [*loading.packs(), *models.Pack.objects.filter(name=NODE_RULES)]


def _basis() -> str:
    kinds = models.Edition.objects.filter(name=KINDS).values_list("number", flat=True).first() or 0
    said = [*sorted(pack.digest for pack in _packs()), str(kinds), f"{clock.now():%Y-%m-%d}", *(uid for uid, since in _usual() if since)]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def _usual() -> list[tuple[str, datetime | None]]:
    """Baselines, and since when what they count comes."""
    return list(models.Baseline.objects.filter(rule__gone=False).order_by("rule__uid").values_list("rule__uid", "since"))


def _write(found: dict[str, tuple[str, list[str], str]]) -> None:
    """Some rules in each transaction; what ends it halfway leaves the rest to the next look."""
    changed = []
    for rule in models.Rule.objects.filter(gone=False).only("uid", "reach", "waits", "nearest"):
        told = found.get(rule.uid, (models.Reach.UNKNOWN, [], ""))
        if (rule.reach, rule.waits, rule.nearest) != told:
            rule.reach, rule.waits, rule.nearest = told
            changed.append(rule)
    for start in range(0, len(changed), AT_ONCE):
        models.Rule.objects.bulk_update(changed[start : start + AT_ONCE], ["reach", "waits", "nearest"])
    _write_marks({uid: waits for uid, (_state, waits, _kind) in found.items() if waits})


@transaction.atomic
def _write_marks(waits: dict[str, list[str]]) -> None:
    """The fields that rules wait for, as marks; they are few beside all others, and written anew."""
    models.RuleMark.objects.filter(kind=WAITS).delete()
    rules = dict(models.Rule.objects.filter(gone=False).exclude(reach=models.Reach.UNKNOWN).values_list("uid", "pk"))
    marks = {(uid, name[:60]) for uid, names in waits.items() if uid in rules for name in names}
    models.RuleMark.objects.bulk_create([models.RuleMark(rule_id=rules[uid], kind=WAITS, value=name) for uid, name in sorted(marks)], batch_size=1000)
