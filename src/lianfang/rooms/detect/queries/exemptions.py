"""Exceptions: those in force as counter-rules, what one would have taken from the past, and what a new one begins with."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import yaml
from django.db.models import QuerySet

from lianfang.engines.rules.compiled import Compiled
from lianfang.engines.rules.examiner import Examiner
from lianfang.engines.rules.sources import RuleText
from lianfang.engines.rules.types import LogSource
from lianfang.kernel import clock
from lianfang.kernel.errors import Fault, Invalid
from lianfang.kernel.viewer import SYSTEM, Viewer, after
from lianfang.rooms.detect import models
from lianfang.rooms.detect.models import ExemptionState
from lianfang.rooms.detect.queries import chains, explaining, loading, reading
from lianfang.rooms.detect.types import CORRELATION, OWN_PACK, window_of
from lianfang.rooms.lake import queries as lake

LOOKED_AT = 20_000
"""Logs of the past that a preview reads again; the newest."""
HOSTS_SHOWN = 12
USUAL = timedelta(days=90)
"""How long an exception holds unless its maker says otherwise."""

GROUPED: LogSource = ("", CORRELATION, "")
"""What a filter's log source is where it is about correlations: it asks for the values of their groups, and of nothing else."""

Key = tuple[str, str, datetime]
"""(rule, host, quarter of an hour): what findings are made by."""


class Taker(NamedTuple):
    """One exception's say over one rule: the counter-rule, whose exception, where, and until when."""

    counter: str
    exemption: UUID
    source: str
    territory: str
    until: datetime

    def covers(self, source: str, territory: str, now: datetime) -> bool:
        """Whether it has a say over this source of this organisation at this moment."""
        return now < self.until and self.source in ("", source) and territory.startswith(self.territory)


def in_force(now: datetime | None = None) -> QuerySet[models.Exemption]:
    """All exceptions that take hits now, the oldest first."""
    return models.Exemption.objects.filter(state=ExemptionState.IN_FORCE, expires__gt=now or clock.now()).order_by("created", "id")


def uid_of(exemption: UUID, rule: str) -> str:
    """The identifier of the counter-rule of one exception over one rule."""
    return str(uuid5(exemption, rule))


def texts(row: models.Exemption) -> list[RuleText]:
    """The counter-rules of an exception, one for each of its rules that is installed."""
    from lianfang.engines.rules import filters  # brings pySigma, which the ingest process need not have in memory

    found = filters.read(row.text)
    return [filters.counter(found, source, uid=uid_of(row.pk, uid)) for uid, source in sorted(_log_sources(found.rules).items()) if found.fits(source)]


def _log_sources(uids: Iterable[str]) -> dict[str, LogSource]:
    rows = models.Rule.objects.filter(uid__in=list(uids), gone=False).exclude(pack__name=OWN_PACK)
    return {uid: (product, category, service) for uid, product, category, service in rows.values_list("uid", "product", "category", "service")}


def digest_of(row: models.Exemption) -> str:
    """By what an exception's compiled counter-rules rest on disk: its text, and where its rules look."""
    sources = sorted(_log_sources(row.rules).items())
    return reading.digest_of([RuleText(str(row.pk), row.text), RuleText("rules", repr(sources))])


def compiled(row: models.Exemption) -> Compiled:
    """The counter-rules of an exception, from the disk where they lie there."""
    return loading.compile_lazily(digest_of(row), lambda: texts(row))


def takers(rows: Iterable[models.Exemption]) -> dict[str, list[Taker]]:
    """Rule → the exceptions that have a say over it, in the order given."""
    found: dict[str, list[Taker]] = {}
    for row in rows:
        for uid in row.rules:
            found.setdefault(uid, []).append(Taker(uid_of(row.pk, uid), row.pk, row.source, row.territory, row.expires))
    return found


