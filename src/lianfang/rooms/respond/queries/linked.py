"""The knowledge graph of events: from one event, what is linked with it before and after, with path and weight (``engines.graphs``).

The event tables are the edges: every event names its host, user, addresses, hashes and domains, in the viewer's scope and as far as
the viewer may read them. Alerts stand on the events on which their rules fired.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lianfang.engines.graphs import Around, Entity, Line, Reach, linked
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.types import MetLine
from lianfang.rooms.respond import models
from lianfang.rooms.respond.queries.asking import seen
from lianfang.rooms.respond.types import telling

REACH = Reach(strength={"hashes": 0.95, "users": 0.85, "domains": 0.8, "ips": 0.75, "hosts": 0.6})
"""A host is common ground of much that has nothing to do with one another; a hash hardly ever is."""
SPANS = {"1h": timedelta(hours=1), "6h": timedelta(hours=6), "24h": timedelta(hours=24), "7d": timedelta(days=7)}
DEEPEST, MOST = 3, 40


@dataclass(frozen=True, slots=True)
class Step:
    """A linked event and its like: the event it hangs on, by which entity, the weight of the whole path, how many links, and an alert of one of its rules."""

    line: MetLine
    source: str
    kind: str
    value: str
    weight: float
    depth: int
    alert: models.Alert | None


@dataclass(frozen=True, slots=True)
class Linked:
    """What is linked with ``event``, in the order of time; ``crowded``: what led nowhere, because so many hosts had it."""

    event: dict[str, Any]
    steps: tuple[Step, ...]
    crowded: tuple[tuple[str, str, int], ...]
    more: int
    since: datetime
    until: datetime

    @property
    def levels(self) -> dict[int, int]:
        """How many events of each data level are shown, in the clear."""
        return dict(Counter(step.line.level for step in self.steps if step.line.level))

    @property
    def masked(self) -> int:
        """Whether the event itself is masked for this viewer."""
        return int(bool(self.event["masked"]))

    @property
    def earlier(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.line.at < self.event["time"])

    @property
    def later(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.line.at >= self.event["time"])


def linked_events(event_id: str, viewer: Viewer, *, span: str = "6h", depth: int = 2) -> Linked:
    """From an event to what is linked with it, as far as ``span`` around it and over ``depth`` links (1…3). Raises ``Missing``, ``Refused``."""
    event = lake.event(event_id, viewer=viewer)
    at, width = event["time"], SPANS.get(span, SPANS["6h"])
    lines: dict[str, MetLine] = {}

    def ask(entities: list[Entity]) -> dict[Entity, Around]:
        found = lake.met(entities, at=at, since=at - width, until=at + width, viewer=viewer)
        lines.update({line.event_id: line for met in found.values() for line in met.lines})
        return {Entity(*key): Around(met.places, met.events, tuple(_line(line) for line in met.lines)) for key, met in found.items()}

    start = Line(event_id, at.timestamp(), _telling(lake.took_part(event) if not event["masked"] else {("hosts", event["host"] or "")}), told=bool(event["rules"]))
    web = linked(start, ask, REACH, depth=max(1, min(depth, DEEPEST)), most=MOST)
    alerts = _alerts([lines[link.line.key] for link in web.links], viewer, since=at - width, until=at + width)
    steps = [Step(line := lines[link.line.key], link.source, link.entity.kind, link.entity.name, link.weight, link.depth, next((alerts[line.host, rule] for rule in line.rules if (line.host, rule) in alerts), None)) for link in web.links]
    return Linked(event, tuple(sorted(steps, key=lambda step: (step.line.at, step.line.event_id))), tuple((entity.kind, entity.name, places) for entity, places in web.crowded), web.more, at - width, at + width)


def _line(line: MetLine) -> Line:
    return Line(line.event_id, line.at.timestamp(), _telling(line.entities), line.often, bool(line.rules))


def _telling(entities: Iterable[tuple[str, str]]) -> frozenset[Entity]:
    """Those that name somebody in particular, as they are written."""
    return frozenset(Entity(kind, value) for kind, value in entities if value and (kind == "hosts" or telling(kind, value)))


def _alerts(lines: list[MetLine], viewer: Viewer, *, since: datetime, until: datetime) -> dict[tuple[str, str], models.Alert]:
    """The loudest alert of each (host, rule) of these lines in that time."""
    rules, hosts = {rule for line in lines for rule in line.rules}, {line.host for line in lines if line.rules}
    rows = seen(viewer).filter(rule_uid__in=rules, host__in=hosts, last__gte=since, first__lt=until).order_by("score", "id") if rules else []
    return {(row.host, row.rule_uid): row for row in rows}
