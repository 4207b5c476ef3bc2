"""Labels that travel with data: severity, data level, traffic light.

``Severity`` carries the four warning colours of the national emergency-response plan
(特别重大 red, 重大 orange, 较大 yellow, 一般 blue) beside OCSF ``severity_id`` and Sigma levels.
``DataLevel`` is JR/T 0158-2018 (4 highest, 1 lowest). ``TLP`` is FIRST TLP 2.0.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Severity(IntEnum):
    """Ordered; the numbers are OCSF ``severity_id`` (1 informational … 5 critical)."""

    INFORMATIONAL = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    CRITICAL = 5

    @property
    def colour(self) -> str:
        """One of red, orange, yellow, blue, grey: the only colours that carry meaning in the interface."""
        return ("grey", "blue", "yellow", "orange", "red")[self - 1]

    @classmethod
    def of_sigma(cls, level: str | None) -> Severity:
        """Sigma ``level`` → severity; a rule without one counts as medium.

        >>> Severity.of_sigma("high").colour
        'orange'
        """
        return cls.__members__.get((level or "medium").upper(), cls.MEDIUM)


class DataLevel(IntEnum):
    """JR/T 0158-2018 level of a datum, by scope and degree of impact when it leaks."""

    L1 = 1
    L2 = 2
    L3 = 3
    L4 = 4


class TLP(StrEnum):
    """FIRST Traffic Light Protocol 2.0, from free to closed."""

    CLEAR = "clear"
    GREEN = "green"
    AMBER = "amber"
    AMBER_STRICT = "amber+strict"
    RED = "red"

    @property
    def rank(self) -> int:
        """0 (clear) … 4 (red); a combination of data has the highest rank it contains."""
        return list(TLP).index(self)
