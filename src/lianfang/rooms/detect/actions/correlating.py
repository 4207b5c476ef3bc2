"""Correlating: the marks of all ingest processes, one correlator, findings.

One row of the database is the correlator's seat. Whoever holds its lease reads what marks there are and advances, outside of
any transaction; then it takes the turn and stores what it found, some findings at a time, each in a short transaction that goes
through only if the seat's token is still the one that was read. Killed at any point, the next one begins from the kept state,
takes in again what was taken since, step by step as it was, and says what was not said to its end; what was said is known by its key.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

import pyarrow as pa
from django.db import transaction

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import actions as ledger
from lianfang.engines.rules.correlation import Correlation
from lianfang.engines.rules.correlator import Correlator, Firing, Marks
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid
from lianfang.kernel.ids import new_id
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import models
from lianfang.rooms.detect.actions import folding, storing
from lianfang.rooms.detect.actions.editions import RULES
from lianfang.rooms.detect.actions.marking import PLACE
from lianfang.rooms.detect.actions.sparing import Spared
from lianfang.rooms.detect.queries import chains, loading
from lianfang.rooms.detect.types import CORRELATION, KEPT_EVENTS, FindingsStored, window_of

log = logging.getLogger("lianfang.detect")
SEAT, LEASE = "node", "detect.correlate"
AT_ONCE = 50
"""Batches taken in one step."""
WRITTEN = 200
"""Findings written in one transaction: it must stay short."""
SMALL, STEPS_APART, SECONDS_APART = 1 << 20, 20, 30
"""A state of so many bytes is kept at every step; a larger one after so many steps, or seconds."""


class _Mine(NamedTuple):
    """The correlator as this process holds it: good as long as the seat bears the same token and the rules are of the same edition."""

    token: UUID
    edition: int
    work: Correlator


_mine: list[_Mine] = []
_spared: list[tuple[int, Spared]] = []
"""The exceptions as they were at an edition."""


class _Lost(Exception):
    """Another one took the turn meanwhile."""


def correlate() -> int:
    """Take in what marks there are, and let time pass. Returns how many findings were stored."""
    with jobs.leased(LEASE) as mine:
        stored = _steps() if mine else 0
    return stored + take_marks()


def take_marks() -> int:
    """Take in what marks there are, if there are any. Whoever is at it already looks once more when it is done, so that nothing is left."""
    stored = 0
    while models.Matches.objects.filter(step=None).exists():
        with jobs.leased(LEASE) as mine:
            if not mine:
                break
            stored += _steps()
    return stored


def _steps() -> int:
    stored, more = 0, True
    while more:
        try:
            found, more = _step()
        except _Lost:
            break
        stored += found
    return stored


def _step() -> tuple[int, bool]:
    """One step: how many findings were stored, and whether there is more to do."""
    seat, _made = models.Correlating.objects.get_or_create(name=SEAT)
    edition = models.Edition.objects.filter(name=RULES).values_list("number", flat=True).first() or 0
    (held, owed), now = _held(seat, edition), clock.now()
    if owed:
        return _tell(seat, edition, held, owed, (), now), True
    rows = list(models.Matches.objects.filter(step=None).order_by("moment", "id")[:AT_ONCE])
    firings = held.advance([_marks(row) for row in rows], _milliseconds(now)) if rows or held.waits else []
    if not rows and not firings:
        _keep_mine(seat.token, edition, held)
        return 0, False
    seat.step += 1
    return _tell(seat, edition, held, firings, rows or (_tick(seat, now),), now), len(rows) == AT_ONCE


def _tick(seat: models.Correlating, now: datetime) -> models.Matches:
    """A step in which only time passed, so that it can be taken again as it was."""
    return models.Matches(batch=f"{SEAT}-{seat.step}-{new_id().hex}", source="", place="", content=b"", moment=now)


def _held(seat: models.Correlating, edition: int) -> tuple[Correlator, list[Firing]]:
    """The correlator as it stands: this process's own, or from the state kept last and what was taken since; and what was not said to its end."""
    mine = _mine.pop() if _mine else None
    if mine is not None and (mine.token, mine.edition) == (seat.token, edition):
        return mine.work, []
    held, owed = Correlator(loading.correlations()), list[Firing]()
    if mine is not None and mine.token == seat.token:
        held.restore(mine.work.snapshot())
        return held, owed
    state = models.CorrelatingPart.whole(seat)
    if state:
        try:
            held.restore(state)
        except Invalid as error:
            log.warning("The correlator begins anew: %s %s", error, error.why)
    since = models.Matches.objects.filter(step__gt=seat.kept).order_by("step", "moment", "id")
    for (number, at), rows in groupby(since.iterator(chunk_size=AT_ONCE), key=lambda row: (row.step, row.at)):
        firings = held.advance([_marks(row) for row in rows if row.content], _milliseconds(at))
        owed += firings if number > seat.said else []
    return held, owed


def _keep_mine(token: UUID, edition: int, held: Correlator) -> None:
    _mine[:] = [_Mine(token, edition, held)]


