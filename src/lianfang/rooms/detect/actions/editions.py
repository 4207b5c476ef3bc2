"""The edition: a counter that moves with every change of rules or switches, so that examiners in other processes notice."""

from __future__ import annotations

from django.db.models import F

from lianfang.rooms.detect import models

RULES = "rules"


def next_edition() -> None:
    """Move the counter, in the caller's transaction."""
    if not models.Edition.objects.filter(name=RULES).update(number=F("number") + 1):
        models.Edition.objects.bulk_create([models.Edition(name=RULES, number=1)], ignore_conflicts=True)