def grouped(uids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Of these rules the correlations, each with the fields by which it groups."""
    named = set(models.Rule.objects.filter(uid__in=list(uids), category=CORRELATION, gone=False).values_list("uid", flat=True))
    return {one.uid: one.group_by for one in loading.correlations() if one.uid in named} if named else {}


# ---- what it would have taken --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Impact:
    """What an exception would have taken since ``since``.

    ``looked``: logs on which its rules had fired and that were read again (``whole``: these are all there are), ``lost`` of them could not be read.
    ``events`` would have been taken; ``findings`` (ids) would have been taken whole, of ``all_findings`` there were. ``hosts``, ``days``: the events by host, and by UTC day.
    Of a correlation its findings are asked, by their groups; the logs behind them count.
    """

    since: datetime
    until: datetime
    looked: int
    whole: bool
    lost: int
    events: int
    findings: tuple[UUID, ...]
    all_findings: int
    hosts: tuple[tuple[str, int], ...]
    more_hosts: int
    days: tuple[tuple[datetime, int], ...]


def impact(row: models.Exemption, *, days: int = 7, viewer: Viewer) -> Impact:
    """Run an exception, saved or not, over the stored logs of its rules. Raises ``Invalid`` when it cannot be compiled.

    Counts are of all logs within the exception's reach, which lies in the viewer's scope; nobody is shown a log.
    """
    viewer.must("detect.exemption.view")
    until = clock.now()
    since = until - timedelta(days=days)
    rules = compiled(row)
    together = set(grouped(row.rules))
    counters = {uid: uid_of(row.pk, uid) for uid in row.rules if uid not in together}
    events, whole = _logs(row, since, until, counters)
    examiner = Examiner(rules, cache_bytes=4 << 20)
    taken: list[_Taken] = []
    spoken: set[Key] = set()
    keys: set[Key] = set()
    read = 0
    for event, fired in _fired(examiner, events):
        read += 1
        mine = [uid for uid in counters if uid in event["rules"]]
        gone = [uid for uid in mine if counters[uid] in fired]
        if gone:
            taken.append(_Taken(event["time"], str(event["host"] or ""), 1))
        keys |= {_key(uid, event) for uid in gone}
        spoken |= {_key(uid, event) for uid in mine if uid not in gone}
    findings = _findings(row, since, counters)
    whole_ones = [pk for pk, uid, host, window in findings if (uid, host, window) in keys and (uid, host, window) not in spoken]
    chained, all_of_them = _chained(row, since, together) if together else ([], True)
    for one in chained:
        if uid_of(row.pk, one.rule_uid) in {uid for _at, uids in examiner.rows([chains.group_of(one)], [GROUPED]) for uid in uids}:
            whole_ones.append(one.pk)
            taken.append(_Taken(one.last, one.host, one.count))
    by_host = Counter[str]()
    for each in taken:
        by_host[each.host] += each.logs
    looked, logs = len(events) + sum(one.count for one in chained), sum(each.logs for each in taken)
    return Impact(since, until, looked, whole and all_of_them, len(events) - read, logs, tuple(whole_ones), len(findings) + len(chained), tuple(by_host.most_common(HOSTS_SHOWN)), max(0, len(by_host) - HOSTS_SHOWN), _by_day(taken, since, until))


class _Taken(NamedTuple):
    """What would have been taken: when, where, how many logs."""

    time: datetime
    host: str
    logs: int


def _key(uid: str, event: Mapping[str, Any]) -> Key:
    return uid, str(event["host"] or ""), window_of(event["time"])


def _logs(row: models.Exemption, since: datetime, until: datetime, uids: Collection[str]) -> tuple[list[dict[str, Any]], bool]:
    """The logs within an exception's reach on which one of its rules fired, the newest first; whether these are all."""
    if not uids:
        return [], True
    rules = " OR ".join(f"list_contains(rules, {_quoted(uid)})" for uid in uids)
    reach = f" AND source = {_quoted(row.source)}" if row.source else ""
    sql = f"SELECT event_id, time, host, rules, raw FROM events WHERE ({rules}) AND territory >= {_quoted(row.territory or '0')} AND territory < {_quoted(after(row.territory))}{reach} ORDER BY time DESC, event_id DESC LIMIT {LOOKED_AT + 1}"  # noqa: S608  (quotes doubled)
    answer = lake.sql(f"{sql}", viewer=SYSTEM, limit=LOOKED_AT + 1, seconds=60, since=since, until=until)
    found = [dict(zip(answer.columns, values, strict=True)) for values in answer.rows]
    return found[:LOOKED_AT], len(found) <= LOOKED_AT


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _fired(examiner: Examiner, events: Sequence[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], set[str]]]:
    """Each log that can be read again, with the counter-rules that fire on it."""
    for rows, origins, places in explaining.read_events(events):
        fired: dict[int, set[str]] = {}
        for at, uids in examiner.rows(rows, origins):
            fired.setdefault(places[at], set()).update(uids)
        for place in dict.fromkeys(places):
            yield events[place], fired.get(place, set())


def _findings(row: models.Exemption, since: datetime, uids: Iterable[str]) -> list[tuple[UUID, str, str, datetime]]:
    rows = _within(row, since, uids)
    if row.source:
        rows = rows.filter(source=row.source)
    return list(rows.values_list("pk", "rule_uid", "host", "window"))


def _chained(row: models.Exemption, since: datetime, uids: Iterable[str]) -> tuple[list[models.Finding], bool]:
    """What its correlations found within its reach, the newest first; whether this is all of it."""
    rows = list(_within(row, since, uids).filter(kind=CORRELATION).only("rule_uid", "chain", "host", "last", "count").order_by("-last", "-id")[: LOOKED_AT + 1])
    found = [one for one in rows[:LOOKED_AT] if not row.source or chains.sources_of(one) == [row.source]]
    return found, len(rows) <= LOOKED_AT


def _within(row: models.Exemption, since: datetime, uids: Iterable[str]) -> QuerySet[models.Finding]:
    return models.Finding.objects.filter(rule_uid__in=list(uids), last__gte=since, territory__gte=row.territory or "0", territory__lt=after(row.territory))


def _by_day(taken: Iterable[_Taken], since: datetime, until: datetime) -> tuple[tuple[datetime, int], ...]:
    first = since.replace(hour=0, minute=0, second=0, microsecond=0)
    counts = {first + timedelta(days=n): 0 for n in range((until - first).days + 1)}
    for one in taken:
        counts[one.time.astimezone(first.tzinfo).replace(hour=0, minute=0, second=0, microsecond=0)] += one.logs
    return tuple(counts.items())


