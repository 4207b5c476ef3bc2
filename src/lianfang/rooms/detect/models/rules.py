"""Rule packs, their rules, and where each rule is switched on.

Rules belong to the node, not to an organisation: who may see rules may see all of them.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.language import chinese, either
from lianfang.kernel import clock
from lianfang.kernel.ids import new_id
from lianfang.kernel.labels import Severity
from lianfang.kernel.ref import Ref


class Level(models.TextChoices):
    """Sigma's levels, from quiet to loud."""

    INFORMATIONAL = "informational", _("informational")
    LOW = "low", _("low")
    MEDIUM = "medium", _("medium")
    HIGH = "high", _("high")
    CRITICAL = "critical", _("critical")


class Status(models.TextChoices):
    """Sigma's statuses, from ripe to raw."""

    STABLE = "stable", _("stable")
    TEST = "test", _("in test")
    EXPERIMENTAL = "experimental", _("experimental")
    DEPRECATED = "deprecated", _("deprecated")
    UNSUPPORTED = "unsupported", _("unsupported")


class Reach(models.TextChoices):
    """How far a rule is from firing, by what this node has received."""

    UNKNOWN = "", _("not yet looked at")
    READY = "ready", _("can fire")
    FIELDS = "fields", _("waits for fields")
    SOURCE = "source", _("no such log comes")


class Pack(models.Model):
    """A set of rules that came together. Installing it again updates it and keeps what people switched."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(_("pack"), max_length=120, unique=True)
    version = models.CharField(_("version"), max_length=60, default="", blank=True)
    digest = models.CharField(_("digest"), max_length=64, editable=False)
    licence = models.CharField(_("licence"), max_length=120, default="", blank=True)
    origin = models.CharField(_("origin"), max_length=400, editable=False)
    rules = models.PositiveIntegerField(_("rules"), default=0, editable=False)
    usable = models.PositiveIntegerField(_("usable"), default=0, editable=False)
    problems = models.JSONField(_("problems"), default=list, editable=False)
    installed = models.DateTimeField(_("installed"), default=clock.now, editable=False)
    installed_by = models.CharField(_("installed by"), max_length=120, default="", editable=False)

    class Meta:
        verbose_name = _("rule pack")
        verbose_name_plural = _("rule packs")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @property
    def ref(self) -> Ref:
        return Ref("detect", "pack", str(self.pk))


class Rule(models.Model):
    """One rule: its text as it came, what was read from it, and whether it is on."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    uid = models.CharField(_("rule ID"), max_length=64, unique=True, editable=False)
    pack = models.ForeignKey(Pack, on_delete=models.CASCADE, related_name="+", verbose_name=_("pack"), editable=False)
    path = models.CharField(_("file"), max_length=300, editable=False)
    title = models.CharField(_("title"), max_length=250, editable=False)
    title_zh = models.CharField(_("Chinese title"), max_length=250, default="", editable=False)
    level = models.CharField(_("level"), max_length=14, choices=Level.choices, default=Level.MEDIUM, editable=False)
    severity = models.PositiveSmallIntegerField(_("severity"), default=Severity.MEDIUM, db_index=True, editable=False)
    status = models.CharField(_("maturity"), max_length=14, choices=Status.choices, default=Status.EXPERIMENTAL, editable=False)
    author = models.CharField(_("author"), max_length=400, default="", editable=False)
    description = models.TextField(_("description"), default="", editable=False)
    description_zh = models.TextField(_("Chinese description"), default="", editable=False)
    references = models.JSONField(_("references"), default=list, editable=False)
    tags = models.JSONField(_("tags"), default=list, editable=False)
    techniques = models.JSONField(_("techniques"), default=list, editable=False)
    tactics = models.JSONField(_("tactics"), default=list, editable=False)
    alarm = models.CharField(_("alarm type"), max_length=40, default="", db_index=True, editable=False)
    product = models.CharField(_("product"), max_length=60, default="", db_index=True, editable=False)
    category = models.CharField(_("category"), max_length=60, default="", editable=False)
    service = models.CharField(_("service"), max_length=60, default="", editable=False)
    falsepositives = models.JSONField(_("false positives"), default=list, editable=False)
    falsepositives_zh = models.JSONField(_("false positives in Chinese"), default=list, editable=False)
    fields = models.JSONField(_("fields needed"), default=list, editable=False)
    text = models.TextField(_("rule text"), editable=False)
    digest = models.CharField(_("digest"), max_length=64, editable=False)
    problem = models.CharField(_("problem"), max_length=400, default="", editable=False)
    reach = models.CharField(_("reach"), max_length=8, choices=Reach.choices, default=Reach.UNKNOWN, blank=True, db_index=True, editable=False)
    waits = models.JSONField(_("waits for"), default=list, editable=False)
    nearest = models.CharField(_("kind of event"), max_length=32, default="", editable=False)
    enabled = models.BooleanField(_("switched on"), default=True)
    gone = models.BooleanField(_("no longer in its pack"), default=False, editable=False)
    fired = models.PositiveBigIntegerField(_("times fired"), default=0, editable=False)
    last_fired = models.DateTimeField(_("last fired"), null=True, db_index=True, editable=False)
    created = models.DateTimeField(_("added"), default=clock.now, editable=False)
    changed = models.DateTimeField(_("last change"), default=clock.now, editable=False)

    class Meta:
        verbose_name = _("rule")
        verbose_name_plural = _("rules")
        ordering = ("-severity", "uid")
        indexes = (models.Index(fields=["-severity", "uid"], name="detect_rule_loudest"),)

    def __str__(self) -> str:
        return either(self.title_zh, self.title)

    @property
    def about(self) -> str:
        """What it is for, in the reader's language."""
        return either(self.description_zh, self.description)

    @property
    def known_false(self) -> list[str]:
        """Where it is known to be wrong, in the reader's language."""
        return (self.falsepositives_zh if chinese() else []) or [one for one in self.falsepositives if one.lower() != "unknown"]

    @property
    def ref(self) -> Ref:
        return Ref("detect", "rule", str(self.pk))

    @property
    def loaded(self) -> bool:
        return self.enabled and not self.gone and not self.problem


