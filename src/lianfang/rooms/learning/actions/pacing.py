"""What is due by its own schedule: versions of data sets, runs of trainings. Missed times are made up by one."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

from django.db import transaction

from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.learning import models
from lianfang.rooms.learning.actions.making import ask_version
from lianfang.rooms.learning.actions.trainings import begin
from lianfang.rooms.learning.types import PACES


def start_due() -> int:
    """Begin what is due; returns how much. A training that still runs is left for the next time."""
    now, begun = clock.now(), 0
    for row in models.DataSet.objects.filter(due__lte=now):
        with transaction.atomic():
            if _taken(models.DataSet, row, now):
                ask_version(row, actor=SYSTEM)
                begun += 1
    for training in models.Training.objects.filter(due__lte=now, enabled=True):
        with suppress(Conflict), transaction.atomic():
            if _taken(models.Training, training, now):
                begin(training, actor=SYSTEM)
                begun += 1
    return begun


def _taken(table: Any, row: Any, now: datetime) -> bool:
    """Whether this worker is the one that begins it."""
    step = PACES.get(row.pace)
    following = row.due + step * max(1, (now - row.due) // step + 1) if step else None
    return bool(table.objects.filter(pk=row.pk, due=row.due).update(due=following))
