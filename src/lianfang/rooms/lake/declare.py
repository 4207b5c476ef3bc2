"""What higher rooms declare to the lake: examiners, which see every batch in memory before it is stored.

In: a name and a factory, once, when the room's app is ready. Out: for the ingest process alone, the examiners built.

An examiner is an object with

- ``examine(batch) -> dict[int, tuple[str, ...]]``: row → identifiers that go into the event's column ``rules``;
- ``conclude(batch, hits)``: after the batch is durable; ``batch`` then holds the rows that were hit, by number. It may be called again with the same ``batch.ref`` after a
  crash and must then change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from lianfang.rooms.lake.types import Batch

Hits = Mapping[int, tuple[str, ...]]


class Examiner(Protocol):
    """Looks at batches on their way into the lake."""

    def examine(self, batch: Batch) -> Hits: ...

    def conclude(self, batch: Batch, hits: Hits) -> None: ...


_factories: dict[str, Callable[[], Examiner]] = {}


def examiner(name: str, factory: Callable[[], Examiner]) -> None:
    """Declare an examiner. The ingest process calls ``factory`` once, before the first batch."""
    _factories[name] = factory


def examiners() -> dict[str, Callable[[], Examiner]]:
    """All declared examiners by name."""
    return dict(_factories)
