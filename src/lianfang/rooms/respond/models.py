"""Tables of respond: alerts, the findings folded into each, what each carries, what people wrote about it and judged it to be; the incidents they make; how important things are."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.language import either
from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel import clock
from lianfang.kernel.ids import new_id
from lianfang.kernel.labels import Severity
from lianfang.kernel.ref import Ref
from lianfang.rooms.respond.types import OPEN, AlertLine, Reason, State, Threat, Verdict


def hour_of(moment: datetime) -> int:
    """Hours since 1970: what charts group by, the same on every database.

    >>> hour_of(datetime.fromisoformat("1970-01-02T03:59+00:00"))
    27
    """
    return int(moment.timestamp()) // 3600


class Alert(Scoped):
    """What one rule found on one host in one session: what people look at, decide on and close."""

    kind = models.CharField(_("kind"), max_length=12, default="sigma", editable=False)
    rule_uid = models.CharField(_("rule ID"), max_length=190, editable=False)
    title = models.CharField(_("alert"), max_length=250, editable=False)
    title_zh = models.CharField(max_length=250, default="", editable=False)
    author = models.CharField(_("author of the rule"), max_length=400, default="", editable=False)
    licence = models.CharField(_("licence of the rule"), max_length=120, default="", editable=False)
    severity = models.PositiveSmallIntegerField(_("severity"), default=Severity.MEDIUM, editable=False)
    status = models.CharField(_("status of the rule"), max_length=14, default="", editable=False)
    techniques = models.JSONField(_("techniques"), default=list, editable=False)
    tactics = models.JSONField(_("tactics"), default=list, editable=False)
    alarm = models.CharField(_("alarm type"), max_length=40, default="", editable=False)
    host = models.CharField(_("host"), max_length=190, default="", editable=False)
    level = models.PositiveSmallIntegerField(_("data level"), null=True, editable=False)
    source = models.CharField(max_length=80, default="", db_index=True, editable=False)
    source_name = models.CharField(_("source"), max_length=120, default="", editable=False)
    sample = models.BooleanField(_("sample data"), default=False, editable=False)
    backfilled = models.BooleanField(_("found by looking back"), default=False, editable=False)
    first = models.DateTimeField(_("first event"), editable=False)
    last = models.DateTimeField(_("last event"), editable=False)
    hour = models.PositiveIntegerField(default=0, editable=False)
    count = models.PositiveBigIntegerField(_("events"), default=0, editable=False)
    events = models.JSONField(_("event IDs"), default=list, editable=False)
    entities = models.JSONField(_("entities"), default=dict, editable=False)
    score = models.PositiveSmallIntegerField(_("score"), default=0, editable=False)
    reasons = models.JSONField(_("reasons"), default=list, editable=False)
    state = models.CharField(_("state"), max_length=14, choices=State.choices, default=State.NEW, editable=False)
    verdict = models.CharField(_("verdict"), max_length=14, choices=Verdict.choices, default="", blank=True, editable=False)
    assignee = models.CharField(max_length=60, default="", db_index=True, editable=False)
    assignee_name = models.CharField(_("assignee"), max_length=120, default="", editable=False)
    raised = models.DateTimeField(_("raised at"), default=clock.now, editable=False)
    changed = models.DateTimeField(_("last change"), default=clock.now, db_index=True, editable=False)
    acknowledged = models.DateTimeField(_("acknowledged at"), null=True, db_index=True, editable=False)
    closed = models.DateTimeField(_("closed at"), null=True, db_index=True, editable=False)
    recovered = models.DateTimeField(_("recovered at"), null=True, editable=False)

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        ordering = ("-score", "-last", "-id")
        indexes = (
            models.Index(fields=["state", "-score", "-last", "-id"], name="respond_alert_queue"),
            models.Index(fields=["-score", "-id"], name="respond_alert_ranked"),
            models.Index(fields=["-last", "-id"], name="respond_alert_newest"),
            models.Index(fields=["hour", "severity", "territory"], name="respond_alert_hour"),
            models.Index(fields=["host", "-last"], name="respond_alert_host"),
            models.Index(fields=["rule_uid", "-last"], name="respond_alert_rule"),
        )

    def __str__(self) -> str:
        return either(self.title_zh, self.title)

    @property
    def ref(self) -> Ref:
        return Ref("respond", "alert", str(self.pk))

    def save(self, *args: Any, **kwargs: Any) -> None:
        """``hour`` follows ``last``, whoever writes."""
        self.hour = hour_of(self.last)
        super().save(*args, **kwargs)

    @property
    def short_host(self) -> str:
        """The host without its domain, for tight places; addresses stay whole."""
        first, __, rest = self.host.partition(".")
        return self.host if not rest or first.isdigit() else first

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def untouched(self) -> bool:
        """Whether no person has decided anything about it."""
        return self.state == State.NEW and not self.assignee

    @property
    def why(self) -> list[Reason]:
        """The terms of the score, the weightiest first."""
        return [Reason(**term) for term in self.reasons]

    @property
    def threat(self) -> str:
        """Its threat level, which is the order of handling."""
        return Threat.of(self.score)

    def line(self) -> AlertLine:
        """The alert as a value that may leave the room."""
        own = ("title", "title_zh", "severity", "score", "state", "verdict", "assignee", "assignee_name", "host", "rule_uid", "author", "alarm", "source_name", "sample", "backfilled", "first", "last", "raised", "count")
        return AlertLine(id=str(self.pk), reasons=tuple(self.why), techniques=tuple(self.techniques), tactics=tuple(self.tactics), **{name: getattr(self, name) for name in own})


class Folded(models.Model):
    """A finding folded into an alert. A finding is folded once: the key says so."""

    finding = models.UUIDField(primary_key=True)
    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="folded")

    def __str__(self) -> str:
        return str(self.finding)


class Mark(models.Model):
    """A technique (with its parent) or tactic of an alert, as a scalar that every database can filter and count."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="marks")
    kind = models.CharField(max_length=12)
    value = models.CharField(max_length=60)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["alert", "kind", "value"], name="respond_mark_once"),)
        indexes = (models.Index(fields=["kind", "value"], name="respond_mark_value"),)

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


