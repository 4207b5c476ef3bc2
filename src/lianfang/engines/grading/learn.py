"""A small model that learns from reviewers: naive Bayes over the words of a name and the look of the values.

In: decisions (features → item). Out: items with a probability, and the features that spoke for each. It is counts and
nothing else, so that it can be read, saved as JSON, taught one lesson at a time, and asked why. Multinomial naive Bayes
with Laplace smoothing (Manning, Raghavan and Schütze, Introduction to Information Retrieval, chapter 13), extended by the
class “nothing known” that unseen features fall to, so that three lessons do not claim the whole world.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

SMOOTH = 0.3
UNKNOWN = 0.02
"""How probable a feature is under “nothing known”."""


@dataclass(frozen=True, slots=True)
class Guess:
    """An item, how probable it is, and which features spoke for it most."""

    item: str
    probability: float
    because: tuple[str, ...]


class Model:
    """Counts of lessons and of their features, by item."""

    def __init__(self, lessons: Counter[str] | None = None, features: dict[str, Counter[str]] | None = None):
        self.lessons: Counter[str] = lessons or Counter()
        self.features: dict[str, Counter[str]] = features or {}

    def teach(self, features: Iterable[str], item: str) -> None:
        """One decision of a reviewer."""
        self.lessons[item] += 1
        self.features.setdefault(item, Counter()).update(set(features))

    def guess(self, features: Iterable[str], *, most: int = 3) -> list[Guess]:
        """The likeliest items, best first; none before the first lesson."""
        seen = sorted(set(features))
        total = sum(self.lessons.values()) + 1
        weights = {item: math.log(times / total) + sum(math.log(self._chance(item, one)) for one in seen) for item, times in self.lessons.items()}
        weights[""] = math.log(1 / total) + len(seen) * math.log(UNKNOWN)
        top = max(weights.values())
        whole = sum(math.exp(weight - top) for weight in weights.values())
        ranked = sorted((item for item in weights if item), key=lambda item: (-weights[item], item))[:most]
        return [Guess(item, math.exp(weights[item] - top) / whole, self._because(item, seen)) for item in ranked]

    def _chance(self, item: str, feature: str) -> float:
        return (self.features[item][feature] + SMOOTH * UNKNOWN) / (self.lessons[item] + SMOOTH)

    def _because(self, item: str, seen: list[str]) -> tuple[str, ...]:
        spoke = [one for one in seen if self.features[item][one]]
        return tuple(sorted(spoke, key=lambda one: (-self._chance(item, one) / (1 + sum(other[one] for other in self.features.values())), one))[:4])

    def to_json(self) -> str:
        """The counts, sorted, as text."""
        return json.dumps({"lessons": dict(sorted(self.lessons.items())), "features": {item: dict(sorted(counts.items())) for item, counts in sorted(self.features.items())}}, ensure_ascii=False)

    @classmethod
    def of_json(cls, text: str) -> Model:
        """A model from ``to_json``."""
        kept = json.loads(text)
        return cls(Counter(kept["lessons"]), {item: Counter(counts) for item, counts in kept["features"].items()})
