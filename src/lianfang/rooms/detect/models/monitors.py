"""Keyword alarms over the logs of systems: what is watched for, when it counts, how it stands, and every time it was an alarm."""

from __future__ import annotations

from datetime import timedelta

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.scoped import Scoped
from lianfang.engines.rules.hours import Hours, hours
from lianfang.engines.rules.occasions import Condition, Why
from lianfang.kernel import clock
from lianfang.kernel.ids import new_id
from lianfang.kernel.labels import Severity
from lianfang.kernel.ref import Ref

DAYS = ((0, _("Monday")), (1, _("Tuesday")), (2, _("Wednesday")), (3, _("Thursday")), (4, _("Friday")), (5, _("Saturday")), (6, _("Sunday")))

SEVERITIES = ((5, _("critical")), (4, _("high")), (3, _("medium")), (2, _("low")), (1, _("informational")))


def working_days() -> list[int]:
    """Monday to Friday."""
    return [0, 1, 2, 3, 4]


class Calendar(Scoped):
    """When something is expected of a system: its hours of trading, and the days without."""

    name = models.CharField(_("name"), max_length=80)
    zone = models.CharField(_("time zone"), max_length=40, default="Asia/Shanghai")
    days = models.JSONField(_("days"), default=working_days)
    sessions = models.CharField(_("hours"), max_length=200, blank=True, default="", help_text=_("For example 09:00-11:30, 13:00-15:00, 20:55-02:30; a session may run over midnight. Empty: the whole day."))
    off = models.TextField(_("days off"), blank=True, default="", max_length=8000, help_text=_("On each line a date, a range such as 2026-10-01 – 2026-10-08, or a date with the hours that are off such as 2026-09-30 20:55-02:30."))
    extra = models.TextField(_("extra days"), blank=True, default="", max_length=4000, help_text=_("Dates that count whatever their day of the week, one on each line."))
    created = models.DateTimeField(_("created"), default=clock.now, editable=False)

    class Meta:
        verbose_name = _("calendar")
        verbose_name_plural = _("calendars")
        ordering = ("name", "id")

    def __str__(self) -> str:
        return self.name

    @property
    def ref(self) -> Ref:
        return Ref("detect", "calendar", str(self.pk))

    def hours(self) -> Hours:
        """The calendar as it is reckoned with; raises ``Invalid`` for what cannot be read."""
        return hours(self.zone, [int(day) for day in self.days], self.sessions, self.off, self.extra)


