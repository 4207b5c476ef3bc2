"""Policies as documents in versions, each clause with the controls of the node that keep it."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel import clock
from lianfang.kernel.ref import Ref
from lianfang.rooms.standards.models.elements import CODE
from lianfang.rooms.standards.types import State


class Policy(Scoped):
    """One version of a policy. ``clauses``: mappings with ``number``, ``text`` and ``controls`` (keys)."""

    code = models.CharField(_("code"), max_length=30, validators=[RegexValidator(f"^{CODE}$", _("Letters, digits, “_”, “-” and “.”, at most 30."))])
    version = models.PositiveIntegerField(_("version"), default=1, editable=False)
    title = models.CharField(_("title"), max_length=120)
    title_en = models.CharField(_("English title"), max_length=120, blank=True)
    about = models.CharField(_("about"), max_length=500, blank=True)
    clauses = models.JSONField(_("clauses"), default=list, help_text=_("One on each line: number | text | controls, parted by commas."))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.DRAFT, editable=False, db_index=True)
    submitter = models.CharField(max_length=36, default="", editable=False)
    submitted_by = models.CharField(_("submitted by"), max_length=120, default="", editable=False)
    approved_by = models.CharField(_("approved by"), max_length=120, default="", editable=False)
    approved = models.DateTimeField(_("approved"), null=True, editable=False)
    created = models.DateTimeField(_("created"), default=clock.now, editable=False)

    class Meta:
        verbose_name = _("policy")
        verbose_name_plural = _("policies")
        ordering = ("code", "-version")
        constraints = (models.UniqueConstraint(fields=["organisation", "code", "version"], name="standards_policy_once"),)

    def __str__(self) -> str:
        return f"《{self.said}》" if self.said == self.title else self.said

    @property
    def said(self) -> str:
        """Its title in the reader's language."""
        return self.title if (get_language() or "zh").startswith("zh") or not self.title_en else self.title_en

    @property
    def ref(self) -> Ref:
        return Ref("standards", "policy", str(self.pk))
