"""What each baseline knows: its counts, how far it has read, and the numbers that people of this node changed."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.parted import Part
from lianfang.kernel.ids import new_id
from lianfang.kernel.ref import Ref
from lianfang.rooms.detect.models.rules import Rule


class Baseline(models.Model):
    """How one rule of the kind *baseline* stands; its counts are in parts.

    ``given``: numbers that differ from the rule's own; ``reached``: the last event of each writer that was counted, as pairs; ``basis``: by what
    the counts were made, so that they are made anew when it changes; ``step`` grows with each change of the state.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    rule = models.OneToOneField(Rule, models.CASCADE, related_name="baseline", verbose_name=_("baseline"))
    kind = models.CharField(_("kind"), max_length=12, editable=False)
    given = models.JSONField(_("numbers that differ from the rule's"), default=dict, blank=True)
    reached = models.JSONField(default=list)
    basis = models.CharField(max_length=64, default="")
    step = models.PositiveBigIntegerField(default=0)
    told = models.JSONField(default=dict)
    trouble = models.CharField(_("trouble"), max_length=400, default="", editable=False)
    since = models.DateTimeField(_("knows since"), null=True, editable=False)
    ran = models.DateTimeField(_("last run"), null=True, editable=False)

    class Meta:
        verbose_name = _("baseline")
        verbose_name_plural = _("baselines")
        ordering = ("rule__path",)

    def __str__(self) -> str:
        return str(self.rule)

    @property
    def ref(self) -> Ref:
        return Ref("detect", "baseline", str(self.pk))


class BaselinePart(Part):
    """A piece of the counts of a baseline (``engines.series.Baseline.snapshot``)."""

    owner = models.ForeignKey(Baseline, models.CASCADE, related_name="+")

    class Meta:
        constraints = (models.UniqueConstraint(fields=["owner", "number"], name="detect_baselinepart_once"),)

    def __str__(self) -> str:
        return f"{self.number}"
