"""Looking back for many values at once: which of them occur in what the lake holds, how often, and when.

In: values of one column (a hundred thousand addresses, say) and a time. Out: those that were seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa

from lianfang.engines.columns.query import Bounds
from lianfang.engines.schema.events import BY_NAME, Kind
from lianfang.kernel.errors import Invalid
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake.queries import scope
from lianfang.rooms.lake.types import EVENT_TABLES, Seen

MOST = 2_000_000


def seen(values: Sequence[str], column: str, *, since: datetime, until: datetime, viewer: Viewer) -> list[Seen]:
    """Which ``values`` occur in a text or list column during ``[since, until)``, as written; the most frequent first."""
    viewer.must("lake.event.view")
    kind = BY_NAME[column].kind if column in BY_NAME else None
    if kind not in (Kind.TEXT, Kind.LIST) or len(values) > MOST:
        raise Invalid("These values cannot be looked for", why=f"The column holds no text, or there are more than {MOST:,} values.", todo="Choose one of the columns of the catalogue, or ask in parts.")
    value = f"unnest(\"{column}\")" if kind is Kind.LIST else f'"{column}"'
    inner = f"SELECT {value} AS value, time FROM stored WHERE ({scope.rows(viewer)}) AND ({_shown(column, viewer)})"  # noqa: S608  (columns of ours)
    sql = f"SELECT value, count(*) AS n, min(time) AS first, max(time) AS last FROM ({inner}) WHERE value IN (SELECT value FROM given) GROUP BY value ORDER BY n DESC, value"  # noqa: S608
    rows = scope.query().arrow(sql, bounds=Bounds(EVENT_TABLES, since, until), given=pa.table({"value": pa.array(list(values), pa.string())}))
    return [Seen(row["value"], row["n"], row["first"], row["last"]) for row in rows.to_pylist()]


def _shown(column: str, viewer: Viewer) -> str:
    return "TRUE" if column in scope.OPEN else scope.readable(viewer, column)