class Written(models.Model):
    """What a person wrote, and when."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    author = models.CharField(max_length=60)
    author_name = models.CharField(max_length=120)
    text = models.TextField(_("comment"))
    written = models.DateTimeField(default=clock.now)

    class Meta:
        abstract = True
        ordering = ("written", "id")

    def __str__(self) -> str:
        return self.text[:60]


class Comment(Written):
    """What a person wrote about an alert."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="comments")


class Incident(Scoped):
    """Alerts that belong together by what takes part in them and by time. Where it stands follows from its alerts; what a person calls it stays."""

    title = models.CharField(_("incident"), max_length=250, default="")
    title_zh = models.CharField(max_length=250, default="", editable=False)
    named = models.BooleanField(default=False, editable=False)
    severity = models.PositiveSmallIntegerField(_("severity"), default=Severity.MEDIUM, editable=False)
    score = models.PositiveSmallIntegerField(_("score"), default=0, editable=False)
    reasons = models.JSONField(_("reasons"), default=list, editable=False)
    alerts = models.PositiveIntegerField(_("alerts"), default=0, editable=False)
    waiting = models.PositiveIntegerField(_("not closed"), default=0, editable=False)
    events = models.PositiveBigIntegerField(_("events"), default=0, editable=False)
    hosts = models.JSONField(_("hosts"), default=list, editable=False)
    tactics = models.JSONField(_("tactics"), default=list, editable=False)
    techniques = models.JSONField(_("techniques"), default=list, editable=False)
    first = models.DateTimeField(_("first event"), editable=False)
    last = models.DateTimeField(_("last event"), editable=False)
    verdict = models.CharField(_("verdict"), max_length=14, choices=Verdict.choices, default="", blank=True, editable=False)
    assignee = models.CharField(max_length=60, default="", db_index=True, editable=False)
    assignee_name = models.CharField(_("assignee"), max_length=120, default="", editable=False)
    created = models.DateTimeField(_("created"), default=clock.now, editable=False)
    changed = models.DateTimeField(_("last change"), default=clock.now, editable=False)

    class Meta:
        verbose_name = _("incident")
        verbose_name_plural = _("incidents")
        ordering = ("-score", "-last", "-id")
        indexes = (
            models.Index(fields=["-score", "-id"], name="respond_incident_ranked"),
            models.Index(fields=["-last", "-id"], name="respond_incident_newest"),
            models.Index(fields=["territory", "first", "last"], name="respond_incident_span"),
        )

    def __str__(self) -> str:
        return self.title if self.named else either(self.title_zh, self.title)

    @property
    def ref(self) -> Ref:
        return Ref("respond", "incident", str(self.pk))

    @property
    def why(self) -> list[Reason]:
        """The terms of the score, the weightiest first."""
        return [Reason(**term) for term in self.reasons]


