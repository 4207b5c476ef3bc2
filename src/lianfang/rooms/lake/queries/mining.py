"""Templates of logs as a tree: source, first words that all lines have, template; shown as the events that they were found in are.

In: the viewer, and what they look for. Out: trees and single templates. A template belongs to the organisation of its source; whoever may not read
the raw log or the message of an event of its level does not read the template either, only how many there are.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from django.db.models import Count, Max, Min, Q, QuerySet, Sum
from django.utils import timezone

from lianfang.engines.series import FAR, OPEN, Unusual, strange_hours, unusual, usual_at
from lianfang.kernel import clock
from lianfang.kernel.errors import Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models
from lianfang.rooms.lake.queries import scope
from lianfang.rooms.lake.types import TemplateBranch, TemplateLine, TemplateTree

MOST = 400
"""Templates of a tree that are shown; the most frequent."""
SPARK = 48
ORDERS = {"count": ("-count",), "fresh": ("-found", "-count"), "last": ("-last",)}
_WORD = re.compile(r"[^\W\d_][\w.-]*")
_LONGEST = 24


def template_sources(*, viewer: Viewer) -> list[TemplateTree]:
    """The sources that have templates, without them; the busiest first."""
    viewer.must("lake.event.view")
    shown, fresh = _shown(viewer), _fresh_ids(viewer)
    rows = models.LogTemplate.objects.seen_by(viewer).values("source__name").annotate(all=Count("id"), lines=Sum("count"), shown=Count("id", filter=shown), fresh=Count("id", filter=shown & fresh)).order_by("-lines", "source__name")
    return [TemplateTree(row["source__name"], row["lines"], row["shown"], row["fresh"], row["all"] - row["shown"], 0, ()) for row in rows]


def template_tree(source: str, *, viewer: Viewer, words: str = "", fresh: bool = False, strange: bool = False, order: str = "count") -> TemplateTree:
    """The templates of one source that hold all ``words``, below the words with which they begin; ``fresh``: those new today, ``strange``: those that are not said as often as usual."""
    viewer.must("lake.event.view")
    every = models.LogTemplate.objects.seen_by(viewer).filter(source__name=source)
    chosen = every.filter(_shown(viewer))
    hidden = every.count() - chosen.count()
    for word in words.split()[:10]:
        chosen = chosen.filter(text__icontains=word)
    marks = _fresh_ids(viewer)
    total = every.aggregate(lines=Sum("count"))["lines"] or 0
    found = chosen.filter(marks) if fresh else chosen
    if strange:
        found = found.filter(pk__in=[row.pk for row in found.only("pk", "hours", "first") if _unusual(row)])
    number, new = found.count(), chosen.filter(marks).count()
    lines = _lines(found.select_related("source").order_by(*ORDERS.get(order, ORDERS["count"]), "id")[:MOST], {source: total}, viewer)
    branches: dict[str, list[TemplateLine]] = defaultdict(list)
    for line in lines:
        branches[first_words(line.text)].append(line)
    made = [TemplateBranch(name, sum(one.count for one in held), sum(one.share for one in held), tuple(held)) for name, held in branches.items()]
    return TemplateTree(source, total, number, new, hidden, number - len(lines), tuple(sorted(made, key=lambda one: -one.count) if order == "count" else made))


def log_template(pk: object, *, viewer: Viewer) -> TemplateLine:
    """One template; raises ``Missing`` when it is not there, elsewhere, or above the viewer's clearance."""
    viewer.must("lake.event.view")
    rows = models.LogTemplate.objects.seen_by(viewer).filter(_shown(viewer), pk=pk).select_related("source")
    row = rows.first()
    if row is None:
        raise Missing("There is no such log template", why="It became part of a more general one, was not seen for long, or lies outside your scope or above your clearance.", todo="Look for it in the tree.")
    total = models.LogTemplate.objects.filter(source=row.source).aggregate(lines=Sum("count"))["lines"] or 0
    return replace(_lines([row], {row.source.name: total}, viewer)[0], usual=_between(row))