def _tell(seat: models.Correlating, edition: int, held: Correlator, firings: Sequence[Firing], rows: Sequence[models.Matches], now: datetime) -> int:
    """Take the turn, and store what was found in it. All that can be read or worked out is, before anything is written."""
    made = findings_of(firings, {one.one.uid: one.one for one in held.held.values()}, _spared_at(edition)) if firings else []
    parts = [made[start : start + WRITTEN] for start in range(0, len(made), WRITTEN)] or [[]]
    told, state = _state(seat, held, now)
    whole = {"said": seat.step, **told}
    for number, part in enumerate(parts):
        with transaction.atomic():
            _turn(seat, whole if number == len(parts) - 1 else {})
            if state and number == len(parts) - 1:
                models.CorrelatingPart.put(seat, state)
            if number == 0:
                _take(rows, seat.step, now)
            store(part, f"{CORRELATION}-{seat.step}-{new_id().hex[:12]}")
    if state:  # what a kept state holds need not be kept as marks
        models.Matches.objects.filter(step__lte=seat.step).exclude(content=b"").update(content=b"")
    _keep_mine(seat.token, edition, held)
    return len(made)


def _spared_at(edition: int) -> Spared:
    """The exceptions in force, read once for each edition."""
    if not _spared or _spared[0][0] != edition:
        _spared[:] = [(edition, Spared(_spared[0][1] if _spared else None))]
    return _spared[0][1]


def _turn(seat: models.Correlating, change: Mapping[str, Any]) -> None:
    """Move the seat on if nobody else did."""
    token = new_id()
    if not models.Correlating.objects.filter(name=SEAT, token=seat.token).update(token=token, step=seat.step, **change):
        raise _Lost
    seat.token = token


def _take(rows: Sequence[models.Matches], step: int, now: datetime) -> None:
    ticks = [row for row in rows if row._state.adding]
    for row in ticks:
        row.step, row.at = step, now
    models.Matches.objects.bulk_create(ticks)
    models.Matches.objects.filter(pk__in=[row.pk for row in rows]).update(step=step, at=now)


def _state(seat: models.Correlating, held: Correlator, now: datetime) -> tuple[dict[str, Any], bytes]:
    """What is kept of the correlator: its figures always; the state where it is small, or was kept long enough ago, else nothing."""
    size, counters = held.size, held.counters
    told = {"told": {"bytes": size} | {name: getattr(counters, name) for name in ("matches", "late", "beyond", "without", "evicted", "firings")}}
    if size <= SMALL or seat.step - seat.kept >= STEPS_APART or now - seat.kept_at >= timedelta(seconds=SECONDS_APART):
        return told | {"kept": seat.step, "kept_at": now}, held.snapshot()
    return told, b""


def _marks(row: models.Matches) -> Marks:
    return Marks(row.source, row.place, pa.ipc.open_stream(bytes(row.content)).read_all())


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


# ---- what it found ---------------------------------------------------------------------------------------------


def findings_of(firings: Sequence[Firing], correlations: Mapping[str, Correlation], spared: Spared, *, backfilled: bool = False) -> list[models.Finding]:
    """Firings as findings, each once; those of correlations that are switched off, or that others only build upon, are none. What an exception takes bears its id.

    ``backfilled``: they were found by looking back, by who asked for these correlations, on or off.
    """
    named = {uid for firing in firings for uid in (firing.rule, *(part.rule for part in firing.steps))}
    named |= {ref for uid in named if uid in correlations for ref in correlations[uid].refs}
    rules = {rule.uid: rule for rule in models.Rule.objects.filter(uid__in=named).select_related("pack").defer("text")} if named else {}
    inner = {ref for one in correlations.values() if not one.generate for ref in one.refs}
    keys = {key_of(firing): firing for firing in firings if firing.rule in rules and (backfilled or rules[firing.rule].loaded) and firing.rule not in inner}
    there = _counts(keys)
    fresh = {key: firing for key, firing in keys.items() if key not in there}
    earlier = _counts(key_of(firing, again=False) for firing in fresh.values() if firing.again)
    found: list[models.Finding] = []
    for key, firing in fresh.items():
        finding = _finding(key, firing, correlations, rules, earlier, backfilled=backfilled)
        if finding is not None:
            earlier[key] = finding.count
            finding.exemption = spared.whole(finding.rule_uid, dict(firing.group), sources=chains.sources_of(finding), territory=finding.territory)
            found.append(finding)
    return found


def _counts(keys: Iterable[str]) -> dict[str, int]:
    """How many matches the findings with these keys tell of, where there are any."""
    wanted, found = list(keys), dict[str, int]()
    for start in range(0, len(wanted), 500):
        found |= dict(models.Finding.objects.filter(key__in=wanted[start : start + 500]).values_list("key", "count"))
    return found


def known(keys: Sequence[str], *, but: str) -> set[str]:
    """Which of these keys findings have already; ``but`` those of batches that begin so."""
    found = set[str]()
    for start in range(0, len(keys), 500):
        found.update(models.Finding.objects.filter(key__in=keys[start : start + 500]).exclude(batch__startswith=but).values_list("key", flat=True))
    return found