class RuleMark(models.Model):
    """A technique (with its parent) or tactic that a rule carries, or an event model (``class.activity``) that it is about, as a scalar that every database can filter."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="marks")
    kind = models.CharField(max_length=12)
    value = models.CharField(max_length=60)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["rule", "kind", "value"], name="detect_mark_once"),)
        indexes = (models.Index(fields=["kind", "value"], name="detect_mark_value"),)

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


class RuleSwitch(models.Model):
    """A rule switched on or off for one source, against its general switch."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="switches")
    source = models.CharField(max_length=80)
    source_name = models.CharField(max_length=120, default="")
    on = models.BooleanField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["rule", "source"], name="detect_switch_once"),)

    def __str__(self) -> str:
        return f"{self.source_name}: {self.on}"


class Edition(models.Model):
    """The counter that every change of rules or switches moves, in the same transaction; examiners look at it."""

    name = models.CharField(max_length=20, primary_key=True)
    number = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name} {self.number}"


class EventKind(models.Model):
    """A kind of event that came in: log source, channel and event id, with the fields that some of its events had and the sources that sent it.

    ``id`` is derived from what it is a kind of, so that several examiners tell of the same row.
    """

    id = models.CharField(primary_key=True, max_length=32, editable=False)
    product = models.CharField(max_length=60, default="")
    category = models.CharField(max_length=60, default="")
    service = models.CharField(max_length=60, default="")
    channel = models.CharField(max_length=200, default="")
    event_id = models.CharField(max_length=40, default="")
    fields = models.JSONField(default=list)
    sources = models.JSONField(default=list)
    first = models.DateTimeField(default=clock.now)
    last = models.DateTimeField(default=clock.now, db_index=True)

    def __str__(self) -> str:
        return " / ".join(part for part in (self.product, self.category, self.service, self.channel, self.event_id) if part)


class Survey(models.Model):
    """The last look at which rules can fire: over which rules and kinds of events (``basis``), and when."""

    name = models.CharField(max_length=20, primary_key=True)
    basis = models.CharField(max_length=64, default="")
    at = models.DateTimeField(default=clock.now)

    def __str__(self) -> str:
        return f"{self.name} {self.at}"


class Examination(models.Model):
    """What an examiner said of itself last: which edition it runs, how many rules it loaded."""

    worker = models.CharField(max_length=80, primary_key=True)
    edition = models.PositiveBigIntegerField(default=0)
    watch = models.CharField(max_length=80, default="")
    loaded = models.PositiveIntegerField(default=0)
    problems = models.PositiveIntegerField(default=0)
    stats = models.JSONField(default=dict)
    said = models.DateTimeField(default=clock.now, db_index=True)

    def __str__(self) -> str:
        return self.worker
