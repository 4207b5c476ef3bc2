"""The lake in figures: tables, sources, the hours of the last day, and how far behind it is.

In: the viewer, or nobody for what the node tells its watchers. Out: numbers.
"""

from __future__ import annotations

import os
import time
from datetime import timedelta
from operator import itemgetter
from pathlib import Path

from django.conf import settings
from django.db.models import Sum

from lianfang.commons.people import queries as people
from lianfang.engines.columns.query import Bounds
from lianfang.engines.connect import captures
from lianfang.kernel import clock
from lianfang.kernel.errors import Fault, Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models
from lianfang.rooms.lake.adapters.syslog import certificates
from lianfang.rooms.lake.queries import scope, searching
from lianfang.rooms.lake.types import EVENT_TABLES, Count, Layer, LayerFigures, Overview, Question, Stage, TableFigures

CAPTURES = os.environ.get("LIANFANG_CAPTURES", "")
"""The program that reads captures; empty: the first of tshark, Zeek and Suricata that is installed."""
SILENT = timedelta(minutes=15)
FRESH = timedelta(seconds=30)


def catalogue(*, viewer: Viewer) -> list[TableFigures]:
    """Every event table with the rows of the viewer's scope; files and bytes only where these are all rows."""
    viewer.must("lake.event.view")
    store, found = scope.query().store, []
    sql = f"SELECT count(*) AS n, min(time) AS first, max(time) AS last, count(DISTINCT strftime(time, '%Y-%m-%d')) AS days FROM stored WHERE {scope.rows(viewer)}"  # noqa: S608
    for name in EVENT_TABLES:
        stats = store.stats(name)
        (row,) = scope.query().rows(sql, bounds=Bounds((name,)))
        whole = row["n"] >= stats.rows
        found.append(TableFigures(name, row["n"], stats.bytes if whole else 0, stats.files if whole else 0, row["days"], row["first"], row["last"]))
    return found


def overview(*, viewer: Viewer) -> Overview:
    """Events per hour of the last day, and which sources speak."""
    now = clock.now()
    until = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    counted = searching.histogram(Question(until - timedelta(hours=24), until), viewer=viewer, seconds=3600)
    rows = models.Source.objects.seen_by(viewer).filter(stage=Stage.ACTIVE)
    silent = tuple(row.name for row in rows if row.last_seen and now - row.last_seen > SILENT and row.kind not in ("upload", "sample"))
    active = sum(1 for row in rows if row.last_seen and now - row.last_seen <= SILENT)
    return Overview(tuple(map(Count, counted.starts, counted.counts)), counted.total, len(rows), active, silent)


def layers(*, viewer: Viewer) -> list[LayerFigures]:
    """The four layers with the sources in scope, in their order; at the end, under ``""``, those that nobody assigned."""
    now, rows = clock.now(), list(models.Source.objects.seen_by(viewer).exclude(stage=Stage.ERASING).order_by("name"))
    found = []
    for layer in (*Layer.values, ""):
        own = [row for row in rows if row.layer == layer]
        troubled = tuple(row.name for row in own if row.trouble or row.silent_since or row.drifting_since)
        speaking = sum(1 for row in own if row.last_seen and now - row.last_seen <= SILENT)
        found.append(LayerFigures(layer, tuple(row.name for row in own), speaking, round(sum(map(rate_now, own)), 1), troubled))
    return found


def source_names(*, viewer: Viewer) -> list[str]:
    """Names of the sources in scope, for a filter."""
    return list(models.Source.objects.seen_by(viewer).exclude(stage=Stage.ERASING).order_by("name").values_list("name", flat=True))


def zones(*, viewer: Viewer) -> dict[str, str]:
    """The time zone of each source in scope, for times that name none: name → IANA name."""
    return dict(models.Source.objects.seen_by(viewer).exclude(stage=Stage.ERASING).order_by("name").values_list("name", "zone"))


def owners(*, viewer: Viewer) -> dict[str, str]:
    """Whose the sources in scope are: name → id of the organisation."""
    return dict(models.Source.objects.seen_by(viewer).exclude(stage=Stage.ERASING).order_by("name").values_list("name", "organisation"))


def source_choices(viewer: Viewer) -> list[tuple[str, str]]:
    """The sources in scope, for the filter of a list."""
    return [(name, name) for name in source_names(viewer=viewer)]


