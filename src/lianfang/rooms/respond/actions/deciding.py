"""Deciding: what people do with an alert, and from where to where it may go.

| verb | from | to |
|---|---|---|
| acknowledge | new | acknowledged |
| assign | any open state | the same |
| start | new, acknowledged | in progress |
| close | any open state | closed, with a verdict |
| reopen | closed | in progress |
| comment | any | the same |

Every verb changes the row only while it is still in a state it may leave, and writes one ledger record in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from lianfang.commons.ledger import actions as ledger
from lianfang.commons.people import queries as people
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.respond import models
from lianfang.rooms.respond.actions import grouping, weighing
from lianfang.rooms.respond.types import OPEN, AlertLine, State, Verdict

LONGEST_COMMENT = 10_000

Pk = UUID | str


def _seen(pk: Pk, actor: Viewer, permission: str) -> models.Alert:
    actor.must(permission)
    alert: models.Alert = models.Alert.objects.fetch(pk, actor)
    return alert


def _move(alert: models.Alert, allowed: Iterable[State], *, to: State | None, **change: Any) -> models.Alert:
    """Change the row if it is in an ``allowed`` state; raises ``Conflict`` with the state it is in."""
    change |= {"changed": clock.now()} | ({"state": to} if to else {})
    if not models.Alert.objects.filter(pk=alert.pk, state__in=list(allowed)).update(**change):
        now: models.Alert = models.Alert.objects.get(pk=alert.pk)
        who = _("by %(name)s") % {"name": now.assignee_name} if now.assignee_name else ""
        raise Conflict(_("This alert is %(state)s") % {"state": now.get_state_display()} + (f" ({who})" if who else ""), why=_("It does not allow this step, or somebody was faster."), todo=_("Look at it again and decide anew."), details={"state": now.state})
    alert.refresh_from_db()
    grouping.stir([alert])
    return alert


def _record(verb: str, alert: models.Alert, *, actor: Viewer, **detail: Any) -> None:
    ledger.record(f"respond.{verb}", alert.ref, actor=actor, label=alert.title, detail=detail, territory=alert.territory, industry=alert.industry)


@transaction.atomic
def acknowledge(pk: Pk, *, actor: Viewer) -> AlertLine:
    """Say that somebody has seen it; whoever acknowledges an alert that nobody owns, owns it."""
    alert = _seen(pk, actor, "respond.alert.acknowledge")
    mine = {} if alert.assignee else _owner(actor)
    alert = _move(alert, (State.NEW,), to=State.ACKNOWLEDGED, acknowledged=clock.now(), **mine)
    _record("acknowledged", alert, actor=actor)
    return alert.line()


def _owner(person: Viewer) -> dict[str, str]:
    return {"assignee": person.id, "assignee_name": person.name}


@transaction.atomic
def start(pk: Pk, *, actor: Viewer) -> AlertLine:
    """Begin to examine it."""
    alert = _seen(pk, actor, "respond.alert.start")
    change = {} if alert.assignee else _owner(actor)
    if alert.acknowledged is None:
        change["acknowledged"] = clock.now()
    alert = _move(alert, (State.NEW, State.ACKNOWLEDGED), to=State.IN_PROGRESS, **change)
    _record("started", alert, actor=actor)
    return alert.line()


@transaction.atomic
def assign(pk: Pk, to: str, *, actor: Viewer) -> AlertLine:
    """Give it to a person who may see it; ``to`` is their id, ``""`` gives it back to the queue."""
    alert = _seen(pk, actor, "respond.alert.assign")
    person = _assignee(to, alert, actor)
    before = alert.assignee_name
    alert = _move(alert, OPEN, to=None, **person)
    _record("assigned", alert, actor=actor, to=person["assignee_name"], before=before)
    return alert.line()


def _assignee(to: str, alert: models.Alert, actor: Viewer) -> dict[str, str]:
    if not to:
        return {"assignee": "", "assignee_name": ""}
    if to == actor.id:
        return _owner(actor)
    user = people.who_may(to, "respond.alert.view", territory=alert.territory, industry=alert.industry)
    if user is None:
        raise Invalid(_("This person cannot take the alert"), why=_("They do not exist, or may not see alerts of this organisation."), todo=_("Choose somebody else, or ask an administrator to grant them a role."))
    return {"assignee": str(user.pk), "assignee_name": user.name}


@transaction.atomic
def close(pk: Pk, verdict: str, *, comment: str = "", actor: Viewer) -> AlertLine:
    """Close it with what it turned out to be."""
    alert = _seen(pk, actor, "respond.alert.close")
    if verdict not in Verdict.values:
        raise Invalid(_("Say what the alert turned out to be"), why=_("An alert is closed with a verdict."), todo=_("Choose one of: %(choices)s.") % {"choices": ", ".join(str(label) for label in Verdict.labels)}, details={"verdict": [_("Choose a verdict.")]})
    now = clock.now()
    change: dict[str, Any] = {"verdict": verdict, "closed": now} | ({} if alert.assignee else _owner(actor)) | ({} if alert.acknowledged else {"acknowledged": now})
    alert = _move(alert, OPEN, to=State.CLOSED, **change)
    if comment.strip():
        _write(alert, comment, actor)
    weighing.note(alert, verdict, actor=actor)
    _record("closed", alert, actor=actor, verdict=verdict, comment=comment.strip()[:500])
    return alert.line()


@transaction.atomic
def reopen(pk: Pk, *, comment: str = "", actor: Viewer) -> AlertLine:
    """Take a closed alert up again."""
    alert = _seen(pk, actor, "respond.alert.reopen")
    before = alert.verdict
    alert = _move(alert, (State.CLOSED,), to=State.IN_PROGRESS, verdict="", closed=None, **_owner(actor))
    if comment.strip():
        _write(alert, comment, actor)
    weighing.take_back(alert)
    _record("reopened", alert, actor=actor, before=before, comment=comment.strip()[:500])
    return alert.line()


@transaction.atomic
def comment(pk: Pk, text: str, *, actor: Viewer) -> AlertLine:
    """Write something about it that colleagues should know."""
    alert = _seen(pk, actor, "respond.alert.comment")
    _write(alert, text, actor)
    models.Alert.objects.filter(pk=alert.pk).update(changed=clock.now())
    _record("commented", alert, actor=actor, text=text.strip()[:500])
    return alert.line()


def _write(alert: models.Alert, text: str, actor: Viewer) -> None:
    models.Comment.objects.create(alert=alert, author=actor.id, author_name=actor.name, text=written(text))


def written(text: str) -> str:
    """A comment as it is kept; raises ``Invalid`` for an empty or endless one."""
    if not text.strip():
        raise Invalid(_("The comment is empty"), todo=_("Write what colleagues should know."), details={"text": [_("Write something.")]})
    if len(text) > LONGEST_COMMENT:
        raise Invalid(_("The comment is too long"), why=_("%(n)d characters at most.") % {"n": LONGEST_COMMENT}, todo=_("Shorten it."), details={"text": [_("Shorten it.")]})
    return text.strip()


def by_name(verb: str, pk: Pk, given: Mapping[str, Any], *, actor: Viewer) -> AlertLine:
    """A verb by its name, with what a form or a program gave; raises ``Missing`` when there is none of that name."""
    said = str(given.get("comment") or "")
    match verb:
        case "acknowledge":
            return acknowledge(pk, actor=actor)
        case "start":
            return start(pk, actor=actor)
        case "assign":
            return assign(pk, str(given.get("to") or ""), actor=actor)
        case "close":
            return close(pk, str(given.get("verdict") or ""), comment=said, actor=actor)
        case "reopen":
            return reopen(pk, comment=said, actor=actor)
        case "comment":
            return comment(pk, said, actor=actor)
    raise Missing(_("There is no such verb"), why=verb[:40], todo=_("An alert can be acknowledged, started, assigned, closed, reopened and commented."))
