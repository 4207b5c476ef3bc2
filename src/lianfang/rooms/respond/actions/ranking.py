"""Ranking: how much an alert deserves to be looked at first, 0 … 100, each point with its reason.

Threat and context are a weighted sum of eight terms (``engines.scores``); how important the attacked asset is and what people judged
the like of it to be multiply its odds, so that a score stays between 0 and 100 and no factor can silence or fill it. It answers
"what first?", never "what may be dropped": on labelled data, hiding what was common lost whole phases of attacks, so nothing is hidden here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lianfang.engines import scores
from lianfang.rooms.respond.types import CHAIN, STORY, Reason, Verdict

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


# -- what people judged its like to be -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a person judged an alert of the rule to be, and where."""

    at: datetime
    person: str
    verdict: str
    host: str
    entities: frozenset[str]


@dataclass(frozen=True, slots=True)
class Track:
    """What the like of an alert turned out to be: by how much its odds change, and the numbers of the narrowest circle that says enough."""

    odds: float = 1.0
    circle: str = ""
    false: int = 0
    benign: int = 0
    real: int = 0
    people: int = 0


UNJUDGED = Track()
WORTH = {Verdict.TRUE_POSITIVE: (1.0, 0.0), Verdict.FALSE_POSITIVE: (0.0, 1.0), Verdict.BENIGN: (0.0, 0.5)}
"""What a verdict says for and against the next alert; a harmless one was at least no error of the rule."""
HALF = 45.0
"""Days after which a judgement counts half."""
PRIOR = 6.0
"""Before anybody judged anything, an alert is as good as three real and three false ones would make it."""
CARRIED = 8.0
"""What a wider circle hands on to a narrower one counts as so many judgements at most: what was seen right here says more."""
EACH = 4.0
"""What one person says within a circle counts as so many judgements at most."""
BOUNDS, ALONE = (0.25, 2.0), (0.5, 1.5)
"""How far judgements move the odds: those of several people on its own host or trace, and those of one alone or on other hosts only."""
ENOUGH = 3


def track(said: Sequence[Judgement], *, host: str, entities: frozenset[str], now: datetime) -> Track:
    """What judgements of one rule in one organisation say of an alert there: Beta posterior, from all of the rule to its host to what took part.

    Each judgement counts once, in the narrowest circle it lies in; a wider circle is the prior of the next.
    """
    met = [one for one in said if one.entities & entities]
    here = [one for one in said if host and one.host == host]
    inner, middle = set(map(id, met)), set(map(id, here))
    good = bad = PRIOR / 2
    for circle in ([one for one in said if id(one) not in inner | middle], [one for one in here if id(one) not in inner], met):
        more_good, more_bad = _weighed(circle, now)
        shrunk = min(1.0, CARRIED / (good + bad))
        good, bad = good * shrunk + more_good, bad * shrunk + more_bad
    low, high = BOUNDS if len({one.person for one in [*met, *here]}) > 1 else ALONE
    name, told = next(((name, circle) for name, circle in (("entity", met), ("host", here)) if len(circle) >= ENOUGH), ("rule", list(said)))
    counts = {verdict: sum(one.verdict == verdict for one in told) for verdict in WORTH}
    return Track(round(min(high, max(low, good / bad)), 4), name if said else "", counts[Verdict.FALSE_POSITIVE], counts[Verdict.BENIGN], counts[Verdict.TRUE_POSITIVE], len({one.person for one in told}))


def _weighed(circle: Iterable[Judgement], now: datetime) -> tuple[float, float]:
    """For and against, the older the less, and of one person only so much."""
    by_person: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    for one in circle:
        fresh = 0.5 ** (max(0, (now.date() - one.at.date()).days) / HALF)
        for_it, against = WORTH[Verdict(one.verdict)]
        before = by_person[one.person]
        by_person[one.person] = (before[0] + fresh * for_it, before[1] + fresh * against)
    shares = [(min(1.0, EACH / (good + bad)) if good + bad else 0.0, good, bad) for good, bad in by_person.values()]
    return math.fsum(share * good for share, good, _bad in shares), math.fsum(share * bad for share, _good, bad in shares)