def owner_choices(viewer: Viewer) -> list[tuple[str, str]]:
    """The organisations whose logs the viewer sees, with their names, for the filter of a list."""
    return sorted(((organisation, people.name_of(organisation)) for organisation in set(owners(viewer=viewer).values())), key=itemgetter(1))


def belongs(name: str, *, viewer: Viewer) -> dict[str, str]:
    """Whose a source in scope is, as the columns of a row that belongs to the same; raises ``Missing``."""
    row = models.Source.objects.seen_by(viewer).exclude(stage=Stage.ERASING).filter(name=name).first()
    if row is None:
        raise Missing("There is no such log source", why="It does not exist, or it lies outside your scope.", todo="Choose one of the list.")
    return {"organisation": row.organisation, "territory": row.territory, "industry": row.industry}


def has_sample(*, viewer: Viewer) -> bool:
    """Whether the sample stream is there, to offer its removal."""
    return models.Source.objects.seen_by(viewer).filter(kind="sample").exclude(stage=Stage.ERASING).exists()


def rate_now(row: models.Source) -> float:
    """Events per second at this moment: what was measured last, or nothing when that is long ago."""
    return row.rate if row.last_seen and clock.now() - row.last_seen < FRESH else 0.0


def last_hour(row: models.Source) -> tuple[Count, ...]:
    """Events of a source per minute of its last hour, by receipt; the present minute last, and not whole yet."""
    now = clock.now().replace(second=0, microsecond=0)
    counts = {now - timedelta(minutes=ago): 0 for ago in range(59, -1, -1)}
    readings = [(one.moment, one.events) for one in models.Reading.objects.filter(source=row, moment__gte=now - timedelta(minutes=61)).order_by("moment")]
    born = row.created.replace(second=0, microsecond=0)
    if born in counts:
        readings.insert(0, (born, 0))  # what came before the first reading counts too
    for (minute, before), (_, events) in zip(readings, [*readings[1:], (now, row.events)]):
        if minute in counts:
            counts[minute] += max(0, events - before)
    return tuple(Count(moment, count) for moment, count in counts.items())


def certificate() -> tuple[Path, str]:
    """The certificate that the node's syslog ports show, and its fingerprint; raises ``Missing`` while there is none."""
    return certificates.standing(Path(settings.HOME) / "keys")


def lag() -> dict[str, float]:
    """Seconds for which the oldest received and not yet stored log has waited."""
    waiting = [int(path.name[:16]) for path in _spool().glob("w*/*.ready")]
    return {"ingest": max(0.0, time.time() - min(waiting) / 1000) if waiting else 0.0}


def capture_reader() -> str:
    """The program that reads captures on this node; empty while there is none."""
    try:
        return captures.reader(CAPTURES)[0]
    except Fault:
        return ""


def gauges() -> dict[str, float]:
    """Totals for whoever watches the node."""
    total = models.Source.objects.aggregate(events=Sum("events"), rejects=Sum("rejects"), dropped=Sum("dropped"), bytes=Sum("bytes"))
    silent = models.Source.objects.filter(silent_since__isnull=False, stage=Stage.ACTIVE).count()
    drifting = models.Source.objects.filter(drifting_since__isnull=False, stage=Stage.ACTIVE).count()
    troubled = models.Source.objects.filter(stage=Stage.ACTIVE).exclude(trouble="").count()
    return {"spool_bytes": float(backlog()), "silent_sources": float(silent), "drifting_sources": float(drifting), "troubled_sources": float(troubled), **{f"{name}_total": float(value or 0) for name, value in total.items()}}


def spooled() -> dict[str, int]:
    """The earliest segment of each writer that still lies in the spool: all before it are stored whole. One that is sealed meanwhile is met under either name."""
    earliest: dict[str, int] = {}
    for path in (*_spool().glob("w*/*.open"), *_spool().glob("w*/*.ready")):
        number, writer = int(path.name[:16]), path.parent.name
        earliest[writer] = min(number, earliest.get(writer, number))
    return earliest


def backlog() -> int:
    """Bytes received and not yet stored."""
    size = 0
    for path in (*_spool().glob("w*/*.ready"), *_spool().glob("w*/*.open")):
        try:
            size += path.stat().st_size
        except FileNotFoundError:
            continue
    return size


def _spool() -> Path:
    return Path(settings.HOME) / "spool"
