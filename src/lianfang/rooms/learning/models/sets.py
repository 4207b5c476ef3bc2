"""Data sets, each a question that was given a name, and their versions, each a copy of what it found that never changes."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel import clock
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.ref import Ref
from lianfang.rooms.learning.types import PERIODS, Made, Origin, Pace, Period

LEVELS = [(int(level), level.name) for level in DataLevel]


class DataSet(Scoped):
    """A question over the lake. ``filters``: conditions as the search page writes them; ``clearance`` is that of whoever declared it: a version holds nothing above it."""

    name = models.CharField(_("name"), max_length=80)
    purpose = models.CharField(_("purpose"), max_length=300, help_text=_("What it is made for. It stands beside every version that is taken away."))
    origin = models.CharField(pgettext_lazy("data set", "rows"), max_length=8, choices=Origin.choices, default=Origin.EVENTS)
    tables = models.JSONField(_("event tables"), default=list, blank=True, help_text=_("None chosen: all."))
    filters = models.JSONField(_("conditions"), default=list, blank=True, help_text=_("One on each line, as the search page writes them: column:operator:value."))
    words = models.CharField(_("words in the raw log"), max_length=500, blank=True, default="")
    columns = models.JSONField(pgettext_lazy("data set", "columns"), default=list, blank=True, help_text=_("None chosen: those of the list of events."))
    period = models.CharField(pgettext_lazy("data set", "period"), max_length=5, choices=Period.choices, default=Period.WEEK)
    since = models.DateTimeField(_("from"), null=True, blank=True)
    until = models.DateTimeField(_("until"), null=True, blank=True)
    pace = models.CharField(_("a version is made"), max_length=6, choices=Pace.choices, default=Pace.NEVER)
    clearance = models.PositiveSmallIntegerField(default=int(DataLevel.L2), editable=False)
    declared_by = models.CharField(_("declared by"), max_length=120, default="", editable=False)
    created = models.DateTimeField(_("created"), default=clock.now, editable=False)
    due = models.DateTimeField(_("next version"), null=True, editable=False, db_index=True)

    class Meta:
        verbose_name = _("data set")
        verbose_name_plural = _("data sets")
        ordering = ("name", "id")
        constraints = (models.UniqueConstraint(fields=["organisation", "name"], name="learning_dataset_once"),)

    def __str__(self) -> str:
        return self.name

    @property
    def ref(self) -> Ref:
        return Ref("learning", "dataset", str(self.pk))

    def bounds(self, now: datetime) -> tuple[datetime, datetime]:
        """``[since, until)`` of a version that is made now."""
        if self.period == Period.FIXED and self.since and self.until:
            return self.since, self.until
        return now - PERIODS.get(self.period, PERIODS[Period.WEEK]), now


class Version(Scoped):
    """One version of a data set. When it is ready nothing of it changes any more, until its copy is removed; the row and its record stay.

    ``columns``: mappings with ``name``, ``type``, ``level`` (highest of rows that have a value, and grade of the column), ``filled``.
    ``tables``: event table → version that it was read from. ``asked``: the question as it was.
    """

    dataset = models.ForeignKey(DataSet, models.PROTECT, related_name="versions", verbose_name=_("data set"))
    number = models.PositiveIntegerField(_("version"))
    state = models.CharField(_("state"), max_length=8, choices=Made.choices, default=Made.WAITING, db_index=True)
    asked_by = models.CharField(pgettext_lazy("version", "made by"), max_length=120)
    moment = models.DateTimeField(_("asked at"), default=clock.now)
    job = models.CharField(max_length=36, default="")
    made = models.DateTimeField(_("made"), null=True)
    since = models.DateTimeField(_("from"), null=True)
    until = models.DateTimeField(_("until"), null=True)
    rows = models.BigIntegerField(_("rows"), null=True)
    bytes = models.BigIntegerField(_("size"), null=True)
    digest = models.CharField("SHA-256", max_length=64, default="")
    level = models.PositiveSmallIntegerField(_("level"), choices=LEVELS, null=True)
    columns = models.JSONField(default=list)
    tables = models.JSONField(default=dict)
    sources = models.JSONField(default=list)
    asked = models.JSONField(default=dict)
    expires = models.DateTimeField(_("kept until"), null=True, db_index=True)
    removed = models.DateTimeField(_("removed"), null=True)
    why = models.CharField(pgettext_lazy("version", "why"), max_length=300, default="")

    class Meta:
        verbose_name = _("version of a data set")
        verbose_name_plural = _("versions of data sets")
        ordering = ("-moment", "-id")
        constraints = (models.UniqueConstraint(fields=["dataset", "number"], name="learning_version_once"),)
        indexes = (models.Index(fields=["-moment", "id"], name="learning_version_newest"),)

    def __str__(self) -> str:
        return f"{self.dataset} · v{self.number}"

    @property
    def ref(self) -> Ref:
        return Ref("learning", "version", str(self.pk))

    @property
    def ready(self) -> bool:
        """Whether it can be read."""
        return self.state == Made.READY
