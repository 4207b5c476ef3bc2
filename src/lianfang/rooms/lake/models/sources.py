"""Sources, how far each spool has come, what was received, the writer's chores."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.scoped import Scoped
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid
from lianfang.kernel.ids import new_id
from lianfang.kernel.ref import Ref
from lianfang.rooms.lake.types import Begin, Codec, Kind, Layer, Login, Paging, Stage, times_of, zone_of


def default_zone() -> str:
    """The node's own time zone."""
    return settings.TIME_ZONE


def valid_zone(name: str) -> None:
    """Raise ``ValidationError`` for what is no time zone."""
    try:
        zone_of(name)
    except Invalid as fault:
        raise ValidationError(_("There is no time zone of this name. Write one like Asia/Shanghai or UTC."), code="zone") from fault


def valid_times(text: str) -> None:
    """Raise ``ValidationError`` for what names no times of day."""
    try:
        times_of(text)
    except Invalid as fault:
        raise ValidationError(_("Write times of day such as 02:00, 14:30."), code="times") from fault


NAME = r"\w[\w.-]{0,59}"


class Source(Scoped):
    """Where logs come from. Its name stands in every event and is fixed; figures are kept by the ingest process."""

    name = models.CharField(_("name"), max_length=60, unique=True, validators=[RegexValidator(f"^{NAME}$", _("Letters, digits, “_”, “-” and “.”, at most 60."))], help_text=_("Stands in every event; cannot be changed later."))
    note = models.CharField(_("note"), max_length=200, blank=True)
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices, default=Kind.HTTP)
    layer = models.CharField(_("layer"), max_length=10, choices=Layer.choices, blank=True, default="", help_text=_("Which layer of your systems it speaks of; the page of layers counts by it."))
    codec = models.CharField(_("format"), max_length=12, choices=Codec.choices, default=Codec.AUTO)
    template = models.CharField(_("mapping template"), max_length=80, blank=True, help_text=_("Empty: found by itself, record by record."))
    encoding = models.CharField(_("character set"), max_length=12, choices=[("utf-8", "UTF-8"), ("gb18030", "GB 18030 (GBK)")], default="utf-8", help_text=_("Of the bytes that the sender writes."))
    header = models.TextField(_("header line"), blank=True, default="", max_length=4000, help_text=_("CSV, TSV, Zeek: the line that names the columns, where the sender does not send it with every batch."))
    start = models.CharField(_("beginning of a record"), max_length=300, blank=True, default="", help_text=_("Application logs: a RE2 pattern of the line with which a record begins; empty: a time, a priority or a level."))
    zone = models.CharField(_("time zone"), max_length=40, blank=True, default=default_zone, validators=[valid_zone], help_text=_("Of times in its logs that name none, as in RFC 3164 syslog: for example Asia/Shanghai or UTC."))
    host = models.CharField(_("listens on"), max_length=60, blank=True, help_text=_("Syslog: address to listen on; empty: all."))
    port = models.PositiveIntegerField(_("port"), null=True, blank=True, help_text=_("Syslog: for example 1514; below 1024 needs privileges."))
    path = models.CharField(_("folder"), max_length=300, blank=True, help_text=_("Watched folder: an absolute path on this node that the node's settings allow."))
    pattern = models.CharField(_("file names"), max_length=60, blank=True, help_text=_("Watched folder: for example *.log; empty: all."))
    address = models.CharField(_("address"), max_length=500, blank=True, help_text=_("Kafka: host:port, several parted by commas. Database: postgresql://host:5432/name, mysql://…, oracle://host:1521/service, sqlite:///file. HTTP: the URL."))
    table = models.CharField(_("topic or table"), max_length=249, blank=True, help_text=_("Kafka: the topic. Database: the table or view, with its schema where it needs one."))
    column = models.CharField(_("watermark column"), max_length=100, blank=True, help_text=_("Database: a number or a time that only grows, such as an identity or the time of the entry; best with an index."))
    consumer_group = models.CharField(_("consumer group"), max_length=100, blank=True, help_text=_("Kafka: empty: lianfang- and the source's name."))
    begin = models.CharField(_("where it begins"), max_length=6, choices=Begin.choices, default=Begin.FIRST, blank=True, help_text=_("The first time: what is there already, or only what is new."))
    user = models.CharField(_("user"), max_length=100, blank=True, help_text=_("Empty: none. For a token in a header: the header's name."))
    login = models.CharField(_("way of logging in"), max_length=14, choices=Login.choices, default=Login.PASSWORD, blank=True)
    token = models.CharField(max_length=40, blank=True, default="", editable=False, db_index=True)
    sealed = models.CharField(max_length=2000, blank=True, default="", editable=False)
    tls = models.BooleanField(_("encrypted (TLS)"), default=False, blank=True, help_text=_("Kafka and databases; for HTTP the address says it."))
    authority = models.TextField(_("certificates of the other side"), blank=True, default="", help_text=_("PEM of the authority that signs them. Syslog over TLS: senders must then show one. Kafka, databases, HTTP: empty: the system's own authorities."))
    paging = models.CharField(_("further pages"), max_length=8, choices=Paging.choices, default=Paging.NONE, blank=True)
    items = models.CharField(_("where the records are"), max_length=100, blank=True, help_text=_("HTTP: keys parted by dots, such as data.records; empty: the answer itself."))
    next = models.CharField(_("where the next page is"), max_length=100, blank=True, help_text=_("HTTP: keys of the link or the cursor, such as paging.next; empty for links: the header Link."))
    parameter = models.CharField(_("parameter of the page"), max_length=60, blank=True, help_text=_("HTTP: name of the parameter that carries the number or the cursor; empty: page, or cursor."))
    every = models.PositiveIntegerField(_("seconds between two looks"), null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(86_400)], help_text=_("Database and HTTP; empty: 60."))
    times = models.CharField(_("at times of day"), max_length=100, blank=True, default="", validators=[valid_times], help_text=_("Database and HTTP: for example 02:00, 14:30, by the node's clock, instead of every so many seconds."))
    silent_after = models.PositiveIntegerField(_("silent after minutes"), null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(100_000)], help_text=_("The owner is told when nothing came for so long; empty: never."))
    hold = models.BooleanField(_("hold back what no longer fits"), default=True, blank=True, help_text=_("When the form of its logs changes: records that no longer fit are kept among the rejects until the mapping is mended, instead of being stored in part."))
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
    behind = models.BigIntegerField(_("not read yet"), null=True, editable=False)
    silent_since = models.DateTimeField(_("silent since"), null=True, editable=False)
    drifting_since = models.DateTimeField(_("drifting since"), null=True, editable=False)
    era = models.PositiveIntegerField(default=0, editable=False)
    opened = models.DateTimeField(_("taking in since"), default=clock.now, editable=False)
    hurried = models.DateTimeField(null=True, editable=False)
    tried = models.DateTimeField(_("tried"), null=True, editable=False)
    tried_well = models.BooleanField(_("went well"), default=False, editable=False)
    tried_said = models.CharField(_("what happened"), max_length=500, blank=True, default="", editable=False)

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
    """A client's own number of something that was stored; the same number from the same source is not stored again.

    ``segment``: among several ingest processes a number is claimed for the segment that was seen first, before it is stored.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    source = models.CharField(max_length=60)
    key = models.CharField(max_length=120)
    segment = models.CharField(max_length=40, blank=True, default="")
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


class Position(models.Model):
    """How far a source was read that is asked: a database, an HTTP address, one partition of a topic.

    ``place`` fingerprints what is read, so that another table begins anew. ``value`` is written after the frames are
    durable. ``pending`` is what is being received: after a crash exactly that is received again, under the same number.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    source = models.ForeignKey(Source, models.CASCADE, related_name="+")
    place = models.CharField(max_length=40)
    value = models.JSONField(default=dict)
    pending = models.JSONField(default=dict)
    changed = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["source", "place"], name="lake_position_once"),)


class Reading(models.Model):
    """A source's counters at one minute, for the chart of its last hour."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    source = models.ForeignKey(Source, models.CASCADE, related_name="+")
    moment = models.DateTimeField(db_index=True)
    events = models.BigIntegerField(default=0)
    rejects = models.BigIntegerField(default=0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["source", "moment"], name="lake_reading_once"),)


class Chore(models.Model):
    """Work that only the writer of the event tables may do: erase a source, carry events to a new organisation path, destroy a part, bring one back, seal under the newest key."""

    ERASE, MOVE, DESTROY, RESTORE, RESEAL = "erase", "move", "destroy", "restore", "reseal"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    verb = models.CharField(max_length=10, choices=[(ERASE, _("erase a source")), (MOVE, _("move an organisation")), (DESTROY, _("destroy a part")), (RESTORE, _("bring a part back")), (RESEAL, _("seal under the newest key"))])
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
