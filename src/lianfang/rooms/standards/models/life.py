"""Deeds at the end of a data set's life: archived, destroyed, brought back; asked for, approved by a second person, done, never forgotten."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.language import headed
from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel import clock
from lianfang.kernel.ref import Ref
from lianfang.rooms.lake.types import Part
from lianfang.rooms.standards.types import Deed, Progress


class Disposal(Scoped):
    """One deed over a part of the data. ``result``: of an archive its manifest; of a destruction rows and fingerprints by table and the names of the files that held them."""

    deed = models.CharField(_("deed"), max_length=8, choices=Deed.choices)
    source = models.CharField(_("log source"), max_length=60)
    tables = models.JSONField(_("event tables"), default=list)
    since = models.DateTimeField(_("from"))
    until = models.DateTimeField(_("until"))
    reason = models.CharField(_("reason"), max_length=300)
    archive = models.CharField(max_length=36, blank=True, default="")
    state = models.CharField(_("state"), max_length=8, choices=Progress.choices, default=Progress.ASKED, db_index=True)
    asker = models.CharField(max_length=36)
    asked_by = models.CharField(pgettext_lazy("request", "asked by"), max_length=120)
    asked = models.DateTimeField(_("asked at"), default=clock.now)
    decided_by = models.CharField(_("decided by"), max_length=120, blank=True, default="")
    decided = models.DateTimeField(_("decided"), null=True)
    done = models.DateTimeField(_("done"), null=True)
    rows = models.BigIntegerField(_("events"), null=True)
    result = models.JSONField(default=dict)
    trouble = models.CharField(_("trouble"), max_length=300, blank=True, default="")

    class Meta:
        verbose_name = _("deed at the end of life")
        verbose_name_plural = _("deeds at the end of life")
        ordering = ("-asked", "id")

    def __str__(self) -> str:
        return headed(self.get_deed_display(), f"{self.source} {timezone.localtime(self.since):%Y-%m-%d} – {timezone.localtime(self.until):%Y-%m-%d}")

    @property
    def ref(self) -> Ref:
        return Ref("standards", "disposal", str(self.pk))

    @property
    def part(self) -> Part:
        """What it is about."""
        return Part(self.source, tuple(self.tables), self.since, self.until)

    @property
    def request(self) -> str:
        """The name of its archive; of what is brought back, of the archive that it comes from."""
        return self.archive or str(self.pk)