# ---- what a new one begins with ------------------------------------------------------------------------------------

_LONGEST_VALUE = 300
UNSAID = "VALUE-FOR-WHICH-THIS-IS-NORMAL"
FINDINGS_LOOKED_AT = 500
_WHO = ("Computer", "Hostname", "hostname", "host", "User", "user", "SourceIp", "src_ip", "IpAddress")


def proposed(uid: str, event_id: str, *, viewer: Viewer) -> dict[str, Any]:
    """Values of the form for an exception from a rule: where an example is named, what made the rule fire on it, on its host, by its user."""
    rule = models.Rule.objects.filter(uid=uid, gone=False).exclude(pack__name=OWN_PACK).first()
    if rule is None:
        raise Invalid("An exception needs a rule", why="The rule is not installed any more, or what fired is none: an indicator of the watch list, or words of a keyword alarm.", todo="Take the indicator off the list, or change the keyword alarm.")
    selection, source = (_group(rule, event_id, viewer), "") if rule.category == CORRELATION else _example(rule, event_id, viewer)
    logsource = {name: part for name, part in (("product", rule.product), ("category", rule.category), ("service", rule.service)) if part}
    said = {"title": str(rule)[:100], "logsource": logsource, "filter": {"rules": [rule.uid], "selection": selection, "condition": "not selection"}}
    return {"name": str(rule)[:120], "text": yaml.safe_dump(said, allow_unicode=True, sort_keys=False, width=1000), "source": source}


def _example(rule: models.Rule, event_id: str, viewer: Viewer) -> tuple[dict[str, Any], str]:
    """What is constant in an example, and where it came from."""
    empty = {"Computer": "HOST-WHERE-THIS-IS-NORMAL"}
    if not event_id or not viewer.may("lake.event.view"):
        return empty, ""
    try:
        event = lake.event(event_id, viewer=viewer)
    except Fault:
        return empty, ""
    if event.get("masked") or not event.get("raw"):
        return empty, str(event.get("source") or "")
    raw = str(event["raw"])
    rows, _origins, _reason = explaining.read_again(explaining.guessed_codec(raw), raw.encode())
    if not rows:
        return empty, str(event["source"])
    part = str(event_id).partition(".")[2]
    row = rows[int(part)] if part.isdigit() and int(part) < len(rows) else rows[0]
    told = explaining.explain(rule.uid, raw, part=int(part) if part.isdigit() else 0)
    names = [*(name for name in _WHO if name in row), *(match.field for match in told.matches if not match.gate and match.field in row)]
    found = {name: _literal(str(row[name])) for name in dict.fromkeys(names) if 0 < len(str(row[name])) <= _LONGEST_VALUE}
    return found or empty, str(event["source"])


def _group(rule: models.Rule, event_id: str, viewer: Viewer) -> dict[str, Any]:
    """The group for which a correlation fired last, on this event where one is named; what the viewer may not read is left to them to fill in."""
    rows = models.Finding.objects.seen_by(viewer).filter(rule_uid=rule.uid, kind=CORRELATION).only("chain", "events", "level", "territory").order_by("-last", "-id")[:FINDINGS_LOOKED_AT] if viewer.may("detect.finding.view") else ()
    found = next((row for row in rows if event_id in row.events), None) or next(iter(rows), None)
    if found is None:
        return dict.fromkeys(grouped([rule.uid]).get(rule.uid, ()), UNSAID)
    values, shown = chains.group_of(found), chains.group_shown(found, viewer)
    return {name: _literal(value) if shown[name] == value else UNSAID for name, value in values.items()}


def _literal(value: str) -> str:
    r"""A value in which nothing is a wildcard.

    >>> _literal("rm -rf /tmp/*")
    'rm -rf /tmp/\\*'
    """
    return re.sub(r"(\\*)([*?])", lambda found: found[1] * 2 + "\\" + found[2], value)


# ---- as they are shown ---------------------------------------------------------------------------------------------


def choices(viewer: Viewer) -> list[tuple[str, str]]:
    """Exceptions in the viewer's scope, to filter findings by."""
    rows = models.Exemption.objects.seen_by(viewer) if viewer.may("detect.exemption.view") else models.Exemption.objects.none()
    return [(str(pk), name) for pk, name in rows.order_by("name").values_list("pk", "name")[:200]]


def name_of(exemption: UUID | None) -> str:
    """What the exception that took a finding is called."""
    return str(models.Exemption.objects.filter(pk=exemption).values_list("name", flat=True).first() or "") if exemption else ""


def over_rule(uid: str, viewer: Viewer) -> list[models.Exemption]:
    """The exceptions from one rule in the viewer's scope, those in force first."""
    if not viewer.may("detect.exemption.view"):
        return []
    rows = [row for row in models.Exemption.objects.seen_by(viewer).order_by("-created", "id") if uid in row.rules]
    return sorted(rows, key=lambda row: row.standing() != ExemptionState.IN_FORCE)
