"""Parts of the lake: what each source holds where, fingerprints of it, and whether files are really gone.

In: a part, or the viewer. Out: figures; a fingerprint is a SHA-256 over identifiers and digests of the raw logs, hour by hour in
the order of identifiers, so that the same events have the same one wherever they lie, under whatever key.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from django.conf import settings

from lianfang.engines.columns.query import Bounds
from lianfang.engines.columns.rollups import HOURS
from lianfang.engines.masking import To
from lianfang.kernel.errors import Missing
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models
from lianfang.rooms.lake.queries import scope, sealing, shielding
from lianfang.rooms.lake.queries.leaving import left
from lianfang.rooms.lake.queries.protection import approving
from lianfang.rooms.lake.queries.retention import retention
from lianfang.rooms.lake.types import EVENT_TABLES, NOT_HERE, Held, Kind, Part, Stage, WayIn

SECRET_WAYS, LOCAL_WAYS = (Kind.SYSLOG_TLS,), (Kind.FOLDER, Kind.UPLOAD, Kind.SAMPLE)
HOUR = timedelta(hours=1)


def held(*, viewer: Viewer, source: str = "") -> list[Held]:
    """What every source in scope holds, table by table; from roll-ups."""
    viewer.must("lake.event.view")
    policy, found = retention(), []
    where = f"source = '{source.replace(chr(39), chr(39) * 2)}'" if source else "TRUE"
    sql = f"SELECT source, min(territory) AS territory, max(coalesce(level, {int(DataLevel.L4)})) AS level, sum(n)::BIGINT AS n, min(time) AS first, max(time) AS last FROM stored WHERE ({scope.rows(viewer)}) AND {where} GROUP BY source ORDER BY source"  # noqa: S608
    for table in EVENT_TABLES:
        stats = scope.query().store.stats(table)
        if stats.first and stats.last:
            for row in scope.query().counted(HOURS, sql, bounds=Bounds((table,), stats.first, stats.last + timedelta(seconds=1))):
                found.append(Held(row["source"], table, row["territory"] or "", row["n"], row["first"], row["last"], row["level"], policy.days(table, row["level"])))
    return found


def way_in(name: str, *, viewer: Viewer) -> WayIn:
    """A source by its name; raises ``Missing``."""
    row = models.Source.objects.seen_by(viewer).filter(name=name).first()
    if row is None:
        raise Missing(NOT_HERE, why="It does not exist, or it lies outside your scope.", todo="Check the name.")
    return _way(row)


def ways_in(*, viewer: Viewer) -> list[WayIn]:
    """Every source in scope."""
    return [_way(row) for row in models.Source.objects.seen_by(viewer).exclude(stage=Stage.ERASING).order_by("name")]


def _way(row: models.Source) -> WayIn:
    encrypted = row.tls or row.kind in SECRET_WAYS or row.address.startswith("https://") or (row.kind == Kind.HTTP and settings.PUBLIC_URL.startswith("https://"))
    return WayIn(str(row.ref), row.name, row.kind, encrypted, row.kind not in LOCAL_WAYS, row.organisation, row.created, row.last_seen, row.events, row.rejects, row.template)


def hours(part: Part, table: str) -> Iterator[pa.Table]:
    """The events of a part in one table, all columns as they lie there (what is sealed stays so), hour by hour, in the order of their identifiers."""
    counted = f"SELECT DISTINCT time_bucket(INTERVAL 1 HOUR, time) AS start FROM stored WHERE source = '{part.source.replace(chr(39), chr(39) * 2)}' ORDER BY 1"  # noqa: S608
    for row in scope.query().counted(HOURS, counted, bounds=Bounds((table,), part.since, part.until)):
        since, until = max(part.since, row["start"]), min(part.until, row["start"] + HOUR)
        rows = scope.query(sealed=True).arrow("SELECT * FROM stored WHERE source = ? AND time >= ? AND time < ? ORDER BY event_id", [part.source, since, until], bounds=Bounds((table,), since, until, source=part.source))
        if rows.num_rows:
            yield rows


def opened(rows: pa.Table, *, strict: bool = False) -> pa.Table:
    """Rows of a part with their content as it was, whatever key it lies under; errors as of ``sealing.rows_opened``."""
    return sealing.rows_opened(rows, scope.SEALABLE, strict=strict)


def highest_level(part: Part) -> int:
    """The highest level of a part's events, 0 when it has none; from roll-ups. An event without a level counts as the highest."""
    counted = f"SELECT max(coalesce(level, {int(DataLevel.L4)})) AS level FROM stored WHERE source = '{part.source.replace(chr(39), chr(39) * 2)}'"  # noqa: S608
    return max((row["level"] or 0 for table in part.tables for row in scope.query().counted(HOURS, counted, bounds=Bounds((table,), part.since, part.until))), default=0)


def seen_hours(part: Part, table: str, *, viewer: Viewer, to: To = To.EXPORT) -> Iterator[pa.Table]:
    """A part as a viewer may take it, hour by hour in the order of time: rows of their scope, content above their clearance empty, what the rules of desensitising leave of it, and no row of a level that leaves only with approval."""
    viewer.must("lake.event.export")
    counted = f"SELECT DISTINCT time_bucket(INTERVAL 1 HOUR, time) AS start FROM stored WHERE source = '{part.source.replace(chr(39), chr(39) * 2)}' AND ({scope.rows(viewer)}) ORDER BY 1"  # noqa: S608
    for row in scope.query().counted(HOURS, counted, bounds=Bounds((table,), part.since, part.until)):
        since, until = max(part.since, row["start"]), min(part.until, row["start"] + HOUR)
        rows = scope.query().arrow("SELECT * FROM shown WHERE source = ? AND time >= ? AND time < ? ORDER BY time, event_id", [part.source, since, until], bounds=Bounds((table,), since, until, source=part.source), views={"shown": scope.view(viewer, below=approving(viewer))})
        yield pa.Table.from_pylist(left(rows.to_pylist(), to, viewer), schema=rows.schema) if shielding.rules_out(to, viewer) else rows


class Fingerprint:
    """A SHA-256 that grows with the events of an hour; ``rows`` is how many there were."""

    def __init__(self) -> None:
        self.rows, self._sum = 0, hashlib.sha256()

    def add(self, events: pa.Table) -> None:
        self.rows += events.num_rows
        for event_id, raw in zip(events["event_id"].to_pylist(), events["raw"].to_pylist()):
            self._sum.update(f"{event_id} {hashlib.sha256((raw or '').encode()).hexdigest()}\n".encode())

    def text(self) -> str:
        return self._sum.hexdigest()


def fingerprints(part: Part) -> dict[str, tuple[int, str]]:
    """Table → how many events of a part it holds now, and their fingerprint; tables without any are left out."""
    found: dict[str, Fingerprint] = defaultdict(Fingerprint)
    for table in part.tables:
        for rows in hours(part, table):
            found[table].add(opened(rows))
    return {table: (one.rows, one.text()) for table, one in found.items()}


def archive_folder(request: str) -> Path:
    """Where an archived part lies; ``request`` is an identifier."""
    return Path(settings.HOME) / "archive" / Path(request).name


def manifest_of(request: str) -> dict[str, Any]:
    """What an archive says it holds; raises ``Missing``."""
    try:
        return dict(json.loads((archive_folder(request) / "manifest.json").read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise Missing("The archive is not there", why=str(error), todo="Bring its folder back from the backup.") from error


def still_there(files: list[str]) -> list[str]:
    """Those of the data files that lie on the disk still."""
    root = Path(scope.query().store.root)
    return [name for name in files if (root / name).is_file()]
