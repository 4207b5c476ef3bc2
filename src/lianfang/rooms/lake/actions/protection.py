"""Protection by level: measures set, data taken away with a second person's word, reading beyond a limit stopped.

In: what a person set, asked for, or read. Out: measures in force, requests decided, answers counted before they are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext

from lianfang.commons.frame.scoped import whose
from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import actions as ledger
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Refused
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models
from lianfang.rooms.lake.actions import receiving, secrets
from lianfang.rooms.lake.queries import protection, sealing
from lianfang.rooms.lake.types import Asked, Outcome, ReadingStopped, Touched

KEPT = timedelta(days=366)
MOST_HOURS, MOST_ROWS = 720, 2_000_000_000


@transaction.atomic
def set_measures(level: int, values: Mapping[str, Any], *, actor: Viewer) -> models.Measure:
    """What protects one level in the actor's organisation and below; works within two seconds. Sealing begins with what comes in then."""
    actor.must("lake.measure.change")
    if level not in (1, 2, 3, 4):
        raise Invalid("There is no such level", todo="Levels are 1 to 4.")
    row = models.Measure.objects.filter(organisation=actor.organisation, level=level).first() or models.Measure(level=level, **whose(actor))
    row.seal, row.approve = bool(values.get("seal")), bool(values.get("approve"))
    row.hours, row.reads, row.exports = _number(values, "hours", 1, MOST_HOURS), _number(values, "reads", 0, MOST_ROWS), _number(values, "exports", 0, MOST_ROWS)
    row.sealed_once, row.changed_by, row.changed = row.sealed_once or row.seal, actor.name, clock.now()
    if row.seal:
        secrets.make_key()
    row.save()
    told = {"level": level, "seal": row.seal, "approve": row.approve, "hours": row.hours, "reads": row.reads, "exports": row.exports}
    ledger.record("lake.measures_set", row.ref, actor=actor, label=f"L{level}", detail=told, territory=row.territory, industry=row.industry)
    sealing.forget_sealed()
    receiving.forget_doors()
    return row


def _number(values: Mapping[str, Any], name: str, least: int, most: int) -> int:
    text = str(values.get(name, "")).strip()
    if not text.isdigit() or not least <= int(text) <= most:
        raise Invalid("A limit is a whole number", why=gettext("Between %(least)s and %(most)s.") % {"least": f"{least:,}", "most": f"{most:,}"}, todo="Write digits.", details={name: ["number"]})
    return int(text)


# ---- before: taking away asks for a second person ------------------------------------------------------------------


@transaction.atomic
def ask_export(kind: str, asked: str, *, form: str, level: int, rows: int, reason: str, towards: str = "", actor: Viewer) -> models.ExportRequest:
    """Put a request before a second person. ``towards``: the destination of what is to be reported."""
    actor.must("lake.event.export")
    if len(reason.strip()) < 4:
        raise Invalid("A request needs a reason", why="Whoever decides has nothing else to go by.", todo="Write a sentence.", details={"reason": ["missing"]})
    row = models.ExportRequest.objects.create(kind=kind, asked=asked[:20_000], form=form, level=level, rows=rows, reason=reason.strip()[:300], towards=towards[:36], by=actor.name, person=str(actor.id), **whose(actor))
    ledger.record("lake.export_asked", row.ref, actor=actor, label=row.asked[:200], detail={"level": level, "rows": rows, "reason": row.reason}, territory=row.territory, industry=row.industry)
    return row


@transaction.atomic
def decide_export(row: models.ExportRequest, *, approved: bool, why: str, actor: Viewer) -> models.ExportRequest:
    """Yes or no, by somebody else than who asked; an approval holds for the hours of its level. A refusal says why."""
    actor.must("lake.exportrequest.approve")
    row = models.ExportRequest.objects.select_for_update().get(pk=row.pk)
    if row.person == str(actor.id):
        raise Refused("Nobody approves their own request", why="It takes a second person.", todo="Ask a colleague who may approve.")
    if row.state != Asked.WAITING:
        raise Conflict("This request was decided already", why=gettext("%s did.") % row.decided_by, todo="Ask anew, if it is still needed.")
    if actor.clearance < row.level:
        raise Refused("This request may not be decided", why=gettext("It is about data of level %d, above your clearance.") % row.level, todo="Leave it to somebody who is cleared for it.")
    if not approved and len(why.strip()) < 4:
        raise Invalid("A refusal needs a reason", why="Whoever asked must learn what to do.", todo="Write a sentence.", details={"why": ["missing"]})
    row.state, row.decided_by, row.decided, row.why = Asked.APPROVED if approved else Asked.REFUSED, actor.name, clock.now(), why.strip()[:300]
    row.until = row.decided + timedelta(hours=protection.measures(row.territory)[row.level].hours) if approved else None
    row.save()
    ledger.record(f"lake.export_{row.state}", row.ref, actor=actor, label=row.asked[:200], detail={"level": row.level, "why": row.why}, territory=row.territory, industry=row.industry)
    return row


