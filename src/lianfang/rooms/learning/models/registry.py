"""The registry of models: one row for each version of a model; the artefact lies under its digest and is never opened as code."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel import clock
from lianfang.kernel.ref import Ref
from lianfang.rooms.learning.models.sets import Version
from lianfang.rooms.learning.types import Form, Stand


class Model(Scoped):
    """One version of a model. ``learner``: the key of the node's own learner that made it, empty for one from outside; ``metric``: the metric that decides."""

    name = models.CharField(_("name"), max_length=80)
    number = models.PositiveIntegerField(_("version"))
    kind = models.CharField(_("kind"), max_length=40)
    learner = models.CharField(max_length=40, default="")
    taught = models.ForeignKey(Version, models.SET_NULL, null=True, related_name="models", verbose_name=_("trained on"))
    parameters = models.JSONField(_("parameters"), default=dict)
    metrics = models.JSONField(_("metrics"), default=dict)
    metric = models.CharField(_("metric that decides"), max_length=40, default="")
    form = models.CharField(pgettext_lazy("model", "written in"), max_length=12, choices=Form.choices)
    bytes = models.BigIntegerField(_("size"))
    digest = models.CharField("SHA-256", max_length=64, db_index=True)
    note = models.CharField(_("note"), max_length=300, blank=True, default="")
    state = models.CharField(_("state"), max_length=8, choices=Stand.choices, default=Stand.PROPOSED, db_index=True)
    proposer = models.CharField(max_length=36, default="")
    proposed_by = models.CharField(_("proposed by"), max_length=120)
    proposed = models.DateTimeField(_("proposed"), default=clock.now)
    approved_by = models.CharField(_("approved by"), max_length=120, default="")
    approved = models.DateTimeField(pgettext_lazy("model", "approved at"), null=True)
    used_by = models.CharField(_("put in use by"), max_length=120, default="")
    used = models.DateTimeField(_("in use since"), null=True)
    retired_by = models.CharField(_("retired by"), max_length=120, default="")
    retired = models.DateTimeField(pgettext_lazy("model", "retired at"), null=True)

    class Meta:
        verbose_name = _("model")
        verbose_name_plural = _("models")
        ordering = ("-proposed", "-id")
        constraints = (models.UniqueConstraint(fields=["organisation", "name", "number"], name="learning_model_once"),)
        indexes = (models.Index(fields=["-proposed", "id"], name="learning_model_newest"),)

    def __str__(self) -> str:
        return f"{self.name} v{self.number}"

    @property
    def ref(self) -> Ref:
        return Ref("learning", "model", str(self.pk))

    @property
    def score(self) -> float | None:
        """The metric that decides; ``None`` when it was not told."""
        return self.metrics.get(self.metric)
