"""Reporting upwards: where to, what was sent, and the pieces that are still to go."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel import clock
from lianfang.kernel.ids import new_id
from lianfang.kernel.labels import TLP
from lianfang.kernel.ref import Ref
from lianfang.rooms.lake.models.grading import LEVELS
from lianfang.rooms.lake.types import Reported, Sending

MARKS = [(mark.value, f"TLP:{mark.value.upper()}") for mark in TLP if mark is not TLP.RED]


class Destination(Scoped):
    """Another node or platform to which this organisation reports, and what may go there. The secret of its key lies sealed."""

    name = models.CharField(_("name"), max_length=80, help_text=_("As it stands on the button: “Report to …”."))
    address = models.CharField(_("address"), max_length=300, help_text=_("Where its pages begin, such as https://centre.example; its API lies below."))
    key_id = models.CharField(_("ID of the key"), max_length=60, help_text=_("Of the API key that the other side made for you."))
    sealed = models.CharField(max_length=2000, blank=True, default="", editable=False)
    authority = models.TextField(_("certificates of the other side"), blank=True, default="", help_text=_("PEM of the authority that signs them; empty: the system's own authorities."))
    source = models.CharField(_("log source there"), max_length=50, blank=True, default="", help_text=_("The source of the other side that takes events; captures go into a source of this name and “-captures”."))
    events = models.BooleanField(_("events may go"), default=True, blank=True)
    captures = models.BooleanField(_("desensitised captures may go"), default=False, blank=True)
    indicators = models.BooleanField(_("indicators may go"), default=False, blank=True)
    level = models.PositiveSmallIntegerField(_("highest level of events"), choices=LEVELS, default=2, help_text=_("What lies above stays here; rules of desensitising see the other side as cleared for this level."))
    tlp = models.CharField(_("indicators up to"), max_length=12, choices=MARKS, default=TLP.GREEN.value, help_text=_("What is marked more closely stays here; TLP:RED never goes."))
    tried = models.DateTimeField(_("tried"), null=True, editable=False)
    tried_well = models.BooleanField(_("went well"), default=False, editable=False)
    tried_said = models.CharField(_("what happened"), max_length=500, blank=True, default="", editable=False)
    changed_by = models.CharField(_("changed by"), max_length=120, default="", editable=False)
    changed = models.DateTimeField(_("changed"), default=clock.now, editable=False)

    class Meta:
        verbose_name = _("destination of reports")
        verbose_name_plural = _("destinations of reports")
        ordering = ("name", "id")
        constraints = (models.UniqueConstraint(fields=["organisation", "name"], name="lake_destination_once"),)

    def __str__(self) -> str:
        return self.name

    @property
    def ref(self) -> Ref:
        return Ref("lake", "destination", str(self.pk))

    def takes(self, what: str) -> bool:
        """Whether things of this kind may go there."""
        return {Reported.EVENTS: self.events, Reported.CAPTURE: self.captures, Reported.INDICATORS: self.indicators}.get(what, False)  # type: ignore[call-overload]


class Report(Scoped):
    """One sending: who sent what where, and what the other side said. ``terms``: what its door is told beside the content."""

    destination = models.ForeignKey(Destination, models.SET_NULL, null=True, related_name="+")
    to = models.CharField(pgettext_lazy("report", "to"), max_length=80)
    what = models.CharField(pgettext_lazy("report", "what"), max_length=10, choices=Reported.choices)
    about = models.CharField(_("selection"), max_length=500)
    terms = models.JSONField(default=dict, editable=False)
    state = models.CharField(_("state"), max_length=8, choices=Sending.choices, default=Sending.WAITING, db_index=True)
    rows = models.IntegerField(_("rows"), default=0)
    bytes = models.BigIntegerField(_("bytes"), default=0)
    level = models.PositiveSmallIntegerField(_("highest level"), choices=[(0, _("none")), *LEVELS], default=0)
    kept_back = models.IntegerField(_("kept back"), default=0)
    parts = models.IntegerField(_("parts"), default=0)
    sent = models.IntegerField(_("parts sent"), default=0)
    accepted = models.IntegerField(pgettext_lazy("report", "accepted"), default=0)
    refused = models.IntegerField(pgettext_lazy("report", "refused"), default=0)
    sha256 = models.CharField("SHA-256", max_length=64, default="")
    trouble = models.CharField(_("trouble"), max_length=500, blank=True, default="")
    by = models.CharField(_("sent by"), max_length=120)
    person = models.CharField(max_length=36)
    job = models.CharField(max_length=36, default="", editable=False)
    created = models.DateTimeField(_("asked for"), default=clock.now)
    finished = models.DateTimeField(_("finished"), null=True)

    class Meta:
        verbose_name = _("report to others")
        verbose_name_plural = _("reports to others")
        ordering = ("-created", "id")
        indexes = (models.Index(fields=["-created", "id"], name="lake_report_newest"),)

    def __str__(self) -> str:
        return f"{self.to} · {self.about}"[:120]

    @property
    def ref(self) -> Ref:
        return Ref("lake", "report", str(self.pk))

    @property
    def percent(self) -> int:
        """How far it is."""
        return 100 * self.sent // self.parts if self.parts else 0


class ReportPart(models.Model):
    """A piece of a report: sealed until the other side has it, afterwards what it said. ``refusals``: (row in the piece from 1, reason)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    report = models.ForeignKey(Report, models.CASCADE, related_name="+")
    number = models.PositiveIntegerField()
    first = models.IntegerField(default=0)
    rows = models.IntegerField(default=0)
    content = models.BinaryField(default=b"")
    done = models.DateTimeField(null=True)
    refusals = models.JSONField(default=list)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["report", "number"], name="lake_reportpart_once"),)
