"""Weighing: what people judged and how important things are, read for ranking, kept when somebody says it, and felt by what is open.

A verdict writes one row of its rule and marks the rule; a job weighs the open alerts anew, read and worked out before anything is
written, a few hundred at a time. The sum of an alert's other terms stands in its reasons, so nothing else has to be looked at.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Count, F, Max, QuerySet
from django.utils.translation import gettext as _

from lianfang.commons.frame.scoped import whose
from lianfang.commons.ledger import actions as ledger
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid
from lianfang.kernel.viewer import WIDTH, Viewer, after
from lianfang.rooms.respond import models
from lianfang.rooms.respond.actions import grouping, ranking
from lianfang.rooms.respond.actions.ranking import UNKNOWN, Judgement, Stake, Track
from lianfang.rooms.respond.types import OPEN

KEPT = 100
"""Judgements of a rule in an organisation that are kept; the newest."""
KEPT_TRACES = 12
TAKEN = 500
"""Marks that one run takes up."""
MOST = 20_000
"""Open alerts weighed anew for one mark; the newest."""
AT_ONCE = 200


# -- what was judged -----------------------------------------------------------------------------------------------


def note(alert: models.Alert, verdict: str, *, actor: Viewer) -> None:
    """Keep what a person judged an alert to be, in the caller's transaction: one row, whatever is open. The node itself is no judge."""
    if verdict not in ranking.WORTH or actor.kind == "system":
        return
    row = _row(alert)
    row.said = [*(one for one in row.said if one[0] != str(alert.pk)), [str(alert.pk), clock.text(clock.now()), actor.id, str(verdict), alert.host.lower(), sorted(traces(alert))[:KEPT_TRACES]]][-KEPT:]
    row.save(update_fields=["said"])
    unsettle([(alert.territory, alert.rule_uid)])


def take_back(alert: models.Alert) -> None:
    """Somebody takes the alert up again: what was judged of it no longer counts."""
    if _forget(alert):
        unsettle([(alert.territory, alert.rule_uid)])


def forget(alerts: Iterable[models.Alert]) -> None:
    """Alerts are going for good, and what was said of them with them; in the caller's transaction."""
    gone: dict[tuple[str, str], set[str]] = defaultdict(set)
    for alert in alerts:
        if not alert.is_open:
            gone[alert.territory, alert.rule_uid].add(str(alert.pk))
    for (territory, rule), names in gone.items():
        for row in models.Judged.objects.select_for_update().filter(territory=territory, rule_uid=rule):
            _without(row, names)
    unsettle(gone)


def _row(alert: models.Alert) -> models.Judged:
    models.Judged.objects.bulk_create([models.Judged(territory=alert.territory, rule_uid=alert.rule_uid)], ignore_conflicts=True)
    row: models.Judged = models.Judged.objects.select_for_update().get(territory=alert.territory, rule_uid=alert.rule_uid)
    return row


def _forget(alert: models.Alert) -> bool:
    row = models.Judged.objects.select_for_update().filter(territory=alert.territory, rule_uid=alert.rule_uid).first()
    return row is not None and _without(row, {str(alert.pk)})


def _without(row: models.Judged, names: set[str]) -> bool:
    left = [one for one in row.said if one[0] not in names]
    if len(left) == len(row.said):
        return False
    row.said = left
    if left:
        row.save(update_fields=["said"])
    else:
        row.delete()
    return True


def traces(alert: models.Alert) -> frozenset[str]:
    """What took part beside the host, as far as it names somebody. Needs no database."""
    return frozenset(f"{kind}:{name}" for kind, name in grouping.sight_of(alert).entities if kind != "hosts")


# -- what ranking reads --------------------------------------------------------------------------------------------


