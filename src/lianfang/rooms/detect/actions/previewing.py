"""Previewing: what a rule would have found in past data. Nothing is stored but the answer, for who asked.

Logs are read again from their originals, hour by whole hour, as a look back does it; only those of the event models that the
rule can fire on, and those of none. Alerts are counted as they fold: by host, until a quarter of an hour was quiet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.jobs import queries as job_queries
from lianfang.engines.rules.correlation import Correlation
from lianfang.engines.rules.correlator import Firing, Marks
from lianfang.engines.rules.examiner import Examiner
from lianfang.engines.rules.sources import RuleText
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid, Missing
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.actions import correlating, hunted, looking, modelling
from lianfang.rooms.detect.actions.guarding import must_for_node
from lianfang.rooms.detect.actions.marking import PLACE
from lianfang.rooms.detect.actions.writing import checked_rule
from lianfang.rooms.detect.adapters.executor import sweep
from lianfang.rooms.detect.queries import explaining, loading
from lianfang.rooms.detect.types import WINDOW
from lianfang.rooms.lake import queries as lake

SPANS = {"1": timedelta(days=1), "7": timedelta(days=7), "30": timedelta(days=30)}
SHOWN_HOSTS, SAMPLES = 20, 10
KEPT = timedelta(days=7)

Tell = Callable[[float, str], None]


@dataclass(slots=True)
class Tally:
    """What is counted: logs by day and host, alerts by day; when each host was last heard of."""

    logs: int = 0
    looked: int = 0
    alerts: int = 0
    days: dict[str, list[int]] = field(default_factory=dict)
    hosts: Counter[str] = field(default_factory=Counter)
    samples: list[str] = field(default_factory=list)
    last: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def take(self, hits: Iterable[tuple[datetime, str, str, str]]) -> None:
        """Hits of one hour: moment, territory, host, event."""
        for moment, territory, host, event in sorted(hits):
            place, day = (territory, host), self.days.setdefault(f"{moment:%Y-%m-%d}", [0, 0])
            fresh = place not in self.last or moment - self.last[place] > WINDOW
            self.last[place] = moment
            self.logs, self.alerts = self.logs + 1, self.alerts + fresh
            day[0], day[1] = day[0] + 1, day[1] + fresh
            self.hosts[host] += 1
            if len(self.samples) < SAMPLES:
                self.samples.append(event)

    def result(self) -> dict[str, Any]:
        return {"logs": self.logs, "looked": self.looked, "alerts": self.alerts, "days": self.days, "hosts": self.hosts.most_common(SHOWN_HOSTS), "host_count": len(self.hosts), "samples": self.samples}


@transaction.atomic
def ask_preview(text: str, span: str, *, actor: Viewer) -> models.Preview:
    """Ask for a preview of the rule in ``text`` over the last 1, 7 or 30 days; a job works it out."""
    must_for_node(actor, "detect.ownrule.add")
    checked_rule(text)
    if span not in SPANS:
        raise Invalid(_("This is no time to look back to"), why=_("1, 7 or 30 days can be looked at."), todo=_("Choose one of them."))
    now = clock.now()
    row = models.Preview.objects.create(owner=actor.id, text=text, since=now - SPANS[span], until=now)
    row.job = jobs.enqueue("detect.preview_rule", {"preview": str(row.pk)}, actor=actor).id
    row.save(update_fields=["job"])
    return row


def preview_of(pk: UUID, *, viewer: Viewer) -> models.Preview:
    """A preview that this person asked for; ``Missing`` for everybody else's."""
    row = models.Preview.objects.filter(pk=pk, owner=viewer.id).first() if viewer.id else None
    if row is None:
        raise Missing(_("There is no such preview"), why=_("Previews are forgotten after a week, and only who asked for one sees it."), todo=_("Ask for it again."))
    return row


def cancel_preview(row: models.Preview, *, actor: Viewer) -> None:
    """End it at its next page; what was counted so far is not kept."""
    job = job_queries.visible(actor).filter(pk=row.job).first()
    if job is not None:
        jobs.cancel(job, actor=actor)


