"""What columns were found to hold: one row for each column of a data set, with the votes, and what a reviewer decided."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel import clock
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.ref import Ref

EVENTS = "events"
"""The data set of all event tables: a column is graded once, wherever it stands."""
LEVELS = [(int(level), level.name) for level in DataLevel]


class Review(models.TextChoices):
    """What a reviewer said of a proposal."""

    OPEN = "open", pgettext_lazy("grade", "to be reviewed")
    ACCEPTED = "accepted", pgettext_lazy("grade", "accepted")
    CHANGED = "changed", pgettext_lazy("grade", "changed")


class GradingRun(Scoped):
    """One look at a data set. ``lessons`` and ``model``: what reviewers had taught by then, as it was used; ``day``: of what day the data is."""

    dataset = models.CharField(_("data set"), max_length=120)
    file = models.CharField(max_length=120, blank=True, default="")
    day = models.DateField(_("data of"), null=True)
    by = models.CharField(_("asked by"), max_length=120)
    created = models.DateTimeField(_("created"), default=clock.now)
    done = models.DateTimeField(_("done"), null=True)
    columns = models.IntegerField(_("columns"), default=0)
    lessons = models.IntegerField(_("lessons"), default=0)
    model = models.TextField(default="")

    class Meta:
        ordering = ("-created", "id")

    @property
    def ref(self) -> Ref:
        return Ref("lake", "grading", str(self.pk))


class GradingModel(Scoped):
    """The model that looks of an organisation ask; at most one. ``name`` says which it is to people, ``content`` is what ``engines.grading.Model`` reads."""

    name = models.CharField(max_length=120)
    content = models.TextField()
    since = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["organisation"], name="lake_grading_model_once"),)


class Grade(Scoped):
    """A column, its class and level in force, and why. Until it is reviewed the proposal stands; a decision stands until it is changed."""

    dataset = models.CharField(_("data set"), max_length=120)
    column = models.CharField(_("column"), max_length=120)
    comment = models.CharField(_("comment of the column"), max_length=200, blank=True, default="")
    item = models.CharField(_("data class"), max_length=20, blank=True, default="")
    level = models.PositiveSmallIntegerField(_("level"), choices=LEVELS, default=int(DataLevel.L2), db_index=True)
    state = models.CharField(_("review"), max_length=10, choices=Review.choices, default=Review.OPEN, db_index=True)
    reason = models.CharField(_("reason"), max_length=300, blank=True, default="")
    reviewed_by = models.CharField(_("reviewed by"), max_length=120, blank=True, default="")
    reviewed = models.DateTimeField(_("reviewed"), null=True)

    proposed_item = models.CharField(_("proposed class"), max_length=20, blank=True, default="")
    proposed_level = models.PositiveSmallIntegerField(_("proposed level"), choices=LEVELS, default=int(DataLevel.L2))
    confidence = models.FloatField(_("confidence"), default=0.0)
    votes = models.JSONField(default=list)
    steps = models.JSONField(default=list)
    features = models.JSONField(default=list)
    profile = models.JSONField(default=dict)
    shapes = models.JSONField(default=list)
    records = models.BigIntegerField(_("records"), default=0)
    graded = models.DateTimeField(_("graded"), default=clock.now)

    class Meta:
        verbose_name = _("data grade")
        verbose_name_plural = _("data grades")
        ordering = ("dataset", "column")
        constraints = (models.UniqueConstraint(fields=["organisation", "dataset", "column"], name="lake_grade_once"),)

    def __str__(self) -> str:
        return f"{self.dataset}: {self.column}"

    @property
    def ref(self) -> Ref:
        return Ref("lake", "grade", str(self.pk))

    @property
    def open(self) -> bool:
        """Whether nobody has reviewed it yet."""
        return self.state == Review.OPEN