# -- what multiplies -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stake:
    """How important the attacked asset is (3 high, 2 medium, 1 low, 0 nobody said), and by what it is known: host, user, range."""

    importance: int = 0
    about: str = ""


UNKNOWN = Stake()
STAKES = {3: 2.0, 2: 1.0, 1: 0.5, 0: 1.0}
FACTORS = ("asset", "judged")


def moved(reasons: Iterable[Reason], *, stake: Stake = UNKNOWN, record: Track | None = None, gently: bool = False) -> tuple[int, list[Reason]]:
    """Score and reasons with the factors that multiply the odds of a sum; those that stood there before are replaced.

    ``gently``: by the root only, where a term of the sum has already felt the factor.
    """
    base = [reason for reason in reasons if reason.name not in FACTORS]
    score = math.fsum(reason.points for reason in base)
    factors: list[tuple[str, float, Mapping[str, Any]]] = [("asset", STAKES[stake.importance], {"importance": stake.importance, "about": stake.about})]
    if record is not None:
        factors.append(("judged", record.odds, {"circle": record.circle, "false": record.false, "benign": record.benign, "real": record.real, "people": record.people}))
    found = []
    for name, odds, facts in factors:
        after = _times(score, math.sqrt(odds) if gently else odds)
        found.append(Reason(name, odds, 0, round(after - score, 2), dict(facts)))
        score = after
    return round(score), sorted([*base, *found], key=lambda reason: (-abs(reason.points), reason.name))


def _times(score: float, odds: float) -> float:
    """A score of 0 … 100 whose odds are multiplied.

    >>> [round(_times(50, odds)) for odds in (0.25, 1, 2)]
    [20, 50, 67]
    """
    share = min(1.0, max(0.0, score / 100))
    return 100 * share * odds / (1 - share + share * odds) if share else 0.0


def importance_of(reasons: Iterable[Mapping[str, Any]]) -> int:
    """What the stored terms of a score say of how important the attacked asset is."""
    return max((int(term["facts"]["importance"]) for term in reasons if term["name"] == "asset"), default=0)


# -- incidents -----------------------------------------------------------------------------------------------------

INCIDENT = {"loudest": 52, "phases": 22, "spread": 10, "rules": 10, "watch": 6}
"""The same for an incident, which is more than its loudest alert where it shows the stages of an attack, reaches far, or many rules agree."""


def rank_incident(sights: list[Sight], *, loudest: int, hosts: int, order: dict[str, int], importance: int = 0) -> tuple[int, list[Reason]]:
    """Score and reasons of an incident. ``loudest``: the highest score of its alerts, of those not closed where there are any; ``importance``: the highest of what they touched."""
    stages, ordered = story(sights, order)
    rules, watch = len({sight.rule_uid for sight in sights}), any(sight.kind == "ioc" for sight in sights)
    found: dict[str, tuple[float, dict[str, Any]]] = {
        "loudest": (loudest / 100, {"score": loudest}),
        "phases": (min(1.0, max(0, stages - 1) / 4 * (1.0 if ordered else 0.75)), {"tactics": stages, "ordered": ordered}),
        "spread": (1 - 1 / max(1, hosts), {"hosts": max(1, hosts)}),
        "rules": (1 - 0.7 ** (rules - 1), {"rules": rules}),
        "watch": (float(watch), {"hit": watch}),
    }
    score, reasons = _scored(found, INCIDENT)
    return moved(reasons, stake=Stake(importance, "incident"), gently=True) if importance else (score, reasons)


def _scored(found: dict[str, tuple[float, dict[str, Any]]], weights: dict[str, int]) -> tuple[int, list[Reason]]:
    score = scores.weighted([scores.Term(name, value, weights[name]) for name, (value, _facts) in found.items()])
    reasons = [Reason(term.name, round(term.value, 4), term.weight, round(term.points, 2), found[term.name][1]) for term in score.terms]
    return round(score.value), sorted(reasons, key=lambda reason: -reason.points)
