"""Protection by level: which measures hold for whom, whether values may lie sealed, and how much somebody touched in the last hour.

In: the path of an organisation, a person. Out: measures and counts. What ships holds where an organisation and those above say
nothing; where several do, the strictest word counts: an organisation can raise what protects its data, and not lower it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from django.db.models import Sum

from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models
from lianfang.rooms.lake.types import Outcome, Touched

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Measures:
    """What protects one level."""

    level: int
    seal: bool = False
    approve: bool = False
    hours: int = 24
    reads: int = 0
    exports: int = 0
    own: bool = False

    def with_(self, other: Measures) -> Measures:
        """The stricter of both, word by word."""
        return Measures(self.level, self.seal or other.seal, self.approve or other.approve, min(self.hours, other.hours), _least(self.reads, other.reads), _least(self.exports, other.exports), True)


def _least(one: int, two: int) -> int:
    return min((limit for limit in (one, two) if limit), default=0)


def shipped_measures() -> Mapping[int, Measures]:
    """What holds where nobody said anything. Raises ``Invalid`` for a file that cannot be read."""
    return _shipped(Path(settings.CONTENT / "protection/levels.yaml"))


@lru_cache(maxsize=2)
def _shipped(path: Path) -> Mapping[int, Measures]:
    try:
        return {int(level): Measures(int(level), **entry) for level, entry in yaml.safe_load(path.read_text("utf-8"))["levels"].items()}
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise Invalid("The measures by level cannot be read", why=str(error), todo="Mend content/protection/levels.yaml.") from error


def measures(path: str) -> dict[int, Measures]:
    """What protects each level in the data of an organisation, and what its people mind."""
    found: dict[int, Measures] = {}
    for row in models.Measure.objects.all():
        if path.startswith(row.territory):
            said = Measures(row.level, row.seal, row.approve, row.hours, row.reads, row.exports, True)
            found[row.level] = found[row.level].with_(said) if row.level in found else said
    return {int(level): found.get(int(level), shipped_measures().get(int(level), Measures(int(level)))) for level in DataLevel}


def approving(viewer: Viewer) -> int:
    """The lowest level that this viewer takes away only with approval; 5: none."""
    return min((one.level for one in measures(viewer.path).values() if one.approve), default=5)


def sealed_levels(path: str) -> frozenset[int]:
    """The levels of an organisation's data that are stored sealed."""
    return frozenset(one.level for one in measures(path).values() if one.seal)


def ever_sealed(path: str) -> frozenset[int]:
    """The levels of an organisation's data of which events may lie sealed: where it is so now, or was once."""
    return sealed_levels(path) | {level for top, level in models.Measure.objects.filter(sealed_once=True).values_list("territory", "level") if path.startswith(top)}


def levels_of(rows: Iterable[Mapping[str, Any]]) -> tuple[dict[int, int], int]:
    """How many of some rows of events are shown in the clear, by level, and how many are masked."""
    shown, masked = dict[int, int](), 0
    for row in rows:
        if row.get("masked"):
            masked += 1
        else:
            level = int(row.get("level") or DataLevel.L4)
            shown[level] = shown.get(level, 0) + 1
    return shown, masked


def touched_last_hour(person: str, *, verb: str = "") -> dict[int, int]:
    """Rows by level (that level and above) that somebody saw in the clear, or took away, within the hour; what was released is left out."""
    rows = models.Touch.objects.filter(person=person, moment__gte=clock.now() - HOUR, released=False).exclude(outcome__in=(Outcome.STOPPED, Outcome.WAITS))
    rows = rows.filter(verb=Touched.EXPORT) if verb == Touched.EXPORT else rows.exclude(verb=Touched.EXPORT)
    sums = rows.aggregate(*(Sum(f"level_{level}") for level in (2, 3, 4)))
    by = {level: sums[f"level_{level}__sum"] or 0 for level in (2, 3, 4)}
    return {level: sum(count for other, count in by.items() if other >= level) for level in (2, 3, 4)}


def readers(viewer: Viewer) -> list[dict[str, Any]]:
    """Everybody of the viewer's scope who touched protected data within the hour, with the limits that they mind."""
    rows = models.Touch.objects.seen_by(viewer).filter(moment__gte=clock.now() - HOUR)
    found: dict[str, dict[str, Any]] = {}
    for row in rows.order_by("-moment", "id")[:5000]:
        one = found.setdefault(row.person, {"person": row.person, "name": row.by, "path": row.territory, "last": row.moment, "stopped": 0, "answers": 0, "masked": 0})
        one["answers"] += 1
        one["masked"] += row.masked
        one["stopped"] += row.outcome == Outcome.STOPPED and not row.released
    for one in found.values():
        limits, read, taken = measures(one["path"]), touched_last_hour(one["person"]), touched_last_hour(one["person"], verb=Touched.EXPORT)
        one["levels"] = [{"level": level, "read": read[level], "reads": limits[level].reads, "taken": taken[level], "exports": limits[level].exports, "share": _share(read[level], limits[level].reads), "taken_share": _share(taken[level], limits[level].exports)} for level in (4, 3, 2)]
    return sorted(found.values(), key=lambda one: (-one["stopped"], -max((level["share"] for level in one["levels"]), default=0), one["name"]))


def _share(count: int, limit: int) -> int:
    return min(100, round(100 * count / limit)) if limit else 0