def store(made: Sequence[models.Finding], batch: str, *, also: bool = False) -> None:
    """Keep findings under a batch of their own, in the caller's transaction. ``also``: others may store the same meanwhile; theirs stay."""
    if not made:
        return
    for finding in made:
        finding.batch = batch
    models.Finding.objects.bulk_create(made, batch_size=200, ignore_conflicts=also)
    storing.count({uid: [(one.last, one.count) for one in made if one.rule_uid == uid] for uid in {one.rule_uid for one in made}})
    storing.count_taken([(one.exemption, one.last, one.count) for one in made if one.exemption])
    for territory, found in _by_owner(made).items():
        detail = {"findings": len(found), "excepted": sum(one.exemption is not None for one in found), "backfilled": found[0].backfilled, "correlations": sorted({one.rule_uid for one in found})[:20]}
        ledger.record("detect.found", found[0].ref, actor=SYSTEM, label=str(found[0].title), detail=detail, territory=territory, industry=found[0].industry)
    spoken = sum(one.exemption is None for one in made)
    if spoken:
        jobs.publish(FindingsStored(batch=batch, count=spoken))


def _by_owner(found: Sequence[models.Finding]) -> dict[str, list[models.Finding]]:
    by_owner: dict[str, list[models.Finding]] = defaultdict(list)
    for one in found:
        by_owner[one.territory].append(one)
    return by_owner


def key_of(firing: Firing, *, again: bool | None = None) -> str:
    """What makes a firing one of a kind, whoever finds it and however often."""
    said = firing.again if again is None else again
    return hashlib.sha256("\x1f".join((CORRELATION, firing.rule, firing.place, repr(firing.group), str(firing.cell), str(said))).encode()).hexdigest()


def _finding(key: str, firing: Firing, correlations: Mapping[str, Correlation], rules: Mapping[str, models.Rule], earlier: Mapping[str, int], *, backfilled: bool) -> models.Finding | None:
    """A finding of what made it fire; at the end of a cell, of what came after it was told first."""
    rule = rules[firing.rule]
    count = firing.count - earlier.get(key_of(firing, again=False), 0) if firing.again else firing.count
    if count <= 0:
        return None
    events = list({event["event"]: event for part in firing.steps for event in part.events}.values())
    territory, organisation, sample = firing.place.split(PLACE)
    fold = folding.whole(firing.rule, events, territory=territory)
    fold.first, fold.last, fold.count = _moment(firing.first) or fold.first, _moment(firing.last) or fold.last, count
    fold.window, fold.events = window_of(_moment(firing.moment) or fold.first), [event["event"] for event in events][:KEPT_EVENTS]
    group = dict(firing.group)
    fold.host, fold.user = _named(group, ("host",), fold.host), _named(group, ("user", "actor_user"), fold.user)
    sources = list(dict.fromkeys(str(event["source"]) for event in events))
    said = {name: getattr(rule, name) for name in storing.COPIED} | {"licence": rule.pack.licence}
    about = {"batch": "", "source": sources[-1] if sources else "", "source_name": ", ".join(sources)[:120], "organisation": organisation, "sample": bool(sample), "backfilled": backfilled, "kind": CORRELATION, "chain": chain_of(firing, correlations, rules)}
    finding = storing.finding(fold, said, about)
    finding.key = key
    return finding


def _named(group: Mapping[str, str], names: Sequence[str], found: str) -> str:
    """The group's own value, in the spelling of the events where that is the same."""
    value = next((group[name] for name in names if group.get(name)), "")
    return found if not value or value == found.lower() else value[:190]


def chain_of(firing: Firing, correlations: Mapping[str, Correlation], rules: Mapping[str, models.Rule]) -> dict[str, Any]:
    """What made it fire, step by step, as a page tells it. ``of``: the rule whose matches are counted, also where they were counted by another correlation."""
    one = correlations[firing.rule]

    def of(uid: str) -> str:
        below = correlations.get(uid)
        return of(below.refs[0]) if below is not None and len(below.refs) == 1 else uid

    def titled(uid: str) -> list[str]:
        return [rules[uid].title, rules[uid].title_zh] if uid in rules else [uid, ""]

    steps = [
        {
            "rule": part.rule, "title": titled(part.rule), "of": titled(of(part.rule)), "count": part.matches,
            "first": _text(part.first), "last": _text(part.last), "events": [{"id": event["event"], "time": _text(event["time"]), "host": event["host"] or "", "source": event["source"]} for event in part.events[:KEPT_EVENTS]],
        }
        for part in firing.steps
    ]  # fmt: skip
    return {"kind": one.kind, "op": one.op, "bound": one.bound, "fields": list(one.fields), "percentile": one.percentile, "width": one.width // 1000, "group": [list(pair) for pair in firing.group], "moment": _text(firing.moment), "value": firing.value, "steps": steps}  # the group as pairs: a database may put the names of an object in another order


def _text(milliseconds: int | None) -> str:
    return clock.text(moment) if (moment := _moment(milliseconds)) else ""
