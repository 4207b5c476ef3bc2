"""Templates of the logs of each source, what was learned to know them again, and how far stored events were read for them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel import clock
from lianfang.kernel.ids import new_id
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.ref import Ref
from lianfang.rooms.lake.models.sources import Source


class LogTemplate(Scoped):
    """What one source says again and again (``engines.series``). It is content of logs: ``level`` is the highest of its events.

    ``first`` and ``last`` are times of events, ``found`` is when it was read; ``hours`` counts by hours since 1970, of eight days.
    """

    source = models.ForeignKey(Source, models.CASCADE, related_name="templates")
    uid = models.CharField(max_length=16)
    text = models.TextField(_("template"))
    level = models.PositiveSmallIntegerField(default=int(DataLevel.L4))
    count = models.BigIntegerField(_("lines"), default=0)
    first = models.DateTimeField(_("first seen"))
    last = models.DateTimeField(_("last seen"), db_index=True)
    found = models.DateTimeField(default=clock.now)
    sample = models.CharField(max_length=60, default="")
    hours = models.JSONField(default=dict)

    class Meta:
        verbose_name = _("log template")
        verbose_name_plural = _("log templates")
        constraints = (models.UniqueConstraint(fields=["source", "uid"], name="lake_logtemplate_once"),)

    def __str__(self) -> str:
        return self.text

    @property
    def ref(self) -> Ref:
        return Ref("lake", "logtemplate", str(self.pk))


class Mined(models.Model):
    """What was learned of a source's lines (``engines.series.Miner.dump``). ``version`` grows with each change."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    source = models.OneToOneField(Source, models.CASCADE, related_name="+")
    state = models.BinaryField()
    version = models.PositiveIntegerField(default=0)
    since = models.DateTimeField(default=clock.now)


class MinedTo(models.Model):
    """The last event of each writer that was read for templates; ``moment``: when somebody looked last."""

    writer = models.CharField(primary_key=True, max_length=20)
    event_id = models.CharField(max_length=60)
    moment = models.DateTimeField(default=clock.now)
