"""Mining: stored events that hold a text are read once, in the order of their identifiers, for the templates of their source.

In: events that came since the last look. Out: templates with their counts, by source. The ingest process has no part in it: a job
reads the tables, a step at a time, and what it counted and how far it came are one transaction. Identifiers grow with each writer of the spool, so the last one
of each writer says what is new; files that hold nothing later are not opened. What lies sealed is left out: it would lie open here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from django.db import transaction
from django.utils.translation import gettext as _

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.jobs.types import JobRef
from lianfang.engines.envelope import STEADILY
from lianfang.engines.series import Miner
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.lake import models
from lianfang.rooms.lake.queries import arriving
from lianfang.rooms.lake.queries.retention import retention

STEP, SECONDS = 100_000, 4.0
"""Events in one transaction, and after how long no further one is begun: the job comes each minute, and what has to be seen at once goes before it."""
MEMORY, MOST_MINERS = 24 << 20, 8
HOURS_KEPT = 8 * 24
TEXT = 2000
_HOUR = 3_600_000_000
EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass
class Tally:
    """What a step saw of one template of one source."""

    text: str
    count: int = 0
    level: int = 0
    first: datetime = LATEST
    last: datetime = EARLIEST
    sample: str = ""
    hours: Counter[str] = field(default_factory=Counter)


def ask_for_templates(*, actor: Viewer) -> JobRef:
    """Have new events looked at now, instead of within the minute."""
    actor.must("lake.event.view")
    return jobs.enqueue("lake.find_templates", {}, actor=actor)


def find_templates() -> int:
    """Read what is new; returns how many events. Another worker that does so already is left alone."""
    with jobs.leased("lake.find_templates", seconds=900) as mine:
        if not mine:
            return 0
        done, began = 0, monotonic()
        reached = dict(models.MinedTo.objects.values_list("writer", "event_id"))
        for piece in arriving.pieces(reached, most=STEP, viewer=SYSTEM):
            if not piece.number or not _read(reached, piece.to):
                break
            done, reached = done + piece.number, piece.to
            if monotonic() - began > SECONDS:
                break
        models.MinedTo.objects.update(moment=clock.now())
        models.LogTemplate.objects.filter(last__lt=clock.now() - timedelta(days=retention().usual)).delete()
        return done


def _read(reached: Mapping[str, str], to: Mapping[str, str]) -> bool:
    """One step; whether it was taken."""
    text = f"CASE WHEN coalesce(message, '') <> '' THEN substr(message, 1, {TEXT}) WHEN NOT starts_with(raw, '{{') AND NOT starts_with(raw, '<E') AND NOT starts_with(raw, '<?') THEN substr(raw, 1, {TEXT}) END"
    events = arriving.between(f"event_id, source, coalesce(level, {int(DataLevel.L4)}) AS level, time, {text} AS text", reached, to, viewer=SYSTEM)
    told = events.filter(pc.and_kleene(pc.is_valid(events["text"]), pc.invert(pc.match_substring_regex(events["text"], STEADILY))))
    sources = {row.name: row for row in models.Source.objects.filter(name__in=pc.unique(told["source"]).to_pylist())}
    try:
        with transaction.atomic():
            for name, row in sorted(sources.items()):
                _mine(row, told.filter(pc.equal(told["source"], name)))
            _note(reached, to)
    except Conflict:
        _miners.clear()
        return False
    return True


def _note(reached: Mapping[str, str], to: Mapping[str, str]) -> None:
    """How far we are; raises ``Conflict`` when another was there meanwhile, so that nothing is counted twice."""
    to = {writer: last for writer, last in to.items() if reached.get(writer) != last}
    fresh = [models.MinedTo(writer=writer, event_id=last) for writer, last in to.items() if writer not in reached]
    models.MinedTo.objects.bulk_create(fresh)
    for writer, last in to.items():
        if writer in reached and not models.MinedTo.objects.filter(writer=writer, event_id=reached[writer]).update(event_id=last):
            raise Conflict(_("These events are being read already"), retry=True)


# ---- one source ------------------------------------------------------------------------------------------------

_miners: dict[UUID, tuple[int, Miner]] = {}
"""What this process knows of sources, with the version that it is of."""


def _mine(source: models.Source, events: pa.Table) -> None:
    version, miner = _miner(source)
    size = miner.size
    texts = events["text"].combine_chunks()
    numbers = miner.take(texts)
    numbers = miner.take(texts) if miner.settle() else numbers
    tallies = _tallies(miner, numbers, events)
    before = set(models.LogTemplate.objects.filter(source=source).values_list("uid", flat=True))
    now = miner.templates().keys()
    _move(source, {old: new for old, new in miner.successors().items() if old in before and old not in now})
    _count(source, tallies)
    if miner.size != size or not version:
        models.Mined.objects.update_or_create(source=source, defaults={"state": miner.dump(), "version": version + 1})
        version += 1
    _miners.pop(source.pk, None)
    _miners[source.pk] = version, miner
    while len(_miners) > MOST_MINERS:
        del _miners[next(iter(_miners))]


def _miner(source: models.Source) -> tuple[int, Miner]:
    version = models.Mined.objects.filter(source=source).values_list("version", flat=True).first() or 0
    known = _miners.get(source.pk)
    if known and known[0] == version:
        return known
    kept = models.Mined.objects.filter(source=source).first()
    try:
        return version, Miner.load(bytes(kept.state), memory=MEMORY) if kept else Miner(memory=MEMORY)
    except Invalid:  # of an earlier release: they are found anew, and counts of the old ones stay until they age
        return version, Miner(memory=MEMORY)


def _tallies(miner: Miner, numbers: np.ndarray[Any, np.dtype[np.int32]], events: pa.Table) -> dict[str, Tally]:
    """Counts of one source's events, by template."""
    hours = pc.divide(events["time"].cast(pa.int64()), _HOUR)
    table = pa.table({"number": numbers, "hour": hours, "time": events["time"], "level": events["level"], "event_id": events["event_id"]})
    found: dict[str, Tally] = {}
    for one in table.group_by(["number", "hour"]).aggregate([("time", "min"), ("time", "max"), ("time", "count"), ("level", "max"), ("event_id", "max")]).to_pylist():
        template = miner.template(one["number"])
        tally = found.setdefault(template.uid, Tally(template.text))
        tally.count += one["time_count"]
        tally.hours[str(one["hour"])] += one["time_count"]
        tally.level, tally.sample = max(tally.level, one["level_max"]), max(tally.sample, one["event_id_max"])
        tally.first, tally.last = min(tally.first, one["time_min"]), max(tally.last, one["time_max"])
    return found


