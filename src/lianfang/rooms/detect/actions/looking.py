"""Looking back: pages of past events as the lake holds them, for rules that are tried or hunted with.

Every event is read again from its original bytes. Long stretches are halved until a page is a small part of what must be read for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from lianfang.engines.rules.examiner import Examiner
from lianfang.kernel import clock
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.detect.queries import explaining
from lianfang.rooms.lake import queries as lake

PAGE = 5_000
SLICE = timedelta(hours=1)
SHORTEST = timedelta(seconds=1)
COLUMNS = ("event_id", "time", "source", "territory", "industry", "level", "host", "user", "actor_user", "src_host", "dst_host", "process", "file", "url", "ips", "hashes", "domains", "rules", "raw")

Event = dict[str, Any]


def pages(since: datetime, until: datetime, *, only: str = "TRUE", viewer: Viewer = SYSTEM, most: int | None = None, columns: Sequence[str] = COLUMNS) -> Iterator[list[Event]]:
    """The events of a stretch in pages, as ``viewer`` may see them; ``only`` those for which a condition of ours holds. ``most``: how many there are at most, where that is known."""
    for start, end in ((since, until),) if most is not None and most <= 2 * PAGE else _parts(since, until, only, viewer):
        yield from _paged(start, end, only, viewer, columns)


def _parts(since: datetime, until: datetime, only: str, viewer: Viewer) -> Iterator[tuple[datetime, datetime]]:
    """The stretch in parts of a few pages: each page of a part reads all of the part's rows."""
    counted = lake.sql(f"SELECT count(*) FROM events WHERE {_within(since, until)} AND {only}", viewer=viewer, limit=1, seconds=120, since=since, until=until)  # noqa: S608  (moments of ours)
    if counted.rows[0][0] <= 2 * PAGE or until - since <= SHORTEST:
        yield since, until
        return
    middle = edge(since + (until - since) / 2)
    yield from _parts(since, middle, only, viewer)
    yield from _parts(middle, until, only, viewer)


def edge(moment: datetime) -> datetime:
    """A moment between two stretches as questions can tell it, in milliseconds: no event lies between them."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _paged(since: datetime, until: datetime, only: str, viewer: Viewer, columns: Sequence[str]) -> Iterator[list[Event]]:
    last = ""
    names = ", ".join(f'"{name}"' for name in columns)
    while True:
        sql = f"SELECT {names} FROM events WHERE {_within(since, until)} AND event_id > '{last}' AND {only} ORDER BY event_id LIMIT {PAGE}"  # noqa: S608  (moments and identifiers of ours)
        answer = lake.sql(sql, viewer=viewer, limit=PAGE, seconds=120, since=since, until=until)
        page = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
        if page:
            yield page
        if len(page) < PAGE:
            return
        last = page[-1]["event_id"]


def _within(since: datetime, until: datetime) -> str:
    return f"time >= TIMESTAMPTZ '{clock.text(since)}' AND time < TIMESTAMPTZ '{clock.text(until)}'"


def matching(page: Sequence[Event], examiner: Examiner, uid: str) -> list[int]:
    """The places of a page on whose originals a rule fires."""
    return sorted({places[at] for rows, origins, places in explaining.read_events(page) for at, uids in examiner.rows(rows, origins) if uid in uids})
