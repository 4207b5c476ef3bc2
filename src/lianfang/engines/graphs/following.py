"""Following: what came next in earlier courses, and so what may come next in this one.

In: courses, each some names with the moment at which they were first met; and the names that were met so far. Out: names not met yet, each with
its chance and with the names that speak for it, by counts that anybody can check.

The chance that ``b`` follows ``a`` is counted, and drawn towards how common ``b`` is at all as long as little is known of ``a`` (an empirical
Bayes estimate: Efron & Morris 1973): (courses in which b came after a + PULL × share of b) / (courses with a + PULL). Of several names met, the mean.
Sequence models with more freedom were tried on few courses and did worse (``benchmarks/bench_following.py``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

PULL = 8.0
"""As many courses with ``a`` as it takes until they say as much as all courses together."""
Course = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class After:
    """In ``times`` of the ``of`` courses that had ``name``, the other came after it."""

    name: str
    times: int
    of: int


@dataclass(frozen=True, slots=True)
class Expected:
    """A name that may come: its chance (0…1), what speaks for it, the strongest first, and in how many of all courses it was."""

    name: str
    chance: float
    after: tuple[After, ...]
    courses: int


class Following:
    """What earlier courses say.

    >>> known = Following([{"guess": 1, "log on": 2, "dump": 3}, {"guess": 5, "log on": 9}, {"scan": 1}])
    >>> [(one.name, [(after.name, after.times, after.of) for after in one.after]) for one in known.expect(["guess"])]
    [('log on', [('guess', 2, 2)]), ('dump', [('guess', 1, 2)]), ('scan', [])]
    """

    def __init__(self, courses: Iterable[Course]):
        self.courses = 0
        self._with: Counter[str] = Counter()
        self._after: dict[str, Counter[str]] = defaultdict(Counter)
        for course in courses:
            self.courses += 1
            self._with.update(course.keys())
            for name, moment in course.items():
                self._after[name].update(other for other, at in course.items() if at > moment)

    def expect(self, met: Collection[str], *, most: int = 5) -> list[Expected]:
        """The likeliest that were not met. One that never came after any of ``met`` has nothing in ``after``: it is common, and that is all that speaks for it."""
        found = [self._expected(name, dict.fromkeys(met)) for name in self._with if name not in met]
        return sorted(found, key=lambda one: (-one.chance, one.name))[:most]

    def _expected(self, name: str, met: Collection[str]) -> Expected:
        share = self._with[name] / self.courses
        chances = [(self._after[before][name] + PULL * share) / (self._with[before] + PULL) for before in met] or [share]
        after = [After(before, self._after[before][name], self._with[before]) for before in met if self._with[before] and self._after[before][name]]
        after.sort(key=lambda one: (-one.times / (one.of + PULL), one.name))
        return Expected(name, sum(chances) / len(chances), tuple(after), self._with[name])
