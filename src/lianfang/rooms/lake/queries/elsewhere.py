"""A question of the operator that is too heavy for one machine: asked of Spark or Sail over the same tables; or work of ours, spread over Spark.

In: the server's address, SQL, a viewer. Out: an answer with the viewer's rows and columns, as the embedded engine gives it. Of spread
work: stretches of time in, what the work says of each out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from lianfang.kernel.errors import Invalid, Refused
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models
from lianfang.rooms.lake.adapters.spark import Remote
from lianfang.rooms.lake.adapters.spark.reading import Split, moved
from lianfang.rooms.lake.queries import places, scope, sealing
from lianfang.rooms.lake.types import EVENT_TABLES, Answer, Stage


def sql_on(address: str, text: str, *, viewer: Viewer, limit: int = 1000, root: str = "") -> Answer:
    """``text`` answered by the server at ``address``; ``root`` is where the tables lie as it sees them (default: as this node does; Spark calls a bucket ``s3a://``)."""
    viewer.must("lake.event.view")
    there = [name for name in scope.query().store.tables() if name in EVENT_TABLES]
    table = Remote(address, root or places.address(), there).arrow(text, events=scope.view(viewer).replace('"', "`"), limit=limit + 1)  # names are quoted by us alone
    rows = list(zip(*(column.to_pylist() for column in table.columns)))
    return Answer(tuple(table.column_names), tuple(rows[:limit]), len(rows) > limit)


Work = Callable[[str, Iterable[list[dict[str, Any]]]], bytes]


@contextmanager
def spread(address: str, kit: Path, work: Work, *, columns: Sequence[str], viewer: Viewer, root: str = "") -> Iterator[Callable[[Sequence[tuple[datetime, datetime]]], list[bytes]]]:
    """A way to have ``work(kit, pages of events)`` done by Spark's executors for stretches of time; the answers come in the order of the stretches.

    Executors read the files themselves: only who sees everything may ask, nothing may lie sealed, and the tables lie in a folder that they see.
    """
    viewer.must("lake.event.view")
    if "" not in viewer.territory or viewer.clearance < DataLevel.L4:
        raise Refused("Only who sees all events of the node may have them read elsewhere", why="Executors open the files of the tables; nobody filters there.", todo="Ask on this node.")
    if sealing.may_be_sealed():
        raise Invalid("Executors cannot read what lies sealed", why="The sealing key stays on this node.", todo="Ask on this node.")
    if "://" in (root or places.address()):
        raise Invalid("Executors read tables in a folder only", why="They lie in an object store.", todo="Mount them where the executors run and name that folder, or ask on this node.")
    store = scope.query().store
    there = [name for name in store.tables() if name in EVENT_TABLES]
    erased = tuple(models.Source.objects.filter(stage=Stage.ERASING).values_list("name", flat=True))

    def split(since: datetime, until: datetime) -> Split:
        return Split(since, until, moved(store.files(there, since=since, until=until), str(store.root), root or str(store.root)), tuple(columns), erased)

    with Remote(address, root or places.address(), there).spread(kit, work) as done:
        yield lambda stretches: done([split(since, until) for since, until in stretches])
