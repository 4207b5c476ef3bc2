"""Rules that people of this node wrote: one row per version, from draft to being in force and after; and previews of them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.language import either
from lianfang.kernel import clock
from lianfang.kernel.ids import new_id
from lianfang.kernel.labels import Severity
from lianfang.kernel.ref import Ref


class Stage(models.TextChoices):
    """Where a version stands."""

    DRAFT = "draft", pgettext_lazy("own rule", "draft")
    PROPOSED = "proposed", pgettext_lazy("own rule", "proposed")
    IN_FORCE = "in_force", pgettext_lazy("own rule", "in force")
    REPLACED = "replaced", pgettext_lazy("own rule", "replaced")
    WITHDRAWN = "withdrawn", pgettext_lazy("own rule", "withdrawn")


class OwnRule(models.Model):
    """One version of a rule of the node's own. The text is the rule; what was proposed is never changed. ``uid`` stays the same through all versions."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    uid = models.CharField(_("rule ID"), max_length=64, editable=False)
    version = models.PositiveIntegerField(_("version"), default=1, editable=False)
    text = models.TextField(_("rule text"), max_length=100_000)
    title = models.CharField(_("title"), max_length=250, editable=False)
    title_zh = models.CharField(_("Chinese title"), max_length=250, default="", editable=False)
    severity = models.PositiveSmallIntegerField(_("severity"), default=Severity.MEDIUM, editable=False)
    model = models.CharField(_("event model"), max_length=20, default="", editable=False)
    stage = models.CharField(_("state"), max_length=10, choices=Stage.choices, default=Stage.DRAFT, db_index=True, editable=False)
    maker = models.CharField(max_length=36, default="", editable=False)
    made_by = models.CharField(_("written by"), max_length=120, default="", editable=False)
    proposer = models.CharField(max_length=36, default="", editable=False)
    proposed_by = models.CharField(_("proposed by"), max_length=120, default="", editable=False)
    proposed = models.DateTimeField(_("proposed"), null=True, editable=False)
    approved_by = models.CharField(_("approved by"), max_length=120, default="", editable=False)
    approved = models.DateTimeField(_("approved"), null=True, editable=False)
    ended = models.DateTimeField(_("no longer in force since"), null=True, editable=False)
    changed = models.DateTimeField(_("last change"), default=clock.now, editable=False)

    class Meta:
        verbose_name = _("own rule")
        verbose_name_plural = _("own rules")
        ordering = ("-changed", "-id")
        constraints = (models.UniqueConstraint(fields=["uid", "version"], name="detect_ownrule_once"),)
        indexes = (models.Index(fields=["-changed", "-id"], name="detect_ownrule_newest"),)

    def __str__(self) -> str:
        return either(self.title_zh, self.title)

    @property
    def ref(self) -> Ref:
        return Ref("detect", "ownrule", str(self.pk))


class Preview(models.Model):
    """What a rule would have found in past data: asked by a person, worked out by a job, forgotten after some days."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.CharField(max_length=36, db_index=True)
    text = models.TextField()
    since = models.DateTimeField()
    until = models.DateTimeField()
    job = models.UUIDField(null=True)
    result = models.JSONField(default=dict)
    created = models.DateTimeField(default=clock.now, db_index=True)

    def __str__(self) -> str:
        return f"{self.since:%Y-%m-%d} – {self.until:%Y-%m-%d}"
