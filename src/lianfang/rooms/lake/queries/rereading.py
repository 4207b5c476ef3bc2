"""Reading again: originals that the lake holds, decoded the way their source is.

In: a source and raw logs as they are stored. Out: native fields, as an examiner sees them when a log comes in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lianfang.engines.connect import codecs
from lianfang.kernel.errors import Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models

WHOLE = "raw"
"""The one field of an original that cannot be read by itself, such as a line of a table whose header stands elsewhere."""


def reread(source: str, raws: Sequence[str], *, viewer: Viewer) -> list[Mapping[str, str]]:
    """The native fields of each original, in order. Raises ``Missing`` for a source outside the viewer's scope."""
    row = models.Source.objects.seen_by(viewer).filter(name=source).first()
    if row is None:
        raise Missing("There is no such log source", why="It does not exist, or it lies outside your scope.", todo="Choose one of the list.")
    found: list[Mapping[str, str]] = [{WHOLE: raw} for raw in raws]
    read = set[int]()
    decoded = codecs.decode(row.codec, [raw.encode() for raw in raws], header=row.header, start=row.start)
    for place, fields in zip(decoded.origin, decoded.rows, strict=True):
        found[place] = {**found[place], **fields} if place in read else fields
        read.add(place)
    return found


def manners(*, viewer: Viewer) -> dict[str, tuple[str, str, str]]:
    """How the originals of each source in scope are read: codec, header, beginning of a record; by name."""
    rows = models.Source.objects.seen_by(viewer).order_by("name").values_list("name", "codec", "header", "start")
    return {name: (codec, header, start) for name, codec, header, start in rows}
