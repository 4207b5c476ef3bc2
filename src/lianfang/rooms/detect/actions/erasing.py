"""Erasing: when a source goes with all it brought, the findings that came of it go too."""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

from django.db import transaction

from lianfang.commons.ledger import actions as ledger
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.actions import anomalies, baselining, exempting, monitors

AT_ONCE = 500


@transaction.atomic
def forget_source(source: str, *, actor: Viewer = SYSTEM) -> int:
    """Remove findings, switches, keyword and log anomaly alarms of one source (its name), and what is known of its logs; returns how many findings went. Repeating it changes nothing."""
    one = models.Finding.objects.filter(source=source).first()
    gone = 0
    while chunk := list(models.Finding.objects.filter(source=source).values_list("pk", flat=True)[:AT_ONCE]):
        models.Finding.objects.filter(pk__in=chunk).delete()
        gone += len(chunk)
    models.RuleSwitch.objects.filter(source=source).delete()
    monitors.forget_source(source, actor=actor)
    anomalies.forget_source(source, actor=actor)
    models.Matches.objects.filter(source=source, step=None).delete()
    models.Matches.objects.filter(source=source).update(content=b"")
    baselining.forget()
    for row in models.Exemption.objects.filter(source=source, state=models.ExemptionState.IN_FORCE):
        exempting.withdraw_exemption(row, actor=actor)
    if one is not None:
        ledger.record("detect.findings_erased", Ref("lake", "source", str(uuid5(NAMESPACE_URL, source))), actor=actor, label=source, detail={"findings": gone}, territory=one.territory, industry=one.industry)
    return gone
