"""What is usual of each source, what drifted, and what its owners were told."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel import clock
from lianfang.kernel.ids import new_id
from lianfang.rooms.lake.models.sources import Source


class Course(models.TextChoices):
    """Where a drift stands: it goes on; the source is read anew and what was held back must show that it fits; it is over."""

    OPEN = "open", pgettext_lazy("drift", "to be mended")
    MENDING = "mending", pgettext_lazy("drift", "mended, being tried")
    MENDED = "mended", pgettext_lazy("drift", "mended")
    ACCEPTED = "accepted", pgettext_lazy("drift", "accepted as usual")


class Usual(models.Model):
    """The past that a source is judged by (``engines.connect.drift.Usual``), kept by the ingest process."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    source = models.OneToOneField(Source, models.CASCADE, related_name="+")
    value = models.JSONField(default=dict)
    changed = models.DateTimeField(default=clock.now)


class Drift(models.Model):
    """One drift of a source. ``changes`` are those of ``engines.connect.drift``; ``examples`` are raw records."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    source = models.ForeignKey(Source, models.CASCADE, related_name="drifts")
    course = models.CharField(_("course"), max_length=10, choices=Course.choices, default=Course.OPEN, db_index=True)
    since = models.DateTimeField(_("since"), default=clock.now)
    changes = models.JSONField(default=list)
    examples = models.JSONField(default=list)
    held = models.BigIntegerField(_("held back"), default=0)
    ended = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=120, blank=True, default="")

    class Meta:
        ordering = ("-since", "-id")


class Notice(Scoped):
    """A word to whoever looks after a source: it fell silent, speaks again, drifted, fits again."""

    source = models.ForeignKey(Source, models.CASCADE, related_name="+")
    what = models.CharField(max_length=10)
    detail = models.JSONField(default=dict)
    moment = models.DateTimeField(default=clock.now, db_index=True)


class Heard(models.Model):
    """Up to when a person was told."""

    person = models.CharField(primary_key=True, max_length=40)
    moment = models.DateTimeField()
