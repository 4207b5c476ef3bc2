"""Questions about submissions: which centres are open, what a secret opens, what a viewer sees, and the figures of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from lianfang.commons.people import queries as people
from lianfang.commons.people.types import Person
from lianfang.kernel import clock
from lianfang.kernel.errors import Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.intel import models
from lianfang.rooms.intel.types import STANDING, UNDECIDED, Matter, Side, State

SAMPLED = 5_000
"""How many submissions a median is taken over; the newest."""
TOP = 10


def open_centres() -> QuerySet[models.Centre]:
    """Centres that take submissions now."""
    return models.Centre.objects.filter(open=True).order_by("name", "pk")


def centre(slug: str) -> models.Centre:
    """The open centre of that name; raises ``Missing`` for any other."""
    row = open_centres().filter(slug=slug).first()
    if row is None:
        raise Missing("There is nothing at this address", why="It never existed, was removed, or lies outside your scope.")
    return row


def of_digest(digest: str) -> models.Submission:
    """The submission that a secret of this digest opens; raises ``Missing``."""
    row = models.Submission.objects.select_related("centre").filter(secret=digest).first()
    if row is None:
        raise Missing("No submission is opened by this", why="The link is not whole, or the submission was removed.", todo="Copy the whole link again, as it was shown when you submitted.")
    return row


def submission(pk: Any, viewer: Viewer) -> models.Submission:
    """One submission in the viewer's scope; a reporter sees their own."""
    if viewer.id != f"reporter:{pk}":
        viewer.must("intel.submission.view")
    return models.Submission.objects.select_related("centre").fetch(pk, viewer)


def public(row: models.Submission) -> list[models.Remark]:
    """What the reporter reads beside a submission, the oldest first."""
    return list(row.remarks.exclude(side=Side.NOTE))


def triagers(viewer: Viewer) -> list[Person]:
    """Who may be given a submission."""
    return people.persons(viewer, permission="intel.submission.triage")


def heard_since(moment: datetime, viewer: Viewer, *, limit: int = 3) -> tuple[list[models.Submission], int]:
    """Submissions that came, or were added to, after ``moment`` (at most an hour ago): the first few, and how many there are."""
    rows = models.Submission.objects.all().seen_by(viewer).filter(heard__gt=max(moment, clock.now() - timedelta(hours=1)))
    return list(rows.order_by("-heard", "-id")[:limit]), rows.count()


def late(now: datetime) -> Q:
    """The condition under which the next clock of a submission has run out."""
    answer = Q(answered__isnull=True, answer_by__lt=now)
    mend = Q(answered__isnull=False, mended__isnull=True, mend_by__lt=now) & ~Q(state__in=UNDECIDED)
    return Q(state__in=STANDING) & (answer | mend)


def thanked(row: models.Centre) -> list[tuple[str, int]]:
    """Who wanted to be named and whose submissions were mended, with how many; none where the centre does not thank."""
    return named(models.Submission.objects.filter(centre=row, mended__isnull=False), limit=100) if row.thanks else []


def named(rows: QuerySet[models.Submission], *, limit: int = TOP) -> list[tuple[str, int]]:
    """Reporters who want to be named, with how many of these submissions are theirs."""
    found = rows.exclude(credit="").exclude(state__in=(State.REJECTED, State.DUPLICATE)).order_by().values_list("credit").annotate(n=Count("pk")).order_by("-n", "credit")
    return [(str(name), int(number)) for name, number in found[:limit]]


@dataclass(frozen=True, slots=True)
class Figures:
    """Submissions of a span: how many in all, by month and kind, by severity, by state; waits, those that are late now, who is to be thanked."""

    total: int
    open: int
    late: int
    months: tuple[tuple[str, dict[str, int]], ...]
    severities: dict[int, int]
    states: dict[str, int]
    to_answer: timedelta | None
    to_mend: timedelta | None
    named: tuple[tuple[str, int], ...]


def figures(viewer: Viewer, *, months: int = 12) -> Figures:
    """The figures of the last ``months`` calendar months, this one among them, as far as the viewer sees."""
    viewer.must("intel.submission.view")
    span = months_until(clock.now(), months)
    every = models.Submission.objects.all().seen_by(viewer)
    rows = every.filter(month__in=span).order_by()
    counted: dict[str, dict[str, int]] = {month: dict.fromkeys(Matter.values, 0) for month in span}
    for month, about, number in rows.values_list("month", "about").annotate(n=Count("pk")):
        counted[month][about] = number
    weights: Counter[int] = Counter()
    for severity, claimed, number in rows.values_list("severity", "claimed").annotate(n=Count("pk")):
        weights[severity or claimed] += number
    states = dict(rows.values_list("state").annotate(n=Count("pk")))
    return Figures(
        sum(states.values()), every.filter(state__in=STANDING).count(), every.filter(late(clock.now())).count(), tuple(counted.items()), {level: weights[level] for level in (1, 2, 3, 4, 5)},
        {state: states.get(state, 0) for state in State.values}, _median(rows.filter(answered__isnull=False).order_by("-received").values_list("received", "answered")),
        _median(rows.filter(mended__isnull=False, accepted__isnull=False).order_by("-received").values_list("accepted", "mended")), tuple(named(rows)),
    )  # fmt: skip


def _median(pairs: Any) -> timedelta | None:
    waits: Iterable[timedelta] = [until - since for since, until in pairs[:SAMPLED]]
    return median(waits) if waits else None


def months_until(moment: datetime, number: int) -> list[str]:
    """The names of so many calendar months up to a moment's, in the node's zone, the oldest first."""
    here = timezone.localtime(moment, timezone.get_default_timezone())
    last = here.year * 12 + here.month - 1
    return [f"{at // 12:04d}-{at % 12 + 1:02d}" for at in range(last - number + 1, last + 1)]


def span_of(wait: timedelta | None) -> str:
    """A wait in one unit, in words."""
    if wait is None:
        return "–"
    hours = wait / timedelta(hours=1)
    if hours < 1:
        return _("%d min") % round(wait / timedelta(minutes=1))
    return _("%s h") % f"{hours:.1f}" if hours < 48 else _("%s days") % f"{hours / 24:.1f}"
