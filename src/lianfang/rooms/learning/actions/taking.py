"""Taking a version away: as a stream of Arrow or Parquet, within limits, on record; and what needs a second person's word.

In: a version, who takes it, and where to. Out: bytes in pieces. What leaves only with approval is left out and counted; the whole of it
is asked for, and taken, like any export of the lake.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
from django.utils.translation import gettext

from lianfang.commons.ledger import actions as ledger
from lianfang.engines.masking import To
from lianfang.kernel.errors import Conflict, Invalid, Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import actions as lake_actions
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.types import Touched
from lianfang.rooms.learning import models, queries
from lianfang.rooms.learning.actions.making import MOST

FORMS = {"parquet": "application/vnd.apache.parquet", "arrow": "application/vnd.apache.arrow.stream"}


@dataclass(frozen=True, slots=True)
class Taken:
    """What is given: pieces of bytes, their media type, a name for the file, and how many rows were left out."""

    pieces: Iterator[bytes]
    kind: str
    name: str
    left_out: int


def take(row: models.Version, form: str, *, to: To, actor: Viewer) -> Taken:
    """A version as this person may take it. Raises ``Refused`` beyond the limit of their hour, ``Missing`` for what is not there."""
    actor.must("learning.version.view")
    actor.must("lake.event.export")
    if form not in FORMS:
        raise Invalid(gettext("“%s” is no form of file") % form[:20], todo="Choose parquet or arrow.")
    given, masked, left_out = queries.counted(row, viewer=actor)
    lake_actions.touch(Touched.EXPORT, given, masked=masked, asked=f"{row} → {form}", actor=actor)
    detail = {"form": form, "rows": sum(given.values()) + masked, "masked": masked, "left_out": left_out, "sha256": row.digest}
    ledger.record("learning.version_taken", row.ref, actor=actor, label=str(row)[:200], detail=detail, territory=row.territory, industry=row.industry)
    tables = queries.rows(row, viewer=actor, to=to)
    return Taken(_parquet(tables) if form == "parquet" else _arrow(tables), FORMS[form], f"{row.dataset.name}-v{row.number}.{form}", left_out)


class Sink(io.RawIOBase):
    """What was written since it was last emptied; knows how far the whole is."""

    def __init__(self) -> None:
        super().__init__()
        self._parts, self._at = list[bytes](), 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self._at += len(self._parts[-1])
        return len(self._parts[-1])

    def emptied(self) -> bytes:
        """What was written since."""
        found, self._parts = b"".join(self._parts), []
        return found


def _parquet(tables: Iterator[pa.Table]) -> Iterator[bytes]:
    """One Parquet file; a row group for each part, so that memory is bounded by one part."""
    sink, writer = Sink(), None
    for table in tables:
        writer = writer or pq.ParquetWriter(pa.PythonFile(sink, mode="w"), table.schema, compression="zstd")
        if table.num_rows:
            writer.write_table(table)
        yield sink.emptied()
    if writer is not None:
        writer.close()
    yield sink.emptied()


def _arrow(tables: Iterator[pa.Table]) -> Iterator[bytes]:
    """One IPC stream."""
    sink, writer = Sink(), None
    for table in tables:
        writer = writer or pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), table.schema)
        writer.write_table(table)
        yield sink.emptied()
    if writer is not None:
        writer.close()
    yield sink.emptied()


# ---- with a second person's word -------------------------------------------------------------------------------


def ask_approval(row: models.Version, *, reason: str, actor: Viewer) -> Any:
    """Put the whole of a version before a second person, as every export is; returns the request of the lake."""
    actor.must("learning.version.view")
    shown, veiled = queries.levels(row, viewer=actor)
    level = max((level for level, number in shown.items() if number), default=1)
    if level < lake.approving(actor):
        raise Conflict("This needs no approval", why="Nothing in it that you may see leaves only with approval.", todo="Download it.")
    return lake_actions.ask_export("set", f"{row} #{row.pk}", form="parquet", level=level, rows=sum(shown.values()) + sum(veiled.values()), reason=reason, actor=actor)


def gather(asked: str, viewer: Viewer) -> tuple[pa.Table, dict[int, int]]:
    """What an approved request takes: the whole version as this viewer may have it. Raises ``Missing``."""
    viewer.must("learning.version.view")
    row = models.Version.objects.seen_by(viewer).filter(pk=_identifier(asked)).select_related("dataset").first()
    if row is None:
        raise Missing("There is no such version", why="It does not exist, or it lies outside your scope.", todo="Choose one of a data set.")
    shown, _veiled = queries.levels(row, viewer=viewer)
    if (row.rows or 0) > MOST:
        raise Invalid("This is too much for one file", why=gettext("A file holds at most %s rows.") % f"{MOST:,}", todo="Make a data set with less in it.")
    return pa.concat_tables(list(queries.rows(row, viewer=viewer, to=To.EXPORT, whole=True))), shown


def _identifier(asked: str) -> UUID | None:
    try:
        return UUID(asked.rpartition("#")[2])
    except ValueError:
        return None
