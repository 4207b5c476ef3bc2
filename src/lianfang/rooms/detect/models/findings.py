"""What rules found: one row per rule, host, quarter of an hour and batch."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.language import either
from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel import clock
from lianfang.kernel.labels import Severity
from lianfang.kernel.ref import Ref


class Finding(Scoped):
    """What one rule found on one host within one window. What the rule said of itself is copied: rules change, findings do not."""

    key = models.CharField(max_length=64, unique=True, editable=False)
    batch = models.CharField(_("batch"), max_length=120, db_index=True, editable=False)
    kind = models.CharField(_("kind"), max_length=12, choices=(("sigma", _("rule")), ("ioc", _("watch list")), ("correlation", _("correlation")), ("baseline", _("baseline")), ("anomaly", _("log anomaly"))), default="sigma", editable=False)
    rule_uid = models.CharField(_("rule ID"), max_length=190, editable=False)
    title = models.CharField(_("finding"), max_length=250, editable=False)
    title_zh = models.CharField(max_length=250, default="", editable=False)
    author = models.CharField(_("author of the rule"), max_length=400, default="", editable=False)
    licence = models.CharField(_("licence of the rule"), max_length=120, default="", editable=False)
    severity = models.PositiveSmallIntegerField(_("severity"), default=Severity.MEDIUM, editable=False)
    status = models.CharField(_("status of the rule"), max_length=14, default="", editable=False)
    techniques = models.JSONField(_("techniques"), default=list, editable=False)
    tactics = models.JSONField(_("tactics"), default=list, editable=False)
    alarm = models.CharField(_("alarm type"), max_length=40, default="", editable=False)
    host = models.CharField(_("host"), max_length=190, default="", editable=False)
    user = models.CharField(_("user"), max_length=190, default="", editable=False)
    level = models.PositiveSmallIntegerField(_("data level"), null=True, editable=False)
    source = models.CharField(_("source"), max_length=80, default="", db_index=True, editable=False)
    source_name = models.CharField(_("source"), max_length=120, default="", editable=False)
    sample = models.BooleanField(_("sample data"), default=False, editable=False)
    window = models.DateTimeField(_("window"), editable=False)
    first = models.DateTimeField(_("first event"), editable=False)
    last = models.DateTimeField(_("last event"), editable=False)
    count = models.PositiveIntegerField(_("events"), default=1, editable=False)
    events = models.JSONField(_("event IDs"), default=list, editable=False)
    entities = models.JSONField(_("entities"), default=dict, editable=False)
    chain = models.JSONField(default=dict, editable=False)
    backfilled = models.BooleanField(_("found by looking back"), default=False, editable=False)
    exemption = models.UUIDField(_("taken by an exception"), null=True, db_index=True, editable=False)
    created = models.DateTimeField(_("stored"), default=clock.now, editable=False)

    class Meta:
        verbose_name = _("finding")
        verbose_name_plural = _("findings")
        ordering = ("-last", "-id")
        indexes = (
            models.Index(fields=["-last", "-id"], name="detect_finding_newest"),
            models.Index(fields=["rule_uid", "-last"], name="detect_finding_rule"),
            models.Index(fields=["host", "-last"], name="detect_finding_host"),
        )

    def __str__(self) -> str:
        return either(self.title_zh, self.title)

    @property
    def ref(self) -> Ref:
        return Ref("detect", "finding", str(self.pk))
