"""Linking: from one thing that happened to what is linked with it before and after, by shared entities, best first.

Things are told in lines: all of one kind at one place that share an entity, counted (``often``), the nearest one standing for them.
A path is as strong as the product of its links. A link says much when the entity is rare (few places have it), when what happened
there is rare, when a rule fired on it, and when little time lies between; an entity that very many places have leads nowhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from lianfang.engines.graphs.grouping import Entity


@dataclass(frozen=True, slots=True)
class Line:
    """What happened ``often`` times, told by the nearest of them: its key, its moment (seconds since 1970), what took part in it, and whether a rule fired."""

    key: str
    at: float
    entities: frozenset[Entity]
    often: int = 1
    told: bool = False


class Around(NamedTuple):
    """What an entity was met in: in how many places, in how many events, and the lines that say most."""

    places: int
    events: int
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Reach:
    """How much each kind of entity says (0…1); how far in seconds a link reaches before it says half; ``crowd``: places from which on an entity leads nowhere."""

    strength: Mapping[str, float]
    half: float = 3600.0
    crowd: int = 25


class Link(NamedTuple):
    """A line that was reached: from which other line, by which entity, and how strong the whole path is (0…1)."""

    line: Line
    source: str
    entity: Entity
    weight: float
    depth: int


@dataclass(frozen=True, slots=True)
class Web:
    """What is linked, the strongest first; entities that lead nowhere with their number of places; how many links were left out."""

    links: tuple[Link, ...]
    crowded: tuple[tuple[Entity, int], ...]
    more: int


Ask = Callable[[list[Entity]], Mapping[Entity, Around]]


def linked(start: Line, ask: Ask, reach: Reach, *, depth: int = 2, wide: int = 8, most: int = 40) -> Web:
    """What is linked with ``start`` over at most ``depth`` links; ``ask`` is called once for each depth with at most ``wide`` entities.

    >>> near = Line("b", 60.0, frozenset([Entity("user", "li")]), told=True)
    >>> web = linked(Line("a", 0.0, frozenset([Entity("user", "li")])), lambda entities: {one: Around(1, 2, (near,)) for one in entities}, Reach({"user": 1.0}))
    >>> [(link.line.key, link.source, round(link.weight, 2)) for link in web.links]
    [('b', 'a', 0.99)]
    """
    reached: dict[str, Link] = {}
    crowded: dict[Entity, int] = {}
    asked: set[Entity] = set()
    layer: dict[str, tuple[Line, float]] = {start.key: (start, 1.0)}
    for level in range(1, depth + 1):
        wanted = _wanted(layer.values(), asked, reach)[:wide]
        if not wanted:
            break
        asked.update(wanted)
        fresh: dict[str, Link] = {}
        for entity, around in sorted(ask(wanted).items()):
            if around.places >= reach.crowd:
                crowded[entity] = around.places
                continue
            for line, link in ((line, _best(line, entity, around, layer, reach, level)) for line in around.lines if line.key != start.key):
                if link is not None and link.weight > max(one[line.key].weight if line.key in one else 0.0 for one in (reached, fresh)):
                    fresh[line.key] = link
        layer = {key: (link.line, link.weight) for key, link in fresh.items() if key not in reached}
        reached |= {key: link for key, link in fresh.items() if key not in reached}
    ranked = sorted(reached.values(), key=lambda link: (-link.weight, link.line.at, link.line.key))
    kept = _whole(ranked[:most], reached)
    return Web(tuple(kept), tuple(sorted(crowded.items(), key=lambda item: (-item[1], item[0]))), len(reached) - len(kept))


def _wanted(lines: Iterable[tuple[Line, float]], asked: set[Entity], reach: Reach) -> list[Entity]:
    """The entities to ask for next: those of the strongest paths, of the kinds that say most."""
    worth: dict[Entity, float] = {}
    for line, weight in lines:
        for entity in line.entities:
            if entity.kind in reach.strength and entity not in asked:
                worth[entity] = max(worth.get(entity, 0.0), weight * reach.strength[entity.kind])
    return sorted(worth, key=lambda entity: (-worth[entity], entity))


def _best(line: Line, entity: Entity, around: Around, layer: Mapping[str, tuple[Line, float]], reach: Reach, level: int) -> Link | None:
    """The strongest way to a line over one entity."""
    found = [Link(line, source.key, entity, round(weight * _says(line, entity, around, abs(line.at - source.at), reach), 6), level) for source, weight in layer.values() if entity in source.entities and source.key != line.key]
    return max(found, key=lambda link: (link.weight, link.source), default=None)


def _says(line: Line, entity: Entity, around: Around, gap: float, reach: Reach) -> float:
    """How much one link says, 0…1: kind × rarity of the entity × rarity of what happened × a rule × nearness."""
    rare = 1 / (1 + math.log2(max(1, around.places)))
    seldom = 1 / (1 + math.log10(max(1, line.often)))
    return reach.strength[entity.kind] * rare * seldom * (1.0 if line.told else 0.5) / math.sqrt(1 + gap / reach.half)


def _whole(ranked: list[Link], reached: Mapping[str, Link]) -> list[Link]:
    """With every line the lines on the way to it, so that each path can be followed."""
    kept: dict[str, Link] = {}
    for link in ranked:
        here: Link | None = link
        while here is not None and here.line.key not in kept:
            kept[here.line.key] = here
            here = reached.get(here.source)
    return sorted(kept.values(), key=lambda link: (-link.weight, link.line.at, link.line.key))
