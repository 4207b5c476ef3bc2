"""What people do with an incident as a whole: give it to somebody, close all of it, name it, join it with another, take alerts out.

Where a person put an alert, grouping leaves it; alerts that come later may still join it there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from lianfang.commons.ledger import actions as ledger
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.respond import models
from lianfang.rooms.respond.actions import deciding, grouping
from lianfang.rooms.respond.types import OPEN, State, Verdict

Pk = UUID | str


def _seen(pk: Pk, actor: Viewer, permission: str, *, held: bool = False) -> models.Incident:
    """The incident, if this person sees it and may; ``held``: until the transaction ends."""
    actor.must("respond.incident.view")
    actor.must(permission)
    rows = models.Incident.objects.select_for_update() if held else models.Incident.objects
    row: models.Incident = rows.fetch(pk, actor)
    return row


def _alerts(row: models.Incident) -> list[models.Alert]:
    return list(models.Alert.objects.filter(member__incident=row).order_by("first", "id"))


def _sum_up(row: models.Incident) -> None:
    """What it says of its alerts, at once: the job would say the same a moment later."""
    grouping.summed(row, _alerts(row))
    row.changed = clock.now()
    row.save()


def _record(verb: str, row: models.Incident, actor: Viewer, **detail: Any) -> None:
    ledger.record(f"respond.incident_{verb}", row.ref, actor=actor, label=row.title, detail=detail, territory=row.territory, industry=row.industry)


def _each(row: models.Incident, states: Iterable[str], do: Callable[[models.Alert], Any]) -> int:
    """Do something to each of its alerts in one of ``states``, one after another, so that nothing else waits for all of them; returns how many.
    One that somebody else decided about meanwhile keeps what they said."""
    done, refused = 0, None
    for alert in [alert for alert in _alerts(row) if alert.state in states]:
        try:
            do(alert)
            done += 1
        except Conflict as fault:
            refused = fault
    if refused is not None and not done:
        raise refused
    return done


def _decided(row: models.Incident, verb: str, actor: Viewer, change: Mapping[str, Any], **detail: Any) -> None:
    """What was decided stands in the incident, and on record."""
    fresh: models.Incident = models.Incident.objects.get(pk=row.pk)
    for name, value in change.items():
        setattr(fresh, name, value)
    grouping.summed(fresh, _alerts(fresh))
    fresh.changed = clock.now()
    with transaction.atomic():
        fresh.save()
        _record(verb, fresh, actor, **detail)


def acknowledge_incident(pk: Pk, *, actor: Viewer) -> int:
    """Say that somebody has seen it: all alerts that nobody has seen. Returns how many."""
    row = _seen(pk, actor, "respond.alert.acknowledge")
    number = _each(row, (State.NEW,), lambda alert: deciding.acknowledge(alert.pk, actor=actor))
    if not number:
        raise Conflict(_("Somebody has seen all of it already"), why=_("None of its alerts is new."), todo=_("Look at it again and decide anew."))
    mine = {} if row.assignee else {"assignee": actor.id, "assignee_name": actor.name}
    _decided(row, "acknowledged", actor, mine, alerts=number)
    return number


def assign_incident(pk: Pk, to: str, *, actor: Viewer) -> int:
    """Give all of its open alerts to one person; ``""`` gives them back to the queue. Returns how many."""
    row, lines = _seen(pk, actor, "respond.alert.assign"), []
    number = _each(row, OPEN, lambda alert: lines.append(deciding.assign(alert.pk, to, actor=actor)))
    if not number:
        raise Conflict(_("Nothing of this incident is open"), why=_("All of its alerts are closed."), todo=_("Reopen an alert first."))
    name = lines[0].assignee_name
    _decided(row, "assigned", actor, {"assignee": lines[0].assignee, "assignee_name": name}, to=name, alerts=number)
    return number


def close_incident(pk: Pk, verdict: str, *, comment: str = "", actor: Viewer) -> int:
    """Close all of its open alerts with what they turned out to be. Returns how many."""
    row = _seen(pk, actor, "respond.alert.close")
    if verdict not in Verdict.values:
        raise Invalid(_("Say what the incident turned out to be"), why=_("An incident is closed with a verdict."), todo=_("Choose a verdict."), details={"verdict": [_("Choose a verdict.")]})
    number = _each(row, OPEN, lambda alert: deciding.close(alert.pk, verdict, comment=comment, actor=actor))
    if not number:
        raise Conflict(_("This incident is closed"), why=_("All of its alerts are closed."), todo=_("Nothing needs to be done."))
    _decided(row, "closed", actor, {"verdict": verdict}, verdict=verdict, comment=comment.strip()[:500], alerts=number)
    return number


@transaction.atomic
def comment_incident(pk: Pk, text: str, *, actor: Viewer) -> None:
    """Write something about the whole that colleagues should know."""
    row = _seen(pk, actor, "respond.alert.comment")
    models.Remark.objects.create(incident=row, author=actor.id, author_name=actor.name, text=deciding.written(text))
    models.Incident.objects.filter(pk=row.pk).update(changed=clock.now())
    _record("commented", row, actor, text=text.strip()[:500])


@transaction.atomic
def rename_incident(pk: Pk, title: str, *, actor: Viewer) -> None:
    """Call it what it is; ``""`` lets it be called after its loudest alert again."""
    row = _seen(pk, actor, "respond.incident.change", held=True)
    before = row.title
    row.title, row.named = title.strip()[:250], bool(title.strip())
    _sum_up(row)
    _record("renamed", row, actor, before=before)


@transaction.atomic
def merge_incident(pk: Pk, other: Pk, *, actor: Viewer) -> None:
    """All alerts of ``other`` belong here, and stay here."""
    row, gone = _seen(pk, actor, "respond.incident.change", held=True), _seen(other, actor, "respond.incident.change", held=True)
    if row.pk == gone.pk:
        raise Invalid(_("An incident cannot be joined with itself"), todo=_("Choose another one."))
    if row.territory != gone.territory:
        raise Invalid(_("These incidents belong to different organisations"), why=_("Whoever sees one need not see the other."), todo=_("Choose one of the same organisation."))
    number = gone.members.count()
    models.Member.objects.filter(incident=row).update(held=True)
    models.Member.objects.filter(incident=gone).update(incident=row, held=True)
    models.Remark.objects.filter(incident=gone).update(incident=row)
    _record("merged", row, actor, other=gone.title, alerts=number)
    gone.delete()
    _settle(row)


@transaction.atomic
def split_incident(pk: Pk, alerts: Iterable[Pk], *, actor: Viewer) -> models.Incident:
    """Take some of its alerts out into an incident of their own; what was parted is not joined again. Returns the new one."""
    row = _seen(pk, actor, "respond.incident.change", held=True)
    members = models.Member.objects.filter(incident=row)
    chosen = list(members.filter(alert__in=list(alerts)))
    if not chosen or len(chosen) == members.count():
        raise Invalid(_("There is nothing to part"), why=_("Some of its alerts go, and some stay."), todo=_("Tick the alerts that do not belong here."))
    fresh = models.Incident(territory=row.territory, first=row.first, last=row.last)
    fresh.save(force_insert=True)
    members.exclude(pk__in=[one.pk for one in chosen]).update(held=True)
    models.Member.objects.filter(pk__in=[one.pk for one in chosen]).update(incident=fresh, held=True)
    _sum_up(fresh)
    _settle(row)
    _record("split", row, actor, other=str(fresh.pk), alerts=len(chosen))
    return fresh


def _settle(row: models.Incident) -> None:
    """Sum up, and let the links be worked out again."""
    _sum_up(row)
    grouping.stir(_alerts(row))


def incident_by_name(verb: str, pk: Pk, given: Mapping[str, Any], *, alerts: Iterable[Pk] = (), actor: Viewer) -> models.Incident | None:
    """A verb by its name, with what a form or a program gave; raises ``Missing`` when there is none of that name. Gives the new incident where one was parted."""
    match verb:
        case "acknowledge":
            acknowledge_incident(pk, actor=actor)
        case "comment":
            comment_incident(pk, str(given.get("comment") or ""), actor=actor)
        case "assign":
            assign_incident(pk, str(given.get("to") or ""), actor=actor)
        case "close":
            close_incident(pk, str(given.get("verdict") or ""), comment=str(given.get("comment") or ""), actor=actor)
        case "rename":
            rename_incident(pk, str(given.get("title") or ""), actor=actor)
        case "merge":
            merge_incident(pk, str(given.get("other") or ""), actor=actor)
        case "split":
            return split_incident(pk, alerts, actor=actor)
        case _:
            raise Missing(_("There is no such verb"), why=verb[:40], todo=_("An incident can be acknowledged, assigned, closed, commented, renamed, joined with another and parted."))
    return None
