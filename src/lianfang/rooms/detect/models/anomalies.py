"""Log anomaly alarms: whose log templates are an alarm when they are not as usual."""

from __future__ import annotations

from datetime import timedelta

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.scoped import Scoped
from lianfang.engines.rules.hours import Hours
from lianfang.kernel import clock
from lianfang.kernel.labels import Severity
from lianfang.kernel.ref import Ref
from lianfang.rooms.detect.models.monitors import SEVERITIES, Calendar
from lianfang.rooms.lake.types import Layer


class AnomalyAlarm(Scoped):
    """The sources (one, those of a layer, or all of the organisation and below) whose templates are judged, and what of them is an alarm.

    ``spared``: templates of which nobody wants to hear any more. ``looked``: up to when templates were judged. ``bursts``: sources (by name) of which so many new
    ones were told as one, and when the last of those was found.
    """

    name = models.CharField(_("name"), max_length=120)
    source = models.CharField(_("log source"), max_length=60, blank=True, default="", db_index=True, help_text=_("Empty: all sources of the layer."))
    layer = models.CharField(_("layer"), max_length=10, choices=Layer.choices, blank=True, default="", help_text=_("Empty: all layers."))
    fresh = models.BooleanField(_("a line never seen before"), default=True, blank=True)
    more = models.BooleanField(_("many more of one line than usual"), default=True, blank=True)
    fewer = models.BooleanField(_("one line missing, or far fewer than usual"), default=False, blank=True)
    learning = models.PositiveSmallIntegerField(_("days to know a source"), default=3, validators=[MinValueValidator(1), MaxValueValidator(90)], help_text=_("Before that nothing of it is new."))
    calendar = models.ForeignKey(Calendar, models.PROTECT, null=True, blank=True, related_name="anomalies", verbose_name=_("calendar"), help_text=_("Outside its hours nothing becomes an alarm. Empty: always."))
    severity = models.PositiveSmallIntegerField(_("severity"), choices=SEVERITIES, default=Severity.MEDIUM)
    note = models.CharField(_("what to do"), max_length=500, blank=True, default="", help_text=_("Stands on the alert: whom to call, what to look at."))
    enabled = models.BooleanField(_("in use"), default=True)

    spared = models.JSONField(default=list, editable=False)
    bursts = models.JSONField(default=dict, editable=False)
    looked = models.DateTimeField(default=clock.now, editable=False)
    told = models.PositiveIntegerField(_("alarms"), default=0, editable=False)
    last = models.DateTimeField(_("last alarm"), null=True, editable=False)
    created = models.DateTimeField(_("created"), default=clock.now, editable=False)
    made_by = models.CharField(_("made by"), max_length=120, default="", editable=False)

    class Meta:
        verbose_name = _("log anomaly alarm")
        verbose_name_plural = _("log anomaly alarms")
        ordering = ("name", "id")
        constraints = (models.UniqueConstraint(fields=["organisation", "name"], name="detect_anomalyalarm_once"),)

    def __str__(self) -> str:
        return self.name

    @property
    def ref(self) -> Ref:
        return Ref("detect", "anomalyalarm", str(self.pk))

    @property
    def span(self) -> timedelta:
        """For how long a source must be known before a line of it is new."""
        return timedelta(days=self.learning)

    def hours(self) -> Hours | None:
        """Its calendar; ``None``: it counts always."""
        return self.calendar.hours() if self.calendar else None
