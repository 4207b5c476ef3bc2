"""What rooms declare to people: the kinds of things that they keep sealed under the node's key.

In: one ``Kind`` for each, once, when the room's app is ready. Out: for whoever makes, turns, retires or gives up a key, all of them: no key is
made anew or taken away without asking every kind what hangs on it.

    declare.sealed("intel", _kinds)        # _kinds() -> [Kind(…)], asked for when first needed
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lianfang.engines.envelope import mark_of

Progress = Callable[[int, int], object]
"""``progress(done, all)``; raises to end the work."""
Counts = Mapping[int, int]
"""Generation → how many. 0: a key that this node never had."""
STEP = 500
_MARKED = len("sealed1.") + 8


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of sealed things. ``reseal`` moves what can be opened to the newest generation, may be ended anywhere and begun again;
    ``forget`` gives up what hangs on a generation whose key is lost, and says how many. ``drains``: they go by themselves."""

    name: str
    title: Any
    loss: Any
    count: Callable[[], Counts]
    reseal: Callable[[Progress], object]
    forget: Callable[[int], int]
    drains: bool = False


_kinds: dict[str, Callable[[], Sequence[Kind]]] = {}


def sealed(room: str, kinds: Callable[[], Sequence[Kind]]) -> None:
    """Declare what a room keeps sealed."""
    _kinds[room] = kinds


def kinds() -> list[Kind]:
    """Everything that anybody keeps sealed."""
    return [kind for each in _kinds.values() for kind in each()]


def texts(name: str, title: Any, loss: Any, rows: Callable[[], Any], column: str, *, purpose: str, forget: Callable[[Any], int]) -> Kind:
    """Sealed texts in one column of a table. ``rows()`` are all rows that may have one; ``forget(rows)`` gives up the values of some."""
    from django.db.models import Count
    from django.db.models.functions import Substr

    from lianfang.commons.people import queries

    def count() -> Counts:
        found = rows().exclude(**{column: ""}).order_by().annotate(mark=Substr(column, 1, _MARKED)).values("mark").annotate(n=Count("pk")).values_list("mark", "n")
        return together((mark_of(mark).key, n) for mark, n in found)

    def reseal(progress: Progress) -> None:
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

    return Kind(name, title, loss, count, reseal, given_up)


def together(found: Any) -> Counts:
    """Counts by key → counts by generation."""
    from lianfang.commons.people import queries

    known, sums = queries.generation_numbers(), defaultdict[int, int](int)
    for key, n in found:
        sums[queries.generation_of(key, known)] += n
    return dict(sums)
