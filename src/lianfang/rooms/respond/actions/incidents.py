"""What people do with an incident as a whole: give it to somebody, close all of it, name it, join it with another, take alerts out.

Where a person put an alert, grouping leaves it; alerts that come later may still join it there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
from lianfang.rooms.respond.types import OPEN, Verdict

Pk = UUID | str


def _seen(pk: Pk, actor: Viewer, permission: str) -> models.Incident:
    actor.must("respond.incident.view")
    actor.must(permission)
    row: models.Incident = models.Incident.objects.select_for_update().fetch(pk, actor)
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


@transaction.atomic
def assign_incident(pk: Pk, to: str, *, actor: Viewer) -> int:
    """Give all of its open alerts to one person; ``""`` gives them back to the queue. Returns how many."""
    row = _seen(pk, actor, "respond.alert.assign")
    waiting = [alert for alert in _alerts(row) if alert.state in OPEN]
    if not waiting:
        raise Conflict(_("Nothing of this incident is open"), why=_("All of its alerts are closed."), todo=_("Reopen an alert first."))
    lines = [deciding.assign(alert.pk, to, actor=actor) for alert in waiting]
    row.assignee, row.assignee_name = lines[0].assignee, lines[0].assignee_name
    _sum_up(row)
    _record("assigned", row, actor, to=row.assignee_name, alerts=len(waiting))
    return len(waiting)


@transaction.atomic
def close_incident(pk: Pk, verdict: str, *, comment: str = "", actor: Viewer) -> int:
    """Close all of its open alerts with one verdict; each keeps its own record. Returns how many."""
    row = _seen(pk, actor, "respond.alert.close")
    if verdict not in Verdict.values:
        raise Invalid(_("Say what the incident turned out to be"), why=_("An incident is closed with a verdict."), todo=_("Choose a verdict."), details={"verdict": [_("Choose a verdict.")]})
    waiting = [alert for alert in _alerts(row) if alert.state in OPEN]
    if not waiting:
        raise Conflict(_("This incident is closed"), why=_("All of its alerts are closed."), todo=_("Nothing needs to be done."))
    for alert in waiting:
        deciding.close(alert.pk, verdict, comment=comment, actor=actor)
    row.verdict = verdict
    _sum_up(row)
    _record("closed", row, actor, verdict=verdict, comment=comment.strip()[:500], alerts=len(waiting))
    return len(waiting)


@transaction.atomic
def rename_incident(pk: Pk, title: str, *, actor: Viewer) -> None:
    """Call it what it is; ``""`` lets it be called after its loudest alert again."""
    row = _seen(pk, actor, "respond.incident.change")
    before = row.title
    row.title, row.named = title.strip()[:250], bool(title.strip())
    _sum_up(row)
    _record("renamed", row, actor, before=before)


@transaction.atomic
def merge_incident(pk: Pk, other: Pk, *, actor: Viewer) -> None:
    """All alerts of ``other`` belong here, and stay here."""
    row, gone = _seen(pk, actor, "respond.incident.change"), _seen(other, actor, "respond.incident.change")
    if row.pk == gone.pk:
        raise Invalid(_("An incident cannot be joined with itself"), todo=_("Choose another one."))
    if row.territory != gone.territory:
        raise Invalid(_("These incidents belong to different organisations"), why=_("Whoever sees one need not see the other."), todo=_("Choose one of the same organisation."))
    number = gone.members.count()
    models.Member.objects.filter(incident=row).update(held=True)
    models.Member.objects.filter(incident=gone).update(incident=row, held=True)
    _record("merged", row, actor, other=gone.title, alerts=number)
    gone.delete()
    _settle(row)


@transaction.atomic
def split_incident(pk: Pk, alerts: Iterable[Pk], *, actor: Viewer) -> models.Incident:
    """Take some of its alerts out into an incident of their own; what was parted is not joined again. Returns the new one."""
    row = _seen(pk, actor, "respond.incident.change")
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


def incident_by_name(verb: str, pk: Pk, given: Mapping[str, Any], *, alerts: Iterable[Pk] = (), actor: Viewer) -> None:
    """A verb by its name, with what a form gave; raises ``Missing`` when there is none of that name."""
    match verb:
        case "assign":
            assign_incident(pk, str(given.get("to") or ""), actor=actor)
        case "close":
            close_incident(pk, str(given.get("verdict") or ""), comment=str(given.get("comment") or ""), actor=actor)
        case "rename":
            rename_incident(pk, str(given.get("title") or ""), actor=actor)
        case "merge":
            merge_incident(pk, str(given.get("other") or ""), actor=actor)
        case "split":
            split_incident(pk, alerts, actor=actor)
        case _:
            raise Missing(_("There is no such verb"), why=verb[:40], todo=_("An incident can be assigned, closed, renamed, joined with another and parted."))
