"""A number with reasons: weighted terms in, a score out that can be opened to each of its terms.

In: terms of a name, a value in 0…1, a weight, and why. Out: a ``Score`` in points, 0 to its cap. Adding the terms of a
score by hand gives the score: an analyst can check it with a pencil.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lianfang.kernel.errors import Invalid

FORMULA = "weighted/1"
"""Identifier and version of the formula, kept with every result so that old scores stay readable."""


@dataclass(frozen=True, slots=True)
class Term:
    """One reason: ``value`` (0…1, how much of it is true) times ``weight`` (its share); ``points`` is what it gave."""

    name: str
    value: float
    weight: float
    reason: str = ""
    points: float = 0.0


@dataclass(frozen=True, slots=True)
class Score:
    """Points, the terms that made them (largest first), and what was done to them (``capped``)."""

    value: float
    terms: tuple[Term, ...]
    formula: str = FORMULA
    flags: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for storing beside what was scored."""
        terms = [{"name": term.name, "value": term.value, "weight": term.weight, "points": term.points, "reason": term.reason} for term in self.terms]
        return {"value": self.value, "formula": self.formula, "flags": list(self.flags), "terms": terms}


def weighted(terms: Iterable[Term], *, scale: float = 100.0, cap: float = 100.0) -> Score:
    """``scale · Σ wᵢ·vᵢ / Σ wᵢ⁺`` over terms, at most ``cap``; negative weights subtract and never go below 0.

    Weights are a ratio: only terms with a positive weight count below the line, so a term that argues *against*
    (a known false alarm) lowers the score without diluting the others. The order of terms never matters.

    >>> score = weighted([Term("severity", 1.0, 3), Term("novelty", 0.5, 1)])
    >>> score.value, [(term.name, term.points) for term in score.terms]
    (87.5, [('severity', 75.0), ('novelty', 12.5)])
    """
    ordered = sorted(terms, key=lambda term: (term.name, term.value, term.weight))
    for term in ordered:
        _check(term)
    total = math.fsum(term.weight for term in ordered if term.weight > 0)
    if total == 0:
        return Score(0.0, tuple(ordered), flags=("no_weights",))
    scored = [Term(term.name, term.value, term.weight, term.reason, round(scale * term.value * term.weight / total, 6)) for term in ordered]
    points = math.fsum(term.points for term in scored)
    value = round(min(max(points, 0.0), cap), 6)
    flags = ("capped",) if points > cap else ("floored",) if points < 0 else ()
    return Score(value, tuple(sorted(scored, key=lambda term: (-abs(term.points), term.name))), flags=flags)


def _check(term: Term) -> None:
    if not 0.0 <= term.value <= 1.0:  # also refuses NaN
        raise Invalid(f"The term {term.name} has the value {term.value}", why="A term says how much of it is true, from 0 to 1.", todo="Scale it before it is scored.")
    if not math.isfinite(term.weight):
        raise Invalid(f"The term {term.name} has no usable weight", why=f"{term.weight} is not a number.")
