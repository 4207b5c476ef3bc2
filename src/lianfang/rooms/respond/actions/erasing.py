"""Erasing: when a source goes with all it brought, the alerts that came of it go too."""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

from django.db import transaction

from lianfang.commons.frame import attachments
from lianfang.commons.ledger import actions as ledger
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.respond import models
from lianfang.rooms.respond.actions import grouping, weighing

AT_ONCE = 500


@transaction.atomic
def forget_source(source: str, *, label: str = "", actor: Viewer = SYSTEM) -> int:
    """Remove the alerts of one source (its id); returns how many went. Repeating it changes nothing."""
    gone = 0
    one = models.Alert.objects.filter(source=source).first()
    while chunk := list(models.Alert.objects.filter(source=source).order_by("id").values_list("pk", flat=True)[:AT_ONCE]):
        attachments.forget(Ref("respond", "alert", str(pk)) for pk in chunk)
        rows = models.Alert.objects.filter(pk__in=chunk)
        grouping.stir(rows)
        weighing.forget(rows)
        rows.delete()
        gone += len(chunk)
    if one is not None:
        ledger.record("respond.alerts_erased", Ref("lake", "source", str(uuid5(NAMESPACE_URL, source))), actor=actor, label=label or one.source_name, detail={"alerts": gone}, territory=one.territory, industry=one.industry)
    return gone
