"""Data elements in versions, and which columns follow them."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.language import either
from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.ref import Ref
from lianfang.rooms.standards.models.versions import Versioned
from lianfang.rooms.standards.types import EVENTS, Type, Use

LEVELS = [(int(level), level.name) for level in DataLevel]


class Element(Versioned):
    """One version of a data element."""

    WRITTEN = ("code", "name", "name_en", "definition", "definition_en", "type", "format", "least", "greatest", "unit", "codes", "required", "names", "owner", "level", "note")

    name = models.CharField(_("Chinese name"), max_length=80)
    name_en = models.CharField(_("English name"), max_length=80, blank=True)
    definition = models.CharField(_("definition"), max_length=500, help_text=_("One sentence: what a value says, whoever reads it."))
    definition_en = models.CharField(_("definition in English"), max_length=500, blank=True)
    type = models.CharField(_("type"), max_length=8, choices=Type.choices, default=Type.TEXT)
    format = models.CharField(_("format"), max_length=500, blank=True, help_text=_("A regular expression (RE2) that the whole value fits."))
    least = models.FloatField(_("least"), null=True, blank=True, help_text=_("Of a number its value, of a text its characters."))
    greatest = models.FloatField(_("greatest"), null=True, blank=True)
    unit = models.CharField(_("unit"), max_length=20, blank=True)
    codes = models.JSONField(_("code list"), default=list, blank=True, help_text=_("One code on each line: value = meaning."))
    required = models.BooleanField(_("always there"), default=False, help_text=_("A record without it is incomplete."))
    names = models.JSONField(_("usual names of columns"), default=list, blank=True, help_text=_("Parted by commas; columns are suggested by them."))
    owner = models.CharField(_("owner"), max_length=80, blank=True, help_text=_("The unit that answers for the element; empty: the organisation itself."))
    level = models.PositiveSmallIntegerField(_("level"), choices=LEVELS, default=int(DataLevel.L2))
    note = models.CharField(_("note"), max_length=300, blank=True)

    class Meta(Versioned.Meta):
        verbose_name = _("data element")
        verbose_name_plural = _("data elements")

    def __str__(self) -> str:
        return f"{self.code} {self.said}"

    @property
    def said(self) -> str:
        """Its name in the reader's language."""
        return either(self.name, self.name_en)

    @property
    def meaning(self) -> str:
        """Its definition in the reader's language."""
        return either(self.definition, self.definition_en)

    @property
    def code_values(self) -> tuple[str, ...]:
        """The values of its code list."""
        return tuple(str(value) for value, _meaning in self.codes)


class ElementUse(Scoped):
    """That a column follows an element: suggested, confirmed or refused. A column follows at most one."""

    dataset = models.CharField(_("data set"), max_length=40, default=EVENTS)
    column = models.CharField(_("column"), max_length=120)
    element = models.ForeignKey(Element, models.CASCADE, related_name="+")
    state = models.CharField(_("state"), max_length=10, choices=Use.choices, default=Use.SUGGESTED, db_index=True)
    likeness = models.FloatField(_("likeness"), default=0.0)
    reasons: Any = models.JSONField(default=list)
    decided_by = models.CharField(_("decided by"), max_length=120, default="")
    decided = models.DateTimeField(_("decided"), null=True)

    class Meta:
        verbose_name = pgettext_lazy("element", "use")
        verbose_name_plural = pgettext_lazy("element", "uses")
        ordering = ("dataset", "column")
        constraints = (models.UniqueConstraint(fields=["organisation", "dataset", "column"], name="standards_use_once"),)

    def __str__(self) -> str:
        return f"{self.column} → {self.element}"

    @property
    def ref(self) -> Ref:
        return Ref("standards", "use", str(self.pk))
