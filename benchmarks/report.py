"""What every bench says at the end: a table for people, rows merged by name into ``latest.json`` for machines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

LATEST = Path(__file__).parent / "latest.json"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. ``ratio`` compares value with ``peer_value``, measured in the same run; ``goal`` is what to reach, by value or by ``ratio``."""

    name: str
    value: float
    unit: str
    peer: str = ""
    peer_value: float | None = None
    ratio: float | None = None
    goal: float | str | None = None


def merge(rows: Iterable[Row], path: Path = LATEST) -> None:
    """Write rows into ``latest.json``; a row of the same name is replaced, others stay."""
    known = {each["name"]: each for each in (json.loads(path.read_text("utf-8")) if path.exists() else [])}
    known.update((row.name, asdict(row)) for row in rows)
    path.write_text(json.dumps(list(known.values()), ensure_ascii=False, indent=1) + "\n", "utf-8")


def show(rows: Iterable[Row]) -> None:
    """Print rows as a table."""
    cells = [("figure", "value", "unit", "peer", "peer value", "ratio", "goal")]
    cells += [(row.name, _number(row.value), row.unit, row.peer, _number(row.peer_value), _number(row.ratio), str(row.goal if row.goal is not None else "")) for row in rows]
    widths = [max(len(line[at]) for line in cells) for at in range(len(cells[0]))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
