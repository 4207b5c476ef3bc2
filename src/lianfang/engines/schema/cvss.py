"""CVSS vectors as people paste them: read strictly, written in the order of the specification. No score is computed.

Sources: FIRST, CVSS v3.1 Specification Document, table 15; CVSS v4.0 Specification Document, table 23.
"""

from __future__ import annotations

from dataclasses import dataclass

from lianfang.kernel.errors import Invalid

LONGEST = 400
_IMPACT, _MEASURE = "N/L/H", "X/N/L/H"

_V31 = {
    "AV": "N/A/L/P", "AC": "L/H", "PR": "N/L/H", "UI": "N/R", "S": "U/C", "C": _IMPACT, "I": _IMPACT, "A": _IMPACT,
    "E": "X/H/F/P/U", "RL": "X/U/W/T/O", "RC": "X/C/R/U", "CR": "X/H/M/L", "IR": "X/H/M/L", "AR": "X/H/M/L",
    "MAV": "X/N/A/L/P", "MAC": "X/L/H", "MPR": _MEASURE, "MUI": "X/N/R", "MS": "X/U/C", "MC": _MEASURE, "MI": _MEASURE, "MA": _MEASURE,
}  # fmt: skip
_V40 = {
    "AV": "N/A/L/P", "AC": "L/H", "AT": "N/P", "PR": "N/L/H", "UI": "N/P/A", "VC": _IMPACT, "VI": _IMPACT, "VA": _IMPACT, "SC": _IMPACT, "SI": _IMPACT, "SA": _IMPACT,
    "E": "X/A/P/U", "CR": "X/H/M/L", "IR": "X/H/M/L", "AR": "X/H/M/L", "MAV": "X/N/A/L/P", "MAC": "X/L/H", "MAT": "X/N/P", "MPR": _MEASURE, "MUI": "X/N/P/A",
    "MVC": _MEASURE, "MVI": _MEASURE, "MVA": _MEASURE, "MSC": _MEASURE, "MSI": "X/N/L/H/S", "MSA": "X/N/L/H/S",
    "S": "X/N/P", "AU": "X/N/Y", "R": "X/A/U/I", "V": "X/D/C", "RE": "X/L/M/H", "U": "X/Clear/Green/Amber/Red",
}  # fmt: skip
_BASE = {"3.1": 8, "4.0": 11}
"""How many of the first metrics of a version must be there."""
_METRICS = {version: {name: frozenset(values.split("/")) for name, values in table.items()} for version, table in (("3.1", _V31), ("4.0", _V40))}


@dataclass(frozen=True, slots=True)
class Vector:
    """A version, and its metrics in the order of the specification."""

    version: str
    metrics: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return "/".join((f"CVSS:{self.version}", *(f"{name}:{value}" for name, value in self.metrics)))


def vector(text: str) -> Vector:
    """A vector of CVSS 3.1 or 4.0, its metrics in any order; raises ``Invalid`` for an unknown, doubled or missing one.

    >>> str(vector("CVSS:3.1/AC:L/AV:N/PR:N/UI:N/S:U/C:H/I:H/A:H"))
    'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H'
    """
    head, *parts = text.strip()[: LONGEST + 1].split("/")
    version = head.removeprefix("CVSS:")
    known = _METRICS.get(version) if head.startswith("CVSS:") and len(text.strip()) <= LONGEST else None
    if known is None:
        raise Invalid("This is no CVSS vector", why="It begins neither with CVSS:3.1/ nor with CVSS:4.0/.", todo="Copy the whole vector from a calculator, or leave it out.")
    said: dict[str, str] = {}
    for part in parts:
        name, _, value = part.partition(":")
        if name in said or value not in known.get(name, ()):
            raise Invalid("This is no CVSS vector", why=f"It cannot hold {part[:20]}.", todo="Copy the whole vector from a calculator, or leave it out.")
        said[name] = value
    if missing := [name for name in list(known)[: _BASE[version]] if name not in said]:
        raise Invalid("This is no CVSS vector", why=f"It lacks {', '.join(missing)}.", todo="Copy the whole vector from a calculator, or leave it out.")
    return Vector(version, tuple((name, said[name]) for name in known if name in said))