class Weights:
    """Judgements and importances that touch some alerts, read once for all of them."""

    def __init__(self, alerts: Iterable[models.Alert]):
        alerts = list(alerts)
        self.now = clock.now()
        self.traces = {alert.pk: traces(alert) for alert in alerts}
        rows = models.Judged.objects.filter(territory__in={alert.territory for alert in alerts}, rule_uid__in={alert.rule_uid for alert in alerts}) if alerts else ()
        self.judged = {(row.territory, row.rule_uid): [Judgement(clock.parse(at), person, verdict, host, frozenset(found)) for _alert, at, person, verdict, host, found in row.said] for row in rows}
        self.said = _importances(alerts, self.traces)

    def track(self, alert: models.Alert) -> Track:
        """What its like turned out to be."""
        return ranking.track(self.judged.get((alert.territory, alert.rule_uid), ()), host=alert.host.lower(), entities=self.traces[alert.pk], now=self.now)

    def stake(self, alert: models.Alert) -> Stake:
        """How important what it touches is: what is said of the host, else of its addresses; a user who matters more raises it."""
        said = [self.said[path] for path in reversed(_above(alert.territory)) if path in self.said]
        names = [trace.partition(":")[2] for trace in self.traces[alert.pk] if trace.startswith("users:")]
        addresses = [trace.partition(":")[2] for trace in self.traces[alert.pk] if trace.startswith("ips:")]
        place = _first(level.names.get(("host", alert.host.lower())) for level in said)
        asset = Stake(place, "host") if place else max((Stake(_first(level.within(address) for level in said), "range") for address in addresses), key=lambda one: one.importance, default=UNKNOWN)
        user = max((_first(level.names.get(("user", name)) for level in said) for name in names), default=0)
        chosen = Stake(user, "user") if user > asset.importance else asset
        return chosen if chosen.importance else UNKNOWN

    def weighed(self, alert: models.Alert, reasons: Iterable[Any]) -> tuple[int, list[Any]]:
        """Score and reasons of an alert with both."""
        return ranking.moved(reasons, stake=self.stake(alert), record=self.track(alert))


Ranges = dict[tuple[int, int], dict[int, int]]


@dataclass(slots=True)
class Said:
    """What one organisation says: of hosts and users by name, of ranges by (version, length) and network."""

    names: dict[tuple[str, str], int] = field(default_factory=dict)
    ranges: Ranges = field(default_factory=lambda: defaultdict(dict))

    def take(self, about: str, value: str, importance: int) -> None:
        """Note one."""
        if about == models.About.RANGE:
            network = ipaddress.ip_network(value)
            self.ranges[network.version, network.prefixlen][int(network.network_address)] = importance
        else:
            self.names[about, value] = importance

    def within(self, address: str) -> int:
        """The importance of the narrowest range an address lies in; 0 for none."""
        one = ipaddress.ip_address(address)
        for version, length in sorted(self.ranges, reverse=True):
            shift = one.max_prefixlen - length
            if version == one.version and (found := self.ranges[version, length].get(int(one) >> shift << shift)):
                return found
        return 0


def _first(found: Iterable[int | None]) -> int:
    return next((one for one in found if one), 0)


def _above(territory: str) -> list[str]:
    """The paths of an organisation and of those above it, the highest first."""
    return ["", *(territory[:length] for length in range(WIDTH, len(territory) + 1, WIDTH))]


def _importances(alerts: list[models.Alert], found: Mapping[Any, frozenset[str]]) -> dict[str, Said]:
    """What organisations say of these hosts and users, and of any range, by path."""
    rows = models.Importance.objects.filter(territory__in={path for alert in alerts for path in _above(alert.territory)})
    if not alerts or not rows.exists():
        return {}
    hosts = sorted({alert.host.lower() for alert in alerts})
    users = sorted({trace.partition(":")[2] for traces in found.values() for trace in traces if trace.startswith("users:")})
    asked = [rows.filter(about=about, value__in=names[start : start + AT_ONCE]) for about, names in ((models.About.HOST, hosts), (models.About.USER, users)) for start in range(0, len(names), AT_ONCE)]
    said: dict[str, Said] = defaultdict(Said)
    for path, ranges in _ranges(rows):
        said[path].ranges = ranges
    for one in asked:
        for path, about, value, importance in one.values_list("territory", "about", "value", "importance"):
            said[path].take(about, value, importance)
    return said


_read: dict[str, tuple[Any, Ranges]] = {}
"""Of each organisation the ranges as they were read last, and when they were changed and how many they were then: a table of all subnets is not read for each batch of alerts."""


def _ranges(rows: QuerySet[models.Importance]) -> Iterator[tuple[str, Ranges]]:
    ranges = rows.filter(about=models.About.RANGE)
    for path, changed, number in ranges.order_by("territory").values_list("territory").annotate(Max("changed"), Count("pk")):
        known, said = _read.get(path, (None, Said().ranges))
        if known != (changed, number):
            whole = Said()
            for value, importance in ranges.filter(territory=path).values_list("value", "importance"):
                whole.take(models.About.RANGE, value, importance)
            said = whole.ranges
            _read[path] = (changed, number), said
        yield path, said


# -- what is open feels it -----------------------------------------------------------------------------------------


def unsettle(places: Iterable[tuple[str, str]]) -> None:
    """Note that the open alerts of these (territory, rule; ``""``: all there and below) are to be weighed anew, in the caller's transaction."""
    for territory, rule in sorted(set(places)):
        models.Unsettled.objects.bulk_create([models.Unsettled(territory=territory, rule=rule)], ignore_conflicts=True)
        models.Unsettled.objects.filter(territory=territory, rule=rule).update(turn=F("turn") + 1)


