"""Watching over sources: a reading of their counters every minute, and a word when one falls silent or speaks again.

In: the sources as the ingest process keeps them. Out: readings of the last hour; the facts ``SourceSilent`` and
``SourceSpoke``, each once, with a notice for the owners and a record in the ledger.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import actions as ledger
from lianfang.kernel import clock
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.lake import models
from lianfang.rooms.lake.actions import noticing
from lianfang.rooms.lake.types import SourceSilent, SourceSpoke, Stage

KEPT = timedelta(minutes=65)


def watch_sources() -> None:
    """What is to be done every minute."""
    now = clock.now()
    rows = list(models.Source.objects.filter(stage=Stage.ACTIVE))
    _read(rows)
    for row in rows:
        heard = max(filter(None, (row.last_seen, row.opened)))
        late = bool(row.silent_after) and now - heard >= timedelta(minutes=row.silent_after or 0)
        if late != bool(row.silent_since):
            _tell(row, late)


def _read(rows: list[models.Source]) -> None:
    """The counters as they are now, under this minute; readings of more than an hour ago go."""
    now = clock.now()
    minute = now.replace(second=0, microsecond=0)
    models.Reading.objects.bulk_create([models.Reading(source=row, moment=minute, events=row.events, rejects=row.rejects) for row in rows], ignore_conflicts=True)
    models.Reading.objects.filter(moment__lt=now - KEPT).delete()


@transaction.atomic
def _tell(row: models.Source, late: bool) -> None:
    now = clock.now()
    if not models.Source.objects.filter(pk=row.pk, silent_since__isnull=late).update(silent_since=now if late else None):
        return
    detail = {"minutes": row.silent_after} if late else {}
    noticing.tell(row, "silent" if late else "spoke", **detail)
    ledger.record("lake.source_silent" if late else "lake.source_spoke", row.ref, actor=SYSTEM, label=row.name, detail=detail, territory=row.territory, industry=row.industry)
    jobs.publish(SourceSilent(source=row.name, organisation=row.organisation, minutes=row.silent_after or 0) if late else SourceSpoke(source=row.name, organisation=row.organisation))
