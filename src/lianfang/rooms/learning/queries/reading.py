"""Versions of data sets as somebody may have them: rows, how many of which level, and what the manifest says.

In: a version and the viewer. Out: Arrow tables and plain values. Rows of events come through the lake, which minds scope, clearance,
grades, desensitising and approval at every reading; of what reviewers decided only rows of the viewer's scope are there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from django.conf import settings

from lianfang.engines.masking import To
from lianfang.kernel import clock
from lianfang.kernel.errors import Missing
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.learning import models
from lianfang.rooms.learning.types import Origin

ROWS, MANIFEST = "rows.parquet", "manifest.json"
LEFT_OUT = "X-Rows-Left-Out"
"""The header that says how many rows an answer lacks, because they leave only with approval."""
PATHS = ("territory", "industry")
"""Whose a row is: what a copy is narrowed by, and does not give out."""


def folder(version: models.Version) -> Path:
    """Where a version's copy lies."""
    return Path(settings.HOME) / "datasets" / str(version.pk)


def place(version: models.Version) -> Path:
    """The file with a version's rows. Raises ``Missing`` when the version cannot be read."""
    path = folder(version) / ROWS
    if not version.ready or not path.is_file():
        raise Missing("This version cannot be read", why="It is not ready, or its copy was removed.", todo="Have another version made.")
    return path


def levels(version: models.Version, *, viewer: Viewer) -> tuple[dict[int, int], dict[int, int]]:
    """How many rows the viewer would have in the clear, and how many masked, both by level."""
    if version.dataset.origin == Origin.EVENTS:
        return lake.copy_levels(place(version), viewer=viewer)
    return {int(DataLevel.L2): _lessons(version, viewer).num_rows}, {}


def counted(version: models.Version, *, viewer: Viewer) -> tuple[dict[int, int], int, int]:
    """Of what leaves without approval: rows in the clear by level, and how many are masked; and how many rows are left out."""
    shown, veiled = levels(version, viewer=viewer)
    least = lake.approving(viewer)
    out = sum(number for part in (shown, veiled) for level, number in part.items() if level >= least)
    return {level: number for level, number in shown.items() if level < least}, sum(number for level, number in veiled.items() if level < least), out


def rows(version: models.Version, *, viewer: Viewer, to: To | None, whole: bool = False) -> Iterator[pa.Table]:
    """The rows, some thousand at a time, at least one table. ``to``: where they go, ``None``: nowhere; ``whole``: also those that leave only with approval."""
    if version.dataset.origin == Origin.EVENTS:
        chosen = [column["name"] for column in version.columns]
        yield from lake.seen_copy(place(version), chosen, viewer=viewer, to=to, below=0 if whole else lake.approving(viewer))
    else:
        yield _lessons(version, viewer).drop_columns(list(PATHS))


def _lessons(version: models.Version, viewer: Viewer) -> pa.Table:
    held = pq.read_table(place(version))
    seen = [viewer.sees(territory or "", industry or "") for territory, industry in zip(*(held[name].to_pylist() for name in PATHS))]
    return held.filter(pc.fill_null(pa.array(seen, pa.bool_()), fill_value=False))


def described(version: models.Version) -> dict[str, Any]:
    """The manifest as plain values."""
    return {
        "dataset": version.dataset.name, "version": version.number, "purpose": version.asked.get("purpose", ""), "state": version.state, "rows": version.rows, "bytes": version.bytes, "sha256": version.digest,
        "level": version.level, "since": version.since and clock.text(version.since), "until": version.until and clock.text(version.until), "made": version.made and clock.text(version.made), "by": version.asked_by,
        "expires": version.expires and clock.text(version.expires), "question": version.asked, "columns": version.columns, "tables": version.tables,
    }  # fmt: skip
