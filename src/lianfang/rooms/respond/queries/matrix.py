"""The ATT&CK matrix of this node: what was seen, and what could be seen, by tactic and technique."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count

from lianfang.kernel import clock
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import queries as detect
from lianfang.rooms.detect.queries import framework
from lianfang.rooms.respond import models
from lianfang.rooms.respond.queries.asking import seen
from lianfang.rooms.respond.queries.situation import SPANS


@dataclass(frozen=True, slots=True)
class Cell:
    """A technique under a tactic. ``heat`` (0 … 5) is how many alerts there are, on a logarithmic scale; ``subs`` its sub-techniques."""

    id: str
    name: str
    alerts: int
    rules: int
    heat: int
    subs: tuple[Cell, ...] = ()


@dataclass(frozen=True, slots=True)
class Lane:
    """A tactic with its techniques: those with alerts first, then those with most rules."""

    key: str
    id: str
    name: str
    alerts: int
    rules: int
    heat: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """All tactics in order, and the sums."""

    edition: str
    lanes: tuple[Lane, ...]
    techniques: int
    covered: int
    seen: int


def heat(alerts: int) -> int:
    """0 for none, then 1, 2–4, 5–19, 20–99, 100 and more.

    >>> [heat(n) for n in (0, 1, 4, 5, 99, 1000)]
    [0, 1, 2, 3, 4, 5]
    """
    return sum(alerts >= edge for edge in (1, 2, 5, 20, 100))


def matrix(viewer: Viewer, *, span: str = "30d") -> Matrix:
    """Alerts of the viewer's scope and rules of the node, laid over the matrix."""
    since = clock.now() - SPANS.get(span, timedelta(days=30))
    marks = models.Mark.objects.filter(alert__in=seen(viewer).filter(last__gte=since).order_by().values("pk"))
    alerts = {(kind, value): number for kind, value, number in marks.order_by().values_list("kind", "value").annotate(n=Count("pk"))}
    rules = detect.coverage()
    frame = framework.attack()
    by_parent: dict[str, list[str]] = defaultdict(list)
    for id in {value for kind, value in [*alerts, *rules] if kind == "technique"} | set(frame.serves):
        by_parent[id.split(".")[0]].append(id)
    lanes = tuple(_lane(tactic, by_parent, alerts, rules) for tactic in frame.tactics)
    cells = {cell.id: cell for lane in lanes for cell in lane.cells}
    return Matrix(frame.edition, lanes, len(cells), sum(cell.rules > 0 for cell in cells.values()), sum(cell.alerts > 0 for cell in cells.values()))


Counts = dict[tuple[str, str], int]


def _lane(tactic: framework.Named, by_parent: dict[str, list[str]], alerts: Counts, rules: Counts) -> Lane:
    served = framework.attack().served_by
    cells = [_cell(id, by_parent[id], alerts, rules) for id in by_parent if tactic.key in served(id)]
    cells.sort(key=lambda cell: (-cell.alerts, -cell.rules, cell.id))
    count = alerts.get(("tactic", tactic.key), 0)
    return Lane(tactic.key, tactic.id, tactic.name, count, rules.get(("tactic", tactic.key), 0), heat(count), tuple(cells))


def _cell(id: str, family: list[str], alerts: Counts, rules: Counts) -> Cell:
    subs = tuple(_cell(sub, [], alerts, rules) for sub in sorted(family) if sub != id)
    count = alerts.get(("technique", id), 0)
    return Cell(id, framework.attack().technique(id).name, count, rules.get(("technique", id), 0), heat(count), subs)
