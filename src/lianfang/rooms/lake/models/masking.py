"""Desensitising: the node's rules with every version of them, and what leads a pseudonym back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.validators import MaxValueValidator, RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel import clock
from lianfang.kernel.ids import new_id
from lianfang.kernel.ref import Ref
from lianfang.rooms.lake.types import Examined, MaskForm, MaskVerb, RawKept, Towards, Way

LISTS = ("sources", "columns", "natives", "classes", "kinds", "spare")
"""Fields that hold words, parted by commas or lines."""


class MaskRule(Scoped):
    """One rule, as it stands now. It speaks of the logs of its organisation and below."""

    name = models.CharField(_("name"), max_length=60, validators=[RegexValidator(r"^[a-z0-9][a-z0-9-]{0,59}$", _("Small letters, digits and “-”, at most 60."))], help_text=_("Small letters, digits and “-”."))
    title = models.CharField(_("in words"), max_length=120, blank=True)
    why = models.CharField(_("why"), max_length=300, blank=True)
    enabled = models.BooleanField(_("on"), default=False)
    way = models.CharField(_("works"), max_length=3, choices=Way.choices, default=Way.IN)
    sources = models.CharField(_("log sources"), max_length=500, blank=True, help_text=_("Names, * for any characters; empty: all. On the way in."))
    to = models.CharField(_("towards"), max_length=6, choices=Towards.choices, blank=True, default=Towards.ALL, help_text=_("On the way out."))
    below = models.PositiveSmallIntegerField(_("for recipients"), choices=[(5, _("everybody")), (4, _("cleared below L4")), (3, _("cleared below L3")), (2, _("cleared below L2"))], default=5, blank=True, help_text=_("On the way out."))
    columns = models.CharField(_("columns"), max_length=1000, blank=True)
    natives = models.CharField(_("native fields"), max_length=500, blank=True, help_text=_("Names as the device writes them, such as khsjh."))
    classes = models.CharField(_("data classes"), max_length=300, blank=True, help_text=_("Codes of data classes: columns that reviewers graded so."))
    kinds = models.CharField(_("values inside texts"), max_length=300, blank=True)
    verb = models.CharField(_("what is done"), max_length=10, choices=MaskVerb.choices, default=MaskVerb.MASK)
    form = models.CharField(_("taken for"), max_length=12, choices=MaskForm.choices, default=MaskForm.TEXT, blank=True)
    first = models.PositiveSmallIntegerField(_("characters kept at the beginning"), null=True, blank=True, validators=[MaxValueValidator(1000)], help_text=_("Empty: as is usual for what it is taken for."))
    last = models.PositiveSmallIntegerField(_("characters kept at the end"), null=True, blank=True, validators=[MaxValueValidator(1000)])
    keep_domain = models.BooleanField(_("keep the domain of mail addresses"), default=False, blank=True)
    domain = models.CharField(_("domain of the pseudonyms"), max_length=60, blank=True, help_text=_("Rules of one domain give the same value the same pseudonym; empty: this rule alone."))
    spare = models.CharField(_("values that stay"), max_length=1000, blank=True, help_text=_("Parted by commas, such as root, system."))
    reversible = models.BooleanField(_("can be led back"), default=False, blank=True, help_text=_("Pseudonyms and digests: the value is kept sealed, for whoever may open it."))
    examine = models.CharField(_("rules of detection see"), max_length=8, choices=Examined.choices, default=Examined.STORED, blank=True)
    raw = models.CharField(_("the raw log"), max_length=6, choices=RawKept.choices, default=RawKept.COVER, blank=True)
    version = models.PositiveIntegerField(_("version"), default=1, editable=False)
    changed_by = models.CharField(_("changed by"), max_length=120, default="", editable=False)
    changed = models.DateTimeField(_("changed"), default=clock.now, editable=False)

    class Meta:
        verbose_name = _("rule of desensitising")
        verbose_name_plural = _("rules of desensitising")
        ordering = ("name",)
        constraints = (models.UniqueConstraint(fields=["organisation", "name"], name="lake_maskrule_once"),)

    def __str__(self) -> str:
        return self.title or self.name

    @property
    def ref(self) -> Ref:
        return Ref("lake", "maskrule", str(self.pk))

    @property
    def on_since(self) -> datetime | None:
        """Since when it has been on without a break; nothing while it is off."""
        since = None
        for edition in self.editions.all():  # type: ignore[attr-defined]
            if not edition.enabled:
                break
            since = edition.made
        return since if self.enabled else None

    def words(self, name: str) -> list[str]:
        """One of the lists, as words."""
        return [word for part in str(getattr(self, name)).replace("\n", ",").split(",") if (word := part.strip())]

    def definition(self) -> dict[str, Any]:
        """As the engine reads it."""
        told: dict[str, Any] = {"name": self.name, "zh": self.title, "why": self.why, "way": self.way, "below": self.below, "verb": self.verb, "form": self.form, "first": self.first, "last": self.last}
        told |= {"keep_domain": self.keep_domain, "domain": self.domain, "reversible": self.reversible, "examine": self.examine, "raw": self.raw, "to": [] if self.to in ("", Towards.ALL) else [self.to]}
        return told | {"fields" if name == "natives" else name: self.words(name) for name in LISTS}


class MaskEdition(models.Model):
    """One version of a rule, for ever."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    rule = models.ForeignKey(MaskRule, models.CASCADE, related_name="editions")
    version = models.PositiveIntegerField()
    enabled = models.BooleanField()
    definition = models.JSONField(default=dict)
    by = models.CharField(max_length=120)
    made = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ("-version",)
        constraints = (models.UniqueConstraint(fields=["rule", "version"], name="lake_maskedition_once"),)


class Pseudonym(Scoped):
    """What a stand-in stood for, sealed under the node's key. Without these rows, or without that key, nobody can go back."""

    domain = models.CharField(_("domain"), max_length=60)
    token = models.CharField(_("pseudonym"), max_length=300)
    sealed = models.TextField(editable=False)
    made = models.DateTimeField(_("first seen"), default=clock.now)

    class Meta:
        verbose_name = pgettext_lazy("lake", "pseudonym")
        constraints = (models.UniqueConstraint(fields=["organisation", "domain", "token"], name="lake_pseudonym_once"),)
