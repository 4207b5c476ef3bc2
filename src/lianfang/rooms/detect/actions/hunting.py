"""Hunting: chosen rules, or the watch list, over what the lake already holds; hour by hour, so that a killed hunt goes on where it stopped.

The rules are the compiled ones of the examiners, and so is the kernel. An hour that is done is written with what it found in one
transaction. Who hunts sees what they may see: their scope and clearance are in the question. What is kept as findings is marked as
found by looking back; what an examiner, or an earlier hunt, has found already is not kept twice.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from time import sleep
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.jobs import queries as job_queries
from lianfang.commons.jobs.types import JobRef
from lianfang.commons.ledger import actions as ledger
from lianfang.engines.rules.compiled import Compiled
from lianfang.engines.rules.correlator import Firing
from lianfang.engines.rules.examiner import Examiner
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid, Missing
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.actions import correlating, hunted, looking, storing
from lianfang.rooms.detect.actions.guarding import must_for_node
from lianfang.rooms.detect.actions.marking import PLACE, Marker
from lianfang.rooms.detect.actions.sparing import Spared
from lianfang.rooms.detect.adapters import executor
from lianfang.rooms.detect.adapters.executor import Hit, Swept, packed, sweep, unpacked
from lianfang.rooms.detect.queries import explaining, loading, watch
from lianfang.rooms.detect.types import BASELINE, CORRELATION, IOC, OWN_PACK, WATCHLIST
from lianfang.rooms.lake import queries as lake

FARTHEST = timedelta(days=400)
MOST_RULES, MOST_HOSTS, SAMPLES = 2_000, 200, 20
KEPT, KEPT_WITH_FINDINGS = timedelta(days=90), FARTHEST
TURN, WAIT = 120.0, 0.2
MANY = 50_000
"""Events that are examined before what they gave is written; an hour that holds more is done in parts."""
STILL_LIVE = timedelta(minutes=1)
"""What a correlation says of the minute before a hunt was asked for is left to the live correlator, whose alerts wake somebody."""
AT_ONCE = 64
"""Hours that are given to a Spark server together; so many are done again at most when it is interrupted."""

Step = Callable[[int, int], None]
"""Called with the events that were looked at, and how many there are."""
Stretch = tuple[datetime, datetime]


def look_back(what: str, since: datetime, *, actor: Viewer) -> JobRef:
    """Hunt with one rule (its uid) or ``"watchlist"`` from ``since`` until now, and keep what is found."""
    row = ask_hunt([what], since, keep=True, actor=actor)
    assert row.job is not None  # noqa: S101  (asked for a line above)
    return JobRef(row.job, "detect.look_back")


@transaction.atomic
def ask_hunt(what: Sequence[str], since: datetime, until: datetime | None = None, *, packs: Sequence[str] = (), keep: bool = False, apart: bool = True, actor: Viewer) -> models.Hunt:
    """Ask for a hunt with rules (by uid or title), all rules of packs, or ``"watchlist"``. ``keep``: what it finds becomes findings;
    ``apart``: by a job, whose progress can be followed; otherwise the caller runs it. Raises ``Refused``, ``Invalid``, ``Missing``."""
    actor.must("detect.rule.hunt")
    actor.must("lake.event.view")
    if keep:
        must_for_node(actor, "detect.rule.hunt")
    if any(moment is not None and moment.tzinfo is None for moment in (since, until)):
        raise Invalid(_("A time names no time zone"), why=_("A time without a zone has no single meaning."), todo=_("Add Z or an offset such as +08:00."))
    now = clock.now()
    until = min(until or now, now)
    if not now - FARTHEST <= since < until:
        raise Invalid(_("This is no time to look back to"), why=_("It lies ahead, or more than 400 days ago, or ends before it begins."), todo=_("Choose a moment in the last 400 days."))
    rules, label = _chosen(what, packs)
    asker = {"id": actor.id, "name": actor.name, "organisation": actor.organisation, "path": actor.path, "industry_path": actor.industry_path, "territory": list(actor.territory), "industry": list(actor.industry), "clearance": int(actor.clearance), "kind": actor.kind}
    row = models.Hunt.objects.create(owner=actor.id, owner_name=actor.name[:120], asker=asker, rules=rules, label=label[:250], since=since, until=until, keep=keep)
    if apart:
        row.job = jobs.enqueue("detect.look_back", {"hunt": str(row.pk)}, actor=actor).id
        row.save(update_fields=["job"])
    ledger.record("detect.hunt_asked", Ref("jobs", "job", str(row.job)) if row.job else row.ref, actor=actor, label=row.label, detail={"since": clock.text(since), "until": clock.text(until), "rules": len(rules), "keep": keep})
    return row


def _chosen(what: Sequence[str], packs: Sequence[str]) -> tuple[list[str], str]:
    """The uids that are asked for, and how to call them together."""
    found, of_packs = dict[str, str](), dict[str, str]()
    for one in what:
        if one == WATCHLIST:
            found[WATCHLIST] = WATCHLIST
            continue
        there = models.Rule.objects.filter(gone=False).select_related("pack")
        rule = there.filter(uid=one).first() or there.filter(Q(title=one) | Q(title_zh=one)).order_by("uid").first()
        if rule is None:
            raise Missing(_("There is no such rule"), why=one[:80], todo=_("Look at the list of rules."))
        if rule.pack.name == OWN_PACK:
            raise Invalid(_("A keyword alarm does not look back"), why=_("It counts within its window and its hours as logs come in."), todo=_("Try it on what is stored, on its own page."))
        if rule.category == BASELINE:
            raise Invalid(_("A baseline does not look back"), why=_("It judges what comes in by what was usual before."), todo=_("Let it learn anew: it then reads what is stored."))
        if rule.problem:
            raise Invalid(_("This rule cannot be used"), why=rule.problem[:300], todo=_("Mend the rule and install its pack again."))
        found[rule.uid] = str(rule)
    for name in packs:
        mine = models.Rule.objects.filter(pack__name=name, gone=False, problem="").exclude(pack__name=OWN_PACK).exclude(category=BASELINE)
        if not mine.exists():
            raise Missing(_("There is no such pack, or no rule in it that can hunt"), why=name[:80], todo=_("Look at the list of packs."))
        of_packs |= {rule.uid: str(rule) for rule in mine.defer("text")}
    found |= of_packs
    if not found:
        raise Invalid(_("Nothing to look for was named"), todo=_("Name a rule, a pack, or the watch list."))
    return list(found), ", ".join([*packs, *(title for uid, title in found.items() if uid not in of_packs)])


def cancel_hunt(row: models.Hunt, *, actor: Viewer) -> None:
    """End it at its next page; the hours that are done stay."""
    job = job_queries.visible(actor).filter(pk=row.job).first() if row.job else None
    if job is None:
        raise Missing(_("There is no such job"), why=_("It runs on a command line, ended long ago, or somebody else asked for it."), todo=_("End it where it runs."))
    jobs.cancel(job, actor=actor)
    row.parts.exclude(marks=b"").update(marks=b"")


def hunt(pk: str | UUID, *, step: Step = lambda looked, total: None) -> models.Hunt:
    """Go through the hours that are not done yet."""
    row = models.Hunt.objects.get(pk=pk)
    past = past_of(row)
    compiled, examiner, wanted = _ready(row, past)
    taker, ways, viewer = Taker(row, compiled, past), explaining.ways(), viewer_of(row)

    def swept(start: datetime, end: datetime) -> Swept:
        def seen() -> Iterator[list[looking.Event]]:
            for page in looking.pages(start, end, viewer=viewer, most=taker.count((start, end)), columns=past.columns):
                yield page
                step(min(taker.looked + len(page), taker.total), taker.total)

        return sweep(seen(), examiner, wanted, explaining.log_sources, ways)

    for start, end in taker.left():
        taker.take(start, end, swept(start, end))
        step(taker.looked, taker.total)
    return taker.finish()


def hunt_on(address: str, pk: str | UUID, *, root: str = "", step: Step = lambda looked, total: None) -> models.Hunt:
    """The same by the executors of a Spark server: they get hours with the files that hold them, and the compiled rules as one file that each process loads once.
    What they find comes back and is taken in here. A hunt that began here may go on there, and the other way round."""
    row = models.Hunt.objects.get(pk=pk)
    if WATCHLIST in row.rules:
        raise Invalid(_("The watch list is not hunted with elsewhere"), why=_("Its indicators may bear marks that keep them on this node."), todo=_("Hunt here, without --on."))
    past = past_of(row)
    compiled = compiled_of(row, past)
    taker = Taker(row, compiled, past)
    with tempfile.TemporaryDirectory() as folder:
        kit = Path(folder) / f"hunt-{row.pk.hex}.kit"
        executor.pack(loading.with_databases(compiled), settings.CONTENT / "mappings", explaining.ways(), kit)
        with lake.spread(address, kit, executor.work, columns=past.columns, viewer=replace(SYSTEM, id=row.owner) if row.keep else viewer_of(row), root=root) as done:
            left = taker.left()
            for at in range(0, len(left), AT_ONCE):
                stretches = left[at : at + AT_ONCE]
                for (start, end), answer in zip(stretches, done(stretches), strict=True):
                    said = executor.told(answer)
                    taker.take(start, end, said.swept, by=said)
                    step(taker.looked, taker.total)
    return taker.finish()


def viewer_of(row: models.Hunt) -> Viewer:
    """Whose eyes a hunt sees with: what becomes findings is seen by the node, and shown to each reader as they may see it."""
    if row.keep:
        return SYSTEM
    asker = row.asker
    scope = {"territory": tuple(asker["territory"]), "industry": tuple(asker["industry"]), "clearance": DataLevel(asker["clearance"]), "permissions": frozenset({"lake.event.view"})}
    return replace(SYSTEM, **{name: asker[name] for name in ("id", "name", "organisation", "path", "industry_path", "kind")}, **scope)


def past_of(row: models.Hunt) -> hunted.Past:
    """The correlations of a hunt, with all that has to be looked for because of them."""
    return hunted.Past(row.rules, loading.correlations())


def compiled_of(row: models.Hunt, past: hunted.Past) -> Compiled:
    """The rules of a hunt, and those that its correlations look at, as examiners have them."""
    return loading.only(({*row.rules} | past.rules) - {WATCHLIST})


def _ready(row: models.Hunt, past: hunted.Past) -> tuple[Compiled, Examiner, Callable[[str], bool]]:
    compiled, sets = compiled_of(row, past), watch.changed_since("")[1] if WATCHLIST in row.rules else None
    uids = frozenset(row.rules) | past.rules
    return compiled, Examiner(compiled, watch=sets), lambda uid: uid in uids or uid.startswith(IOC)


class Taker:
    """Takes in what was found in one hour after the other, wherever it was looked for."""

    def __init__(self, row: models.Hunt, compiled: Compiled, past: hunted.Past):
        self.row, self.viewer, self.past = row, viewer_of(row), past
        self._asked = frozenset(row.rules)
        done = sorted(row.parts.values_list("start", "until", "looked"))
        self.looked = sum(looked for _start, _until, looked in done)
        self._counts: dict[Stretch, int] = {}
        for hour, number in lake.hours(since=row.since, until=row.until, viewer=self.viewer):
            for gap in _gaps((max(hour, row.since), min(hour + looking.SLICE, row.until)), [(start, until) for start, until, _looked in done]):
                self._counts |= _parts(gap, number)
        self._left = list(self._counts)
        self.total = self.looked + sum(self._counts.values())
        self._owners = lake.owners(viewer=SYSTEM) if row.keep or past.wanted else {}
        self._spared = Spared() if row.keep else None
        self._quiet = Marker(loading.correlations(), compiled.rules).quiet if row.keep else frozenset[str]()
        models.Hunt.objects.filter(pk=row.pk).update(splits=len(done) + len(self._left))
        row.splits = len(done) + len(self._left)

    def count(self, stretch: Stretch) -> int:
        """How many events there were when the hunt began to look: in an hour at most, in a part of one on an average."""
        return self._counts[stretch]

    def left(self) -> list[Stretch]:
        """The hours in which there are events, or parts of them, that are not done yet; the earliest first."""
        return list(self._left)

    def take(self, start: datetime, end: datetime, swept: Swept, *, by: executor.Told | None = None) -> None:
        """An hour is done: keep what it found, and write it down. ``by``: the executor that did it."""
        marks = hunted.packed(self.past.marks(self._spoken(swept.hits), self._owners)) if self.past.wanted else b""
        swept = swept._replace(hits=[hit._replace(uids=uids) for hit in swept.hits if (uids := tuple(uid for uid in hit.uids if uid in self._asked or uid.startswith(IOC)))])
        with _turn() if self.row.keep and swept.hits else _free():
            stored = self._keep(start, end, swept.hits) if self.row.keep else {}
            result = _added(self.row.result, swept, stored) | _loads(self.row.result, by)
            pairs: dict[str, list[str]] = defaultdict(list)
            for hit in swept.hits:
                for uid in hit.uids:
                    pairs[uid].append(hit.event["event_id"])
            content = packed(pairs)
            with transaction.atomic():
                models.HuntSplit.objects.create(hunt=self.row, start=start, until=end, looked=swept.looked, content=content, marks=marks)
                models.Hunt.objects.filter(pk=self.row.pk).update(result=result, done=self.row.done + 1)
        self.row.result, self.row.done = result, self.row.done + 1
        self.looked += swept.looked

    def finish(self) -> models.Hunt:
        """All hours are done: the correlations are judged, in the order of time, and what they looked at is let go."""
        if not self.row.finished:
            if self.past.wanted:
                with _turn() if self.row.keep else _free():
                    self.row.result = _correlated(self.row, self.past)
            self.row.finished = clock.now()
            with transaction.atomic():
                models.Hunt.objects.filter(pk=self.row.pk).update(finished=self.row.finished, result=self.row.result)
                self.row.parts.exclude(marks=b"").update(marks=b"")
        return self.row

    def _spoken(self, hits: Sequence[Hit]) -> Sequence[Hit]:
        """What no exception takes; who keeps nothing sees what there is."""
        if self._spared is None or not self._spared.by_rule:
            return hits
        found: list[Hit] = []
        for source in sorted({hit.event["source"] for hit in hits}):
            mine = [hit for hit in hits if hit.event["source"] == source]
            spoken, _taken = self._spared.split({at: hit.uids for at, hit in enumerate(mine)}, source=source, territories=[hit.event["territory"] for hit in mine], rows=[hit.row for hit in mine], origins=[hit.origin for hit in mine])
            found += [mine[at]._replace(uids=tuple(uids)) for at, uids in sorted(spoken.items())]
        return found

    def _keep(self, start: datetime, end: datetime, hits: Sequence[Hit]) -> dict[str, int]:
        """What nobody found before becomes findings; rule → how many."""
        before = _kept_before(self.row, start, end)
        by_source: dict[str, list[tuple[Hit, tuple[str, ...]]]] = defaultdict(list)
        for hit in hits:
            known, event = set(hit.event["rules"] or ()), hit.event["event_id"]
            fresh = tuple(uid for uid in hit.uids if uid not in known and uid not in self._quiet and event not in before.get(uid, ()))
            if fresh:
                by_source[hit.event["source"]].append((hit, fresh))
        stored: dict[str, int] = defaultdict(int)
        for source, found in by_source.items():
            batch = self._store(start, source, found)
            for uid in models.Finding.objects.filter(batch=batch).values_list("rule_uid", flat=True):
                stored[uid] += 1
        return stored

    def _store(self, start: datetime, source: str, found: Sequence[tuple[Hit, tuple[str, ...]]]) -> str:
        """One batch for a source, named by the events and rules: the same again changes nothing."""
        assert self._spared is not None  # noqa: S101  (made for whoever keeps)
        columns = {name: [hit.event[name] for hit, _uids in found] for name in looking.COLUMNS if name not in ("rules", "raw")}
        these = sha256("\n".join(f"{hit.event['event_id']} {' '.join(uids)}" for hit, uids in found).encode()).hexdigest()[:24]
        batch = f"hunt-{start:%Y%m%d%H}-{these}:{source}"[:120]
        rows, origins = [hit.row for hit, _uids in found], [hit.origin for hit, _uids in found]
        spoken, taken = self._spared.split(dict(enumerate(uids for _hit, uids in found)), source=source, territories=columns["territory"], rows=rows, origins=origins)
        storing.store(batch, source, columns, spoken, organisation=self._owners.get(source, ""), backfilled=True, taken=taken)
        return batch


def _gaps(whole: Stretch, done: Iterable[Stretch]) -> Iterator[Stretch]:
    """What is left of a stretch.

    >>> list(_gaps((0, 9), [(2, 4), (4, 5)]))  # type: ignore[arg-type]
    [(0, 2), (5, 9)]
    """
    start, end = whole
    for first, last in done:
        if first < end and last > start:
            if first > start:
                yield start, first
            start = last
    if start < end:
        yield start, end


def _parts(stretch: Stretch, number: int) -> dict[Stretch, int]:
    """A stretch of an hour with so many events in equal parts that hold ``MANY`` on an average, each with its number."""
    start, end = stretch
    share = int(number * ((end - start) / looking.SLICE))
    parts = max(1, -(-share // MANY))
    edges = [start, *(looking.edge(start + (end - start) * at / parts) for at in range(1, parts)), end]
    return dict.fromkeys(pairwise(edges), number if parts == 1 else -(-share // parts))


def _correlated(row: models.Hunt, past: hunted.Past) -> dict[str, Any]:
    """The result with what the correlations found. Done again after a kill it says the same, and keeps nothing twice."""
    mine, edge = f"{CORRELATION}-hunt-{row.pk.hex}", row.created - STILL_LIVE
    told: dict[str, dict[str, Any]] = {}
    cells: dict[tuple[str, str, Any, int], int] = {}
    fired: list[dict[str, Any]] = []
    spared = Spared() if row.keep else None
    hours = ((part.until, hunted.unpacked(bytes(part.marks))) for pk in list(row.parts.order_by("start").values_list("pk", flat=True)) for part in [models.HuntSplit.objects.defer("content").get(pk=pk)])
    named = {uid for one in past.correlations.values() for uid in (one.uid, *one.refs)}
    rules = {rule.uid: rule for rule in models.Rule.objects.filter(uid__in=named).select_related("pack").defer("text")}
    for number, firings in enumerate(past.firings(hours, row.until)):
        known = correlating.known([correlating.key_of(one) for one in firings], but=mine)
        for one in firings:
            cell = (one.rule, one.place, one.group, one.cell)
            before = cells.get(cell)
            line = told.setdefault(one.rule, {"events": 0, "known": 0, "findings": 0, "fired": 0, "first": "", "last": ""})
            _count_firing(line, one, before, known=correlating.key_of(one) in known)
            cells[cell] = max(one.count, before or 0)
            if before is None and len(fired) < SAMPLES:
                level = max((int(event["level"] or DataLevel.L4) for step in one.steps for event in step.events), default=int(DataLevel.L4))
                fired.append({"rule": one.rule, "territory": one.place.split(PLACE)[0], "level": level, "chain": correlating.chain_of(one, past.correlations, rules)})
        if spared is not None:
            kept = [one for one in firings if one.rule not in past.inner and one.moment <= edge.timestamp() * 1000]
            made = correlating.findings_of(kept, past.correlations, spared, backfilled=True) if kept else []
            for start in range(0, len(made), correlating.WRITTEN):
                with transaction.atomic():
                    correlating.store(made[start : start + correlating.WRITTEN], f"{mine}-{number}-{start}", also=True)
    for uid, line in told.items():
        line["findings"] = models.Finding.objects.filter(rule_uid=uid, batch__startswith=mine).count() if row.keep else 0
    rules_told = {uid: one for uid, one in row.result.get("rules", {}).items() if uid not in past.wanted} | told
    findings = sum(one["findings"] for one in rules_told.values())
    return {**row.result, "rules": rules_told, "findings": findings, "fired": sum(one["fired"] for one in told.values()), "chains": fired}


def _count_firing(line: dict[str, Any], one: Firing, before: int | None, *, known: bool) -> None:
    """One more firing, or more logs of one that was counted ``before``."""
    more = max(0, one.count - (before or 0))
    first, last = (clock.text(datetime.fromtimestamp(moment / 1000, UTC)) for moment in (one.first, one.last))
    line["fired"] += before is None
    line["events"], line["known"] = line["events"] + more, line["known"] + (more if known else 0)
    line["first"], line["last"] = min(line["first"] or first, first), max(line["last"], last)


def _kept_before(row: models.Hunt, start: datetime, end: datetime) -> dict[str, set[str]]:
    """Events by rule that hunts before this one kept."""
    found: dict[str, set[str]] = defaultdict(set)
    for content in models.HuntSplit.objects.filter(hunt__keep=True, start__lt=end, until__gt=start).exclude(hunt=row).values_list("content", flat=True):
        for uid, events in unpacked(bytes(content)).items():
            found[uid].update(events)
    return found


def _added(result: Mapping[str, Any], swept: Swept, stored: Mapping[str, int]) -> dict[str, Any]:
    """The sum with one more hour in it. Bounded: of very many rules or hosts those met first are told apart."""
    rules = {uid: dict(told) for uid, told in result.get("rules", {}).items()}
    hosts, days = dict(result.get("hosts", {})), dict(result.get("days", {}))
    samples = list(result.get("samples", ()))
    for hit in swept.hits:
        moment, host = hit.event["time"], hit.event["host"] or ""
        known = set(hit.event["rules"] or ())
        days[f"{moment:%Y-%m-%d}"] = days.get(f"{moment:%Y-%m-%d}", 0) + 1
        _bounded(hosts, host, MOST_HOSTS)
        if len(samples) < SAMPLES:
            samples.append(hit.event["event_id"])
        for uid in hit.uids:
            if uid not in rules and len(rules) >= MOST_RULES:
                continue
            told, at = rules.setdefault(uid, {"events": 0, "known": 0, "findings": 0, "first": "", "last": ""}), clock.text(moment)
            told["events"], told["known"] = told["events"] + 1, told["known"] + (uid in known)
            told["first"], told["last"] = min(told["first"] or at, at), max(told["last"], at)
    for uid, number in stored.items():
        if uid in rules:
            rules[uid]["findings"] += number
    return {"looked": result.get("looked", 0) + swept.looked, "events": result.get("events", 0) + len(swept.hits), "findings": result.get("findings", 0) + sum(stored.values()), "rules": rules, "hosts": hosts, "days": days, "samples": samples}


def _loads(result: Mapping[str, Any], by: executor.Told | None) -> dict[str, dict[str, int]]:
    """How often each process of an executor had to load the rules."""
    loads: dict[str, int] = result.get("executors", {})
    return {"executors": loads | {by.worker: loads.get(by.worker, 0) + by.loaded}} if by else {"executors": loads} if loads else {}


def _bounded(counts: dict[str, int], key: str, most: int) -> None:
    if key in counts or len(counts) < most:
        counts[key] = counts.get(key, 0) + 1


@contextmanager
def _turn() -> Iterator[None]:
    """One hunt at a time keeps what it found, so that two see what the other kept."""
    while True:
        with jobs.leased("detect.keep", seconds=TURN) as mine:
            if mine:
                yield
                return
        sleep(WAIT)


@contextmanager
def _free() -> Iterator[None]:
    yield


def forget_hunts() -> int:
    """Hunts are kept for a while; those that kept findings as long as anybody may look back, so that these are not kept twice."""
    now = clock.now()
    return models.Hunt.objects.filter(Q(created__lt=now - KEPT, keep=False) | Q(created__lt=now - KEPT_WITH_FINDINGS)).delete()[0]
