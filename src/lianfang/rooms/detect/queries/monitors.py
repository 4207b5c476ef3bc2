"""Keyword alarms: how each stands now, which one a finding came of, and what one would have found among stored logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lianfang.engines.rules import occasions
from lianfang.engines.rules.examiner import Examiner
from lianfang.engines.rules.occasions import Mark, State, Turn
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid, Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.queries import loading, wording
from lianfang.rooms.detect.types import OWN_LOGS, OWN_PACK
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.types import TemplateLine

TRIED = 5_000
SPAN = timedelta(hours=24)
SHOWN = 8
NAME, MOST_PROPOSED = 60, 20
LEAST_SILENCE, MOST_SILENCE = 60, 604_800


def standing(row: models.Monitor, now: datetime | None = None) -> str:
    """``off``, ``said`` or ``absent`` (an alarm, and why), ``outside`` its hours, else ``ok``."""
    if not row.enabled:
        return "off"
    if row.alarm:
        return row.alarm
    hours = row.hours()
    return "ok" if hours is None or hours.session(now or clock.now()) is not None else "outside"


def uids_of(row: models.Monitor) -> list[str]:
    """The rules that findings of this alarm bear."""
    return [wording.uid_of(row.pk, part) for part in (wording.SAID, wording.ALIVE)]


def monitors_of(uids: Sequence[str], viewer: Viewer) -> dict[str, models.Monitor]:
    """Rules of the node's own pack (by uid) → the keyword alarm whose words they hold, as far as the viewer sees it."""
    paths = dict(models.Rule.objects.filter(uid__in=list(uids), pack__name=OWN_PACK).values_list("uid", "path"))
    rows = {str(row.pk): row for row in models.Monitor.objects.seen_by(viewer).filter(pk__in={path[:36] for path in paths.values()})} if paths and viewer.may("detect.monitor.view") else {}
    return {uid: rows[path[:36]] for uid, path in paths.items() if path[:36] in rows}


def is_own(uid: str) -> bool:
    """Whether a rule holds the words of a keyword alarm."""
    return models.Rule.objects.filter(uid=uid, pack__name=OWN_PACK).exists()


@dataclass(frozen=True, slots=True)
class Line:
    """A stored log in which words were found; ``text`` as the viewer may see it."""

    time: datetime
    event: str
    text: str
    part: str
    level: int | None
    masked: bool


@dataclass(frozen=True, slots=True)
class Trial:
    """What an alarm would have done: how many logs it looked at and since when, what it found, and its turns."""

    looked: int
    since: datetime
    whole: bool
    counts: dict[str, int]
    lines: tuple[Line, ...]
    turns: tuple[Turn, ...]
    longest: timedelta | None
    """Between two signs of life, within its hours."""


def tried(row: models.Monitor, *, viewer: Viewer, span: timedelta = SPAN) -> Trial:
    """The alarm, saved or not, on what its source said lately: the newest ``TRIED`` logs of the last ``span``."""
    viewer.must("lake.event.view")
    lake.belongs(row.source, viewer=viewer)
    texts = wording.texts(row)
    compiled = loading.compile_texts(texts)
    if not texts or compiled.problems:
        raise Invalid("There is nothing to try", why=compiled.problems[0].reason if compiled.problems else "No words are given.", todo="Write words, one on each line.")
    now = clock.now()
    events, whole = _events(row, now - span, now, viewer)
    parts = {wording.uid_of(row.pk, part): part for part in wording.parts_of(row)}
    rows = lake.reread(row.source, [str(event["raw"] or "") for event in events], viewer=viewer)
    lines = [Line(*(events[at][name] for name in ("time", "event_id")), str(events[at]["raw"] or ""), parts[uid], events[at]["level"], bool(events[at]["masked"])) for at, uids in Examiner(compiled, cache_bytes=1 << 20).rows(rows, OWN_LOGS) for uid in uids]
    marks = [Mark(line.time, line.event, line.part == wording.ENDS) for line in lines if line.part != wording.ALIVE]
    _state, turns = occasions.step(row.condition(), State(), marks)
    counts = {part: sum(line.part == part for line in lines) for part in parts.values()}
    since = events[0]["time"] if events and not whole else now - span
    return Trial(len(events), since, whole, counts, _told(lines), tuple(turns), _longest(row, [line.time for line in lines if line.part == wording.ALIVE]))


