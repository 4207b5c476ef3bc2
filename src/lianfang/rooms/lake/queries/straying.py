"""Log templates that are not as usual just now: the model of anomalies in the logs of operating systems and of everything else that writes lines.

In: which sources, since when somebody looked. Out: templates that nobody said before, and those said much more or much less than usual at this hour
(``engines.series.counts``), with the curve that shows it. The judgement is the one by which the tree of templates is marked.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Min, QuerySet, Sum

from lianfang.engines.series import FAR, Unusual, unusual, usual_at
from lianfang.kernel import clock
from lianfang.kernel.viewer import Viewer, after
from lianfang.rooms.lake import models
from lianfang.rooms.lake.queries.mining import known_hours
from lianfang.rooms.lake.types import Odd, OddTemplate, Stage

MOST_NEW = 20
"""So many new templates of a source are told one by one; more at once are a new release, told as one."""
FIRST_LOOK = timedelta(hours=1)
"""What was found within the first hour of reading a source is what it says, however old its lines."""
FRESH = timedelta(days=1)
"""Lines older than this are history that somebody brought, no news."""
SETTLED = timedelta(minutes=10)
"""So long after an hour its last lines have come."""
CURVE = 48


def odd_templates(*, source: str = "", layer: str = "", within: str = "", since: datetime, learning: timedelta, viewer: Viewer) -> list[OddTemplate]:
    """What is odd about templates of one source, of a layer, or of all sources of the territory ``within``. ``new``: found after ``since`` in sources that are known
    for ``learning``; ``more``: in this hour already, or in the last; ``fewer``: in the last whole hour, told once it has settled, of sources that go on speaking."""
    rows = _rows(source, layer, within, viewer)
    about = {row["source"]: row for row in rows.values("source").annotate(known=Count("id"), lines=Sum("count"), since=Min("first"), begun=Min("found"), spoke=Max("last"))}
    return [*_new(rows, about, since, learning), *_numbers(rows, about, since)]


def template_spans(*, source: str = "", layer: str = "", within: str = "", viewer: Viewer) -> list[tuple[str, int, datetime]]:
    """Those sources with the number of their templates and the time of the first line, by name."""
    found = _rows(source, layer, within, viewer).values("source__name").annotate(known=Count("id"), since=Min("first")).order_by("source__name")
    return [(row["source__name"], row["known"], row["since"]) for row in found]


def _rows(source: str, layer: str, within: str, viewer: Viewer) -> QuerySet[models.LogTemplate]:
    viewer.must("lake.event.view")
    rows = models.LogTemplate.objects.seen_by(viewer).exclude(source__stage=Stage.ERASING).select_related("source")
    if source:
        rows = rows.filter(source__name=source)
    if layer:
        rows = rows.filter(source__layer=layer)
    return rows.filter(territory__gte=within, territory__lt=after(within)) if within else rows


def _new(rows: QuerySet[models.LogTemplate], about: dict[Any, dict[str, Any]], since: datetime, learning: timedelta) -> Iterable[OddTemplate]:
    found: dict[Any, list[models.LogTemplate]] = {}
    for row in rows.filter(found__gte=since).order_by("-count", "pk"):
        one = about[row.source_id]
        if row.first >= row.found - FRESH and one["since"] <= row.first - learning and one["begun"] <= row.found - FIRST_LOOK:
            found.setdefault(row.source_id, []).append(row)
    for key, news in found.items():
        one = about[key] | {"known": about[key]["known"] - len(news)}
        if len(news) <= MOST_NEW:
            yield from (_odd(row, one, Odd.NEW, row.first, Unusual(True, row.count, 0.0, 0.0), row.found) for row in news)
        else:
            yield _odd(news[0], one, Odd.NEW, news[0].first, Unusual(True, news[0].count, 0.0, 0.0), max(row.found for row in news), len(news) - 1)


def _numbers(rows: QuerySet[models.LogTemplate], about: dict[Any, dict[str, Any]], since: datetime) -> Iterable[OddTemplate]:
    now = clock.now()
    hour = int(now.timestamp() // 3600)
    settled = _moment(hour) + SETTLED
    whole = since < settled <= now  # asked once an hour
    for row in rows.filter(last__gte=_moment(hour - 1) if not whole else now - timedelta(days=8)).iterator(chunk_size=500):
        hours, _hour, first = known_hours(row)
        for at in (hour, hour - 1):
            if (found := unusual(hours, at, first=first)) and (found.more or (at < hour and whole and about[row.source_id]["spoke"] >= _moment(hour))):
                yield _odd(row, about[row.source_id], Odd.MORE if found.more else Odd.FEWER, _moment(at), found, row.found)


def _odd(row: models.LogTemplate, about: dict[str, Any], odd: Odd, moment: datetime, number: Unusual, found: datetime, alike: int = 0) -> OddTemplate:
    hours, _now, first = known_hours(row)
    last = int(moment.timestamp() // 3600)
    curve = []
    for at in range(last - CURVE + 1, last + 1):
        usual = usual_at(hours, at, first=first)
        curve.append((_moment(at), hours.get(at, 0), None if usual is None else max(0.0, usual[0] - FAR * usual[1]), None if usual is None else usual[0] + FAR * usual[1]))
    place = (row.organisation, row.territory, row.industry)
    return OddTemplate(odd, str(row.pk), row.source.name, row.source.layer, place, row.text, row.level, _moment(last), number.count, number.usual, number.spread, row.first, row.last, row.sample, about["known"], about["lines"], about["since"], found, tuple(curve), alike)


def _moment(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * 3600, UTC)
