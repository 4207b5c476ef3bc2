"""Ranking: how much an alert deserves to be looked at first, 0 … 100, each point with its reason.

The score is a weighted sum of eight terms (``engines.scores``). It answers "what first?", never "what may be dropped":
on labelled data, hiding what was common lost whole phases of attacks, so nothing is hidden here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lianfang.engines import scores
from lianfang.rooms.respond.types import CHAIN, STORY, Reason

WEIGHTS = {"severity": 34, "confidence": 10, "chain": 18, "progression": 14, "watch": 10, "rarity": 5, "novelty": 5, "volume": 4}
"""Points that each term can give; together 100."""

_SEVERITY = {1: 0.05, 2: 0.2, 3: 0.45, 4: 0.75, 5: 1.0}
_STATUS = {"stable": 1.0, "ioc": 0.9, "test": 0.75, "experimental": 0.45}


@dataclass(frozen=True, slots=True)
class Sight:
    """What ranking needs to know of one alert on a host."""

    rule_uid: str
    kind: str
    tactics: tuple[str, ...]
    first: datetime
    last: datetime

    def within(self, other: Sight, span: Any) -> bool:
        """Whether the two lie within ``span`` of each other."""
        return self.first <= other.last + span and self.last >= other.first - span


@dataclass(frozen=True, slots=True)
class Past:
    """What is known from before: hosts this rule fired on, and alerts of it on this host, in the last thirty days."""

    hosts: int
    before: int


def story(sights: Iterable[Sight], order: dict[str, int]) -> tuple[int, bool]:
    """How many tactics were seen, and whether they began in the order of an attack.

    Tactics outside ``order`` (key → column of the matrix) do not count.
    """
    began: dict[str, datetime] = {}
    for sight in sights:
        for tactic in sight.tactics:
            if tactic in order and (tactic not in began or sight.first < began[tactic]):
                began[tactic] = sight.first
    by_time = [order[tactic] for tactic in sorted(began, key=lambda tactic: (began[tactic], order[tactic]))]
    return len(began), len(began) > 1 and by_time == sorted(by_time)


def rank(sight: Sight, *, severity: int, status: str, count: int, around: Iterable[Sight], past: Past, order: dict[str, int]) -> tuple[int, list[Reason]]:
    """Score and reasons of one alert. ``around``: all alerts of its host, itself included."""
    around = list(around)
    chain = {other.rule_uid for other in around if other.within(sight, CHAIN)} | {sight.rule_uid}
    stages, ordered = story([other for other in around if other.within(sight, STORY)], order)
    watch = any(other.kind == "ioc" and other.within(sight, CHAIN) for other in [*around, sight])
    ripeness = "ioc" if sight.kind == "ioc" else status
    found: dict[str, tuple[float, dict[str, Any]]] = {
        "severity": (_SEVERITY.get(severity, 0.45), {"severity": severity}),
        "confidence": (_STATUS.get(ripeness, 0.3), {"status": ripeness}),
        "chain": (1 - 0.62 ** (len(chain) - 1), {"rules": len(chain)}),
        "progression": (min(1.0, max(0, stages - 1) / 4 * (1.0 if ordered else 0.75)), {"tactics": stages, "ordered": ordered}),
        "watch": (float(watch), {"hit": watch}),
        "rarity": (1 / max(1, past.hosts), {"hosts": max(1, past.hosts)}),
        "novelty": (1 / (1 + past.before), {"before": past.before}),
        "volume": (min(1.0, math.log10(max(1, count)) / 3), {"count": count}),
    }
    return _scored(found, WEIGHTS)


INCIDENT = {"loudest": 52, "phases": 22, "spread": 10, "rules": 10, "watch": 6}
"""The same for an incident, which is more than its loudest alert where it shows the stages of an attack, reaches far, or many rules agree."""


def rank_incident(sights: list[Sight], *, loudest: int, hosts: int, order: dict[str, int]) -> tuple[int, list[Reason]]:
    """Score and reasons of an incident. ``loudest``: the highest score of its alerts, of those not closed where there are any."""
    stages, ordered = story(sights, order)
    rules, watch = len({sight.rule_uid for sight in sights}), any(sight.kind == "ioc" for sight in sights)
    found: dict[str, tuple[float, dict[str, Any]]] = {
        "loudest": (loudest / 100, {"score": loudest}),
        "phases": (min(1.0, max(0, stages - 1) / 4 * (1.0 if ordered else 0.75)), {"tactics": stages, "ordered": ordered}),
        "spread": (1 - 1 / max(1, hosts), {"hosts": max(1, hosts)}),
        "rules": (1 - 0.7 ** (rules - 1), {"rules": rules}),
        "watch": (float(watch), {"hit": watch}),
    }
    return _scored(found, INCIDENT)


def _scored(found: dict[str, tuple[float, dict[str, Any]]], weights: dict[str, int]) -> tuple[int, list[Reason]]:
    score = scores.weighted([scores.Term(name, value, weights[name]) for name, (value, _facts) in found.items()])
    reasons = [Reason(term.name, round(term.value, 4), term.weight, round(term.points, 2), found[term.name][1]) for term in score.terms]
    return round(score.value), sorted(reasons, key=lambda reason: -reason.points)
