"""Tables of submissions: the response centre of an organisation, what outsiders submit to it, and what is said about each."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.validators import MaxValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel import clock
from lianfang.kernel.ids import new_id
from lianfang.kernel.ref import Ref
from lianfang.rooms.intel.types import STANDING, TONES, UNDECIDED, Matter, Side, State


class Centre(Scoped):
    """The security response centre of an organisation: whether strangers may submit to it, and by which rules."""

    name = models.CharField(_("name"), max_length=80, help_text=_("As reporters see it, such as “Security response centre of …”."))
    slug = models.SlugField(pgettext_lazy("response centre", "name in the address"), max_length=40, unique=True, help_text=_("Letters, digits and hyphens: the page stands at /intel/submit/ followed by it."))
    open = models.BooleanField(_("takes submissions"), default=False, help_text=_("While it is off, nobody outside sees the page. Reporters still reach what they submitted."))
    rules = models.TextField(pgettext_lazy("response centre", "rules"), blank=True, default="", max_length=20_000, help_text=_("Stands above the form: what is in scope, what is not wanted, how and when you disclose. Plain text."))
    answer_days = models.PositiveSmallIntegerField(_("days to a first answer"), default=3, validators=[MaxValueValidator(365)], help_text=_("Promised to reporters and counted inside. 0: nothing is promised."))
    mend_days = models.PositiveSmallIntegerField(_("days to mending"), default=90, validators=[MaxValueValidator(1000)], help_text=_("Counted from the day it is accepted. 0: nothing is promised."))
    thanks = models.BooleanField(_("thanks reporters by name"), default=False, help_text=_("The public page names those who wish it and whose submission was mended."))
    changed = models.DateTimeField(pgettext_lazy("indicators", "changed"), default=clock.now, editable=False)

    class Meta:
        verbose_name = _("response centre")
        verbose_name_plural = _("response centres")

    def __str__(self) -> str:
        return self.name

    @property
    def ref(self) -> Ref:
        return Ref("intel", "centre", str(self.pk))


class Submission(Scoped):
    """What an outsider submitted. ``secret`` and ``form`` are digests; ``contact`` is sealed; ``origin`` is a keyed digest of the address it came from."""

    centre = models.ForeignKey(Centre, models.PROTECT, related_name="+", verbose_name=_("response centre"))
    number = models.CharField(_("reference number"), max_length=24, unique=True, editable=False)
    about = models.CharField(_("kind"), max_length=14, choices=Matter.choices, editable=False)
    title = models.CharField(_("title"), max_length=200, editable=False)
    affected = models.CharField(_("affected system"), max_length=500, default="", editable=False)
    description = models.TextField(pgettext_lazy("submission", "description"), default="", editable=False)
    steps = models.TextField(_("steps to reproduce"), default="", editable=False)
    indicators = models.TextField(_("indicators"), default="", editable=False)
    claimed = models.PositiveSmallIntegerField(_("severity, says the reporter"), default=3, editable=False)
    vector = models.CharField(_("CVSS vector"), max_length=400, default="", editable=False)
    severity = models.PositiveSmallIntegerField(_("severity"), default=0, editable=False, help_text="As we judge it; 0: not yet")
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.RECEIVED, editable=False)
    original = models.ForeignKey("self", models.SET_NULL, null=True, editable=False, related_name="repeats", verbose_name=_("is a duplicate of"))
    assignee = models.CharField(max_length=60, default="", db_index=True, editable=False)
    assignee_name = models.CharField(_("assignee"), max_length=120, default="", editable=False)
    credit = models.CharField(_("wants to be named"), max_length=80, default="", editable=False)
    contact = models.CharField(max_length=2000, default="", editable=False)
    language = models.CharField(max_length=10, default="zh-hans", editable=False)
    secret = models.CharField(max_length=64, unique=True, editable=False)
    form = models.CharField(max_length=64, unique=True, editable=False)
    origin = models.CharField(max_length=64, default="", editable=False)
    bytes = models.BigIntegerField(default=0, editable=False)
    month = models.CharField(max_length=7, default="", editable=False)
    received = models.DateTimeField(_("received"), default=clock.now, db_index=True, editable=False)
    heard = models.DateTimeField(_("last word of the reporter"), default=clock.now, db_index=True, editable=False)
    changed = models.DateTimeField(_("last change"), default=clock.now, editable=False)
    answer_by = models.DateTimeField(_("to be answered by"), null=True, editable=False)
    answered = models.DateTimeField(_("first answered"), null=True, editable=False)
    accepted = models.DateTimeField(pgettext_lazy("submission", "accepted"), null=True, editable=False)
    mend_by = models.DateTimeField(_("to be mended by"), null=True, editable=False)
    mended = models.DateTimeField(pgettext_lazy("submission", "mended"), null=True, editable=False)
    ended = models.DateTimeField(pgettext_lazy("submission", "closed"), null=True, editable=False)

    class Meta:
        verbose_name = _("submission")
        verbose_name_plural = _("submissions")
        indexes = (models.Index(fields=["origin", "received"], name="intel_submission_origin"),)

    def __str__(self) -> str:
        return f"{self.number} {self.title}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """``month`` follows ``received``, in the node's own zone: what figures group by, the same on every database."""
        self.month = f"{timezone.localtime(self.received, timezone.get_default_timezone()):%Y-%m}"
        super().save(*args, **kwargs)

    @property
    def ref(self) -> Ref:
        return Ref("intel", "submission", str(self.pk))

    @property
    def due(self) -> datetime | None:
        """When the next clock runs out: for the first answer, then for mending; none once both are done, or it ended."""
        if self.state not in STANDING:
            return None
        if self.answered is None:
            return self.answer_by
        return self.mend_by if self.mended is None and self.state not in UNDECIDED else None

    @property
    def late(self) -> bool:
        """Whether that clock has run out."""
        return self.due is not None and self.due < clock.now()

    @property
    def tone(self) -> str:
        """How its state is shown."""
        return TONES[State(self.state)]

    @property
    def weight(self) -> int:
        """Its severity: as we judge it, until then as the reporter says."""
        return self.severity or self.claimed


class Remark(models.Model):
    """What was said beside a submission: by the reporter, to the reporter, or among ourselves."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    submission = models.ForeignKey(Submission, models.CASCADE, related_name="remarks")
    side = models.CharField(max_length=8, choices=Side.choices)
    author = models.CharField(max_length=60, default="")
    author_name = models.CharField(max_length=120, default="")
    text = models.TextField()
    written = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ("written", "id")

    def __str__(self) -> str:
        return self.text[:60]
