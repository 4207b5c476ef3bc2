"""Protection by level: the measures of each level, requests to take data away, and who touched what."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel import clock
from lianfang.kernel.ref import Ref
from lianfang.rooms.lake.models.grading import LEVELS
from lianfang.rooms.lake.types import Asked, Outcome, Touched

NO_LIMIT = _("0: no limit")


class Measure(Scoped):
    """What protects one level in an organisation and below. ``sealed_once``: since then values may lie sealed in the tables."""

    level = models.PositiveSmallIntegerField(_("level"), choices=LEVELS)
    seal = models.BooleanField(_("stored encrypted"), default=False, blank=True)
    approve = models.BooleanField(_("export needs approval"), default=False, blank=True)
    hours = models.PositiveSmallIntegerField(_("an approval holds for hours"), default=24, validators=[MinValueValidator(1), MaxValueValidator(720)])
    reads = models.PositiveIntegerField(_("rows read per person and hour"), default=0, help_text=NO_LIMIT)
    exports = models.PositiveIntegerField(_("rows exported per person and hour"), default=0, help_text=NO_LIMIT)
    sealed_once = models.BooleanField(default=False, editable=False)
    changed_by = models.CharField(_("changed by"), max_length=120, default="", editable=False)
    changed = models.DateTimeField(_("changed"), default=clock.now, editable=False)

    class Meta:
        ordering = ("-level", "territory")
        constraints = (models.UniqueConstraint(fields=["organisation", "level"], name="lake_measure_once"),)

    @property
    def ref(self) -> Ref:
        return Ref("lake", "measure", str(self.pk))


class ExportRequest(Scoped):
    """Somebody wants to take data of a protected level away: what, why, who decided, for how long, how often it was taken."""

    kind = models.CharField(_("kind"), max_length=6, choices=[("search", _("search")), ("sql", "SQL"), ("report", _("report")), ("set", _("data set"))])
    asked = models.TextField(_("question"))
    form = models.CharField(_("form"), max_length=8, default="csv")
    towards = models.CharField(max_length=36, default="", editable=False)
    level = models.PositiveSmallIntegerField(_("level"), choices=LEVELS)
    rows = models.IntegerField(_("rows"), default=0)
    reason = models.CharField(_("reason"), max_length=300)
    state = models.CharField(_("state"), max_length=8, choices=Asked.choices, default=Asked.WAITING, db_index=True)
    by = models.CharField(pgettext_lazy("request", "asked by"), max_length=120)
    person = models.CharField(max_length=36)
    created = models.DateTimeField(_("asked at"), default=clock.now)
    decided_by = models.CharField(_("decided by"), max_length=120, default="")
    decided = models.DateTimeField(_("decided at"), null=True)
    why = models.CharField(_("why"), max_length=300, default="")
    until = models.DateTimeField(_("holds until"), null=True)
    taken = models.IntegerField(_("taken"), default=0)

    class Meta:
        verbose_name = _("export request")
        verbose_name_plural = _("export requests")
        ordering = ("-created", "id")
        indexes = (models.Index(fields=["-created", "id"], name="lake_exportrequest_newest"),)

    def __str__(self) -> str:
        return self.asked[:80]

    @property
    def ref(self) -> Ref:
        return Ref("lake", "exportrequest", str(self.pk))

    @property
    def number(self) -> str:
        """How the watermark calls it."""
        return str(self.pk)[-8:]

    @property
    def open(self) -> bool:
        """Whether it may be taken now."""
        return self.state == Asked.APPROVED and self.until is not None and clock.now() < self.until


class Touch(Scoped):
    """One answer to one person: how many rows of each level they saw in the clear, and how many were masked. Rows that a colleague released no longer count towards a limit."""

    person = models.CharField(max_length=36)
    by = models.CharField(_("person"), max_length=120)
    moment = models.DateTimeField(_("when"), default=clock.now)
    verb = models.CharField(_("what"), max_length=8, choices=Touched.choices)
    outcome = models.CharField(_("outcome"), max_length=8, choices=Outcome.choices, default=Outcome.GIVEN)
    level = models.PositiveSmallIntegerField(_("highest level"), choices=[(0, _("none")), *LEVELS], default=0)
    rows = models.IntegerField(_("rows"), default=0)
    masked = models.IntegerField(_("masked rows"), default=0)
    level_2 = models.IntegerField(default=0)
    level_3 = models.IntegerField(default=0)
    level_4 = models.IntegerField(default=0)
    asked = models.CharField(_("question"), max_length=500, default="")
    released = models.BooleanField(_("released"), default=False)

    class Meta:
        verbose_name = _("touch of data")
        verbose_name_plural = _("touches of data")
        ordering = ("-moment", "id")
        indexes = (models.Index(fields=["person", "moment"], name="lake_touch_person"), models.Index(fields=["-moment", "id"], name="lake_touch_newest"))

    def __str__(self) -> str:
        return f"{self.by} · {self.get_verb_display()}"

    @property
    def ref(self) -> Ref:
        return Ref("lake", "touch", str(self.pk))


class SealedFile(models.Model):
    """How many rows of a data file lie sealed under which generation of the node's key. A file never changes, so that it is counted once."""

    name = models.CharField(primary_key=True, max_length=190)
    counts = models.JSONField(default=dict)