@transaction.atomic
def note_taken(row: models.ExportRequest, digest: str, *, rows: int, actor: Viewer) -> None:
    """An approved request was taken away: how often, and the SHA-256 of the file, so that one that turns up can be told."""
    row = models.ExportRequest.objects.select_for_update().get(pk=row.pk)
    row.taken += 1
    row.save(update_fields=["taken"])
    ledger.record("lake.export_taken", row.ref, actor=actor, label=row.asked[:200], detail={"rows": rows, "sha256": digest, "time": row.taken}, territory=row.territory, industry=row.industry)


# ---- during: every answer is counted before it is given --------------------------------------------------------------


def touch(verb: str, levels: Mapping[int, int], *, masked: int = 0, asked: str = "", actor: Viewer) -> None:
    """Count an answer (level → rows in the clear) and let it pass, or raise ``Refused`` when it goes beyond what the person may read or take in an hour."""
    if actor.kind == "system":
        return
    row = models.Touch(person=str(actor.id), by=actor.name, verb=verb, asked=asked[:500], masked=masked, rows=sum(levels.values()), level=max((level for level, rows in levels.items() if rows), default=0), **whose(actor))
    row.level_2, row.level_3, row.level_4 = levels.get(2, 0), levels.get(3, 0), levels.get(4, 0)
    broken = _beyond(row, actor) if row.level >= 2 else None
    if broken is None:
        row.outcome = Outcome.MASKED if masked else Outcome.GIVEN
        row.save(force_insert=True)
        return
    level, limit = broken
    row.outcome = Outcome.STOPPED
    with transaction.atomic():
        row.save(force_insert=True)
        ledger.record("lake.reading_stopped", row.ref, actor=actor, label=row.by, detail={"verb": verb, "level": level, "limit": limit, "asked": row.asked}, territory=row.territory, industry=row.industry)
        jobs.publish(ReadingStopped(person=row.person, who=row.by, organisation=row.organisation, level=level, limit=limit, territory=row.territory, industry=row.industry, touch=str(row.pk)))
    what = gettext("At most %(limit)s rows of level %(level)d and above may be taken away in an hour.") if verb == Touched.EXPORT else gettext("At most %(limit)s rows of level %(level)d and above may be read in an hour.")
    raise Refused("This was stopped: too much protected data in one hour", why=what % {"limit": f"{limit:,}", "level": level}, todo="Ask for less, wait, or have a colleague release you on the page “reading now”.")


def note_waiting(verb: str, levels: Mapping[int, int], *, asked: str, actor: Viewer) -> None:
    """Somebody wanted to take away what needs approval: on the report, nothing was given."""
    level = max((level for level, rows in levels.items() if rows), default=0)
    models.Touch.objects.create(person=str(actor.id), by=actor.name, verb=verb, asked=asked[:500], rows=0, level=level, outcome=Outcome.WAITS, **whose(actor))


def _beyond(row: models.Touch, actor: Viewer) -> tuple[int, int] | None:
    """The level and limit that this answer would break."""
    limits, before = protection.measures(actor.path), protection.touched_last_hour(row.person, verb=row.verb)
    now = {2: row.level_2 + row.level_3 + row.level_4, 3: row.level_3 + row.level_4, 4: row.level_4}
    for level in (4, 3, 2):
        limit = limits[level].exports if row.verb == Touched.EXPORT else limits[level].reads
        if limit and now[level] and before[level] + now[level] > limit:
            return level, limit
    return None


@transaction.atomic
def release(person: str, *, actor: Viewer) -> int:
    """Start somebody's hour anew; nobody does it for themselves. Returns how many answers no longer count."""
    actor.must("lake.touch.release")
    if person == str(actor.id):
        raise Refused("Nobody releases themselves", why="It takes a second person.", todo="Ask a colleague.")
    rows = models.Touch.objects.seen_by(actor).filter(person=person, moment__gte=clock.now() - protection.HOUR, released=False)
    one = rows.first()
    if one is None:
        raise Conflict("There is nothing to release", why="This person touched nothing within the hour that you may see.", todo="Look at the page again.")
    count = rows.update(released=True)
    ledger.record("lake.reading_released", one.ref, actor=actor, label=one.by, detail={"answers": count}, territory=one.territory, industry=one.industry)
    return count


def forget_touches() -> int:
    """Touches are kept for a year; the ledger keeps what was stopped, asked and taken."""
    return models.Touch.objects.filter(moment__lt=clock.now() - KEPT).delete()[0]
