"""The level of what was found: the highest it contains, raised where much lies together, lowered where it lost its edge.

In: the items of a column or a table and what is known of it (how many records, masked or not, how old). Out: a level, and
one reason for every step. Levels are those of JR/T 0158-2018 (4 highest); the rules are our reading, and content.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lianfang.kernel.labels import DataLevel


@dataclass(frozen=True, slots=True)
class Mass:
    """Many records of the same: at least ``records`` of items below ``items`` (prefixes) raise by ``by`` levels."""

    items: tuple[str, ...]
    records: int
    by: int = 1


@dataclass(frozen=True, slots=True)
class Together:
    """Things that say more together: one item out of each group in the same table raises all of them by ``by``."""

    groups: tuple[tuple[str, ...], ...]
    by: int = 1


@dataclass(frozen=True, slots=True)
class Expiry:
    """What loses its edge with time: items below ``items`` older than ``days`` fall to ``to``."""

    items: tuple[str, ...]
    days: int
    to: DataLevel


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules of a taxonomy. ``default``: the level of what nobody recognised; ``masked``: the share of masked values from which a column counts as desensitised."""

    default: DataLevel = DataLevel.L2
    mass: tuple[Mass, ...] = ()
    together: tuple[Together, ...] = ()
    masked: float = 0.95
    masked_by: int = 1
    masked_least: DataLevel = DataLevel.L2
    expiry: tuple[Expiry, ...] = ()

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Rules:
        """From the part ``rules`` of a taxonomy file."""
        desensitised: Mapping[str, Any] = entry.get("desensitised", {})
        return cls(
            DataLevel(entry.get("default", 2)),
            tuple(Mass(tuple(one["items"]), int(one["records"]), int(one.get("by", 1))) for one in entry.get("aggregation", ())),
            tuple(Together(tuple(tuple(group) for group in one["groups"]), int(one.get("by", 1))) for one in entry.get("together", ())),
            float(desensitised.get("share", 0.95)),
            int(desensitised.get("by", 1)),
            DataLevel(desensitised.get("least", 2)),
            tuple(Expiry(tuple(one["items"]), int(one["days"]), DataLevel(one["to"])) for one in entry.get("expiry", ())),
        )

    def prefixes(self) -> set[str]:
        """Every prefix of items that a rule names."""
        single = (*(one.items for one in self.mass), *(one.items for one in self.expiry), *(group for one in self.together for group in one.groups))
        return {prefix for prefixes in single for prefix in prefixes}


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a column beside its item: records it holds, the share that is masked, how old it is in days, and the items of its neighbours."""

    records: int = 0
    masked: float = 0.0
    age: int = 0
    beside: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Step:
    """One step to a level. ``rule``: contains, default, mass, together, masked, expiry; ``about``: the item, number or share that made it."""

    rule: str
    level: DataLevel
    about: str


def level_of(item: str, contained: Mapping[str, DataLevel], known: Known, rules: Rules) -> tuple[DataLevel, tuple[Step, ...]]:
    """The level of a column. ``item``: what it is (``""``: unknown); ``contained``: every item seen in it, with its level.

    >>> rules = Rules(mass=(Mass(("01",), 1000),))
    >>> level, steps = level_of("0101", {"0101": DataLevel.L3}, Known(records=5000), rules)
    >>> int(level), [step.rule for step in steps]
    (4, ['contains', 'mass'])
    """
    if not contained:
        return rules.default, (Step("default", rules.default, ""),)
    highest = max(contained, key=lambda code: (contained[code], code == item))
    level = contained[highest]
    steps = [Step("contains", level, highest)]
    codes = tuple(contained)
    for rule, changed, about in _changes(codes, level, known, rules):
        if changed != level:
            level = changed
            steps.append(Step(rule, level, about))
    return level, tuple(steps)


def _changes(codes: tuple[str, ...], level: DataLevel, known: Known, rules: Rules) -> Iterable[tuple[str, DataLevel, str]]:
    """Levels after each rule that applies. What is masked is not raised: it no longer says whose it is."""
    if known.masked >= rules.masked:
        level = max(min(level, rules.masked_least), DataLevel(max(level - rules.masked_by, 1)))
        yield "masked", level, f"{known.masked:.0%}"
    else:
        masses = [one for one in rules.mass if _below(codes, one.items) and known.records >= one.records]
        if masses:
            level = _up(level, max(one.by for one in masses))
            yield "mass", level, str(known.records)
        seen = frozenset(codes) | known.beside
        together = [one for one in rules.together if all(_below(seen, group) for group in one.groups) and any(_below(codes, group) for group in one.groups)]
        if together:
            level = _up(level, max(one.by for one in together))
            yield "together", level, " + ".join(sorted(code for code in seen if any(_below((code,), group) for one in together for group in one.groups))[:4])
    over = [one for one in rules.expiry if known.age >= one.days and all(_below((code,), one.items) for code in codes)]
    if over:
        level = min(level, *(one.to for one in over))
        yield "expiry", level, str(known.age)


def _below(codes: Iterable[str], prefixes: tuple[str, ...]) -> bool:
    return any(code.startswith(prefixes) for code in codes)


def _up(level: DataLevel, by: int) -> DataLevel:
    return DataLevel(min(level + by, max(DataLevel)))