def rank_anew() -> int:
    """Weigh anew what is unsettled; returns how many scores changed."""
    changed = 0
    marks: dict[tuple[str, bool], list[models.Unsettled]] = defaultdict(list)
    for mark in models.Unsettled.objects.order_by("id")[:TAKEN]:
        marks[mark.territory, bool(mark.rule)].append(mark)
    for (territory, by_rule), mine in marks.items():
        rows: QuerySet[models.Alert] = models.Alert.objects.filter(state__in=OPEN)
        rows = rows.filter(territory=territory, rule_uid__in=[mark.rule for mark in mine]) if by_rule else rows.filter(territory__gte=territory, territory__lt=after(territory)) if territory else rows
        for chunk in _chunks(rows):
            changed += _weigh(chunk)
        for mark in mine:
            models.Unsettled.objects.filter(pk=mark.pk, turn=mark.turn).delete()
    return changed


def _chunks(rows: QuerySet[models.Alert]) -> Iterator[list[models.Alert]]:
    names: list[UUID] = list(rows.order_by("-last", "-id").values_list("pk", flat=True)[:MOST])
    for start in range(0, len(names), AT_ONCE):
        yield list(models.Alert.objects.filter(pk__in=names[start : start + AT_ONCE]))


def _weigh(alerts: list[models.Alert]) -> int:
    """Worked out first, then written; an alert that was ranked meanwhile keeps what it has."""
    weights, other = Weights(alerts), []
    for alert in alerts:
        score, reasons = weights.weighed(alert, alert.why)
        terms = [asdict(reason) for reason in reasons]
        if terms != alert.reasons:
            other.append((alert, score, terms))
    if not other:
        return 0
    with transaction.atomic():
        rows = models.Alert.objects.select_for_update().filter(pk__in=[alert.pk for alert, _score, _terms in other], state__in=OPEN).order_by("pk")
        standing = {pk: (count, reasons) for pk, count, reasons in rows.values_list("pk", "count", "reasons")}
        same = [one for one in other if standing.get(one[0].pk) == (one[0].count, one[0].reasons)]
        for alert, score, terms in same:
            models.Alert.objects.filter(pk=alert.pk).update(score=score, reasons=terms, changed=clock.now())
        moved = [alert for alert, score, _terms in same if score != alert.score]
        grouping.stir(moved)
    return len(moved)


# -- importance ----------------------------------------------------------------------------------------------------


def create_importance(values: Mapping[str, Any], *, actor: Viewer) -> models.Importance:
    """Say how important something of one's own organisation is."""
    actor.must("respond.importance.add")
    row = models.Importance(**whose(actor), **values)
    return _keep(row, "added", actor, {})


def change_importance(row: models.Importance, values: Mapping[str, Any], *, actor: Viewer) -> models.Importance:
    """Say it otherwise."""
    actor.must("respond.importance.change")
    before = {"value": row.value, "importance": row.importance}
    for name, value in values.items():
        setattr(row, name, value)
    row.changed = clock.now()
    return _keep(row, "changed", actor, before)


def remove_importance(row: models.Importance, *, actor: Viewer) -> None:
    """Say nothing of it any more."""
    actor.must("respond.importance.delete")
    with transaction.atomic():
        _record("removed", row, actor, importance=row.importance)
        unsettle([(row.territory, "")])
        row.delete()


def plain(about: str, value: str) -> str:
    """How a name is compared: without case; a range as its network. Raises ``Invalid``."""
    value = value.strip().lower()
    if about != models.About.RANGE:
        return value
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError as error:
        raise Invalid(_("This is no range of addresses"), why=str(value)[:80], todo=_("Write it like 10.2.0.0/16, or one address."), details={"value": [_("Write it like 10.2.0.0/16, or one address.")]}) from error


def _keep(row: models.Importance, verb: str, actor: Viewer, before: Mapping[str, Any]) -> models.Importance:
    row.value = plain(row.about, row.value)
    try:
        with transaction.atomic():
            row.save()
            _record(verb, row, actor, importance=row.importance, **({"before": dict(before)} if before else {}))
            unsettle([(row.territory, "")])
    except IntegrityError as error:
        raise Conflict(_("The importance of “%(name)s” is said already") % {"name": row.value}, why=_("Each thing has one importance in an organisation."), todo=_("Change the entry that is there.")) from error
    return row


def _record(verb: str, row: models.Importance, actor: Viewer, **detail: Any) -> None:
    ledger.record(f"respond.importance_{verb}", row.ref, actor=actor, label=f"{row.get_about_display()} {row.value}", detail=detail, territory=row.territory, industry=row.industry)
