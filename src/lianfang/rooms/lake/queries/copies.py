"""Copies of events: what a question finds, taken out of one state of the tables, and such a copy as somebody may have it.

In: a question and the viewer for whom it is copied; later the copy's file and the viewer who reads it. Out: Arrow tables. A copy holds
scope, level and time of every row, and whatever desensitising must see to cover its columns, so that everything which binds a search
or an export binds the copy as well, at every reading anew. What lies sealed in the event tables lies sealed in the copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.utils.translation import gettext

from lianfang.engines.columns.query import Bounds, Piece
from lianfang.engines.columns.shape import EVENTS as SHAPE
from lianfang.engines.columns.store import Snapshot
from lianfang.engines.masking import To
from lianfang.engines.schema.events import BY_NAME, COLUMNS, Kind
from lianfang.kernel.errors import Invalid
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models
from lianfang.rooms.lake.queries import protection, scope, sealing, shielding
from lianfang.rooms.lake.queries.leaving import left
from lianfang.rooms.lake.queries.retention import retention
from lianfang.rooms.lake.queries.searching import conditions
from lianfang.rooms.lake.types import Question

ALWAYS = ("event_id", "time", "source", "territory", "industry", "level")
"""Columns that every copy has: which event it is, whose, of which level."""
PATHS = frozenset(("territory", "industry"))
HOLDERS = scope.HOLD_ALL | frozenset(scope.HOLD)
"""Columns in which values of others stand: to cover a value in them, desensitising must see the other column."""
HOUR = timedelta(hours=1)
STEP = 20_000
"""Rows of a copy that are read at a time."""


def copied(question: Question, columns: Sequence[str], *, viewer: Viewer) -> tuple[dict[str, int], Iterator[pa.Table]]:
    """The tables' versions, and what the question finds in exactly these, in the order of time: rows and content that the viewer may see, sealed where the tables are.

    To be read to its end within the hour for which the store keeps files that no longer belong to a table.
    """
    viewer.must("lake.event.export")
    where, params = conditions(question, viewer, paged=False)
    pinned = scope.query().store.snapshot(question.tables)
    return dict(pinned.versions), _hours(pinned, question, columns_of(columns), where, params, viewer)


def check_question(question: Question, *, viewer: Viewer) -> None:
    """Raise ``Invalid`` for a question that cannot be asked, without asking it."""
    conditions(question, viewer, paged=False)


def columns_of(chosen: Sequence[str]) -> list[str]:
    """The columns of a copy in their usual order. Raises ``Invalid``."""
    strange = [name for name in chosen if name not in BY_NAME]
    if strange:
        raise Invalid(gettext("Events have no column %s") % strange[0][:40], todo="The catalogue lists the columns.")
    wanted = {*ALWAYS, *chosen} | ({column.name for column in COLUMNS if column.kind in (Kind.TEXT, Kind.LIST)} if HOLDERS & set(chosen) else set())
    return [column.name for column in COLUMNS if column.name in wanted - {"event_day"}]


def _hours(pinned: Snapshot, question: Question, names: list[str], where: str, params: list[Any], viewer: Viewer) -> Iterator[pa.Table]:
    listed = ", ".join(f'"{name}"' for name in names)
    sql = f"SELECT {listed} FROM (SELECT {', '.join(scope.columns(viewer))} FROM stored WHERE {where}) ORDER BY time, event_id"  # noqa: S608  (columns of ours, values as parameters)
    for since, until in _stretches(pinned, question):
        pieces = tuple(Piece(path, inside) for path, inside in pinned.pruned(since=since, until=until))
        rows = scope.query().arrow(sql, params, bounds=Bounds((), since, until, pieces=pieces))
        if rows.num_rows:
            yield at_rest(rows)


def _stretches(pinned: Snapshot, question: Question) -> Iterator[tuple[datetime, datetime]]:
    """Hours of the question's time that some file reaches into."""
    since = question.since
    while since < question.until:
        whole = datetime.fromtimestamp(since.timestamp() // 3600 * 3600, UTC) + HOUR
        day = datetime.fromtimestamp(since.timestamp() // 86400 * 86400, UTC) + timedelta(days=1)
        until = min(question.until, whole if pinned.files(since=since, until=min(day, question.until)) else day)
        if pinned.files(since=since, until=until):
            yield since, until
        since = until


def at_rest(rows: pa.Table) -> pa.Table:
    """The rows as they may lie on a disk: content of a level that is stored sealed, sealed column by column as in the event tables."""
    if not sealing.may_be_sealed():
        return rows
    paths = rows["territory"].to_pylist()
    sealed = {path: protection.sealed_levels(path or "") for path in set(paths)}
    chosen = [at for at, (path, level) in enumerate(zip(paths, rows["level"].to_pylist())) if (level or DataLevel.L4) in sealed[path]]
    names = scope.SEALABLE & set(rows.column_names)
    done = sealing.columns_sealed({name: rows[name].to_pylist() for name in names}, chosen, names) if chosen else {}
    for name, values in done.items():
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(values, rows.schema.field(name).type))
    return rows


def copy_levels(path: Path, *, viewer: Viewer) -> tuple[dict[int, int], dict[int, int]]:
    """How many rows of a copy the viewer would have in the clear, and how many masked, both by level; also those that leave only with approval."""
    sql = f"SELECT masked, coalesce(level, {int(DataLevel.L4)}) AS level, count(*) AS n FROM shown GROUP BY ALL"  # noqa: S608
    rows = scope.query().rows(sql, bounds=_of(path), views={"shown": scope.view(viewer)})
    shown, veiled = ({int(row["level"]): int(row["n"]) for row in rows if row["masked"] is masked} for masked in (False, True))
    return shown, veiled


def seen_copy(path: Path, columns: Sequence[str], *, viewer: Viewer, to: To | None, below: int = 0) -> Iterator[pa.Table]:
    """A copy as a viewer may have it, some thousand rows at a time: rows of their scope and below that level, content above their clearance null, what the
    rules of desensitising leave of it on the way ``to`` somewhere (``None``: it stays in the node), and ``masked``. At least one table, which says what columns there are."""
    viewer.must("lake.event.view")
    held = set(pq.read_schema(path).names)
    names = [name for name in columns_of(columns) if name in held]
    told = [name for name in names if name not in PATHS and (name in ALWAYS or name in columns)]
    shown, listed = scope.view(viewer, below=below), ", ".join(f'"{name}"' for name in names)
    number, rules = pq.read_metadata(path).num_rows, shielding.rules_out(to, viewer) if to else []
    for first in range(0, max(number, 1), STEP):
        sql = f"SELECT {listed}, masked FROM shown ORDER BY time, event_id"  # noqa: S608  (columns of ours)
        rows = scope.query().arrow(sql, bounds=_of(path, first), views={"shown": shown})
        if rules and rows.num_rows:
            rows = pa.Table.from_pylist(left(rows.to_pylist(), to, viewer), schema=rows.schema)
        yield rows.select([*told, "masked"])


def _of(path: Path, first: int | None = None) -> Bounds:
    return Bounds((), pieces=(Piece(str(path), rows=None if first is None else (first, first + STEP)),))


def graded_levels(path: str) -> dict[str, int]:
    """Columns of the event tables → the level that reviewers of an organisation, or of one above it, gave them."""
    found: dict[str, int] = {}
    for column, level, territory in models.Grade.objects.filter(dataset=models.EVENTS).exclude(state=models.Review.OPEN).values_list("column", "level", "territory"):
        if path.startswith(territory):
            found[column] = max(level, found.get(column, 0))
    return found


def days_kept(tables: Sequence[str], level: int) -> int:
    """For how many days events of a level are kept in those of the tables that keep them shortest."""
    policy = retention()
    return min(policy.days(table, level) for table in tables)


def lessons(viewer: Viewer) -> pa.Table:
    """What reviewers of the viewer's scope decided of columns: one row each with the column's features and its class, in the order of deciding."""
    rows = models.Grade.objects.seen_by(viewer).exclude(state=models.Review.OPEN).exclude(item="").order_by("reviewed", "id")
    return pa.Table.from_pylist(
        [{"time": row.reviewed, "dataset": row.dataset, "column": row.column, "features": row.features, "item": row.item, "level": row.level, "territory": row.territory, "industry": row.industry} for row in rows],
        schema=LESSONS,
    )


LESSONS = pa.schema([
    ("time", SHAPE.field("time").type), ("dataset", pa.string()), ("column", pa.string()), ("features", pa.list_(pa.string())), ("item", pa.string()), ("level", pa.int64()),
    ("territory", pa.string()), ("industry", pa.string()),
])  # fmt: skip
"""A decision of a reviewer; ``level`` is the grade of the column that it is about."""


