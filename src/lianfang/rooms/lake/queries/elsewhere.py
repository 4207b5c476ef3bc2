"""A question of the operator that is too heavy for one machine: asked of Spark or Sail over the same tables.

In: the server's address, SQL, a viewer. Out: an answer with the viewer's rows and columns, as the embedded engine gives it.
"""

from __future__ import annotations

from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake.adapters.spark import Remote
from lianfang.rooms.lake.queries import places, scope
from lianfang.rooms.lake.types import EVENT_TABLES, Answer


def sql_on(address: str, text: str, *, viewer: Viewer, limit: int = 1000, root: str = "") -> Answer:
    """``text`` answered by the server at ``address``; ``root`` is where the tables lie as it sees them (default: as this node does; Spark calls a bucket ``s3a://``)."""
    viewer.must("lake.event.view")
    there = [name for name in scope.query().store.tables() if name in EVENT_TABLES]
    table = Remote(address, root or places.address(), there).arrow(text, events=scope.view(viewer).replace('"', "`"), limit=limit + 1)  # names are quoted by us alone
    rows = list(zip(*(column.to_pylist() for column in table.columns)))
    return Answer(tuple(table.column_names), tuple(rows[:limit]), len(rows) > limit)
