"""Tables of intel: indicators, the objects they were received in, imports with what they rejected, the watch list's edition."""

from __future__ import annotations

import hashlib
from datetime import datetime

from django.core.validators import MaxValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel import clock
from lianfang.kernel.ids import new_id
from lianfang.kernel.ref import Ref
from lianfang.rooms.intel.types import About, Api, Form, Kind, Mark, Rejected, Stage, Standing

LONGEST = 2048
"""Characters of a value; longer URLs are refused, not cut."""


def digest_of(kind: str, value: str) -> str:
    """What an indicator is found by: an index on long texts is not to be had on every database."""
    return hashlib.sha256(f"{kind}\n{value}".encode()).hexdigest()


class Received(models.Model):
    """An object as it was received, byte for byte: signatures and hashes over it stay true."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the bytes")
    stix_id = models.CharField(max_length=120, db_index=True)
    content = models.BinaryField()
    created = models.DateTimeField(default=clock.now)

    def __str__(self) -> str:
        return self.stix_id


class Indicator(Scoped):
    """One value that one source says is bad. The same value of the same source stands once in an organisation."""

    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices, editable=False)
    value = models.CharField(_("value"), max_length=LONGEST, help_text=_("An address, network, domain, URL, hash or e-mail address; also written harmlessly, such as hxxp://bad[.]example."))
    digest = models.CharField(max_length=64, editable=False, db_index=True)
    source = models.CharField(_("source"), max_length=120, help_text=_("Who says so: a feed, a partner, a report, your own work."))
    tlp = models.CharField(_("sharing"), max_length=12, choices=Mark.choices, default=Mark.AMBER)
    confidence = models.PositiveSmallIntegerField(_("confidence"), default=50, validators=[MaxValueValidator(100)], help_text=_("0 to 100."))
    valid_from = models.DateTimeField(_("valid from"), default=clock.now, db_index=True)
    valid_until = models.DateTimeField(_("valid until"), null=True, blank=True, db_index=True, help_text=_("Empty: without end."))
    tags = models.JSONField(_("tags"), default=list, blank=True)
    note = models.TextField(_("note"), blank=True, max_length=4000)
    revoked = models.BooleanField(pgettext_lazy("indicators", "revoked"), default=False, editable=False)
    stix_id = models.CharField(_("STIX identifier"), max_length=120, blank=True, default="", editable=False)
    received = models.ForeignKey(Received, models.SET_NULL, null=True, editable=False, related_name="+")
    created = models.DateTimeField(pgettext_lazy("indicators", "created"), default=clock.now, editable=False)
    changed = models.DateTimeField(pgettext_lazy("indicators", "changed"), default=clock.now, editable=False, db_index=True)
    edition = models.PositiveBigIntegerField(default=0, editable=False, db_index=True, help_text="The edition of the watch list in which it was changed last")

    class Meta:
        verbose_name = _("indicator")
        verbose_name_plural = _("indicators")
        constraints = (models.UniqueConstraint(fields=["organisation", "source", "digest"], name="intel_indicator_once"),)

    def __str__(self) -> str:
        return self.value

    @property
    def ref(self) -> Ref:
        return Ref("intel", "indicator", str(self.pk))

    @property
    def standing(self) -> Standing:
        """Active, pending, expired or revoked, now."""
        return self.standing_at(clock.now())

    def standing_at(self, now: datetime) -> Standing:
        """The same at another moment."""
        if self.revoked:
            return Standing.REVOKED
        if self.valid_from > now:
            return Standing.PENDING
        return Standing.EXPIRED if self.valid_until is not None and self.valid_until <= now else Standing.ACTIVE


class Entry(Scoped):
    """What one source knows of one vulnerability, malware, security event, hacker group or device fingerprint."""

    about = models.CharField(_("about"), max_length=14, choices=About.choices, editable=False)
    key = models.CharField(_("identifier"), max_length=120, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    name = models.CharField(_("name"), max_length=300, editable=False)
    summary = models.TextField(_("summary"), default="", editable=False)
    severity = models.PositiveSmallIntegerField(_("severity"), default=0, editable=False)
    score = models.FloatField("CVSS", null=True, editable=False)
    aliases = models.JSONField(_("also known as"), default=list, editable=False)
    hashes = models.JSONField(_("hashes of samples"), default=list, editable=False)
    links = models.JSONField(_("references"), default=list, editable=False)
    facts = models.JSONField(_("further facts"), default=dict, editable=False)
    words = models.TextField(default="", editable=False, help_text="Everything it may be searched by")
    published = models.DateTimeField(_("published"), null=True, editable=False)
    modified = models.DateTimeField(_("changed at its source"), null=True, editable=False)
    source = models.CharField(_("source"), max_length=120, editable=False)
    tlp = models.CharField(_("sharing"), max_length=12, choices=Mark.choices, default=Mark.AMBER, editable=False)
    created = models.DateTimeField(pgettext_lazy("indicators", "created"), default=clock.now, editable=False)
    changed = models.DateTimeField(pgettext_lazy("indicators", "changed"), default=clock.now, editable=False, db_index=True)

    class Meta:
        verbose_name = _("knowledge entry")
        verbose_name_plural = _("knowledge entries")
        constraints = (models.UniqueConstraint(fields=["organisation", "source", "digest"], name="intel_entry_once"),)

    def __str__(self) -> str:
        return self.name

    @property
    def ref(self) -> Ref:
        return Ref("intel", "entry", str(self.pk))


class Feed(Scoped):
    """An outside API that is asked for indicators and knowledge by the clock. ``position``: how far it was read."""

    name = models.CharField(_("name"), max_length=80, help_text=_("Stands as the source beside what it brings."))
    address = models.CharField(_("address"), max_length=500, help_text=_("https; of TAXII the address of the collection, such as https://taxii.example/api1/collections/…/"))
    way = models.CharField(_("kind"), max_length=6, choices=Api.choices, default=Api.FILE)
    items = models.CharField(_("where the records are"), max_length=100, blank=True, default="", help_text=_("JSON: keys parted by dots, such as response.Attribute (MISP) or results.indicators (OTX)."))
    value = models.CharField(_("key of the value"), max_length=60, blank=True, default="value", help_text=_("JSON: such as value (MISP) or indicator (OTX)."))
    note = models.CharField(_("key of the note"), max_length=60, blank=True, default="")
    since = models.CharField(_("parameter of the watermark"), max_length=60, blank=True, default="", help_text=_("The time of the last good look goes there, such as modified_since; empty: everything each time. TAXII needs none."))
    user = models.CharField(_("user"), max_length=100, blank=True, default="", help_text=_("Empty: none. For a token in a header: the header's name."))
    login = models.CharField(_("way of logging in"), max_length=10, choices=[("password", _("user and password")), ("bearer", _("token (Bearer)")), ("header", _("token in a header"))], default="password")
    sealed = models.CharField(max_length=2000, blank=True, default="", editable=False)
    every = models.PositiveIntegerField(_("minutes between two looks"), default=60, validators=[MaxValueValidator(10_080)])
    tlp = models.CharField(_("sharing"), max_length=12, choices=Mark.choices, default=Mark.AMBER)
    confidence = models.PositiveSmallIntegerField(_("confidence"), default=50, validators=[MaxValueValidator(100)])
    days = models.PositiveSmallIntegerField(_("valid for days"), default=90, validators=[MaxValueValidator(3650)])
    enabled = models.BooleanField(_("is asked"), default=True, blank=True)
    position = models.JSONField(default=dict, editable=False)
    due = models.DateTimeField(_("next look"), default=clock.now, editable=False, db_index=True)
    looked = models.DateTimeField(_("last good look"), null=True, editable=False)
    brought = models.PositiveIntegerField(_("brought in"), default=0, editable=False)
    trouble = models.CharField(_("trouble"), max_length=400, blank=True, default="", editable=False)

    class Meta:
        verbose_name = _("outside API")
        verbose_name_plural = _("outside APIs")
        constraints = (models.UniqueConstraint(fields=["organisation", "name"], name="intel_feed_once"),)

    def __str__(self) -> str:
        return self.name

    @property
    def ref(self) -> Ref:
        return Ref("intel", "feed", str(self.pk))


class Intake(Scoped):
    """One import: what was uploaded, on which terms, and what became of it. The content goes when it is taken in."""

    name = models.CharField(_("name"), max_length=200)
    form = models.CharField(_("format"), max_length=8, choices=Form.choices)
    source = models.CharField(_("source"), max_length=120)
    terms = models.JSONField(default=dict, editable=False)
    columns = models.JSONField(default=dict, editable=False)
    stage = models.CharField(_("stage"), max_length=8, choices=Stage.choices, default=Stage.DRAFT)
    bytes = models.BigIntegerField(_("bytes"), default=0)
    job = models.CharField(max_length=36, default="", editable=False)
    percent = models.PositiveSmallIntegerField(default=0, editable=False)
    read = models.PositiveIntegerField(_("read"), default=0)
    added = models.PositiveIntegerField(_("new"), default=0)
    renewed = models.PositiveIntegerField(_("renewed"), default=0)
    same = models.PositiveIntegerField(_("unchanged"), default=0)
    doubled = models.PositiveIntegerField(_("repeated"), default=0)
    rejected = models.PositiveIntegerField(_("rejected"), default=0)
    trouble = models.CharField(_("trouble"), max_length=400, blank=True, default="")
    created = models.DateTimeField(pgettext_lazy("indicators", "created"), default=clock.now, db_index=True)
    created_by = models.CharField(_("imported by"), max_length=120, default="")
    finished = models.DateTimeField(_("finished"), null=True)

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")

    def __str__(self) -> str:
        return self.name

    @property
    def ref(self) -> Ref:
        return Ref("intel", "intake", str(self.pk))


class IntakePart(models.Model):
    """A piece of the content of an import that is not yet taken in; in the database, because the worker may sit elsewhere."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    intake = models.ForeignKey(Intake, models.CASCADE, related_name="+")
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["intake", "number"], name="intel_part_once"),)


class Reject(models.Model):
    """A line or object of an import that was not taken, and why."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    intake = models.ForeignKey(Intake, models.CASCADE, related_name="+")
    line = models.PositiveIntegerField(_("line"))
    raw = models.CharField(_("content"), max_length=500)
    code = models.CharField(max_length=12)
    detail = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        indexes = (models.Index(fields=["intake", "line"], name="intel_reject_line"),)

    @property
    def said(self) -> Rejected:
        """The same as a value, with its reason in words."""
        return Rejected(self.line, self.raw, self.code, self.detail)


class Edition(models.Model):
    """One row: how often indicators were changed, when one was last removed, and which version of the watch list was told last."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    number = models.PositiveBigIntegerField(default=0)
    birth = models.UUIDField(default=new_id, help_text="Tells this node's tables from others that stood at the same number")
    removed = models.PositiveBigIntegerField(default=0, help_text="The edition in which an indicator was last removed altogether")
    told = models.CharField(max_length=60, default="")
