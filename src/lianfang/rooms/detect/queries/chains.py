"""Chains: why a correlation fired, as a sentence and as a timeline of its steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from lianfang.commons.frame.language import either
from lianfang.kernel import clock
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.types import CORRELATION
from lianfang.rooms.lake import queries as lake

NAMES = {"user": "user", "actor_user": "user", "TargetUserName": "user", "SubjectUserName": "user", "src_ip": "src_ip", "IpAddress": "src_ip", "dst_ip": "dst_ip", "host": "host"}


@dataclass(frozen=True, slots=True)
class Event:
    """One log behind a step."""

    id: str
    time: datetime
    host: str
    source: str


@dataclass(frozen=True, slots=True)
class Link:
    """One step: what was found how often, from when to when. ``missing``: that nothing was found is the point."""

    rule: str
    title: str
    count: int
    first: datetime | None
    last: datetime | None
    events: tuple[Event, ...]
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Chain:
    """Why a correlation (its uid) fired: ``why`` says it in one sentence; ``group``: what its matches have in common; ``steps`` in the order of time."""

    rule: str
    finding: str
    why: str
    group: tuple[tuple[str, str], ...]
    moment: datetime
    steps: tuple[Link, ...]


def chains(ids: Iterable[Any], viewer: Viewer) -> list[Chain]:
    """The chains of these findings as far as the viewer sees them, the newest first; of one group and window the last telling."""
    rows = models.Finding.objects.seen_by(viewer).filter(pk__in=list(ids), kind=CORRELATION).order_by("-created", "-id")
    found: dict[tuple[str, ...], Chain] = {}
    for row in rows:
        found.setdefault((row.rule_uid, row.territory, repr(row.chain.get("group")), row.chain.get("moment", "")), chain(row, viewer))
    return list(found.values())


def group_of(row: models.Finding) -> dict[str, str]:
    """What the matches of a correlation's finding have in common, by field, in small letters."""
    return dict(row.chain["group"])


def sources_of(row: models.Finding) -> list[str]:
    """The sources of its logs, those that are kept with it."""
    return list(dict.fromkeys(event["source"] for step in row.chain["steps"] for event in step["events"]))


def group_shown(row: models.Finding, viewer: Viewer) -> dict[str, str]:
    """The group as the viewer may see it."""
    veil = lake.veil(viewer)

    def shown(name: str, value: str) -> str:
        column = NAMES.get(name, name if name in ("domain", "url", "process", "file") else "user")
        return str(lake.masked(column, value)) if column != "host" and veil.hides(column, level=row.level, territory=row.territory) else value

    return {name: shown(name, value) for name, value in group_of(row).items()}


def told(lines: Iterable[Mapping[str, Any]], viewer: Viewer) -> list[Chain]:
    """Chains of firings that are no findings: what a hunt or a preview kept of them, as the viewer may see it."""
    return [chain(models.Finding(rule_uid=one.get("rule", ""), chain=one["chain"], territory=one["territory"], level=one["level"]), viewer) for one in lines]


def chain(row: models.Finding, viewer: Viewer) -> Chain:
    """The chain of one finding, stored or not."""
    said = row.chain
    group = tuple(group_shown(row, viewer).items())
    steps = [_link(one, said, last=number == len(said["steps"]) - 1) for number, one in enumerate(said["steps"])]
    moment = clock.parse(said["moment"])
    told = sorted((step for step in steps if step.count or step.missing), key=lambda step: (step.missing, step.first or moment))
    return Chain(row.rule_uid, str(row.pk), why(said, group), group, moment, tuple(told))


def _link(one: Mapping[str, Any], said: Mapping[str, Any], *, last: bool) -> Link:
    events = tuple(Event(event["id"], clock.parse(event["time"]), event["host"], event["source"]) for event in one["events"])
    missing = said["kind"] == "absence" and not one["count"] and last
    return Link(one["rule"], _said(one["title"]), one["count"], clock.parse(one["first"]) if one["first"] else None, clock.parse(one["last"]) if one["last"] else None, events, missing)


def _said(titles: Sequence[str]) -> str:
    title, chinese = titles
    return str(either(chinese, title))


def why(said: Mapping[str, Any], group: Sequence[tuple[str, str]]) -> str:
    """One sentence: “17 × wrong password, then 1 × accepted logon, within 5 min (10.0.0.5)”."""
    steps = [(_said(one["of"]), one["count"]) for one in said["steps"]]
    facts = {"span": span(said["width"]), "what": _listed(said["kind"], steps), "fields": ", ".join(said["fields"]), "value": f"{said['value']:,.10g}"}
    sentence = _SENTENCES.get(said["kind"], _plain)(facts, steps)
    return f"{sentence} ({', '.join(value for _name, value in group)})" if group else sentence


def _listed(kind: str, steps: Sequence[tuple[str, int]]) -> str:
    parts = [_("%(count)d × “%(title)s”") % {"count": count, "title": title} for title, count in steps if count]
    return (_(", then ") if kind == "temporal_ordered" else _(", ")).join(parts)


def _plain(facts: Mapping[str, str], _steps: Any) -> str:
    return _("%(what)s within %(span)s") % facts


def _distinct(facts: Mapping[str, str], _steps: Any) -> str:
    return _("%(value)s different values of %(fields)s in %(what)s within %(span)s") % facts


def _absent(facts: Mapping[str, str], steps: Sequence[tuple[str, int]]) -> str:
    title = steps[-1][0]
    if len(steps) == 1:
        return _("“%(title)s” was said before, and for %(span)s not again") % {**facts, "title": title}
    return _("%(what)s, and within %(span)s no “%(title)s” followed") % {**facts, "title": title}


def _amount(facts: Mapping[str, str], _steps: Any) -> str:
    return _("%(fields)s comes to %(value)s in %(what)s within %(span)s") % facts


_SENTENCES = {"value_count": _distinct, "absence": _absent, **dict.fromkeys(("value_sum", "value_avg", "value_median", "value_percentile"), _amount)}


def span(seconds: int) -> str:
    """A span of time in the largest unit in which it is whole."""
    for size, say in ((86_400, _days), (3600, _hours), (60, _minutes)):
        if seconds >= size and seconds % size == 0:
            return say(seconds // size)
    return ngettext("%(n)d second", "%(n)d seconds", seconds) % {"n": seconds}


def _days(n: int) -> str:
    return ngettext("%(n)d day", "%(n)d days", n) % {"n": n}


def _hours(n: int) -> str:
    return ngettext("%(n)d hour", "%(n)d hours", n) % {"n": n}


def _minutes(n: int) -> str:
    return ngettext("%(n)d minute", "%(n)d minutes", n) % {"n": n}
