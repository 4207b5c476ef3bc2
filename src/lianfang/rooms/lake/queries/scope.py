"""What a viewer may see of an event, as SQL: which rows, and which columns of them.

In: a viewer. Out: a condition over ``stored`` and a list of columns. Rows are filtered by organisation paths, always;
columns that carry content are empty in rows whose level (JR/T 0158) is above the viewer's clearance, and in rows of an
organisation whose reviewers graded the column above it; a condition on such a column does not match there either, so that
nothing can be learned by asking.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from django.db.models import Q

from lianfang.engines import policy
from lianfang.engines.columns.query import Query
from lianfang.engines.columns.shape import EVENTS, REJECTS
from lianfang.engines.schema.events import COLUMNS, Kind
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import Viewer, after
from lianfang.rooms.lake import models
from lianfang.rooms.lake.queries import places, sealing
from lianfang.rooms.lake.types import Stage

OPEN = frozenset((
    "event_id", "event_day", "time", "received", "source", "territory", "industry", "level", "class_uid", "activity_id", "severity_id", "status_id",
    "product", "log_name", "event_code", "host", "rules", "template",
))  # fmt: skip
"""Columns that are shown whatever the level: they say that something happened, not what was in it."""
SEALABLE = frozenset(column.name for column in COLUMNS if column.kind in (Kind.TEXT, Kind.LIST)) - OPEN
"""Columns whose values may lie sealed: those with content. Numbers, times and what steers the lake stay as they are."""
MEMORY = os.environ.get("LIANFANG_QUERY_MEMORY", "384MB")

_known: dict[tuple[int, Path, str, str], Query] = {}
_lock = threading.Lock()


def query(schema: pa.Schema = EVENTS, *, sealed: bool = False) -> Query:
    """This process's way to ask the event tables (or, with their shape, the rejects). ``sealed``: what lies sealed stays so."""
    opener = sealing.opener(SEALABLE) if schema is EVENTS and not sealed else None
    place = (os.getpid(), places.root(), places.address(), "rejects" if schema is REJECTS else "opened" if opener else "events")
    with _lock:
        if place not in _known:
            _known[place] = Query(places.store(), schema=schema, memory=MEMORY, opener=opener)
        return _known[place]


def rows(viewer: Viewer) -> str:
    """The condition that every question carries: the viewer's ranges, and no source that is being erased."""
    return f"({_ranges(viewer)}) AND {_not_erased()}"


def _ranges(viewer: Viewer) -> str:
    if "" in viewer.territory:
        return "TRUE"
    parts = [f"{column} >= '{digits(top)}' AND {column} < '{after(top)}'" for column, tops in (("territory", viewer.territory), ("industry", viewer.industry)) for top in tops if top]
    return " OR ".join(f"({part})" for part in parts) or "FALSE"


def digits(top: str) -> str:
    """Paths are digits; anything else would be a fault of ours, and must never reach SQL."""
    if not top.isascii() or not top.isdigit():
        raise ValueError(f"{top!r} is not an organisation path")
    return top


def _not_erased() -> str:
    names = models.Source.objects.filter(stage=Stage.ERASING).values_list("name", flat=True)
    return " AND ".join(f"source <> '{name.replace(chr(39), chr(39) * 2)}'" for name in names) or "TRUE"


HOLD_ALL = frozenset(("raw", "unmapped", "message"))
"""Columns in which anything of the record may stand: closed where any other is."""
HOLD = {"ips": ("src_ip", "dst_ip", "host_ip"), "domains": ("domain", "src_host", "dst_host", "url")}
"""Lists → the columns whose values they repeat."""
Closed = Mapping[str, frozenset[str]]


def closed(viewer: Viewer) -> Closed:
    """Columns that reviewers graded above the viewer's clearance → the organisation paths in whose rows they are hidden (``""``: in all)."""
    if viewer.clearance >= DataLevel.L4:
        return {}
    graded = models.Grade.objects.filter(dataset=models.EVENTS, level__gt=int(viewer.clearance)).exclude(state=models.Review.OPEN).values_list("column", "territory")
    found: dict[str, set[str]] = {}
    for column, path in graded:
        holders = HOLD_ALL | {holder for holder, held in HOLD.items() if column in held} | {column}
        for name in holders - OPEN:
            found.setdefault(name, set()).add(path)
    return {name: frozenset(paths) for name, paths in found.items()}


