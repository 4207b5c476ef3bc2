"""Signalling: what keyword rules found becomes the state of keyword alarms, outside the path of events.

In: of a concluded batch, the rows in which a keyword alarm's words were found, and when its systems last gave a sign of
life; and every few seconds, that time has passed. Out: alarms as findings, recoveries as the fact ``MonitorRecovered``.
A batch counts once however often it is concluded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import actions as ledger
from lianfang.engines.rules import occasions
from lianfang.engines.rules.occasions import Mark, State, Turn, Why
from lianfang.kernel import clock
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import models
from lianfang.rooms.detect.actions import folding, storing
from lianfang.rooms.detect.queries import monitors, wording
from lianfang.rooms.detect.types import MonitorRecovered
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.types import Batch

KEPT = timedelta(days=7)
EPISODES_KEPT = timedelta(days=366)
ASLEEP = timedelta(seconds=60)
"""When nobody looked for longer than this, the node was not running: silence is counted anew."""

Rows = Sequence[tuple[int, bool]]
"""Numbers of rows of a batch, each with whether it says that an alarm is over."""


def take(batch: Batch, found: Mapping[UUID, Rows], alive: Mapping[UUID, datetime]) -> None:
    """What a batch says to keyword alarms (by their identifiers)."""
    for pk in sorted({*found, *alive}):
        _take(pk, batch, found.get(pk, ()), alive.get(pk))


@transaction.atomic
def _take(pk: UUID, batch: Batch, rows: Rows, alive: datetime | None) -> None:
    row = models.Monitor.objects.select_for_update().filter(pk=pk, enabled=True).first()
    if row is None:
        return
    state, turns = state_of(row), list[Turn]()
    if alive is not None:
        state, turns = occasions.alive(state, alive)
    if rows and models.Signal.objects.get_or_create(monitor=row, batch=batch.ref)[1]:
        times, events = batch.columns["time"], batch.columns["event_id"]
        state, more = occasions.step(row.condition(), state, [Mark(times[at], events[at], ends) for at, ends in rows])
        turns += more
        row.hits += sum(1 for _at, ends in rows if not ends)
    _keep(row, state)
    _tell(row, turns, batch)


def look_at_monitors() -> int:
    """Time has passed: who gave no sign of life, which alarm is over; returns how many are an alarm now.

    What was received and is not stored yet may hold a sign of life: as long as it waits, time stands still for everybody.
    """
    now = clock.now() - timedelta(seconds=lake.lag()["ingest"])
    for row in models.Monitor.objects.filter(enabled=True).order_by("pk"):
        if row.silence or row.alarm:
            _look(row.pk, now)
    return models.Monitor.objects.filter(enabled=True).exclude(alarm="").count()


@transaction.atomic
def _look(pk: UUID, now: datetime) -> None:
    row = models.Monitor.objects.select_for_update().filter(pk=pk, enabled=True).first()
    if row is None:
        return
    if row.looked is not None and now - row.looked > max(ASLEEP, timedelta(seconds=row.silence or 0)):
        row.floor = now
    row.looked = now
    state, turns = occasions.look(row.condition(), state_of(row), now, floor=row.floor)
    _keep(row, state)
    _tell(row, turns, None)


def state_of(row: models.Monitor) -> State:
    """What is known of it, as the engine reckons with it."""
    recent = tuple((datetime.fromtimestamp(at / 1000, UTC), event) for at, event in row.recent)
    return State(Why(row.alarm) if row.alarm else None, row.since, recent, row.last, row.alive, row.recovered)


def _keep(row: models.Monitor, state: State) -> None:
    row.alarm, row.since, row.last, row.alive, row.recovered = state.alarm or "", state.since, state.last, state.alive, state.recovered
    row.recent = [[int(at.timestamp() * 1000), event] for at, event in state.recent]
    row.save(update_fields=("alarm", "since", "recent", "last", "alive", "recovered", "hits", "floor", "looked"))


def set_aside(row: models.Monitor) -> None:
    """A running alarm ends without having recovered; counting begins anew. The caller saves the row."""
    row.episodes.filter(ended=None).update(ended=clock.now())
    row.alarm, row.since, row.recent, row.floor, row.alive = "", None, [], clock.now(), None


# ---- what became of it -----------------------------------------------------------------------------------------


def _tell(row: models.Monitor, turns: Sequence[Turn], batch: Batch | None) -> None:
    """Episodes, findings, and that it is over."""
    for turn in turns:
        if turn.what == "begun":
            models.Episode.objects.create(monitor=row, why=turn.why, began=turn.time, event=turn.events[0][1] if turn.events else "", count=len(turn.events))
            models.Monitor.objects.filter(pk=row.pk).update(alarms=F("alarms") + 1)
            if turn.why is Why.ABSENT:
                _absent(row, turn)
        elif turn.what == "more":
            row.episodes.filter(ended=None).update(count=F("count") + 1)
        else:
            row.episodes.filter(ended=None).update(ended=turn.time, recovered=turn.what == "recovered", ended_by=turn.events[0][1] if turn.events else "")
    said = [one for turn in turns if turn.what in ("begun", "more") and turn.why is Why.SAID for one in turn.events]
    if said and batch is not None:
        _said(row, said, batch)
    if turns and turns[-1].what == "recovered":
        _over(row, turns[-1])


def _said(row: models.Monitor, said: Iterable[tuple[datetime, str]], batch: Batch) -> None:
    """A finding of the rows of this batch, with those of earlier batches that counted towards it."""
    here = {event: at for at, event in (batch.columns["event_id"].items() if isinstance(batch.columns["event_id"], Mapping) else enumerate(batch.columns["event_id"]))}
    uid = wording.uid_of(row.pk, wording.SAID)
    rows = {here[event]: (uid,) for _at, event in said if event in here}
    earlier = [(at, event) for at, event in said if event not in here]
    storing.store(f"{batch.ref}~{row.pk.hex[:12]}", batch.source, batch.columns, rows, organisation=batch.organisation, earlier={uid: earlier})


def _absent(row: models.Monitor, turn: Turn) -> None:
    """A finding without an event: that nothing came is what was found."""
    uid = wording.uid_of(row.pk, wording.ALIVE)
    fold = folding.Fold(uid, row.host or row.source, row.territory, row.industry, folding.window_of(turn.time), turn.time, turn.time, level=int(DataLevel.L1), count=1)
    said = {"title": f"{row.name}: no sign of life for {row.silence} s", "title_zh": f"{row.name}：{row.silence} 秒没有心跳", "severity": row.severity, "status": "stable", "author": row.made_by, "alarm": "outage"}
    storing.note(f"monitor-{row.pk.hex[:12]}-{int(turn.time.timestamp() * 1000):x}", fold, said, source=row.source, organisation=row.organisation)


def _over(row: models.Monitor, turn: Turn) -> None:
    event = turn.events[0][1] if turn.events else ""
    began = row.episodes.filter(recovered=True).values_list("began", flat=True).first() or turn.time
    ledger.record("detect.monitor_recovered", row.ref, actor=SYSTEM, label=row.name, detail={"why": str(turn.why), "event": event}, territory=row.territory, industry=row.industry)
    rules = monitors.uids_of(row) if turn.events else [wording.uid_of(row.pk, wording.ALIVE)]
    jobs.publish(MonitorRecovered(monitor=str(row.pk), title=row.name, rules=rules, territory=row.territory, began=clock.text(began), at=clock.text(turn.time), event=event, closes=row.closes))


def forget_signals() -> int:
    """Batches of a week ago come no more; episodes are kept for a year. Returns how many rows went."""
    now = clock.now()
    gone: Any = models.Episode.objects.filter(ended__lt=now - EPISODES_KEPT).delete()[0]
    gone += models.Matches.objects.filter(moment__lt=now - KEPT, content=b"").delete()[0]
    return int(gone) + models.Signal.objects.filter(moment__lt=now - KEPT).delete()[0]
