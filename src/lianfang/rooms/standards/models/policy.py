"""Policies as documents in versions, each clause with the controls of the node that keep it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.language import either
from lianfang.rooms.standards.models.versions import Versioned


class Policy(Versioned):
    """One version of a policy. ``clauses``: mappings with ``number``, ``text`` and ``controls`` (keys)."""

    WRITTEN = ("code", "title", "title_en", "about", "clauses")

    title = models.CharField(_("title"), max_length=120)
    title_en = models.CharField(_("English title"), max_length=120, blank=True)
    about = models.CharField(pgettext_lazy("policy", "about"), max_length=500, blank=True)
    clauses = models.JSONField(_("clauses"), default=list, help_text=_("One on each line: number | text | controls, parted by commas."))

    class Meta(Versioned.Meta):
        verbose_name = _("policy")
        verbose_name_plural = _("policies")

    def __str__(self) -> str:
        return f"《{self.said}》" if self.said == self.title else self.said

    @property
    def said(self) -> str:
        """Its title in the reader's language."""
        return either(self.title, self.title_en)