def preview(pk: str, *, tell: Tell = lambda percent, message: None) -> dict[str, Any]:
    """Count what the rule of a preview finds, and keep the answer."""
    row = models.Preview.objects.get(pk=pk)
    compiled = loading.compile_texts([RuleText("own.yml", row.text)])
    if compiled.correlations:
        return _preview_together(row, compiled.correlations[0], tell)
    uid = compiled.rules[0].uid
    examiner, only = Examiner(compiled), _classes(modelling.about_of(compiled).get(uid, set()))
    tally, start = Tally(), row.since
    while start < row.until:
        end = min(start.replace(minute=0, second=0, microsecond=0) + looking.SLICE, row.until)
        hits: list[tuple[datetime, str, str, str]] = []
        for page in looking.pages(start, end, only=only):
            tally.looked += len(page)
            hits += [(page[at]["time"], page[at]["territory"] or "", page[at]["host"] or "", page[at]["event_id"]) for at in looking.matching(page, examiner, uid)]
            tell(100 * ((start - row.since) / (row.until - row.since)), f"{tally.looked:,} / {tally.logs + len(hits):,}")
        tally.take(hits)
        tell(100 * ((end - row.since) / (row.until - row.since)) * 0.999, f"{tally.looked:,} / {tally.logs:,}")
        start = end
    row.result = tally.result()
    row.save(update_fields=["result"])
    return row.result


def _preview_together(row: models.Preview, one: Correlation, tell: Tell) -> dict[str, Any]:
    """The same for a correlation: its rules are looked for hour by hour, and what they match goes through a correlator of its own."""
    past = hunted.Past([one.uid], [*(other for other in loading.correlations() if other.uid != one.uid), one])
    rules = loading.only(past.rules)
    examiner, only = Examiner(rules), _classes(key for keys in modelling.about_of(rules).values() for key in keys)
    ways, owners, tally = explaining.ways(), lake.owners(viewer=SYSTEM), Tally()

    def hours() -> Iterator[tuple[datetime, list[Marks]]]:
        start = row.since
        while start < row.until:
            end = min(start.replace(minute=0, second=0, microsecond=0) + looking.SLICE, row.until)
            found = sweep(looking.pages(start, end, only=only, columns=past.columns), examiner, past.rules.__contains__, explaining.log_sources, ways)
            tally.looked += found.looked
            tell(100 * ((end - row.since) / (row.until - row.since)) * 0.999, f"{tally.looked:,} / {tally.logs:,}")
            yield end, past.marks(found.hits, owners)
            start = end

    cells: dict[tuple[str, Any, int], int] = {}
    chains: list[dict[str, Any]] = []
    titles = {rule.uid: rule for rule in models.Rule.objects.filter(uid__in={ref for each in past.correlations.values() for ref in (each.uid, *each.refs)}).defer("text")}
    for firings in past.firings(hours(), row.until):
        fresh = [firing for firing in firings if (firing.place, firing.group, firing.cell) not in cells]
        for firing in firings:
            cells[firing.place, firing.group, firing.cell] = firing.count
        tally.take(_told(firing) for firing in fresh)
        chains += [{"territory": firing.place.split(PLACE)[0], "level": _level(firing), "chain": correlating.chain_of(firing, past.correlations, titles)} for firing in fresh[: SAMPLES - len(chains)]]
    row.result = tally.result() | {"fired": tally.logs, "logs": sum(cells.values()), "samples": [], "chains": chains}
    row.save(update_fields=["result"])
    return row.result


def _told(firing: Firing) -> tuple[datetime, str, str, str]:
    """When and where a firing would be told: moment, territory, host, event."""
    last = max((event for step in firing.steps for event in step.events), key=lambda event: event["time"])
    host = dict(firing.group).get("host") or str(last["host"] or "").lower()
    return datetime.fromtimestamp(firing.moment / 1000, UTC), firing.place.split(PLACE)[0], host, last["event"]


def _level(firing: Firing) -> int:
    return max(int(event["level"] or DataLevel.L4) for step in firing.steps for event in step.events)


def _classes(keys: Iterable[str]) -> str:
    """Events of these models, and of none, as a condition."""
    classes = sorted({0, *(int(key.partition(".")[0]) for key in keys)})
    return f"class_uid IN ({', '.join(map(str, classes))})"


def forget_previews() -> int:
    """Previews are not kept."""
    return models.Preview.objects.filter(created__lt=clock.now() - KEPT).delete()[0]
