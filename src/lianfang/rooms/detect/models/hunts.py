"""Hunts: rules over what the lake holds already, split by split; what a killed hunt has done is here, so that it goes on where it stopped."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from lianfang.kernel import clock
from lianfang.kernel.ids import new_id
from lianfang.kernel.ref import Ref


class Hunt(models.Model):
    """What was asked: ``rules`` by uid, from ``since`` to ``until``; ``asker`` is whose scope and clearance it sees. ``keep``: what it finds becomes findings.

    ``result`` is the sum of the splits that are done, written with each of them. ``job`` works on it; ``None``: a command line does.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.CharField(max_length=60, db_index=True)
    owner_name = models.CharField(_("asked by"), max_length=120, default="")
    asker = models.JSONField(default=dict)
    rules = models.JSONField(default=list)
    label = models.CharField(_("looked for"), max_length=250, default="")
    since = models.DateTimeField(_("from"))
    until = models.DateTimeField(_("until"))
    keep = models.BooleanField(_("keep findings"), default=False)
    job = models.UUIDField(null=True)
    splits = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    result = models.JSONField(default=dict)
    created = models.DateTimeField(_("asked"), default=clock.now, db_index=True)
    finished = models.DateTimeField(_("finished"), null=True)

    class Meta:
        verbose_name = _("hunt")
        verbose_name_plural = _("hunts")
        ordering = ("-created", "-id")

    def __str__(self) -> str:
        return self.label

    @property
    def ref(self) -> Ref:
        return Ref("detect", "hunt", str(self.pk))


class HuntSplit(models.Model):
    """An hour of a hunt that is done: what it found, as ``(rule, event)`` pairs packed small; ``marks``: what its correlations look at, until all hours are done."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    hunt = models.ForeignKey(Hunt, models.CASCADE, related_name="parts")
    start = models.DateTimeField()
    until = models.DateTimeField(db_index=True)
    looked = models.PositiveBigIntegerField(default=0)
    content = models.BinaryField(default=b"")
    marks = models.BinaryField(default=b"")

    class Meta:
        ordering = ("start", "id")
        constraints = (models.UniqueConstraint(fields=["hunt", "start"], name="detect_huntsplit_once"),)

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H}"
