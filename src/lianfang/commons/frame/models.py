"""Tables of frame: saved views of lists, imports on their way, and what was attached to things."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel import clock
from lianfang.kernel.ids import new_id


class SavedView(Scoped):
    """A question to a list that somebody wants to ask again: filters, order and columns as a query string."""

    owner = models.CharField(max_length=40, editable=False)
    sheet = models.CharField(max_length=80, editable=False)
    name = models.CharField(pgettext_lazy("saved view", "name"), max_length=60)
    question = models.CharField(max_length=2000, blank=True)
    shared = models.BooleanField(_("shared with my organisation"), default=False)
    created = models.DateTimeField(_("created"), default=clock.now, editable=False)

    class Meta:
        verbose_name = _("saved view")
        verbose_name_plural = _("saved views")
        ordering = ("name", "id")
        constraints = (models.UniqueConstraint(fields=["owner", "sheet", "name"], name="frame_savedview_name"),)

    def __str__(self) -> str:
        return self.name


class Import(Scoped):
    """A table somebody brought: checked row by row, shown, and taken over only when accepted."""

    class State(models.TextChoices):
        CHECKING = "checking", _("being checked")
        READY = "ready", _("waiting for your decision")
        RUNNING = "running", _("being imported")
        DONE = "done", pgettext_lazy("import", "done")
        DROPPED = "dropped", pgettext_lazy("import", "dropped")

    owner = models.CharField(max_length=40, editable=False)
    sheet = models.CharField(max_length=80, editable=False)
    name = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=State.choices, default=State.CHECKING)
    headings = models.JSONField(default=list)
    total = models.PositiveIntegerField(default=0)
    checked = models.PositiveIntegerField(default=0)
    faulty = models.PositiveIntegerField(default=0)
    taken = models.PositiveIntegerField(default=0)
    created = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        ordering = ("-created", "-id")
        indexes = (models.Index(fields=["owner", "sheet"], name="frame_import_owner"),)

    def __str__(self) -> str:
        return self.name


class ImportRow(models.Model):
    """One line of an import: its cells as brought, and what is wrong with them (``{heading: [reason, …]}``)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    run = models.ForeignKey(Import, models.CASCADE, related_name="+")
    line = models.PositiveIntegerField()
    cells = models.JSONField(default=dict)
    errors = models.JSONField(default=dict)
    faulty = models.BooleanField(default=False)

    class Meta:
        ordering = ("run_id", "line")
        constraints = (models.UniqueConstraint(fields=["run", "line"], name="frame_importrow_line"),)

    def __str__(self) -> str:
        return f"{self.run} {self.line}"


class Attachment(Scoped):
    """A file beside a thing (``subject``: its ref), or one that was refused, with the reason. ``digest`` is the SHA-256 under which it lies; "" when nothing was kept."""

    subject = models.CharField(max_length=120, editable=False, db_index=True)
    name = models.CharField(pgettext_lazy("attachment", "name"), max_length=200, editable=False)
    kind = models.CharField(max_length=20, editable=False)
    size = models.PositiveBigIntegerField(default=0, editable=False)
    digest = models.CharField(max_length=64, default="", editable=False, db_index=True)
    refused = models.BooleanField(default=False, editable=False)
    reason = models.CharField(max_length=300, default="", editable=False)
    checked = models.CharField(max_length=60, default="", editable=False, help_text="What checked it for viruses")
    added = models.DateTimeField(default=clock.now, editable=False)
    added_by = models.CharField(max_length=120, default="", editable=False)

    class Meta:
        verbose_name = _("attachment")
        verbose_name_plural = _("attachments")

    def __str__(self) -> str:
        return self.name
