"""Scenarios that people of this node describe, beside those that ship."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.language import either
from lianfang.kernel import clock
from lianfang.kernel.ids import new_id
from lianfang.kernel.ref import Ref


class OwnScenario(models.Model):
    """A kind of attack in stages. ``stages``: mappings with ``zh``, ``en``, ``models`` (keys), ``rules`` (uids, also of correlations), ``techniques``, ``needs_zh``, ``needs_en``.

    Each change has a number (``version``); what it changed is in the ledger.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    zh = models.CharField(_("Chinese name"), max_length=80, blank=True, default="")
    en = models.CharField(_("English name"), max_length=80, blank=True, default="")
    about_zh = models.TextField(_("Chinese description"), max_length=2000, blank=True, default="")
    about_en = models.TextField(_("English description"), max_length=2000, blank=True, default="")
    alarm = models.CharField(_("alarm type"), max_length=40, blank=True, default="")
    stages = models.JSONField(pgettext_lazy("scenario", "stages"), default=list)
    enabled = models.BooleanField(_("switched on"), default=True, editable=False)
    version = models.PositiveIntegerField(_("version"), default=1, editable=False)
    made_by = models.CharField(_("made by"), max_length=120, default="", editable=False)
    changed_by = models.CharField(_("changed by"), max_length=120, default="", editable=False)
    created = models.DateTimeField(_("created"), default=clock.now, editable=False)
    changed = models.DateTimeField(_("last change"), default=clock.now, editable=False)

    class Meta:
        verbose_name = _("own scenario")
        verbose_name_plural = _("own scenarios")
        ordering = ("-changed", "-id")

    def __str__(self) -> str:
        return either(self.zh, self.en) or self.zh or self.en

    @property
    def key(self) -> str:
        """Its address among all scenarios."""
        return f"own-{self.pk}"

    @property
    def ref(self) -> Ref:
        return Ref("detect", "ownscenario", str(self.pk))
