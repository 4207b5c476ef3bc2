"""Grouping: which sights belong together, by the entities they share and by time.

Two sights are joined when they follow one another (by event time) among all sights of an entity and lie within that kind's
reach. Chains of neighbours instead of all pairs keep this linear, and joining is transitive anyway. An entity that very many
places share in a day (a proxy, a DNS server, a service account) says nothing of who belongs together: it is a *hub* of that
day and joins nothing. How many is too many follows from the day itself: a share of the places that were seen at all, and never
fewer than a floor, so that an intruder who walks over a handful of machines is not taken for one.

What sounds again and again in one place (the same signature there at least ``chatter`` times in a day, or once without an end for
``lasting`` seconds) is joined with itself alone: otherwise a noisy machine would draw everything that ever happened on it into one endless group.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

DAY = 86_400


class Entity(NamedTuple):
    """A thing that takes part: its kind, and what it is called."""

    kind: str
    name: str


SAID = Entity("said", "")
"""What joins sights that a person put together."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Something seen at a ``place`` from ``first`` to ``last`` (seconds since 1970), with what took part. ``signature``: as what it was seen."""

    key: str
    place: str
    signature: str
    first: float
    last: float
    entities: frozenset[Entity]


@dataclass(frozen=True, slots=True)
class Rules:
    """How far in seconds each kind of entity reaches, and how much it says (0…1); a kind that is not named joins nothing.

    ``floor`` and ``share``: an entity is a hub of a day on which at least ``floor`` places, and this share of all places seen, had it.
    """

    reach: Mapping[str, float]
    strength: Mapping[str, float]
    floor: int = 4
    share: float = 0.25
    chatter: int = 6
    lasting: float = 21_600.0


class Edge(NamedTuple):
    """Why two sights belong together: what they share, how long lay between them (seconds), and how much that says (0…1)."""

    one: str
    other: str
    entity: Entity
    gap: float
    weight: float


@dataclass(frozen=True, slots=True)
class Group:
    """Sights that belong together, by time; ``by``: each but the first with the link by which it hangs on one before it in the tree."""

    members: tuple[str, ...]
    by: Mapping[str, Edge] = field(default_factory=dict)


def day_of(moment: float) -> int:
    """The UTC day, counted since 1970."""
    return int(moment // DAY)


def hubs(sights: Iterable[Sight], rules: Rules) -> dict[tuple[int, Entity], int]:
    """The hubs of each day, with the number of places that had them."""
    places: dict[tuple[int, Entity], set[str]] = defaultdict(set)
    everywhere: dict[int, set[str]] = defaultdict(set)
    for sight in sights:
        everywhere[day_of(sight.first)].add(sight.place)
        for entity in sight.entities:
            places[day_of(sight.first), entity].add(sight.place)
    return {(day, entity): len(found) for (day, entity), found in places.items() if len(found) >= max(rules.floor, math.ceil(rules.share * len(everywhere[day])))}


def groups(sights: Iterable[Sight], rules: Rules, *, held: Mapping[str, str] | None = None) -> list[Group]:
    """All sights in groups, the earliest first. ``held``: where a person put a sight; those in one place are together, those in different places never.

    >>> kinds = Rules(reach={"host": 3600.0}, strength={"host": 1.0})
    >>> seen = [Sight(str(n), "a", f"s{n}", n * 1800.0, n * 1800.0, frozenset([Entity("host", "a")])) for n in (0, 1, 9)]
    >>> [group.members for group in groups(seen, kinds)]
    [('0', '1'), ('9',)]
    """
    ordered = sorted(sights, key=lambda one: (one.first, one.last, one.key))
    return _spanned(ordered, _edges(ordered, rules), held or {})


def _edges(ordered: list[Sight], rules: Rules) -> list[Edge]:
    """Links between neighbours of every entity that is no hub."""
    often: dict[tuple[int, str, str], int] = defaultdict(int)
    places: dict[tuple[int, Entity], set[str]] = defaultdict(set)
    for sight in ordered:
        often[day_of(sight.first), sight.place, sight.signature] += 1
        for entity in sight.entities:
            places[day_of(sight.first), entity].add(sight.place)
    crowded = hubs(ordered, rules)
    of: dict[tuple[Entity, str], list[Sight]] = defaultdict(list)
    for sight in ordered:
        day = day_of(sight.first)
        noisy = often[day, sight.place, sight.signature] >= rules.chatter or sight.last - sight.first >= rules.lasting
        own = f"{sight.place}\x1f{sight.signature}" if noisy else ""
        for entity in sight.entities:
            if entity.kind in rules.reach and (day, entity) not in crowded:
                of[entity, own].append(sight)
    found: list[Edge] = []
    for (entity, _own), mine in of.items():
        end, latest = mine[0].last, mine[0]
        for other in mine[1:]:
            gap = max(0.0, other.first - end)
            if gap <= rules.reach[entity.kind]:
                shared = max(len(places[day_of(one.first), entity]) for one in (latest, other))
                rare = 1 / (1 + math.log2(shared))
                found.append(Edge(latest.key, other.key, entity, gap, round(rules.strength.get(entity.kind, 0.5) * rare * (1 - 0.5 * gap / rules.reach[entity.kind]), 4)))
            if other.last >= end:
                end, latest = other.last, other
    return found


def _said(ordered: list[Sight], held: Mapping[str, str]) -> list[Edge]:
    """What a person put together, as links that are stronger than any other."""
    of: dict[str, list[str]] = defaultdict(list)
    for sight in ordered:
        if sight.key in held:
            of[held[sight.key]].append(sight.key)
    return [Edge(one, other, SAID, 0.0, 1.0) for keys in of.values() for one, other in pairwise(keys)]


def _spanned(ordered: list[Sight], edges: list[Edge], held: Mapping[str, str]) -> list[Group]:
    """Groups by a spanning forest of the strongest links (Kruskal, 1956), each tree hung on its earliest sight."""
    parent = {one.key: one.key for one in ordered}

    def top(key: str) -> str:
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    kept: dict[str, list[Edge]] = defaultdict(list)
    holder = dict(held)
    for edge in [*_said(ordered, held), *sorted(edges, key=lambda edge: (-edge.weight, edge.gap, edge.entity, edge.one, edge.other))]:
        one, other = top(edge.one), top(edge.other)
        holders = {holder[key] for key in (one, other) if key in holder}
        if one != other and len(holders) < 2:
            parent[other] = one
            holder.update(dict.fromkeys([one], *holders) if holders else {})
            kept[edge.one].append(edge)
            kept[edge.other].append(edge)
    whole: dict[str, list[str]] = {}
    for sight in ordered:
        whole.setdefault(top(sight.key), []).append(sight.key)
    return [Group(tuple(members), _hung(members[0], kept)) for members in whole.values()]


def _hung(root: str, kept: Mapping[str, list[Edge]]) -> dict[str, Edge]:
    """Each sight of a tree with the link towards its root."""
    by: dict[str, Edge] = {}
    seen, waiting = {root}, [root]
    while waiting:
        here = waiting.pop()
        for edge in kept.get(here, ()):
            there = edge.other if edge.one == here else edge.one
            if there not in seen:
                seen.add(there)
                by[there] = Edge(here, there, edge.entity, edge.gap, edge.weight)
                waiting.append(there)
    return by
