"""Runs: each time a source was read, from where to where, how much came of it, and how it ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel import clock
from lianfang.kernel.ref import Ref
from lianfang.rooms.lake.models.sources import Source


class RunState(models.TextChoices):
    """How a run stands, or how it ended."""

    RUNNING = "running", pgettext_lazy("run", "running")
    DONE = "done", pgettext_lazy("run", "done")
    FAILED = "failed", pgettext_lazy("run", "failed")
    BROKEN = "broken", pgettext_lazy("run", "broken off")
    STOPPED = "stopped", pgettext_lazy("run", "stopped on the way")


MOST = 5_000
"""Runs of one source that are kept at most."""
REASONS = 20
"""Most reasons that a run names; the others are counted together."""
OTHER = "other"
UNENDED = (RunState.FAILED, RunState.BROKEN, RunState.STOPPED)
"""After these the next run goes on where this one ended."""


class Run(Scoped):
    """One run of a source that is asked or watched. ``read`` and ``known`` (read before, left out) are counted by who reads;
    ``stored``, ``rejected``, ``corrected`` (reason → records) and ``refused`` (reason → records) by who stores, once each, seconds later.

    Looks in a row that found nothing, or that failed alike, are one run for up to an hour: ``looks`` of them.
    """

    source = models.ForeignKey(Source, models.CASCADE, related_name="runs", verbose_name=_("log source"))
    began = models.DateTimeField(_("began"), db_index=True)
    ended = models.DateTimeField(_("ended"), null=True)
    changed = models.DateTimeField(_("last sign"), default=clock.now)
    state = models.CharField(_("state"), max_length=8, choices=RunState.choices, default=RunState.RUNNING)
    resumed = models.BooleanField(pgettext_lazy("run", "resumed"), default=False, help_text=_("It went on where a run ended that did not come to its end."))
    looks = models.PositiveIntegerField(_("looks"), default=1)
    first = models.CharField(_("watermark before"), max_length=300, default="", blank=True)
    last = models.CharField(_("watermark after"), max_length=300, default="", blank=True)
    read = models.BigIntegerField(pgettext_lazy("run", "read"), default=0)
    known = models.BigIntegerField(pgettext_lazy("run", "known already"), default=0)
    stored = models.BigIntegerField(pgettext_lazy("run", "stored"), default=0)
    rejected = models.BigIntegerField(pgettext_lazy("run", "rejected"), default=0)
    bytes = models.BigIntegerField(_("bytes"), default=0)
    corrected = models.JSONField(pgettext_lazy("run", "corrected"), default=dict)
    refused = models.JSONField(_("reasons of rejects"), default=dict)
    error = models.CharField(_("error"), max_length=600, default="", blank=True)

    class Meta:
        verbose_name = _("collection run")
        verbose_name_plural = _("collection runs")
        ordering = ("-began", "-id")
        indexes = (models.Index(fields=["source", "-began"], name="lake_run_newest"),)

    def __str__(self) -> str:
        return f"{self.source.name} · {clock.text(self.began)}"

    @property
    def ref(self) -> Ref:
        return Ref("lake", "run", str(self.pk))

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far; of one that was broken off, up to its last sign of life."""
        until = self.changed if self.state == RunState.BROKEN else self.ended or clock.now()
        return max(0.0, (until - self.began).total_seconds())


def together(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Counts by reason as one, the most frequent first; what is rare beyond ``REASONS`` counts as ``OTHER``.

    >>> together([{"a": 1}, {"b": 2, "a": 4}])
    {'a': 5, 'b': 2}
    """
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    rest = total.pop(OTHER, 0)
    kept = total.most_common(REASONS)
    rest += total.total() - sum(count for _, count in kept)
    return dict(kept) | ({OTHER: rest} if rest else {})
