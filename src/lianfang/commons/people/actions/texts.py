"""Sealed texts in one column of a table, as a kind of sealed things: the usual case, said once for all rooms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Count
from django.db.models.functions import Substr

from lianfang.commons.people import declare, queries
from lianfang.engines.envelope import mark_of

STEP = 500
_MARKED = len("sealed1.") + 8


def sealed_texts(name: str, title: Any, loss: Any, rows: Callable[[], Any], column: str, *, purpose: str, forget: Callable[[Any], int]) -> declare.Kind:
    """Sealed texts in one column of a table. ``rows()`` are all rows that may have one; ``forget(rows)`` gives up the values of some."""
    def count() -> declare.Counts:
        found = rows().exclude(**{column: ""}).order_by().annotate(mark=Substr(column, 1, _MARKED)).values("mark").annotate(n=Count("pk")).values_list("mark", "n")
        return queries.by_generation((mark_of(mark).key, n) for mark, n in found)

    def reseal(progress: declare.Progress) -> None:
        ring = queries.keyring()
        newest = f"sealed1.{ring.keys[ring.newest].id}."
        old = rows().exclude(**{column: ""}).exclude(**{f"{column}__startswith": newest})
        waiting = list(old.values_list("pk", flat=True))
        for at in range(0, len(waiting), STEP):
            progress(at, len(waiting))
            for pk, before in old.filter(pk__in=waiting[at : at + STEP]).values_list("pk", column):
                if ring.generation(before):
                    rows().filter(pk=pk, **{column: before}).update(**{column: ring.seal(ring.open(before, purpose=purpose), purpose=purpose)})  # unless it was changed meanwhile

    def given_up(generation: int) -> int:
        known = queries.generation_numbers()
        gone = [pk for pk, text in rows().exclude(**{column: ""}).values_list("pk", column) if queries.generation_of(mark_of(text).key, known) == generation]
        return sum(forget(rows().filter(pk__in=gone[at : at + STEP])) for at in range(0, len(gone), STEP))

    return declare.Kind(name, title, loss, count, reseal, given_up)
