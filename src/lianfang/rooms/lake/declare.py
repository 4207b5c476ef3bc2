"""What higher rooms declare to the lake: examiners, which see every batch in memory before it is stored, and holdings of events that leave with approval.

In: a name and a factory, once, when the room's app is ready. Out: for the ingest process alone, the examiners built.

An examiner is an object with

- ``examine(batch) -> dict[int, tuple[str, ...]]``: row → identifiers that go into the event's column ``rules``;
- ``conclude(batch, hits)``: after the batch is durable; ``batch`` then holds the rows that were hit, by number. It may be called again with the same ``batch.ref`` after a
  crash and must then change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from lianfang.kernel.errors import Invalid
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake.types import Batch

if TYPE_CHECKING:
    import pyarrow as pa

Hits = Mapping[int, tuple[str, ...]]


class Examiner(Protocol):
    """Looks at batches on their way into the lake."""

    def examine(self, batch: Batch) -> Hits: ...

    def conclude(self, batch: Batch, hits: Hits) -> None: ...


_factories: dict[str, Callable[[], Examiner]] = {}

Gather = Callable[[str, Viewer], "tuple[pa.Table, dict[int, int]]"]
"""What a request of export asks for → the rows as they may leave for this viewer, and how many of each level are in the clear."""
_holdings: dict[str, Gather] = {}


def holding(kind: str, gather: Gather) -> None:
    """Declare what else can be taken away with a second person's word, beside answers of search and SQL; ``kind`` is one of ``ExportRequest.kind``."""
    _holdings[kind] = gather


def gatherer(kind: str) -> Gather:
    """How rows of a kind are gathered. Raises ``Invalid``."""
    if kind not in _holdings:
        raise Invalid("There is no such kind of export", todo="Export from the search or the SQL page.")
    return _holdings[kind]



def examiner(name: str, factory: Callable[[], Examiner]) -> None:
    """Declare an examiner. The ingest process calls ``factory`` once, before the first batch."""
    _factories[name] = factory


def examiners() -> dict[str, Callable[[], Examiner]]:
    """All declared examiners by name."""
    return dict(_factories)
