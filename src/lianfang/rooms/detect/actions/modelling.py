"""Modelling: which event models each rule is about, kept as marks of the rule.

A rule is about a model when it can fire on an event of it: on one of the kinds of events that the mappings of this node make of
it, by the same partial evaluation that the examiners do. Nothing is guessed from names.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping

from django.db import transaction

from lianfang.engines.connect.kinds import Kind
from lianfang.engines.rules.compiled import Compiled
from lianfang.engines.rules.examiner import Examiner
from lianfang.engines.rules.kernel import CHANNEL
from lianfang.rooms.detect import models
from lianfang.rooms.detect.queries import library, loading
from lianfang.rooms.lake import queries as lake

AT_ONCE = 300
"""Rules that are marked in one transaction: what is received is stored in between."""
MAPPINGS = "mappings"
"""The counter that holds a digest of the mappings by which rules were marked last."""


def mark(about: Mapping[str, set[str]], pack: models.Pack) -> None:
    """Write which models the rules of ``pack`` are about (``about_of``), some rules at a time. With the first pack of a node all rules are marked."""
    rows = sorted(models.Rule.objects.filter(pack=pack, gone=False).values_list("pk", "uid"))
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        with transaction.atomic():
            models.RuleMark.objects.filter(rule__in=[pk for pk, _uid in some], kind="model").delete()
            models.RuleMark.objects.bulk_create([models.RuleMark(rule_id=pk, kind="model", value=key) for pk, uid in some for key in sorted(about.get(uid, ()))], batch_size=1000)
    if not models.Pack.objects.exclude(pk=pack.pk).exists():
        models.Edition.objects.get_or_create(name=MAPPINGS, defaults={"number": _mappings()})


def about_of(compiled: Compiled) -> Mapping[str, set[str]]:
    """Rule → keys of the models that it can fire on."""
    reach = Examiner(compiled, cache_bytes=8 << 20).reach()
    about: dict[str, set[str]] = defaultdict(set)
    for kind in library.made():
        key = library.key_of(kind.class_uid, kind.activity_id)
        if key in library.event_models():
            for uid in reach.may_fire(_known(kind), kind.logsource):
                about[uid].add(key)
    return about


def _known(kind: Kind) -> Mapping[str, str | None]:
    """What is certain of its fields: only logs of Windows have a channel."""
    return kind.known if kind.logsource[0] == "windows" else {CHANNEL: None, **kind.known}


def mark_models() -> bool:
    """Mark the rules of every pack anew when a mapping changed since; returns whether it did."""
    number = _mappings()
    if models.Edition.objects.filter(name=MAPPINGS, number=number).exists():
        return False
    for pack in models.Pack.objects.order_by("name"):
        mark(about_of(loading.load_pack(pack)), pack)
    models.Edition.objects.update_or_create(name=MAPPINGS, defaults={"number": number})
    return True


def _mappings() -> int:
    """A digest of the mappings in use."""
    return int(hashlib.sha256(repr(sorted((one.name, one.detect, one.cases, one.steps) for one in lake.in_use())).encode()).hexdigest()[:15], 16)
