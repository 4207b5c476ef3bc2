"""Exceptions from rules: what somebody calls normal, where, why, and until when."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel import clock
from lianfang.kernel.ref import Ref


class ExemptionState(models.TextChoices):
    """Where an exception stands. One that is in force also ends by its time, whoever notices."""

    PROPOSED = "proposed", pgettext_lazy("exception", "proposed")
    IN_FORCE = "in_force", pgettext_lazy("exception", "in force")
    WITHDRAWN = "withdrawn", pgettext_lazy("exception", "withdrawn")
    EXPIRED = "expired", pgettext_lazy("exception", "expired")


class Exemption(Scoped):
    """A Sigma filter with a reason, an owner and an end. It takes hits of its rules within its organisation, or of one source there."""

    name = models.CharField(_("exception"), max_length=120)
    text = models.TextField(_("Sigma filter"), help_text=_("YAML of the Sigma specification: filter with the rules by their ids, a selection of what is normal, and the condition “not selection”."))
    rules = models.JSONField(_("rules"), default=list, editable=False)
    source = models.CharField(_("log source"), max_length=80, default="", blank=True, help_text=_("Empty: every source of the organisation."))
    reason = models.CharField(_("reason"), max_length=500, help_text=_("Why this is normal, so that whoever comes later can judge it again."))
    owner = models.CharField(pgettext_lazy("exception", "owner"), max_length=60, help_text=_("Who answers for it, and is told before it ends."))
    owner_name = models.CharField(pgettext_lazy("exception", "owner"), max_length=120, default="", editable=False)
    expires = models.DateTimeField(_("ends"), db_index=True, help_text=_("From then on its rules speak again by themselves."))
    state = models.CharField(_("state"), max_length=10, choices=ExemptionState.choices, default=ExemptionState.PROPOSED, editable=False)
    began = models.DateTimeField(_("in force since"), null=True, editable=False)
    findings = models.PositiveBigIntegerField(_("findings taken"), default=0, editable=False)
    events = models.PositiveBigIntegerField(_("events taken"), default=0, editable=False)
    last = models.DateTimeField(_("took last"), null=True, editable=False)
    told = models.DateTimeField(null=True, editable=False)
    created = models.DateTimeField(_("created"), default=clock.now, editable=False)
    made_by = models.CharField(_("made by"), max_length=120, default="", editable=False)

    class Meta:
        verbose_name = _("exception")
        verbose_name_plural = _("exceptions")
        ordering = ("expires", "id")

    def __str__(self) -> str:
        return self.name

    @property
    def ref(self) -> Ref:
        return Ref("detect", "exemption", str(self.pk))

    def standing(self, now: datetime | None = None) -> str:
        """Its state, as the clock has it."""
        over = self.state == ExemptionState.IN_FORCE and self.expires <= (now or clock.now())
        return ExemptionState.EXPIRED if over else self.state