def columns(viewer: Viewer) -> list[str]:
    """All columns as this viewer may see them, and ``masked``: whether something is hidden in the row."""
    shut = closed(viewer)
    shown = [f'"{column.name}"' if column.name in OPEN else f'{_shown(column.name, viewer, shut)} AS "{column.name}"' for column in COLUMNS]
    return [*shown, f"{_hidden(viewer, shut)} AS masked"]


def _shown(name: str, viewer: Viewer, shut: Closed) -> str:
    return f'"{name}"' if viewer.clearance >= DataLevel.L4 else f'CASE WHEN {readable(viewer, name, shut)} THEN "{name}" END'


def _hidden(viewer: Viewer, shut: Closed) -> str:
    return "FALSE" if viewer.clearance >= DataLevel.L4 else f"NOT ({readable(viewer, shut=shut)})"


def readable(viewer: Viewer, column: str = "", shut: Closed | None = None) -> str:
    """The condition under which a column's content (without a column: any content) is shown; a row without a level counts as the highest.

    To whom nothing is closed no row's level need be read: that is a fifth of the time of a question over ten million rows.
    """
    if viewer.clearance >= DataLevel.L4:
        return "TRUE"
    shut = closed(viewer) if shut is None else shut
    paths = shut.get(column, frozenset()) if column else frozenset().union(*shut.values())
    below = [f"coalesce(level, {int(DataLevel.L4)}) <= {int(viewer.clearance)}"]
    below += ["FALSE" if not path else f"NOT (territory >= '{digits(path)}' AND territory < '{after(path)}')" for path in sorted(paths)]
    return " AND ".join(below)


NAMES, ADDRESSES = ("user", "actor_user", "src_host", "dst_host", "domain", "domains"), ("src_ip", "dst_ip", "host_ip", "ips")


@dataclass(frozen=True, slots=True)
class Veil:
    """What a viewer may see of an event, also of values that other rooms copied out of it. ``shut``: from ``closed``."""

    viewer: Viewer
    shut: Closed

    def hides(self, *names: str, level: int | None, territory: str) -> bool:
        """Whether the content of any of these columns is hidden in a row of this level and organisation path; a row without a level counts as the highest."""
        if (level or DataLevel.L4) > self.viewer.clearance:
            return not OPEN.issuperset(names)
        return any(territory.startswith(tuple(self.shut.get(name, ()))) for name in names)

    def shown(self, *names: str) -> Q | None:
        """The same as a condition on rows with ``level`` and ``territory``: where the content is shown; ``None``: everywhere."""
        if self.viewer.clearance >= DataLevel.L4:
            return None
        found = Q(level__gt=0, level__lte=int(self.viewer.clearance))
        for path in sorted({path for name in names for path in self.shut.get(name, ())}):
            found &= ~Q(territory__gte=path, territory__lt=after(path)) if path else Q(pk__in=())
        return found

    def row(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row of events as the viewer may see it: what is above their clearance is masked so far that only a repetition can be told."""
        level, path = row.get("level"), row.get("territory") or ""
        names = {name for name in row if name not in OPEN and self.hides(name, level=level, territory=path)}
        return {**{name: masked(name, value) if name in names else value for name, value in row.items()}, "masked": bool(names)}


def veil(viewer: Viewer) -> Veil:
    """The viewer's veil as the grades stand now; for one answer, not to be kept."""
    return Veil(viewer, closed(viewer))


def masked(name: str, value: Any) -> Any:
    """The value of a column (or one value of a list) so far as everybody may see it."""
    if isinstance(value, str):
        return policy.mask(value, "name" if name in NAMES else "ip" if name in ADDRESSES else "text")
    return [] if isinstance(value, list) else None


def view(viewer: Viewer, *, below: int = 0) -> str:
    """The relation ``events`` as this viewer may see it, over ``stored``; ``below``: without rows of this level and above."""
    low = f" AND coalesce(level, {int(DataLevel.L4)}) < {int(below)}" if below else ""
    return f"SELECT {', '.join(columns(viewer))} FROM stored WHERE {rows(viewer)}{low}"  # noqa: S608  (columns of ours; paths are digits)