def _events(row: models.Monitor, since: datetime, until: datetime, viewer: Viewer) -> tuple[list[dict[str, Any]], bool]:
    """Raw logs of the source, the oldest first, and whether these are all."""
    about = " AND ".join(f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in (("source", row.source), ("host", row.host)) if value)
    sql = f"SELECT event_id, time, raw, level, masked FROM events WHERE {about} AND time >= TIMESTAMPTZ '{clock.text(since)}' AND time < TIMESTAMPTZ '{clock.text(until)}' ORDER BY time DESC, event_id DESC LIMIT {TRIED + 1}"  # noqa: S608  (moments of ours; names with their quotes doubled)
    answer = lake.sql(sql, viewer=viewer, limit=TRIED + 1, since=since, until=until)
    found = [dict(zip(answer.columns, values, strict=True)) for values in answer.rows]
    return found[:TRIED][::-1], len(found) <= TRIED


def _told(lines: Sequence[Line]) -> tuple[Line, ...]:
    """The newest of each part."""
    newest: list[Line] = []
    for part in (wording.SAID, wording.ENDS, wording.ALIVE):
        newest += [line for line in lines if line.part == part][-SHOWN:]
    return tuple(sorted(newest, key=lambda line: line.time, reverse=True))


def proposed(template: TemplateLine, *, viewer: Viewer, missing: bool = False) -> dict[str, Any]:
    """Values of the form for an alarm on a log template: all that is constant in it, without what only its like say.

    Words are taken as they stand in a line of it; where that has other spaces between them, each word is one of its own.
    ``missing``: for an alarm when it is no longer said, its longest words and ten times as long as usually lies between two lines of it.
    """
    line = _line_of(template, viewer)
    phrases = [phrase for phrase in map(wording.said_always, template.constants) if phrase]
    if missing:
        usual = (template.last - template.first).total_seconds() / max(1, template.count - 1)
        return {"name": " ".join(phrases)[:NAME], "source": template.source, "beats": max(phrases, key=len, default=""), "silence": int(min(MOST_SILENCE, max(LEAST_SILENCE, 10 * usual)))}
    words = list(dict.fromkeys(part for phrase in phrases for part in ([phrase] if not line or phrase.lower() in line else phrase.split()) if len(part) >= wording.SHORTEST_WORD))
    said = template.text.lower()
    unless: list[str] = []
    for other in lake.templates_alike(template, viewer=viewer):
        own = [phrase for phrase in map(wording.said_always, other.constants) if phrase and phrase.lower() not in said and phrase.lower() not in line]
        if own and not any(phrase in unless for phrase in own):
            unless.append(max(own, key=len))
    return {"name": " ".join(phrases)[:NAME], "source": template.source, "keywords": words[:MOST_PROPOSED], "every": "on", "unless": unless[:MOST_PROPOSED]}


def _line_of(template: TemplateLine, viewer: Viewer) -> str:
    """An example's raw log in small letters; nothing where there is none to read."""
    try:
        event = lake.event(template.sample, viewer=viewer)
    except Missing:
        return ""
    return "" if event["masked"] else str(event["raw"] or "").lower()


def _longest(row: models.Monitor, beats: Sequence[datetime]) -> timedelta | None:
    hours = row.hours()
    gaps = [after - before for before, after in zip(sorted(beats), sorted(beats)[1:]) if hours is None or (hours.session(before) is not None and hours.session(before) == hours.session(after))]
    return max(gaps, default=None)
