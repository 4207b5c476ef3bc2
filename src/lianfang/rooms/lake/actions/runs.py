"""The history of what was collected: each source that is asked or watched writes down its runs while it reads.

In: what the thread of a source reads; what the writer of the tables stored. Out: rows of ``Run``, bounded in time and number.
What is read is counted in the transaction that notes the part as pending, what is stored in the one that tells the batch,
so that after a crash both are what the spool and the tables hold.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Q

from lianfang.kernel import clock
from lianfang.rooms.lake import models
from lianfang.rooms.lake.actions.preparing import REJECTED, STORED
from lianfang.rooms.lake.models.runs import MOST, UNENDED, RunState, together
from lianfang.rooms.lake.types import lines_of

log = logging.getLogger(__name__)

KEPT = timedelta(days=90)
QUIET = timedelta(hours=1)
"""For so long looks that found nothing are one run."""


class Runs:
    """The runs of one source, written by the one thread that reads it. What was running when it begins was broken off."""

    def __init__(self, source: models.Source):
        self.source = source
        self._now: models.Run | None = None
        self._began = _floor(clock.now())
        mine = models.Run.objects.filter(source_id=source.pk)
        mine.filter(state=RunState.RUNNING).update(state=RunState.BROKEN, ended=self._began)
        self._last = mine.order_by("-began", "-id").first()

    @property
    def last(self) -> models.Run | None:
        """The run that ended last."""
        return self._last

    @property
    def began(self) -> datetime | None:
        """When the one that goes on began."""
        return self._now.began if self._now else None

    def look(self) -> None:
        """A look begins, unless a run goes on: nothing is written before there is something to write."""
        if self._now is None:
            self._began = _floor(clock.now())

    def took(self, *, read: int, size: int, before: str, after: str, known: int = 0) -> None:
        """So many records were read and are about to be received. In the caller's transaction."""
        if self._now is None:
            self._now = self._made(first=before[:300], resumed=bool(self._last and self._last.state in UNENDED))
        models.Run.objects.filter(pk=self._now.pk).update(read=F("read") + read, known=F("known") + known, bytes=F("bytes") + size, last=after[:300], changed=clock.now())

    def done(self, *, known: int = 0, at: str = "", quiet: bool = True) -> None:
        """There is nothing more for now. ``quiet``: also a look that found nothing is written down."""
        if self._now is not None:
            if known:
                models.Run.objects.filter(pk=self._now.pk).update(read=F("read") + known, known=F("known") + known)
            self._end(RunState.DONE)
        elif quiet:
            self._fold(RunState.DONE, read=known, known=known, first=at[:300], last=at[:300])

    def failed(self, error: Exception) -> None:
        """It went wrong; the next run goes on from here. Raises nothing: who calls has trouble enough."""
        said = lines_of(error)[:600]
        try:
            if self._now is not None:
                self._end(RunState.FAILED, error=said)
            else:
                self._fold(RunState.FAILED, error=said)
        except Exception:
            log.exception("the run of %s could not be written down", self.source.name)

    def stopped(self) -> None:
        """The process ends, or the source was changed, on the way."""
        if self._now is not None:
            self._end(RunState.STOPPED)

    # ---- inside ------------------------------------------------------------------------------------------------

    def _made(self, **values: Any) -> models.Run:
        row = self.source
        return models.Run.objects.create(source_id=row.pk, organisation=row.organisation, territory=row.territory, industry=row.industry, began=self._began, **values)

    def _end(self, state: RunState, **values: Any) -> None:
        now = clock.now()
        assert self._now is not None  # noqa: S101 - only called while a run goes on
        models.Run.objects.filter(pk=self._now.pk).update(state=state, ended=now, changed=now, **values)
        self._now.state, self._now.ended = state, now
        self._last, self._now = self._now, None

    def _fold(self, state: RunState, *, read: int = 0, known: int = 0, **values: Any) -> None:
        """A look of which nothing came: the last run once more, when it was the same, otherwise one of its own."""
        now, last = clock.now(), self._last
        same = {"state": state, "read": F("known"), "error": values.get("error", ""), "began__gt": now - QUIET}
        if last and models.Run.objects.filter(pk=last.pk, **same).update(looks=F("looks") + 1, read=F("read") + read, known=F("known") + known, ended=now, changed=now):
            last.ended = now
            return
        self._last = self._made(state=state, ended=now, read=read, known=known, resumed=bool(last and last.state in UNENDED), **values)


def tell(counts: Mapping[str, Counter[tuple[datetime, str]]]) -> None:
    """What became of records, by moment of receipt and reason, per source, goes to the run that read them. In the caller's transaction."""
    for source, one in counts.items():
        moments: defaultdict[datetime, Counter[str]] = defaultdict(Counter)
        for (moment, name), count in one.items():
            moments[moment][name] += count
        found: dict[Any, Counter[str]] = {}
        for moment, counted in moments.items():
            run = models.Run.objects.filter(Q(ended=None) | Q(ended__gte=moment), source__name=source, began__lte=moment).order_by("-began", "-id").values_list("pk", flat=True).first()
            if run is not None:
                found.setdefault(run, Counter()).update(counted)
        for run, counted in found.items():
            _add(run, counted)


def _add(run: Any, counted: Counter[str]) -> None:
    row = models.Run.objects.select_for_update().get(pk=run)
    stored = counted.pop(STORED, 0)
    refused = {name.removeprefix(REJECTED): count for name, count in counted.items() if name.startswith(REJECTED)}
    corrected = {name: count for name, count in counted.items() if not name.startswith(REJECTED)}
    models.Run.objects.filter(pk=run).update(
        stored=F("stored") + stored, rejected=F("rejected") + sum(refused.values()), refused=together((row.refused, refused)), corrected=together((row.corrected, corrected))
    )


def forget_runs() -> int:
    """Runs are kept for ``KEPT``, and ``MOST`` of a source."""
    gone = models.Run.objects.filter(began__lt=clock.now() - KEPT).delete()[0]
    for source in models.Source.objects.values_list("pk", flat=True):
        mine = models.Run.objects.filter(source_id=source).order_by("-began", "-id")
        oldest = mine.values_list("began", flat=True)[MOST : MOST + 1].first()
        if oldest:
            gone += models.Run.objects.filter(source_id=source, began__lte=oldest).delete()[0]
    return gone


def _floor(moment: datetime) -> datetime:
    """In milliseconds, as receipts are dated: what a run reads was never received before it began."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
