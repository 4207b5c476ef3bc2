"""Hunts as people see them: their own, or all of the node for who sees it whole; how far each is, and what it found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from lianfang.commons.jobs import queries as jobs
from lianfang.commons.jobs.types import Progress
from lianfang.kernel import clock
from lianfang.kernel.errors import Fault, Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.adapters.executor import unpacked
from lianfang.rooms.detect.queries import chains, watch
from lianfang.rooms.detect.types import IOC


@dataclass(frozen=True, slots=True)
class RuleFound:
    """What one rule of a hunt found: events, how many of them had been found when they came in, findings that were kept; of a correlation how often it ``fired``."""

    uid: str
    title: str
    url_id: str
    severity: int
    events: int
    known: int
    findings: int
    first: datetime
    last: datetime
    fired: int = 0


def hunt_rows(viewer: Viewer) -> QuerySet[models.Hunt]:
    """The hunts a viewer may see."""
    viewer.must("detect.rule.hunt")
    rows = models.Hunt.objects.all()
    return rows if viewer.sees_node else rows.filter(owner=viewer.id).exclude(owner="")


def hunt_of(pk: UUID, viewer: Viewer) -> models.Hunt:
    """One of them; ``Missing``."""
    row = hunt_rows(viewer).filter(pk=pk).first()
    if row is None:
        raise Missing(_("There is no such hunt"), why=_("It does not exist, was forgotten, or somebody else asked for it."), todo=_("Look at the list of hunts."))
    return row


def progress_of(row: models.Hunt, viewer: Viewer) -> Progress | None:
    """How its job is doing; ``None`` where it has none that the viewer may see."""
    try:
        return jobs.progress(row.job, viewer) if row.job else None
    except Fault:
        return None


def found_by(row: models.Hunt) -> list[RuleFound]:
    """By rule, the most frequent first."""
    told: dict[str, dict[str, Any]] = row.result.get("rules", {})
    rules = {rule.uid: rule for rule in models.Rule.objects.filter(uid__in=[uid for uid in told if not uid.startswith(IOC)]).defer("text")}
    said = watch.described(sorted(uid for uid in told if uid.startswith(IOC)))

    def line(uid: str, one: dict[str, Any]) -> RuleFound:
        rule = rules.get(uid)
        title = str(rule) if rule else str(said.get(uid, {}).get("title", uid))
        return RuleFound(uid, title, str(rule.pk) if rule else "", rule.severity if rule else int(said.get(uid, {}).get("severity", 3)), one["events"], one["known"], one["findings"], clock.parse(one["first"]), clock.parse(one["last"]), one.get("fired", 0))

    return sorted((line(uid, one) for uid, one in told.items()), key=lambda found: (-found.events, found.uid))


def chains_of(row: models.Hunt, viewer: Viewer) -> list[chains.Chain]:
    """The first times that its correlations fired, each with what led to it, as the viewer may see it."""
    return chains.told(row.result.get("chains", ()), viewer)


def events_of(row: models.Hunt) -> Iterator[tuple[str, str]]:
    """Everything it found, as (rule, event), hour by hour."""
    for content in row.parts.order_by("start").values_list("content", flat=True):
        for uid, events in sorted(unpacked(bytes(content)).items()):
            yield from ((uid, event) for event in sorted(events))


def document(row: models.Hunt, viewer: Viewer) -> dict[str, Any]:
    """A hunt as plain data."""
    job = progress_of(row, viewer)
    state = "done" if row.finished else str(job.state) if job else "open"
    rules = [{"uid": one.uid, "title": one.title, "events": one.events, "known": one.known, "findings": one.findings, **({"fired": one.fired} if one.fired else {}), "first": one.first, "last": one.last} for one in found_by(row)]
    sums = {name: row.result.get(name, 0) for name in ("looked", "events", "findings")}
    return {"id": str(row.pk), "label": row.label, "since": row.since, "until": row.until, "keep": row.keep, "state": state, "hours": row.splits, "hours_done": row.done, **sums, "rules": rules, "hosts": row.result.get("hosts", {}), "days": row.result.get("days", {}), "fired": [{"rule": one.rule, "moment": one.moment, "why": one.why, "group": dict(one.group)} for one in chains_of(row, viewer)], "executors": row.result.get("executors", {})}
