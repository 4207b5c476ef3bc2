"""One event table as the catalogue tells it: whose events, of which levels, how long they are kept, how well its columns are filled.

In: a table's name and the viewer. Out: figures over the viewer's rows alone.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from lianfang.engines.columns.query import Bounds
from lianfang.engines.columns.rollups import HOURS
from lianfang.engines.schema.events import COLUMNS, Kind
from lianfang.kernel import clock
from lianfang.kernel.errors import Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake.queries import figures, scope
from lianfang.rooms.lake.queries.retention import LEVELS, retention
from lianfang.rooms.lake.types import EVENT_TABLES, LevelFigures, Owned, TableStory

SAMPLED = timedelta(hours=24)
WHOLE = frozenset({"raw", "event_day"})
"""Columns that are always filled: looking would cost most of all."""


def table_story(name: str, *, viewer: Viewer) -> TableStory:
    """What the catalogue says of one table. Raises ``Missing``."""
    viewer.must("lake.event.view")
    if name not in EVENT_TABLES:
        raise Missing("There is no such table", todo="The catalogue lists the tables.")
    levels, sources = _counted(name, viewer)
    policy, owners = retention(), figures.owners(viewer=viewer)
    owned: dict[str, list[str]] = {}
    for source in sources:
        owned.setdefault(owners.get(source, ""), []).append(source)
    now = clock.now()
    rows, filled = _filled(name, viewer)
    return TableStory(
        name, tuple(LevelFigures(level, levels[level], policy.days(name, level)) for level in LEVELS),
        tuple(Owned(owner, tuple(sorted(names)), sum(sources[each] for each in names)) for owner, names in sorted(owned.items())), now - SAMPLED, rows, filled,
    )  # fmt: skip


def _counted(name: str, viewer: Viewer) -> tuple[Counter[int], Counter[str]]:
    """Events by level and by source, from roll-ups."""
    stats = scope.query().store.stats(name)
    levels, sources = Counter[int](), Counter[str]()
    if stats.first and stats.last:
        bounds = Bounds((name,), stats.first, stats.last + timedelta(seconds=1))
        sql = f"SELECT coalesce(level, {LEVELS[-1]}) AS level, source, sum(n)::BIGINT AS n FROM stored WHERE {scope.rows(viewer)} GROUP BY ALL"  # noqa: S608
        for row in scope.query().counted(HOURS, sql, bounds=bounds):
            levels[row["level"]] += row["n"]
            sources[row["source"]] += row["n"]
    return levels, sources


def _filled(name: str, viewer: Viewer) -> tuple[int, dict[str, float]]:
    """How many events the last day brought, and the share of them in which each column is filled, as this viewer sees them."""
    counts = ", ".join(f'count(*) FILTER (len("{one.name}") > 0) AS "{one.name}"' if one.kind is Kind.LIST else f'count("{one.name}") AS "{one.name}"' for one in COLUMNS if one.name not in WHOLE)
    since, until = clock.now() - SAMPLED, clock.now() + timedelta(days=2)
    sql = f"SELECT count(*) AS rows, {counts} FROM shown WHERE time >= ? AND time < ?"  # noqa: S608  (columns of ours)
    (row,) = scope.query().rows(sql, [since, until], bounds=Bounds((name,), since, until), views={"shown": scope.view(viewer)})
    total = row.pop("rows")
    return total, {column: count / total for column, count in row.items()} if total else {}
