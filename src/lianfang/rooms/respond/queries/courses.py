"""Courses of attacks: what may come next in an incident, and the incident as the Diamond Model sees it.

In: an incident and its alerts, as far as the viewer may read them; earlier incidents in the viewer's scope and the kinds of attack that are described in
stages. Out: techniques (ATT&CK) that were not met yet, with their chance and what speaks for each; and the four corners of the diamond (Caltagirone,
Pendergast & Betz, The Diamond Model of Intrusion Analysis, 2013): adversary, capability, infrastructure, victim.

An adversary is named only where an indicator that was met in the incident carries the name of a group of the knowledge base. From techniques alone
nobody is named: many groups use the same.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from lianfang.engines.graphs import Course, Expected, Following
from lianfang.engines.masking.ours import INSIDE
from lianfang.engines.policy import HIDDEN
from lianfang.engines.schema import observables
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import queries as detect
from lianfang.rooms.detect.queries import framework, scenarios
from lianfang.rooms.intel import queries as intel
from lianfang.rooms.intel.types import Known
from lianfang.rooms.respond import models
from lianfang.rooms.respond.queries.asking import seen, took_part
from lianfang.rooms.respond.queries.incidents import incidents, steps
from lianfang.rooms.respond.types import Verdict

EARLIER, AGE = 500, timedelta(days=365)
"""Earlier incidents that are learned from: the newest, of the year before."""
LIKELIEST = 5
SHOWN = 12
"""Names in a corner of the diamond."""
ASKED = 200
"""Values of an incident that are asked of intelligence."""


@dataclass(frozen=True, slots=True)
class Next:
    """A technique that may come. ``rules``: those of this node that are on and would see it, so that 0 is a blind spot."""

    expected: Expected
    name: str
    tactics: tuple[str, ...]
    rules: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """What may come next, and what it was learned from: earlier incidents, and described kinds of attack."""

    likely: tuple[Next, ...]
    incidents: int
    kinds: int


@dataclass(frozen=True, slots=True)
class Corner:
    """Names in one corner of the diamond: (kind, name, what is known of it); ``more`` stand behind them."""

    names: tuple[tuple[str, str, str], ...]
    more: int


@dataclass(frozen=True, slots=True)
class Diamond:
    """An incident by the Diamond Model. ``asked``: whether the viewer may see what intelligence knows."""

    adversary: Corner
    capability: Corner
    infrastructure: Corner
    victim: Corner
    asked: bool


def outlook(row: models.Incident, viewer: Viewer) -> Outlook:
    """What may come next. Learned from the viewer's own scope alone, so that it tells nobody of others' incidents."""
    earlier, kinds = _earlier(row, viewer), described(scenarios.every().values())
    met = {_whole(technique) for technique in row.techniques}
    if not met:
        return Outlook((), len(earlier), len(kinds))
    covered, frame = detect.coverage(), framework.attack()
    found = Following([*earlier, *kinds]).expect(sorted(met), most=LIKELIEST)
    return Outlook(tuple(Next(one, frame.technique(one.name).name, tuple(frame.tactic(key).name for key in frame.served_by(one.name)), covered.get(("technique", one.name), 0)) for one in found), len(earlier), len(kinds))


def _whole(technique: str) -> str:
    return technique.split(".")[0]


def _earlier(row: models.Incident, viewer: Viewer) -> list[Course]:
    """The course of each earlier incident: when each technique was first met. What people called a false alarm teaches nothing."""
    known = incidents(viewer).filter(last__lt=row.last, last__gte=row.last - AGE, alerts__gt=1).exclude(pk=row.pk).exclude(verdict=Verdict.FALSE_POSITIVE)
    newest = list(known.order_by("-last", "-id").values_list("pk", flat=True)[:EARLIER])
    courses: dict[Any, dict[str, float]] = defaultdict(dict)
    told = seen(viewer).filter(member__incident__in=newest, sample=False).exclude(verdict=Verdict.FALSE_POSITIVE).order_by()
    for incident, first, techniques in told.values_list("member__incident", "first", "techniques"):
        for name in map(_whole, techniques):
            courses[incident][name] = min(first.timestamp(), courses[incident].get(name, float("inf")))
    return [course for course in courses.values() if len(course) > 1]


def described(kinds: Iterable[scenarios.Scenario]) -> list[Course]:
    """The courses of kinds of attack, stage by stage. Needs no database."""
    courses = []
    for kind in kinds:
        course: dict[str, float] = {}
        for number, stage in enumerate(kind.stages):
            for technique in stage.techniques:
                course.setdefault(_whole(technique), float(number))
        if len(course) > 1:
            courses.append(course)
    return courses


def diamond(alerts: Sequence[models.Alert], viewer: Viewer) -> Diamond:
    """The four corners, from the alerts of an incident."""
    frame, parts = framework.attack(), defaultdict[str, dict[str, None]](dict)
    for alert in alerts:
        if alert.host:
            parts["hosts"].setdefault(alert.host)
        for kind, values in took_part(alert, viewer).items():
            parts[kind].update(dict.fromkeys(value for value in values if value and HIDDEN not in value))
        parts["techniques"].update(dict.fromkeys(alert.techniques))
    outside = [("ips", value) for value in parts["ips"] if _is_outside(value)] + [(kind, value) for kind in ("domains", "urls") for value in parts[kind] if not _is_named_inside(value)]
    inside = [("ips", value) for value in parts["ips"] if not _is_outside(value)]
    tools = [("hashes", value) for value in parts["hashes"]]
    asked = viewer.may("intel.indicator.view")
    known = _known([value for _kind, value in outside + tools][:ASKED], viewer) if asked else {}
    sources = {value: ", ".join(dict.fromkeys(one.source for one in found)) for value, found in known.items()}
    groups = intel.groups_named((tag for found in known.values() for one in found for tag in one.tags), viewer) if asked else []
    return Diamond(
        _corner([("group", name, source) for name, source in groups]),
        _corner([("technique", f"{id} {frame.full_name(id)}", "") for id in sorted(parts["techniques"])] + [(kind, value, sources.get(value, "")) for kind, value in tools]),
        _corner(sorted(((kind, value, sources.get(value, "")) for kind, value in outside), key=lambda name: not name[2])),
        _corner([("hosts", value, "") for value in parts["hosts"]] + [("users", value, "") for value in parts["users"]] + [(*name, "") for name in inside]),
        asked,
    )


def _corner(names: Sequence[tuple[str, str, str]]) -> Corner:
    return Corner(tuple(names[:SHOWN]), max(0, len(names) - SHOWN))


def _known(values: Sequence[str], viewer: Viewer) -> dict[str, tuple[Known, ...]]:
    return {answer.asked: answer.known for answer in intel.look_up(values, viewer) if answer.known}


def _is_outside(value: str) -> bool:
    """Whether an address is not one of a private network, of this machine or of nobody."""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    return not (address.is_unspecified or address.is_multicast or observables.is_inside(value))


def _is_named_inside(value: str) -> bool:
    """Whether a domain, or the host of a URL, is a name that leads nowhere outside."""
    host = (observables.host_of(value) or value).lower()
    return not _is_outside(host) if observables.ip(host) else "." not in host or host.rpartition(".")[2] in INSIDE


def analysis(pk: Any, viewer: Viewer) -> dict[str, Any]:
    """Outlook and diamond of one incident as plain data. Raises ``Refused`` without the permission, ``Missing`` outside the scope."""
    viewer.must("respond.incident.view")
    row: models.Incident = models.Incident.objects.fetch(pk, viewer)
    ahead, corners = outlook(row, viewer), diamond([step.alert for step in steps(row, viewer)], viewer)
    likely = [
        {"technique": one.expected.name, "name": one.name, "tactics": list(one.tactics), "chance": round(one.expected.chance, 3), "rules": one.rules, "after": [{"technique": after.name, "times": after.times, "of": after.of} for after in one.expected.after]}
        for one in ahead.likely
    ]  # fmt: skip
    names = {corner: {"names": [{"kind": kind, "name": name, "known": known} for kind, name, known in getattr(corners, corner).names], "more": getattr(corners, corner).more} for corner in ("adversary", "capability", "infrastructure", "victim")}
    return {"id": str(row.pk), "next": likely, "learned_from": {"incidents": ahead.incidents, "kinds_of_attack": ahead.kinds}, "diamond": names}
