"""What lives in versions, each approved by a second person."""

from __future__ import annotations

from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel import clock
from lianfang.kernel.ref import Ref
from lianfang.rooms.standards.types import State

CODE = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,29}"


class Versioned(Scoped):
    """One version: draft, submitted, approved, retired. What is approved stays as it is; a change is a new version.

    ``WRITTEN``: the fields that people write; a next version begins with them.
    """

    WRITTEN: ClassVar[tuple[str, ...]]

    code = models.CharField(_("code"), max_length=30, validators=[RegexValidator(f"^{CODE}$", _("Letters, digits, “_”, “-” and “.”, at most 30."))], help_text=_("Stays the same through all versions."))
    version = models.PositiveIntegerField(_("version"), default=1, editable=False)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.DRAFT, editable=False, db_index=True)
    submitter = models.CharField(max_length=36, default="", editable=False)
    submitted_by = models.CharField(_("submitted by"), max_length=120, default="", editable=False)
    submitted = models.DateTimeField(_("submitted"), null=True, editable=False)
    approved_by = models.CharField(_("approved by"), max_length=120, default="", editable=False)
    approved = models.DateTimeField(_("approved"), null=True, editable=False)
    retired = models.DateTimeField(_("retired"), null=True, editable=False)
    created = models.DateTimeField(_("created"), default=clock.now, editable=False)

    class Meta:
        abstract = True
        ordering = ("code", "-version")
        constraints = (models.UniqueConstraint(fields=["organisation", "code", "version"], name="%(app_label)s_%(class)s_once"),)

    @property
    def ref(self) -> Ref:
        return Ref("standards", self.kind(), str(self.pk))

    @classmethod
    def kind(cls) -> str:
        """``element`` or ``policy``: names it in permissions, addresses and the record."""
        return str(cls._meta.model_name)
