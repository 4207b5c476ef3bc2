"""Rules of quality, what the last measuring said of them, and when was measured."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.scoped import Scoped
from lianfang.engines.columns.measures import KINDS, Check
from lianfang.kernel import clock
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.ref import Ref
from lianfang.rooms.lake.types import EVENT_TABLES, FAMILIES
from lianfang.rooms.standards.models.elements import ElementUse
from lianfang.rooms.standards.types import Kind, Standing, Word


class Rule(Scoped):
    """What is asked of a table's rows, how much it weighs, and below what share its owner is told.

    ``clearance`` is that of whoever declared it: rows whose content that person may not see are not counted for it.
    """

    name = models.CharField(_("name"), max_length=120)
    kind = models.CharField(_("what is asked"), max_length=10, choices=Kind.choices, default=Kind.FILLED)
    word = models.CharField(_("quality"), max_length=12, choices=Word.choices, editable=False, db_index=True)
    table = models.CharField(_("event table"), max_length=40, blank=True, default="", choices=list(FAMILIES.items()), help_text=_("Empty: all tables."))
    column = models.CharField(_("column"), max_length=60, blank=True, default="")
    other = models.CharField(_("other column"), max_length=60, blank=True, default="")
    pattern = models.CharField(_("form"), max_length=500, blank=True, default="", help_text=_("A regular expression (RE2) that the whole value fits."))
    codes = models.JSONField(_("allowed values"), default=list, blank=True, help_text=_("One on each line."))
    least = models.FloatField(_("least"), null=True, blank=True)
    greatest = models.FloatField(_("greatest"), null=True, blank=True)
    seconds = models.PositiveIntegerField(_("seconds"), null=True, blank=True)
    when = models.CharField(_("only where this column is filled"), max_length=60, blank=True, default="")
    value = models.CharField(_("and says"), max_length=120, blank=True, default="", help_text=_("Empty: anything."))
    weight = models.PositiveSmallIntegerField(_("weight"), default=1, validators=[MinValueValidator(1), MaxValueValidator(100)], help_text=_("How much it counts in the score of its table."))
    threshold = models.FloatField(_("threshold in per cent"), default=95.0, validators=[MinValueValidator(0), MaxValueValidator(100)], help_text=_("Below this share of right rows the owner is told."))
    window = models.PositiveIntegerField(_("hours looked at"), default=24, validators=[MinValueValidator(1), MaxValueValidator(2_400)])
    enabled = models.BooleanField(_("in use"), default=True)
    use = models.ForeignKey(ElementUse, models.CASCADE, null=True, editable=False, related_name="+")
    clearance = models.PositiveSmallIntegerField(default=int(DataLevel.L2), editable=False)
    declared_by = models.CharField(_("declared by"), max_length=120, default="", editable=False)
    created = models.DateTimeField(_("created"), default=clock.now, editable=False)

    standing = models.CharField(_("standing"), max_length=8, choices=Standing.choices, default=Standing.UNKNOWN, editable=False, db_index=True)
    score = models.FloatField(_("score"), null=True, editable=False)
    applied = models.BigIntegerField(_("rows asked"), default=0, editable=False)
    failed = models.BigIntegerField(_("rows failed"), default=0, editable=False)
    measured = models.DateTimeField(_("measured"), null=True, editable=False)
    below_since = models.DateTimeField(_("below since"), null=True, editable=False)

    class Meta:
        verbose_name = _("quality rule")
        verbose_name_plural = _("quality rules")
        ordering = ("name", "id")

    def __str__(self) -> str:
        return self.name

    @property
    def ref(self) -> Ref:
        return Ref("standards", "rule", str(self.pk))

    @property
    def tables(self) -> tuple[str, ...]:
        """The event tables that it is about."""
        return (self.table,) if self.table else EVENT_TABLES

    @property
    def asked(self) -> Check | None:
        """What every row is asked; nothing for a rule that is not about rows."""
        if self.kind not in KINDS:
            return None
        return Check(self.kind, self.column, self.pattern, tuple(map(str, self.codes)), self.least, self.greatest, self.other, self.seconds, self.when, self.value)


class Measuring(models.Model):
    """One row: when the event tables were last measured, how many data files were read and how long it took (``seconds``)."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    done = models.DateTimeField(null=True)
    files = models.PositiveIntegerField(default=0)
    seconds = models.FloatField(default=0.0)