def templates_alike(line: TemplateLine, *, viewer: Viewer) -> list[TemplateLine]:
    """Other templates of the source whose lines hold everything that is constant in this one: words alone do not tell them apart."""
    rows = models.LogTemplate.objects.seen_by(viewer).filter(_shown(viewer), source__name=line.source).exclude(pk=line.id)
    for piece in line.constants[:20]:
        rows = rows.filter(text__icontains=piece)
    return _lines(rows.select_related("source").order_by("-count")[:20], {}, viewer)


def mined_to() -> datetime | None:
    """When somebody last looked for new events."""
    return models.MinedTo.objects.aggregate(last=Max("moment"))["last"]


def first_words(text: str) -> str:
    """The first two words that all lines of a template have.

    >>> first_words("<*> ERROR [<*>] order channel <*> lost"), first_words("委托 <*> 已报，合约 <*>"), first_words("<*> <*>")
    ('ERROR order', '委托 已报', '')
    """
    return " ".join(word[:_LONGEST].rstrip(".-_") for word in _WORD.findall(text.replace(OPEN, " "))[:2])


def _shown(viewer: Viewer) -> Q:
    return scope.veil(viewer).shown("raw", "message") or Q()


def _fresh_ids(viewer: Viewer) -> Q:
    """New today: first seen since midnight, in a source whose logs were known before."""
    midnight = timezone.localtime(clock.now()).replace(hour=0, minute=0, second=0, microsecond=0)
    known = models.LogTemplate.objects.seen_by(viewer).values("source").annotate(first=Min("found")).filter(first__lt=midnight).values_list("source", flat=True)
    return Q(found__gte=midnight, first__gte=midnight, source__in=list(known))


def _lines(rows: Iterable[models.LogTemplate] | QuerySet[models.LogTemplate], totals: dict[str, int], viewer: Viewer) -> list[TemplateLine]:
    rows = list(rows)
    fresh = set(models.LogTemplate.objects.filter(_fresh_ids(viewer), pk__in=[row.pk for row in rows]).values_list("pk", flat=True))
    now = int(clock.now().timestamp() // 3600)
    return [
        TemplateLine(
            str(row.pk), row.source.name, row.text, tuple(_parts(row.text)), row.level, row.count, row.count / max(1, totals.get(row.source.name, 0)), row.first, row.last, row.sample, row.pk in fresh,
            tuple((datetime.fromtimestamp(int(hour) * 3600, UTC), number) for hour, number in sorted(row.hours.items(), key=lambda one: int(one[0]))),
            tuple(row.hours.get(str(hour), 0) for hour in range(now - SPARK + 1, now + 1)), _unusual(row), tuple(hour - now + SPARK - 1 for hour in _strange(row)),
        )
        for row in rows
    ]  # fmt: skip


def _unusual(row: models.LogTemplate) -> Unusual | None:
    """Much more already in this hour or in the last whole one, or much less in the last whole one."""
    hours, now, first = known_hours(row)
    already = unusual(hours, now, first=first)
    return already if already and already.more else unusual(hours, now - 1, first=first)


def _strange(row: models.LogTemplate) -> tuple[int, ...]:
    """The hours of the small picture that were not as usual."""
    hours, now, first = known_hours(row)
    return strange_hours(hours, now, first=first, within=SPARK)


def known_hours(row: models.LogTemplate) -> tuple[dict[int, int], int, int]:
    """Its counts by hours since 1970, the hour it is, and the hour from which on anything is known."""
    now = int(clock.now().timestamp() // 3600)
    return {int(hour): number for hour, number in row.hours.items()}, now, max(int(row.first.timestamp() // 3600), now - 8 * 24)


def _between(row: models.LogTemplate) -> tuple[tuple[float, float] | None, ...]:
    """For each hour from the first to the last in which it was said: between what it is usual."""
    hours, _now, first = known_hours(row)
    known = (usual_at(hours, hour, first=first) for hour in range(min(hours), max(hours) + 1)) if hours else ()
    return tuple(None if one is None else (max(0.0, one[0] - FAR * one[1]), one[0] + FAR * one[1]) for one in known)


def _parts(text: str) -> Iterable[str | None]:
    for at, piece in enumerate(text.split(OPEN)):
        if at:
            yield None
        if piece:
            yield piece
