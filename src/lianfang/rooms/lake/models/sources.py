"""Sources, how far each spool has come, what was received, the writer's chores."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid
from lianfang.kernel.ids import new_id
from lianfang.kernel.ref import Ref
from lianfang.rooms.lake.types import Codec, Kind, Stage, zone_of


def default_zone() -> str:
    """The node's own time zone."""
    return settings.TIME_ZONE


def valid_zone(name: str) -> None:
    """Raise ``ValidationError`` for what is no time zone."""
    try:
        zone_of(name)
    except Invalid as fault:
        raise ValidationError(_("There is no time zone of this name. Write one like Asia/Shanghai or UTC."), code="zone") from fault


NAME = r"\w[\w.-]{0,59}"


class Source(Scoped):
    """Where logs come from. Its name stands in every event and is fixed; figures are kept by the ingest process."""

    name = models.CharField(_("name"), max_length=60, unique=True, validators=[RegexValidator(f"^{NAME}$", _("Letters, digits, “_”, “-” and “.”, at most 60."))], help_text=_("Stands in every event; cannot be changed later."))
    note = models.CharField(_("note"), max_length=200, blank=True)
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices, default=Kind.HTTP)
    codec = models.CharField(_("format"), max_length=12, choices=Codec.choices, default=Codec.AUTO)
    template = models.CharField(_("mapping template"), max_length=80, blank=True, help_text=_("Empty: found by itself, record by record."))
    encoding = models.CharField(_("character set"), max_length=12, choices=[("utf-8", "UTF-8"), ("gb18030", "GB 18030")], default="utf-8", help_text=_("Of syslog senders; JSON is always UTF-8."))
    zone = models.CharField(_("time zone"), max_length=40, blank=True, default=default_zone, validators=[valid_zone], help_text=_("Of times in its logs that name none, as in RFC 3164 syslog: for example Asia/Shanghai or UTC."))
    host = models.CharField(_("listens on"), max_length=60, blank=True, help_text=_("Syslog: address to listen on; empty: all."))
    port = models.PositiveIntegerField(_("port"), null=True, blank=True, help_text=_("Syslog: for example 1514; below 1024 needs privileges."))
    path = models.CharField(_("folder"), max_length=300, blank=True, help_text=_("Watched folder: an absolute path on this node that the node's settings allow."))
    pattern = models.CharField(_("file names"), max_length=60, blank=True, help_text=_("Watched folder: for example *.log; empty: all."))
    stage = models.CharField(_("stage"), max_length=10, choices=Stage.choices, default=Stage.ACTIVE, editable=False)
    created = models.DateTimeField(_("created"), default=clock.now, editable=False)

    last_seen = models.DateTimeField(_("last seen"), null=True, editable=False)
    events = models.BigIntegerField(_("events"), default=0, editable=False)
    bytes = models.BigIntegerField(_("bytes"), default=0, editable=False)
    rejects = models.BigIntegerField(_("rejects"), default=0, editable=False)
    dropped = models.BigIntegerField(_("dropped"), default=0, editable=False)
    rate = models.FloatField(_("events per second"), default=0.0, editable=False)
    lag = models.FloatField(_("lag in seconds"), default=0.0, editable=False)
    trouble = models.CharField(_("trouble"), max_length=300, blank=True, default="", editable=False)

    class Meta:
        verbose_name = _("log source")
        verbose_name_plural = _("log sources")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @property
    def ref(self) -> Ref:
        return Ref("lake", "source", str(self.pk))

    @property
    def enabled(self) -> bool:
        """Whether it takes anything in."""
        return self.stage == Stage.ACTIVE


class Concluded(models.Model):
    """A segment of the spool that is stored, concluded and told; nothing is left to do but to remove its file."""

    name = models.CharField(primary_key=True, max_length=40)
    moment = models.DateTimeField(default=clock.now, db_index=True)


class Receipt(models.Model):
    """A client's own number of something that was stored; the same number from the same source is not stored again."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    source = models.CharField(max_length=60)
    key = models.CharField(max_length=120)
    created = models.DateTimeField(default=clock.now, db_index=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["source", "key"], name="lake_receipt_once"),)


class WatchedFile(models.Model):
    """How far a file of a watched folder was read. ``identity`` is device and inode, so that a rotated file is known again.

    ``pending`` is the end of the part being received: after a crash exactly that part is received again, under the same
    number, so that it is stored once. ``mark`` fingerprints the beginning, for inodes that come to mean another file.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    source = models.ForeignKey(Source, models.CASCADE, related_name="+")
    identity = models.CharField(max_length=64)
    path = models.CharField(_("path"), max_length=400)
    mark = models.CharField(max_length=32, blank=True, default="")
    offset = models.BigIntegerField(_("read to"), default=0)
    pending = models.BigIntegerField(default=0)
    size = models.BigIntegerField(_("size"), default=0)
    error = models.CharField(_("error"), max_length=300, blank=True, default="")
    changed = models.DateTimeField(_("changed"), default=clock.now)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["source", "identity"], name="lake_watched_once"),)


class Chore(models.Model):
    """Work that only the writer of the event tables may do: erase a source, carry events to a new organisation path."""

    ERASE, MOVE = "erase", "move"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    verb = models.CharField(max_length=10, choices=[(ERASE, _("erase a source")), (MOVE, _("move an organisation"))])
    arguments = models.JSONField(default=dict)
    created = models.DateTimeField(default=clock.now)
    done = models.DateTimeField(null=True, db_index=True)

    class Meta:
        ordering = ("created", "id")


class Replay(models.Model):
    """Rejects of one kind that were sent through again; those received until ``until`` are no longer listed."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    source = models.CharField(max_length=60, db_index=True)
    kind = models.CharField(max_length=300)
    until = models.DateTimeField()
    frames = models.IntegerField(default=0)
    created = models.DateTimeField(default=clock.now)
