"""The story around an alert: its events and those of the same host just before and after, what people did, what else the host saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from lianfang.commons.frame.pages import told
from lianfang.commons.ledger import queries as ledger
from lianfang.commons.people import queries as people
from lianfang.commons.people.types import Person
from lianfang.kernel.errors import Fault
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect.queries import chains, explaining
from lianfang.rooms.detect.queries import departures as strayed
from lianfang.rooms.detect.types import ANOMALY, BASELINE, CORRELATION, Explanation
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.types import Filter, Question
from lianfang.rooms.respond import models
from lianfang.rooms.respond.queries.asking import seen

AROUND = timedelta(minutes=15)
EVENTS = 60
LONGEST = timedelta(hours=6)
"""A session may go on for days; the page shows its first hours and says so."""

CIRCLES = (timedelta(minutes=1), timedelta(minutes=5), AROUND, LONGEST + AROUND)
LOOKED_AT = 400
CHAINS = 40

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Story:
    """What the page of an alert tells. ``shown`` is the event that is opened; ``lost`` says why there is none."""

    shown: Event | None
    explanation: Explanation | None
    own: tuple[str, ...]
    around: tuple[Event, ...]
    more: bool
    since: datetime
    until: datetime
    lost: str


def story(alert: models.Alert, viewer: Viewer, *, event_id: str = "") -> Story:
    """The events of an alert and of its host around it; ``event_id`` chooses which one is opened."""
    since, until = alert.first - AROUND, min(alert.last, alert.first + LONGEST) + AROUND
    around, more, lost = _around(alert, since, until, viewer)
    chosen = event_id if event_id in {*alert.events, *(event["event_id"] for event in around)} else next(iter(alert.events), "")
    shown, missing = _event(chosen, viewer)
    return Story(shown, explained(alert, shown) if shown else None, tuple(alert.events), around, more, since, until, lost or missing)


def _event(event_id: str, viewer: Viewer) -> tuple[Event | None, str]:
    if not event_id or not viewer.may("lake.event.view"):
        return None, _("You may not see events; ask for the permission lake.event.view.") if event_id else ""
    try:
        return lake.event(event_id, viewer=viewer), ""
    except Fault as fault:
        return None, told(fault)


def _around(alert: models.Alert, since: datetime, until: datetime, viewer: Viewer) -> tuple[tuple[Event, ...], bool, str]:
    """Events of the same host, the earliest first: those nearest to the alert's first event, and whether there are more."""
    if not viewer.may("lake.event.view") or not alert.host:
        return (), False, ""
    try:
        found, more = _nearest(alert, since, until, viewer)
    except Fault as fault:
        return (), False, told(fault)
    return tuple(sorted(found, key=lambda event: (event["time"], event["event_id"]))), more, ""


def _nearest(alert: models.Alert, since: datetime, until: datetime, viewer: Viewer) -> tuple[list[Event], bool]:
    """Ever wider circles around the alert, until one holds enough."""
    found: list[Event] = []
    for circle in CIRCLES:
        start, end = max(since, alert.first - circle), min(until, alert.first + circle + timedelta(seconds=1))
        answer = lake.search(Question(start, end, (Filter("host", "is", alert.host),), limit=LOOKED_AT), viewer=viewer)
        found = sorted(answer.events, key=lambda event: abs(event["time"] - alert.first))
        if len(found) >= EVENTS:
            break
    return found[:EVENTS], len(found) > EVENTS or end < until


def explained(alert: models.Alert, event: Event) -> Explanation:
    """Why the alert's rule fired on an event."""
    if not event.get("raw"):
        return Explanation(alert.rule_uid, str(alert), (), _("The original log is masked: it is graded above what you may see."))
    if alert.kind == ANOMALY:
        return Explanation(alert.rule_uid, str(alert), (), _("No rule fired: logs of this kind are not as usual. How so stands above."))
    if alert.kind == BASELINE:
        return Explanation(alert.rule_uid, str(alert), (), _("Nothing in this log is unusual by itself; what it departs from stands above."))
    part = str(event["event_id"]).partition(".")[2]
    uid = alert.rule_uid if alert.kind != CORRELATION else next(iter(event.get("rules") or ()), alert.rule_uid)
    return explaining.explain(uid, str(event["raw"]), part=int(part) if part.isdigit() else 0)


def led_to(alert: models.Alert, viewer: Viewer) -> list[chains.Chain]:
    """What made a correlation fire, step by step, the newest first."""
    if alert.kind != CORRELATION:
        return []
    return chains.chains(models.Folded.objects.filter(alert=alert).values_list("finding", flat=True)[:CHAINS], viewer)


def departures(alert: models.Alert, viewer: Viewer) -> list[strayed.Told]:
    """What departed from which baseline, or from what logs usually say; the newest first."""
    if alert.kind not in (BASELINE, ANOMALY):
        return []
    return strayed.departures(models.Folded.objects.filter(alert=alert).values_list("finding", flat=True)[:CHAINS], viewer)


def neighbours(alert: models.Alert, viewer: Viewer, *, limit: int = 8) -> list[models.Alert]:
    """Other alerts of the same host within a day, the nearest first."""
    if not alert.host:
        return []
    day = timedelta(days=1)
    rows = seen(viewer).filter(host=alert.host, territory=alert.territory, last__gte=alert.first - day, first__lte=alert.last + day).exclude(pk=alert.pk)
    return sorted(rows.order_by("-last", "-id")[:100], key=lambda other: abs(other.last - alert.last))[:limit]


def done(alert: models.Alert, viewer: Viewer) -> Sequence[Any]:
    """What people and the node did about it, the newest first; entries of the ledger."""
    return ledger.timeline(alert.ref, viewer)


def colleagues(viewer: Viewer) -> list[Person]:
    """Who may be given an alert: people in the viewer's scope who may see alerts."""
    return people.persons(viewer, permission="respond.alert.start")
