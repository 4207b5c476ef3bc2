"""The life of a data set (what one source holds in one table): its seven stages, each with what really happened.

In: a source, a table, the viewer. Out: stages with figures and records of the ledger; nothing is claimed that no record or count shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from lianfang.commons.ledger import queries as ledger
from lianfang.commons.ledger.types import Entry
from lianfang.engines.columns.measures import ROWS
from lianfang.kernel import clock
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.types import Held, Kind, WayIn
from lianfang.rooms.standards import models
from lianfang.rooms.standards.types import Deed, Evidence, Progress, Stage, StageOfLife

EXPORTS = Ref("lake", "event", "search")
COLLECTED = ("lake.source_made", "lake.source_changed", "lake.source_paused", "lake.source_opened", "lake.files_uploaded")
TRANSMITTED = ("lake.source_tried", "lake.source_tested", "lake.source_silent", "lake.source_spoke", "lake.rejects_replayed")
STORED = ("lake.source_emptied", "lake.part_restored", "lake.events_forgotten")
MOST = 8


def deeds(source: str, table: str, *, viewer: Viewer) -> list[models.Disposal]:
    """What was asked for and done with this data set at the end of its life, newest first."""
    return [row for row in models.Disposal.objects.seen_by(viewer).filter(source=source) if table in row.tables]


def life(way: WayIn, table: str, held: Held | None, *, viewer: Viewer) -> list[StageOfLife]:
    """The seven stages of what a source holds in a table."""
    records = ledger.timeline(Ref.parse(way.ref), viewer, limit=500)
    forgotten = ledger.timeline(Ref("lake", "table", table), viewer)
    begun = held.first if held else way.created
    exports = [entry for entry in ledger.timeline(EXPORTS, viewer) if entry.time >= begun]
    done = [row for row in deeds(way.name, table, viewer=viewer) if row.state == Progress.DONE]
    archives, ends = [row for row in done if row.deed == Deed.ARCHIVE], [row for row in done if row.deed == Deed.DESTROY]
    measured = models.Measuring.objects.filter(pk=1).values_list("done", flat=True).first()
    return [
        StageOfLife(Stage.COLLECT, "going" if way.last_seen and clock.now() - way.last_seen < timedelta(days=1) else "done", ((_("way in"), Kind(way.kind).label), (_("last seen"), way.last_seen), (_("events of the source"), way.events)), _picked(records, COLLECTED)),
        StageOfLife(Stage.TRANSMIT, "done" if way.last_seen else "none", ((_("encrypted on the way"), _("yes") if way.encrypted else _("no, or inside this node")), (_("rejects"), way.rejects)), _picked(records, TRANSMITTED)),
        StageOfLife(Stage.STORE, "going" if held else "none", _stored(held), _picked([*records, *forgotten], STORED)),
        StageOfLife(Stage.USE, "going" if held and measured else "none", ((_("asked by quality rules"), measured), (_("rows asked"), _asked(table, viewer))), ()),
        StageOfLife(Stage.SHARE, "done" if exports else "none", ((_("exports by people in your scope since its first event"), len(exports)),), _evidence(exports[:MOST])),
        StageOfLife(Stage.ARCHIVE, "done" if archives else "none", ((_("archives"), len(archives)), (_("events in archives"), sum(row.rows or 0 for row in archives))), _of_deeds(archives)),
        StageOfLife(Stage.DESTROY, "done" if ends else "none", ((_("destructions"), len(ends)), (_("events destroyed"), sum(row.rows or 0 for row in ends))), _of_deeds(ends)),
    ]  # fmt: skip


def _stored(held: Held | None) -> tuple[tuple[str, Any], ...]:
    if held is None:
        return ((_("events here"), 0),)
    return ((_("events here"), held.rows), (_("first event"), held.first), (_("newest hour"), held.last), (_("highest level"), f"L{held.level}"), (_("days kept"), held.days))


def _asked(table: str, viewer: Viewer) -> int:
    now = clock.now()
    counts = lake.measured([], since=now - timedelta(days=30), until=now + timedelta(hours=1), viewer=viewer, tables=(table,), seconds=0)
    return sum(one.applied for one in counts if one.check == ROWS)


def _picked(entries: Iterable[Entry], verbs: Sequence[str]) -> tuple[Evidence, ...]:
    return _evidence(sorted((entry for entry in entries if entry.verb in verbs), key=lambda entry: entry.time, reverse=True)[:MOST])


def _evidence(entries: Iterable[Entry]) -> tuple[Evidence, ...]:
    return tuple(Evidence(entry.time, entry.verb, entry.actor_name, entry.label, str(entry.id), entry.detail) for entry in entries)


def _of_deeds(rows: Iterable[models.Disposal]) -> tuple[Evidence, ...]:
    return tuple(Evidence(row.done or row.asked, "standards.deed_done", row.decided_by, str(row), "", {"disposal": str(row.pk), "rows": row.rows, "asked_by": row.asked_by}) for row in rows)


def absent(row: models.Disposal) -> tuple[int, list[str], datetime]:
    """The absent check of a destruction, made now: how many of its events are in the tables, which of the files that held them still lie on the disk."""
    there = sum(rows for rows, _mark in lake.fingerprints(row.part).values())
    return there, lake.still_there(list(row.result.get("files", ()))), clock.now()
