"""Looking back: rules or the watch list over what the lake already holds. What is found is marked as found so.

Every event is read again from its original bytes, hour by whole hour, in the worker. What was found on a page is a batch
named by the rule, the hour and the events themselves: a hunt that was stopped, or is repeated, stores nothing twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.db import transaction

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.jobs.types import JobRef
from lianfang.commons.ledger import actions as ledger
from lianfang.engines.rules.compiled import Compiled
from lianfang.engines.rules.examiner import Examiner
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid, Missing
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.actions.guarding import must_for_node
from lianfang.rooms.detect.actions.sparing import Spared
from lianfang.rooms.detect.actions.storing import store
from lianfang.rooms.detect.queries import explaining, loading, watch
from lianfang.rooms.detect.types import IOC, OWN_PACK
from lianfang.rooms.lake import queries as lake

PAGE = 5_000
SLICE = timedelta(hours=1)
FARTHEST = timedelta(days=400)
WATCHLIST = "watchlist"
_COLUMNS = ("event_id", "time", "source", "territory", "industry", "level", "host", "user", "actor_user", "src_host", "dst_host", "process", "file", "url", "ips", "hashes", "domains", "rules", "raw")

Tell = Callable[[float, str], None]
Event = dict[str, Any]


@transaction.atomic
def look_back(what: str, since: datetime, *, actor: Viewer) -> JobRef:
    """Ask for a hunt: ``what`` is a rule's uid or ``"watchlist"``. Returns the job, whose progress can be followed."""
    must_for_node(actor, "detect.rule.hunt")
    now = clock.now()
    if not now - FARTHEST <= since < now:
        raise Invalid("This is no time to look back to", why="It lies ahead, or more than 400 days ago.", todo="Choose a moment in the last 400 days.")
    if models.Rule.objects.filter(uid=what, pack__name=OWN_PACK).exists():
        raise Invalid("A keyword alarm does not look back", why="It counts within its window and its hours as logs come in.", todo="Try it on what is stored, on its own page.")
    if what != WATCHLIST and not models.Rule.objects.filter(uid=what, gone=False).exists():
        raise Missing("There is no such rule", todo="Look at the list of rules.")
    job = jobs.enqueue("detect.look_back", {"what": what, "since": clock.text(since), "until": clock.text(now)}, actor=actor)
    ledger.record("detect.hunt_asked", Ref("jobs", "job", str(job.id)), actor=actor, label=what, detail={"since": clock.text(since)})
    return job


def hunt(what: str, since: datetime, until: datetime, *, tell: Tell = lambda percent, message: None) -> int:
    """Examine everything from the hour of ``since`` to ``until``; returns how many findings were stored."""
    examiner = _examiner(what)
    since = since.replace(minute=0, second=0, microsecond=0)
    found, looked, start = 0, 0, since
    owners = lake.owners(viewer=SYSTEM)
    while start < until:
        end = min(start + SLICE, until)
        for number, page in enumerate(pages(start, end)):
            looked += len(page)
            found += _examine(page, examiner, owners, what, f"hunt-{what[:40]}-{start:%Y%m%d%H}-{number}")
            tell(100 * ((start - since) / (until - since)), f"{looked:,} events, {found:,} findings")
        start = end
    tell(100, f"{looked:,} events, {found:,} findings")
    return found


def _examiner(what: str) -> Examiner:
    if what == WATCHLIST:
        _version, sets = watch.changed_since("")
        return Examiner(Compiled((), (), ()), watch=sets)
    return Examiner(loading.one(models.Rule.objects.get(uid=what)))


def pages(since: datetime, until: datetime, *, only: str = "TRUE") -> Iterator[list[Event]]:
    """The lake's events of one hour in pages, by name; ``only`` those for which a condition of ours holds."""
    last = ""
    names = ", ".join(f'"{name}"' for name in _COLUMNS)
    while True:
        sql = f"SELECT {names} FROM events WHERE time >= TIMESTAMPTZ '{clock.text(since)}' AND time < TIMESTAMPTZ '{clock.text(until)}' AND event_id > '{last}' AND {only} ORDER BY event_id LIMIT {PAGE}"  # noqa: S608  (moments and identifiers of ours)
        answer = lake.sql(sql, viewer=SYSTEM, limit=PAGE, seconds=120, since=since, until=until)
        page = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
        if page:
            yield page
        if len(page) < PAGE:
            return
        last = page[-1]["event_id"]


def matching(page: Sequence[Event], examiner: Examiner, uid: str) -> list[int]:
    """The places of a page on whose originals a rule fires."""
    return sorted({places[at] for rows, origins, places in explaining.read_events(page) for at, uids in examiner.rows(rows, origins) if uid in uids})


def _examine(page: Sequence[Event], examiner: Examiner, owners: Mapping[str, str], what: str, name: str) -> int:
    """One page, source by source: one batch of findings for each."""
    by_source: dict[str, list[Event]] = defaultdict(list)
    for event in page:
        by_source[event["source"]].append(event)
    return sum(_examine_source(source, events, examiner, owners.get(source, ""), what, name) for source, events in by_source.items())


def _examine_source(source: str, events: Sequence[Event], examiner: Examiner, organisation: str, what: str, name: str) -> int:
    hits: dict[int, tuple[str, ...]] = {}
    again: dict[int, Any] = {}
    sources: dict[int, Any] = {}
    for rows, origins, places in explaining.read_events(events):
        for at, uids in examiner.rows(rows, origins):
            place = places[at]
            known = set(events[place]["rules"] or ())
            fresh = tuple(uid for uid in uids if uid not in known and (uid == what or uid.startswith(IOC)))
            if fresh:
                hits[place] = (*hits.get(place, ()), *fresh)
                again[place], sources[place] = rows[at], origins[at]
    if not hits:
        return 0
    columns = {column: [event[column] for event in events] for column in _COLUMNS if column not in ("rules", "raw")}
    these = sha256("\n".join(f"{events[place]['event_id']} {' '.join(uids)}" for place, uids in sorted(hits.items())).encode()).hexdigest()[:16]
    spoken, taken = Spared().split(hits, source=source, territories=columns["territory"], rows=again, origins=sources)
    return store(f"{name}-{these}:{source}"[:120], source, columns, spoken, organisation=organisation, backfilled=True, taken=taken)
