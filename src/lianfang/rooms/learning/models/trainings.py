"""Trainings: a learner, the data set that it is taught with, a schedule; and what became of each run."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel import clock
from lianfang.kernel.ref import Ref
from lianfang.rooms.learning.models.registry import Model
from lianfang.rooms.learning.models.sets import DataSet, Version
from lianfang.rooms.learning.types import Ended, Pace


class Training(Scoped):
    """What is learned from what, and how often. ``auto``: the owner lets a model in by itself when it is no worse than the one in use."""

    name = models.CharField(_("name"), max_length=80, help_text=_("The model is registered under it."))
    learner = models.CharField(_("learner"), max_length=40)
    dataset = models.ForeignKey(DataSet, models.PROTECT, related_name="trainings", verbose_name=_("data set"))
    pace = models.CharField(_("trained"), max_length=6, choices=Pace.choices, default=Pace.NEVER)
    auto = models.BooleanField(_("approve by itself"), default=False, blank=True, help_text=_("A model whose metric is no worse than that of the one in use is approved and put in use without a person."))
    enabled = models.BooleanField(pgettext_lazy("training", "goes on"), default=True, blank=True)
    declared_by = models.CharField(_("declared by"), max_length=120, default="", editable=False)
    created = models.DateTimeField(_("created"), default=clock.now, editable=False)
    due = models.DateTimeField(_("next run"), null=True, editable=False, db_index=True)

    class Meta:
        verbose_name = _("training")
        verbose_name_plural = _("trainings")
        ordering = ("name", "id")
        constraints = (models.UniqueConstraint(fields=["organisation", "name"], name="learning_training_once"),)

    def __str__(self) -> str:
        return self.name

    @property
    def ref(self) -> Ref:
        return Ref("learning", "training", str(self.pk))


class Run(Scoped):
    """One run of a training: made a version, taught, measured, registered; or why not. ``metric``: what decided; ``before``: that of the model in use then."""

    training = models.ForeignKey(Training, models.CASCADE, related_name="runs", verbose_name=_("training"))
    asked_by = models.CharField(_("asked by"), max_length=120)
    person = models.CharField(max_length=36, default="")
    job = models.CharField(max_length=36, default="")
    begun = models.DateTimeField(_("begun"), default=clock.now)
    ended = models.DateTimeField(_("ended"), null=True)
    seconds = models.FloatField(_("seconds"), null=True)
    state = models.CharField(_("state"), max_length=8, choices=Ended.choices, default=Ended.RUNNING, db_index=True)
    rows = models.BigIntegerField(_("rows taught"), null=True)
    held = models.BigIntegerField(_("rows held out"), null=True)
    metric = models.FloatField(_("metric"), null=True)
    before = models.FloatField(_("of the one in use"), null=True)
    version = models.ForeignKey(Version, models.SET_NULL, null=True, related_name="+", verbose_name=_("version"))
    model = models.ForeignKey(Model, models.SET_NULL, null=True, related_name="+", verbose_name=_("model"))
    trouble = models.CharField(pgettext_lazy("run", "why not"), max_length=300, default="")

    class Meta:
        verbose_name = _("run of a training")
        verbose_name_plural = _("runs of trainings")
        ordering = ("-begun", "-id")
        indexes = (models.Index(fields=["-begun", "id"], name="learning_run_newest"),)

    def __str__(self) -> str:
        return f"{self.training} · {self.begun:%Y-%m-%d %H:%M}"

    @property
    def ref(self) -> Ref:
        return Ref("learning", "run", str(self.pk))
