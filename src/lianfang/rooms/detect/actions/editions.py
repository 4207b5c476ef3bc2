"""The edition: a counter that moves with every change of rules or switches, so that examiners in other processes notice."""

from __future__ import annotations

from django.db.models import F

from lianfang.rooms.detect import models

RULES, KINDS = "rules", "kinds"


def next_edition(name: str = RULES) -> None:
    """Move the counter (of the rules, or of the kinds of events that came in), in the caller's transaction."""
    if not models.Edition.objects.filter(name=name).update(number=F("number") + 1):
        models.Edition.objects.bulk_create([models.Edition(name=name, number=1)], ignore_conflicts=True)