def _move(source: models.Source, into: Mapping[str, str]) -> None:
    """Templates that became part of a more general one: their counts go there."""
    rows = {row.uid: row for row in models.LogTemplate.objects.filter(source=source, uid__in={*into, *into.values()})}
    for old, new in sorted(into.items()):
        row, target = rows.pop(old), rows.get(new)
        if target is None:
            row.uid = new
            row.save(update_fields=["uid"])
            rows[new] = row
            continue
        _add(target, Tally(target.text, row.count, row.level, row.first, row.last, row.sample, Counter(row.hours)))
        target.found = min(target.found, row.found)
        row.delete()
        target.save()


def _count(source: models.Source, tallies: Mapping[str, Tally]) -> None:
    rows = {row.uid: row for row in models.LogTemplate.objects.filter(source=source, uid__in=list(tallies))}
    fresh = []
    for uid, tally in tallies.items():
        row = rows.get(uid)
        if row is None:
            fresh.append(models.LogTemplate(source=source, uid=uid, text=tally.text, level=tally.level, count=tally.count, first=tally.first, last=tally.last, sample=tally.sample, hours=_recent(tally.hours), organisation=source.organisation, territory=source.territory, industry=source.industry))
        else:
            _add(row, tally)
    models.LogTemplate.objects.bulk_create(fresh, batch_size=500)
    models.LogTemplate.objects.bulk_update(rows.values(), ["text", "count", "level", "first", "last", "sample", "hours"], batch_size=200)


def _add(row: models.LogTemplate, tally: Tally) -> None:
    row.text, row.count, row.level = tally.text, row.count + tally.count, max(row.level, tally.level)
    row.first, row.last, row.sample = min(row.first, tally.first), max(row.last, tally.last), max(row.sample, tally.sample)
    row.hours = _recent(Counter(row.hours) + tally.hours)


def _recent(hours: Counter[str]) -> dict[str, int]:
    """A week and the day before it, counted from the newest hour."""
    newest = max((int(hour) for hour in hours), default=0)
    return {hour: number for hour, number in hours.items() if int(hour) > newest - HOURS_KEPT}
