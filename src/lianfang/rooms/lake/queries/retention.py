"""How long events are kept, by table and level: what ``content/retention/events.yaml`` says, or the node's own copy of it.

In: nothing, or a table and a level. Out: days, and the parts of a table that end on the same day.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings

from lianfang.kernel.errors import Invalid
from lianfang.kernel.labels import DataLevel
from lianfang.rooms.lake.types import EVENT_TABLES, REJECT_TABLE

LEVELS = tuple(int(level) for level in (DataLevel.L1, DataLevel.L2, DataLevel.L3, DataLevel.L4))
LONGEST = 36_500


@dataclass(frozen=True, slots=True)
class Retention:
    """Days by table and level; the most particular word counts."""

    usual: int
    levels: Mapping[int, int]
    tables: Mapping[str, Mapping[int | str, int]]

    def days(self, table: str, level: int) -> int:
        """For how many days events of a table and level are kept.

        >>> Retention(190, {4: 365}, {"iam": {"usual": 400, 1: 30}}).days("iam", 4)
        400
        """
        own = self.tables.get(table, {})
        return own.get(level, own.get("usual", self.levels.get(level, self.usual)))

    def parts(self, table: str) -> dict[int, tuple[int, ...]]:
        """Days → the levels that are kept so long; rejects, which have no level, as if they had all."""
        if table == REJECT_TABLE:
            return {self.tables.get(table, {}).get("usual", self.usual): LEVELS}
        found: dict[int, tuple[int, ...]] = {}
        for level in LEVELS:
            days = self.days(table, level)
            found[days] = (*found.get(days, ()), level)
        return found


def retention() -> Retention:
    """The policy as it stands now. Raises ``Invalid`` for one that cannot be read: then nothing is forgotten."""
    path = Path(os.environ.get("LIANFANG_RETENTION") or settings.CONTENT / "retention/events.yaml")
    try:
        said = yaml.safe_load(path.read_text("utf-8"))
        usual = int(os.environ.get("LIANFANG_RETENTION_DAYS") or said["usual"])
        found = Retention(usual, dict(said.get("levels") or {}), {name: dict(own or {}) for name, own in (said.get("tables") or {}).items()})
    except (OSError, yaml.YAMLError, TypeError, KeyError, ValueError, AttributeError) as error:
        raise _invalid(str(error)) from error
    _check(found)
    return found


def _check(found: Retention) -> None:
    strange = [name for name in found.tables if name not in (*EVENT_TABLES, REJECT_TABLE)]
    strange += [str(level) for levels in (found.levels, *found.tables.values()) for level in levels if level not in (*LEVELS, "usual")]
    if strange:
        raise _invalid(f"{strange[0]} is no table or level")
    every: list[Any] = [found.usual, *found.levels.values(), *(days for own in found.tables.values() for days in own.values())]
    if any(not isinstance(days, int) or not 1 <= days <= LONGEST for days in every):
        raise _invalid(f"days are whole numbers from 1 to {LONGEST:,}")


def _invalid(why: str) -> Invalid:
    return Invalid("The retention policy cannot be read", why=why, todo="Mend the file that LIANFANG_RETENTION names; until then nothing is forgotten.")