class Remark(Written):
    """What a person wrote about an incident as a whole."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="remarks")


class Member(models.Model):
    """An alert in its incident, and why: the link by which it hangs on another (``one``). ``held``: a person put it there."""

    alert = models.OneToOneField(Alert, on_delete=models.CASCADE, primary_key=True, related_name="member")
    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="members")
    held = models.BooleanField(default=False)
    one = models.UUIDField(null=True)
    kind = models.CharField(max_length=12, default="")
    value = models.CharField(max_length=300, default="")
    gap = models.FloatField(default=0.0)
    weight = models.FloatField(default=0.0)

    def __str__(self) -> str:
        return str(self.alert_id)


class Judged(models.Model):
    """What people last judged the alerts of a rule in an organisation to be, the newest last: (alert, moment, person, verdict, host, what took part).
    As pairs of position, not of name: databases reorder objects. What ranking reads of it is bounded."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    territory = models.CharField(max_length=60)
    rule_uid = models.CharField(max_length=190)
    said = models.JSONField(default=list)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["territory", "rule_uid"], name="respond_judged_once"),)

    def __str__(self) -> str:
        return f"{self.territory} {self.rule_uid}"


class About(models.TextChoices):
    """What an importance is said of."""

    HOST = "host", _("host")
    USER = "user", _("user")
    RANGE = "range", _("address range")


class Weight(models.IntegerChoices):
    """How important something is to the work of its organisation."""

    HIGH = 3, pgettext_lazy("importance", "high")
    MEDIUM = 2, pgettext_lazy("importance", "medium")
    LOW = 1, pgettext_lazy("importance", "low")


class Importance(Scoped):
    """How important a host, a user or a range of addresses is to its organisation; holds for the organisations below it that say nothing else."""

    about = models.CharField(_("kind"), max_length=8, choices=About.choices, default=About.HOST)
    value = models.CharField(pgettext_lazy("asset", "name"), max_length=190, help_text=_("The name of a host or user as alerts have it, or a range of addresses such as 10.2.0.0/16."))
    importance = models.PositiveSmallIntegerField(_("importance"), choices=Weight.choices, default=Weight.HIGH)
    reason = models.CharField(_("reason"), max_length=300, default="", blank=True, help_text=_("What it is for."))
    changed = models.DateTimeField(_("last change"), default=clock.now, editable=False)

    class Meta:
        verbose_name = _("importance")
        verbose_name_plural = _("importance of assets")
        ordering = ("-importance", "value", "id")
        constraints = (models.UniqueConstraint(fields=["territory", "about", "value"], name="respond_importance_once"),)

    def __str__(self) -> str:
        return self.value

    @property
    def ref(self) -> Ref:
        return Ref("respond", "importance", str(self.pk))


class Unsettled(models.Model):
    """Open alerts that are to be weighed anew: those of a rule (``rule``), or all of an organisation and below (``""``). ``turn`` as with what is stirred."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    territory = models.CharField(max_length=60)
    rule = models.CharField(max_length=190, default="")
    turn = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["territory", "rule"], name="respond_unsettled_once"),)

    def __str__(self) -> str:
        return f"{self.territory} {self.rule}"


class Stirred(models.Model):
    """A day of an organisation whose alerts changed and are to be grouped anew. ``turn``: how often it was stirred, so that what changes while it is grouped is not forgotten."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    territory = models.CharField(max_length=60)
    day = models.PositiveIntegerField()
    turn = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["territory", "day"], name="respond_stirred_once"),)

    def __str__(self) -> str:
        return f"{self.territory} {self.day}"