class Monitor(Scoped):
    """What is watched for in the logs of one source, and how it stands. It belongs to the organisation of the source.

    Words become Sigma rules of the node's own pack; the counting, the silence and the state are kept here.
    """

    name = models.CharField(_("name"), max_length=120)
    source = models.CharField(_("log source"), max_length=60, db_index=True)
    host = models.CharField(_("host"), max_length=190, blank=True, default="", help_text=_("Empty: any host that this source tells of."))
    keywords = models.JSONField(_("keywords"), default=list, blank=True, help_text=_("One on each line; a phrase counts as it stands, capital letters do not matter."))
    every = models.BooleanField(_("all of them in one log"), default=False, blank=True)
    unless = models.JSONField(_("but not with"), default=list, blank=True, help_text=_("Logs that hold one of these do not count; one on each line."))
    times = models.PositiveIntegerField(_("so many times"), default=1, validators=[MinValueValidator(1), MaxValueValidator(1000)])
    within = models.PositiveIntegerField(_("within seconds"), default=60, validators=[MinValueValidator(1), MaxValueValidator(86_400)])
    beats = models.JSONField(_("sign of life"), default=list, blank=True, help_text=_("What a healthy system says again and again, such as “heartbeat ok”; one on each line."))
    silence = models.PositiveIntegerField(_("alarm after seconds without it"), null=True, blank=True, validators=[MinValueValidator(10), MaxValueValidator(604_800)])
    recovery = models.JSONField(_("what says that it is over"), default=list, blank=True, help_text=_("One on each line. Empty: an alarm is over when it was quiet for a quarter of an hour."))
    closes = models.BooleanField(_("then close the alert by itself"), default=False, blank=True, help_text=_("Only while nobody has taken it; otherwise, and without this, the alert is marked as recovered."))
    calendar = models.ForeignKey(Calendar, models.PROTECT, null=True, blank=True, related_name="monitors", verbose_name=_("calendar"), help_text=_("Outside its hours nothing becomes an alarm. Empty: always."))
    severity = models.PositiveSmallIntegerField(_("severity"), choices=SEVERITIES, default=Severity.HIGH)
    note = models.CharField(_("what to do"), max_length=500, blank=True, default="", help_text=_("Stands on the alert: whom to call, what to look at."))
    enabled = models.BooleanField(_("in use"), default=True)

    alarm = models.CharField(max_length=8, default="", editable=False)
    since = models.DateTimeField(_("alarm since"), null=True, editable=False)
    recent = models.JSONField(default=list, editable=False)
    last = models.DateTimeField(_("last said"), null=True, editable=False)
    alive = models.DateTimeField(_("last sign of life"), null=True, editable=False)
    recovered = models.DateTimeField(_("last recovered"), null=True, editable=False)
    hits = models.PositiveBigIntegerField(_("logs found"), default=0, editable=False)
    alarms = models.PositiveIntegerField(_("alarms"), default=0, editable=False)
    floor = models.DateTimeField(default=clock.now, editable=False)
    looked = models.DateTimeField(null=True, editable=False)
    created = models.DateTimeField(_("created"), default=clock.now, editable=False)
    made_by = models.CharField(_("made by"), max_length=120, default="", editable=False)

    class Meta:
        verbose_name = _("keyword alarm")
        verbose_name_plural = _("keyword alarms")
        ordering = ("name", "id")
        constraints = (models.UniqueConstraint(fields=["organisation", "name"], name="detect_monitor_once"),)

    def __str__(self) -> str:
        return self.name

    @property
    def ref(self) -> Ref:
        return Ref("detect", "monitor", str(self.pk))

    def hours(self) -> Hours | None:
        """Its calendar; ``None``: it counts always."""
        return self.calendar.hours() if self.calendar else None

    def condition(self) -> Condition:
        """What the engine asks of it."""
        return Condition(self.times, timedelta(seconds=self.within), timedelta(seconds=self.silence) if self.silence else None, bool(self.recovery), self.hours())


class Episode(models.Model):
    """One time that a keyword alarm was one: what it was about, from when to when, and in how many logs it was said."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    monitor = models.ForeignKey(Monitor, models.CASCADE, related_name="episodes")
    why = models.CharField(_("why"), max_length=8, choices=((Why.SAID.value, _("keyword")), (Why.ABSENT.value, _("no sign of life"))))
    began = models.DateTimeField(_("began"))
    ended = models.DateTimeField(_("ended"), null=True)
    recovered = models.BooleanField(_("recovered"), default=False)
    event = models.CharField(max_length=60, default="")
    ended_by = models.CharField(max_length=60, default="")
    count = models.PositiveIntegerField(_("logs"), default=0)

    class Meta:
        ordering = ("-began", "-id")
        indexes = (models.Index(fields=["monitor", "-began"], name="detect_episode_newest"),)

    def __str__(self) -> str:
        return f"{self.monitor_id} {self.began:%Y-%m-%d %H:%M:%S}"


class Signal(models.Model):
    """A batch that a keyword alarm has taken in, so that a replay after a crash counts nothing twice."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    monitor = models.ForeignKey(Monitor, models.CASCADE, related_name="+")
    batch = models.CharField(max_length=120)
    moment = models.DateTimeField(default=clock.now, db_index=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["monitor", "batch"], name="detect_signal_once"),)

    def __str__(self) -> str:
        return self.batch
