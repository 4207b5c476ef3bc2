"""Baselining: what arrived since the last look is counted for each baseline, and what departs from the usual becomes a finding.

Out of the hot path: a job reads the lake. Everything is read and computed first; then how far it came, what is known and what was found are
written, each finding in a short transaction of its own and once by its key, the state last. Killed anywhere in between, the next look counts the same piece
again from the old state and finds the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import actions as ledger
from lianfang.engines.series import Baseline, Departure, Spec, judge
from lianfang.kernel import clock
from lianfang.kernel.errors import Fault, Invalid
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.actions import folding, storing, switching
from lianfang.rooms.detect.actions.guarding import must_for_node
from lianfang.rooms.detect.actions.sparing import Spared
from lianfang.rooms.detect.queries import baselines, explaining
from lianfang.rooms.detect.queries.baselines import NUMBERS, Declared
from lianfang.rooms.detect.types import BASELINE, KEPT_EVENTS, SAMPLE, FindingsStored, window_of
from lianfang.rooms.lake import queries as lake

PIECE, SECONDS = 100_000, 20.0
"""Events of one piece, and after how long no further one is begun: the job comes each minute."""
DAY, WEEK = timedelta(days=1), timedelta(days=7)
Reached = dict[str, str]


def judge_baselines() -> int:
    """Count what came, judge what has settled; returns how many findings were stored. Another worker that does so already is left alone."""
    with jobs.leased("detect.judge_baselines", seconds=900) as mine:
        if not mine:
            return 0
        found, began = 0, monotonic()
        end: Reached | None = None
        _enrol()
        for reached, rows in _by_reach():
            to, tallies = dict(reached), _tallies(rows)
            for piece in lake.pieces(reached, most=PIECE, viewer=SYSTEM, end=end) if reached else ():
                arrivals = lake.Arrivals(tallies, to, piece.to, viewer=SYSTEM)
                for row in rows:
                    found += _each(row, partial(_look, arrivals=arrivals if piece.number else None, to=piece.to, more=piece.more))
                to = piece.to
                end = end or (None if piece.more else to)
                if monotonic() - began > SECONDS:
                    break
            start = {} if reached else lake.last_events(viewer=SYSTEM)
            for row in rows if not reached else ():
                found += _each(row, partial(_begin, to=start)) if monotonic() - began < SECONDS else 0
        return found


def _tallies(rows: Sequence[models.Baseline]) -> list[lake.Tally]:
    """What they count; one that cannot be read says so when it is looked at."""
    found = []
    for row in rows:
        with suppress(Fault):
            found.append(baselines.declared(row).tally)
    return found


def _each(row: models.Baseline, work: Callable[[models.Baseline], int]) -> int:
    """One that cannot be judged says why, and holds up no other."""
    try:
        return work(row)
    except Fault as fault:
        models.Baseline.objects.filter(pk=row.pk).update(trouble=str(fault)[:400])
        return 0


def _enrol() -> None:
    """Rules that are baselines get a state."""
    for rule in models.Rule.objects.filter(category=BASELINE, gone=False, baseline=None):
        models.Baseline.objects.create(rule=rule, kind=baselines.read(baselines.RuleText(rule.path, rule.text)).spec.kind)


def _by_reach() -> list[tuple[Reached, list[models.Baseline]]]:
    """Baselines that are on, those that have read equally far together; those that have to begin by themselves."""
    groups: dict[str, tuple[Reached, list[models.Baseline]]] = {}
    for row in models.Baseline.objects.filter(rule__gone=False, rule__enabled=True, rule__problem="").select_related("rule", "rule__pack").defer("rule__pack__problems"):
        fits = row.basis == baselines.declared(row).basis(baselines.spec_of(row)) and row.ran is not None and row.ran > clock.now() - WEEK
        reached = dict(row.reached) if fits else {}
        groups.setdefault(repr(sorted(reached.items())), (reached, []))[1].append(row)
    return list(groups.values())


def _begin(row: models.Baseline, *, to: Reached) -> int:
    """Learn from what the lake holds already, a day at a time (days without an event are not asked); then go on with what arrives after ``to``."""
    declared, spec, now = baselines.declared(row), baselines.spec_of(row), clock.now()
    base = Baseline(spec)
    start, milliseconds = baselines.horizon(spec, now), int(now.timestamp() * 1000)
    for day in sorted({hour.replace(hour=0) for hour, _number in lake.hours(since=start, until=now + DAY, viewer=SYSTEM)}):
        counted = lake.stored_before(declared.tally, to, since=day, until=day + DAY, viewer=SYSTEM)
        base.take(counted, now=milliseconds, judge=False)
    return _keep(row, declared, base, to, before={})


def _look(row: models.Baseline, *, arrivals: lake.Arrivals | None, to: Reached, more: bool) -> int:
    """One piece, unless there is nothing in it and nothing waits to be judged. ``more``: what follows it is there already."""
    declared, spec, now = baselines.declared(row), baselines.spec_of(row), int(clock.now().timestamp() * 1000)
    counted = arrivals.count(declared.tally) if arrivals is not None else None
    if not (counted is not None and counted.num_rows) and not row.told.get("due") and not spec.below:
        row.reached, row.ran = sorted(to.items()), clock.now()
        models.Baseline.objects.filter(pk=row.pk, step=row.step).update(reached=row.reached, ran=row.ran)
        return 0
    base = Baseline(spec)
    try:
        base.restore(models.BaselinePart.whole(row))
    except Invalid:
        models.Baseline.objects.filter(pk=row.pk).update(basis="")
        return 0
    if counted is not None:
        base.take(counted, now=now)
        base.forget(now=now)
    return _keep(row, declared, base, to, before=row.told, judged=not (more and spec.below))


def _keep(row: models.Baseline, declared: Declared, base: Baseline, to: Reached, *, before: Mapping[str, int], judged: bool = True) -> int:
    """Findings first, each once; then what is known now. ``before``: what was told so far; ``judged``: nobody fell silent while what came from them is not read yet."""
    departures = judge(base, now=int(clock.now().timestamp() * 1000)) if judged else []
    stored, trouble = 0, ""
    try:
        stored = sum(_store(row.rule, declared, one) for one in departures)
    except Fault as fault:
        trouble = str(fault)[:400]
        if departures:
            models.Baseline.objects.filter(pk=row.pk).update(trouble=trouble)
            return stored
    told = {**before, **{name: before.get(name, 0) + number for name, number in base.told.items()}, "entities": base.entities, "cells": base.cells.num_rows, "bytes": base.size, "due": base.due}
    values: dict[str, Any] = {"reached": sorted(to.items()), "told": told, "trouble": trouble, "since": baselines.moment(base.since) if base.since is not None else None, "ran": clock.now(), "basis": declared.basis(base.spec), "step": row.step + 1}
    state = base.snapshot()
    with transaction.atomic():
        kept = models.Baseline.objects.filter(pk=row.pk, step=row.step).update(**values)
        if kept:
            models.BaselinePart.put(row, state)
    if kept:
        for name, value in values.items():
            setattr(row, name, value)
    return stored


# ---- what was found ------------------------------------------------------------------------------------------------


def _store(rule: models.Rule, declared: Declared, one: Departure) -> int:
    """A departure as a finding with its events, unless it was told or an exception takes all of them."""
    key = hashlib.sha256("\x1f".join((BASELINE, rule.uid, one.place, one.group, one.entity, one.value, str(one.at))).encode()).hexdigest()
    if models.Finding.objects.filter(key=key).exists():
        return 0
    events = _events(declared, one)
    if not events:
        return 0
    territory = one.place.rstrip("~")
    fold = folding.whole(rule.uid, [{**event, "time": int(event["time"].timestamp() * 1000), "event": event["event_id"]} for event in events], territory=territory)
    fold.count, fold.first = max(1, one.n), baselines.moment(one.first)
    fold.last = max(fold.first, *(event["time"] for event in events)) if one.n else fold.first
    fold.window, fold.events = window_of(fold.first), [event["event_id"] for event in events][:KEPT_EVENTS]
    fold.exemption = _taken_by(rule, events)
    said = {name: getattr(rule, name) for name in storing.COPIED} | {"licence": rule.pack.licence}
    source, owners = str(events[-1]["source"]), lake.owners(viewer=SYSTEM)
    batch = f"{BASELINE}-{key[:32]}:{source}"[:120]
    about = {"batch": batch, "source": source, "source_name": ", ".join(dict.fromkeys(str(event["source"]) for event in events))[:120], "organisation": owners.get(source, ""), "sample": source.startswith(SAMPLE), "backfilled": False, "kind": BASELINE, "chain": _chain(declared, baselines.spec_of(rule.baseline), one)}
    row = storing.finding(fold, said, about)
    row.key = key
    with transaction.atomic():
        row.save(force_insert=True)
        storing.count({rule.uid: [(fold.last, fold.count)]})
        ledger.record("detect.found", row.ref, actor=SYSTEM, label=str(row.title), detail={"findings": 1, "excepted": int(bool(fold.exemption))}, territory=row.territory, industry=row.industry)
        if fold.exemption is None:
            jobs.publish(FindingsStored(batch=batch, count=1))
    return 1


def _events(declared: Declared, one: Departure) -> list[dict[str, Any]]:
    """The events behind it; of what fell silent the last ones before."""
    texts = {"group": [one.group], "entity": [one.entity], **({"value": [one.value]} if one.value else {})}
    place = {"territory": one.place.rstrip("~"), "sample": one.place.endswith("~"), "most": KEPT_EVENTS, "viewer": SYSTEM}
    since, until = baselines.moment(one.at), baselines.moment(one.until_at)
    if one.far >= 0:
        return lake.behind(declared.tally, texts, since=since, until=until, **place)
    return lake.behind(declared.tally, texts, since=since - WEEK, until=until, newest=True, **place)[::-1]


def _taken_by(rule: models.Rule, events: Sequence[Mapping[str, Any]]) -> Any:
    """The exception that takes every one of the events, if one does."""
    spared = Spared()
    if rule.uid not in spared.by_rule:
        return None
    read: dict[int, Any] = {}
    origins: dict[int, Any] = {}
    for rows, _origins, places in explaining.read_events(events):
        for at, place in enumerate(places):
            read.setdefault(place, rows[at])
            origins.setdefault(place, ("", BASELINE, ""))
    if len(read) < len(events):
        return None
    speaking, taken = spared.split(dict.fromkeys(read, (rule.uid,)), source=str(events[-1]["source"]), territories=[event["territory"] for event in events], rows=read, origins=origins)
    return None if speaking else next(iter(taken), None)


def _chain(declared: Declared, spec: Spec, one: Departure) -> dict[str, Any]:
    """Its numbers, as a page tells them; names as pairs, since a database may put those of an object in another order."""
    said = {name: value for name, value in asdict(one).items() if name not in ("place", "kind")}
    return {**said, "kind": str(one.kind), "columns": {"entity": list(declared.tally.entity), "value": list(declared.tally.value), "group": list(declared.tally.group)}, "numbers": sorted((name, getattr(spec, name)) for name in NUMBERS[one.kind])}


# ---- what people change --------------------------------------------------------------------------------------------


@transaction.atomic
def change_baseline(row: models.Baseline, values: Mapping[str, Any], *, actor: Viewer) -> models.Baseline:
    """Other numbers for this node; what equals the rule's own is the rule's own again. Raises ``Invalid`` where they contradict each other."""
    must_for_node(actor, "detect.baseline.change")
    row = models.Baseline.objects.select_for_update().select_related("rule").get(pk=row.pk)
    declared = baselines.declared(row)
    own = asdict(declared.spec)
    asked = values.get("given", values)
    if not isinstance(asked, Mapping):
        raise Invalid(_("This is no number"), why=f"given: {asked}"[:100], todo=_("Write the numbers by their names."))
    wanted = {**row.given, **asked}
    given = {name: _number(name, wanted[name], own[name]) for name in NUMBERS[declared.spec.kind] if wanted.get(name) is not None}
    given = {name: value for name, value in given.items() if value != own[name]}
    declared.changed(given)
    before, row.given = row.given, given
    models.Baseline.objects.filter(pk=row.pk).update(given=given)
    detail = {name: f"{before.get(name, own[name])} → {given.get(name, own[name])}" for name in sorted({*before, *given}) if before.get(name) != given.get(name)}
    ledger.record("detect.baseline_changed", row.ref, actor=actor, label=str(row.rule.title), detail=detail)
    return row


def _number(name: str, value: Any, like: float) -> float:
    try:
        return type(like)(value)
    except (TypeError, ValueError) as error:
        raise Invalid(_("This is no number"), why=f"{name}: {value}"[:100], todo=_("Write a number.")) from error


@transaction.atomic
def relearn_baseline(row: models.Baseline, *, actor: Viewer) -> models.Baseline:
    """Let it begin anew from what the lake holds: what it took for usual was not."""
    must_for_node(actor, "detect.baseline.change")
    models.Baseline.objects.filter(pk=row.pk).update(basis="", told={}, trouble="", step=F("step") + 1)  # whoever counts just now keeps nothing any more
    ledger.record("detect.baseline_relearned", row.ref, actor=actor, label=str(row.rule.title))
    return row


def forget() -> None:
    """All of them begin anew: their counts do not say which source they are of, and one was erased. In the caller's transaction."""
    models.BaselinePart.objects.all().delete()
    models.Baseline.objects.update(basis="", told={}, step=F("step") + 1)


def enable_baseline(row: models.Baseline, *, actor: Viewer) -> None:
    """Switch its rule on; what it knows is kept meanwhile."""
    switching.enable(row.rule, actor=actor)


def disable_baseline(row: models.Baseline, *, actor: Viewer) -> None:
    """Switch its rule off."""
    switching.disable(row.rule, actor=actor)
