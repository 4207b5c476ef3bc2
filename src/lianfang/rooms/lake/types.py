"""What may leave the lake: batches on their way in, questions and answers on their way out, and its facts.

In: nothing. Out: frozen values with plain fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import TextChoices
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from lianfang.engines.columns.measures import Check
from lianfang.engines.schema.events import TABLES
from lianfang.engines.series import Unusual
from lianfang.kernel.errors import Conflict, Fault, Invalid
from lianfang.kernel.facts import Fact

EVENT_TABLES: tuple[str, ...] = tuple(TABLES.values())
REJECT_TABLE = "rejects"
FAMILIES: dict[str, Any] = {
    "other": _("Other"), "system_activity": _("System activity"), "findings": _("Findings"), "iam": _("Identity and access"),
    "network_activity": _("Network activity"), "discovery": _("Discovery"), "application_activity": _("Application activity"),
}  # fmt: skip
"""Event table → its name to people."""
AGAIN = "replay:"
"""How the number of what is sent through again begins."""
HELD = "drift"
"""The stage of rejects that could be read, but no longer fit what is usual of their source."""


class Kind(TextChoices):
    """How a source's logs come in."""

    HTTP = "http", _("HTTP")
    SYSLOG_UDP = "syslog_udp", _("syslog over UDP")
    SYSLOG_TCP = "syslog_tcp", _("syslog over TCP")
    SYSLOG_TLS = "syslog_tls", _("syslog over TLS")
    FOLDER = "folder", _("watched folder")
    KAFKA = "kafka", _("Kafka topic")
    DATABASE = "database", _("database table")
    POLL = "poll", _("HTTP address that is asked")
    UPLOAD = "upload", _("uploaded files")
    DECOY = "decoy", _("visitors of a decoy page")
    SAMPLE = "sample", _("sample stream")


READ_BY_US = (Kind.FOLDER, Kind.DATABASE, Kind.POLL)
"""Kinds that the node reads by itself, run after run."""


class Layer(TextChoices):
    """Which layer of an organisation's systems a source speaks of."""

    BUSINESS = "business", pgettext_lazy("layer", "business")
    SYSTEM = "system", pgettext_lazy("layer", "system")
    NETWORK = "network", pgettext_lazy("layer", "network")
    SECURITY = "security", pgettext_lazy("layer", "security")


@dataclass(frozen=True, slots=True)
class Device:
    """A device that looked at decoy pages: its digest, first and last visit, how many, from which addresses, at which pages, of which sources, and what it said of itself last."""

    digest: str
    first: datetime
    last: datetime
    visits: int
    addresses: tuple[str, ...]
    pages: tuple[str, ...]
    sources: tuple[str, ...]
    summary: str
    agent: str


@dataclass(frozen=True, slots=True)
class LayerFigures:
    """One layer's sources now: their names, how many spoke within a quarter of an hour, events per second, and those that are silent or in trouble."""

    layer: str
    sources: tuple[str, ...]
    speaking: int
    rate: float
    troubled: tuple[str, ...]


class Codec(TextChoices):
    """How the bytes of one log record are read."""

    AUTO = "auto", _("found by itself")
    JSON = "json", _("JSON")
    SYSLOG = "syslog", _("syslog")
    CEF = "cef", "CEF (ArcSight)"
    LEEF = "leef", "LEEF (QRadar)"
    KV = "kv", _("names and values (a=1 b=2)")
    CSV = "csv", _("CSV (columns named in a header line)")
    TSV = "tsv", _("TSV (columns parted by tabs)")
    ZEEK = "zeek", _("Zeek logs")
    SURICATA = "suricata", "Suricata EVE"
    AUDITD = "auditd", _("Linux audit daemon")
    WEB = "web", _("web server (nginx, Apache)")
    WINXML = "winxml", _("Windows events as XML")
    LINES = "lines", _("application log of one or many lines")
    MAIL = "mail", _("mail messages")


class Begin(TextChoices):
    """What a source that is read for the first time begins with."""

    FIRST = "first", _("what is there already")
    LAST = "last", _("only what is new")


class Login(TextChoices):
    """How a node says who it is to what it reads from."""

    PASSWORD = "password", _("user and password")
    SCRAM_256 = "scram-sha-256", "SCRAM-SHA-256 (Kafka)"
    SCRAM_512 = "scram-sha-512", "SCRAM-SHA-512 (Kafka)"
    BEARER = "bearer", _("token (HTTP)")
    HEADER = "header", _("token in a header of its own (HTTP)")


class Paging(TextChoices):
    """How an HTTP answer says what comes next."""

    NONE = "none", _("there is one page")
    LINK = "link", _("a link to the next page")
    NUMBER = "number", _("pages are numbered")
    CURSOR = "cursor", _("a cursor, kept for the next look")


class Way(TextChoices):
    """When a rule of desensitising works."""

    IN = "in", _("on the way in, before it is stored")
    OUT = "out", _("on the way out")


class Towards(TextChoices):
    """Where data goes on its way out."""

    ALL = "all", _("exports and the API")
    EXPORT = "export", _("exports")
    API = "api", _("the API")


class MaskVerb(TextChoices):
    """What is done with a value."""

    MASK = "mask", _("mask")
    PSEUDONYM = "pseudonym", _("pseudonym")
    TRUNCATE = "truncate", _("cut")
    HASH = "hash", _("keyed digest")
    REMOVE = "remove", _("remove")


class MaskForm(TextChoices):
    """What a value is taken for."""

    TEXT = "text", _("text")
    NAME = "name", _("name")
    PHONE = "phone", _("phone number")
    RESIDENT_ID = "resident_id", _("resident identity number")
    BANK_CARD = "bank_card", _("bank card number")
    EMAIL = "email", _("mail address")
    ADDRESS = "address", _("postal address")
    IP = "ip", _("IP address")
    DIGITS = "digits", _("digits that stay digits")
    TIME = "time", _("time")


class Examined(TextChoices):
    """What rules of detection see of a record that is desensitised on the way in."""

    STORED = "stored", _("what is stored")
    ORIGINAL = "original", _("what came in")


class RawKept(TextChoices):
    """What becomes of the raw log of a record that was touched."""

    COVER = "cover", _("kept, the values covered in it")
    REMOVE = "remove", _("removed, with the message and the other fields")


class Asked(TextChoices):
    """Where a request to take data away stands."""

    WAITING = "waiting", pgettext_lazy("export request", "waiting")
    APPROVED = "approved", pgettext_lazy("export request", "approved")
    REFUSED = "refused", pgettext_lazy("export request", "refused")


class Touched(TextChoices):
    """How data was touched."""

    SEARCH = "search", _("searched")
    EVENT = "event", _("opened an event")
    SQL = "sql", _("asked in SQL")
    API = "api", _("asked over the API")
    EXPORT = "export", _("took away")


class Reported(TextChoices):
    """What can be reported to another node."""

    EVENTS = "events", _("events")
    CAPTURE = "capture", _("capture")
    INDICATORS = "indicators", _("indicators")


class Sending(TextChoices):
    """Where a report stands."""

    WAITING = "waiting", pgettext_lazy("report", "waiting")
    RUNNING = "running", pgettext_lazy("report", "being sent")
    DONE = "done", pgettext_lazy("report", "sent")
    FAILED = "failed", pgettext_lazy("report", "failed")
    STOPPED = "stopped", pgettext_lazy("report", "stopped")


@dataclass(frozen=True, slots=True)
class Piece:
    """One request's worth of a report: its bytes, and how many rows it holds."""

    content: bytes
    rows: int


@dataclass(frozen=True, slots=True)
class Goal:
    """A destination as it is offered: what names it, and its name."""

    id: str
    name: str
    tlp: str
    level: int


class Outcome(TextChoices):
    """What became of it."""

    GIVEN = "given", pgettext_lazy("touch", "given")
    MASKED = "masked", pgettext_lazy("touch", "given in part masked")
    WAITS = "waits", pgettext_lazy("touch", "needs approval")
    STOPPED = "stopped", pgettext_lazy("touch", "stopped")


class Stage(TextChoices):
    """Where a source stands in its life."""

    ACTIVE = "active", pgettext_lazy("source", "receiving")
    PAUSED = "paused", pgettext_lazy("source", "paused")
    ERASING = "erasing", pgettext_lazy("source", "being erased")


class Busy(Conflict):
    """The spool is full: nothing was taken, the same call succeeds later. ``retry_after`` is in seconds."""

    status, code = 429, "busy"
    retry_after = 2


def zone_of(name: str) -> ZoneInfo:
    """The time zone of an IANA name; raises ``Invalid``.

    >>> str(zone_of("Asia/Shanghai"))
    'Asia/Shanghai'
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # unknown; not a name; the name of a folder
        raise Invalid(gettext("There is no time zone %(name)s") % {"name": f"“{name[:40]}”"}, why=gettext("It is not in the IANA list that this node has."), todo=gettext("Write a name like Asia/Shanghai or UTC."), details={"zone": [gettext("Write a name like Asia/Shanghai or UTC.")]}) from error


def times_of(text: str) -> tuple[time, ...]:
    """Times of day, in order, each once; raises ``Invalid``.

    >>> times_of("14:30, 02:00 2:00")
    (datetime.time(2, 0), datetime.time(14, 30))
    """
    try:
        return tuple(sorted({datetime.strptime(one, "%H:%M").time() for one in text.replace(",", " ").replace("，", " ").split()}))
    except ValueError as error:
        raise Invalid("These are no times of day", why=str(error), todo="Write them like 02:00, 14:30.") from error


def lines_of(error: Exception) -> str:
    """What went wrong, why and what to do, a line each: kept so that a page can say each in the reader's language."""
    return "\n".join(str(part) for part in (error.what, error.why, error.todo) if part) if isinstance(error, Fault) else str(error) or type(error).__name__


NOT_HERE = "There is no such log source"


@dataclass(frozen=True, slots=True)
class Door:
    """A source as a way in: how its bytes are read, whether it is open, whose it is. ``guarded``: what comes in is desensitised, so it waits sealed."""

    name: str
    codec: str
    stage: str
    territory: str
    industry: str
    guarded: bool = False


# ---- on the way in ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BatchRef:
    """Where received frames lie until they are stored: they will be found under ``worker``, ``sequence`` from ``first`` on."""

    worker: str
    sequence: int
    first: int
    count: int

    def event_id(self, index: int = 0) -> str:
        """The identifier that the ``index``-th frame's event will have."""
        return event_id(self.worker, self.sequence, self.first + index)


def segment_name(worker: str, sequence: int) -> str:
    """What the names of all events of a segment begin with."""
    return f"{sequence:011x}-{worker}"


def event_id(worker: str, sequence: int, index: int, part: int = 0) -> str:
    """An event's name, the same however often its segment is replayed; sorts by the time of receipt.

    >>> event_id("w000", 1795161600123, 31)
    '1a1f7f8307b-w000-0001f'
    """
    return f"{segment_name(worker, sequence)}-{index:05x}" + (f".{part}" if part else "")


def event_ids(worker: str, sequence: int, indexes: Sequence[int]) -> list[str]:
    """The names of many; rows of the same frame, which follow each other, are told apart by their part.

    >>> event_ids("w000", 1795161600123, [31, 31, 32])
    ['1a1f7f8307b-w000-0001f', '1a1f7f8307b-w000-0001f.1', '1a1f7f8307b-w000-00020']
    """
    if len(set(indexes)) == len(indexes):
        begin = segment_name(worker, sequence)
        return [f"{begin}-{index:05x}" for index in indexes]
    names, last, part = [], -1, 0
    for index in indexes:
        last, part = index, part + 1 if index == last else 0
        names.append(event_id(worker, sequence, index, part))
    return names


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one source out of one segment, decoded, mapped and levelled, before they are stored.

    ``organisation`` is the id of the source's owner. ``rows`` are flat native fields, ``raws`` the original bytes, ``logsources`` the (product, category, service) of each
    row, ``columns`` the stored columns by name (``rules`` not yet). ``ref`` names the batch for good: a replay after a
    crash brings the same ref again, so that ``conclude`` can tell it has seen it. ``examine`` sees all rows, of a large
    batch one slice after the other (each under the batch's ``ref``, its rows numbered from 0); ``conclude`` gets, once, the
    rows of all slices that were hit, by their numbers in the whole batch (mappings instead of sequences).
    """

    ref: str
    source: str
    rows: Sequence[Mapping[str, str]]
    raws: Sequence[bytes]
    logsources: Sequence[tuple[str, str, str]]
    columns: Mapping[str, Sequence[Any]]
    organisation: str = ""

    def __len__(self) -> int:
        return len(self.rows)


# ---- on the way out --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition: a column, one of ``is is_not contains starts any_of above below empty filled``, and a value."""

    column: str
    op: str
    value: str = ""

    @classmethod
    def of(cls, text: str) -> Filter:
        """``column:operator:value``, as the search page writes it in its address; whether there are such a column and operator is seen when it is asked.

        >>> Filter.of("host:is:pc-1:443")
        Filter(column='host', op='is', value='pc-1:443')
        """
        column, _gap, rest = text.partition(":")
        op, _gap, value = rest.partition(":")
        return cls(column, op, value)


@dataclass(frozen=True, slots=True)
class Question:
    """What to look for. Bounds are ``[since, until)``; ``text`` is looked for in the raw log, upper and lower case alike; ``check``: only rows that fail it."""

    since: datetime
    until: datetime
    filters: tuple[Filter, ...] = ()
    text: str = ""
    tables: tuple[str, ...] = EVENT_TABLES
    after: str = ""
    limit: int = 50
    check: Check | None = None


@dataclass(frozen=True, slots=True)
class Fed:
    """How many events of one class and activity a source brought on one day."""

    class_uid: int
    activity_id: int
    source: str
    day: date
    count: int


@dataclass(frozen=True, slots=True)
class Found:
    """A page of events, newest first. ``more`` is what to ask ``after`` for the next page; empty at the end."""

    events: tuple[dict[str, Any], ...]
    more: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts per stretch of ``seconds``; every stretch of the question is there, also the empty ones."""

    seconds: int
    starts: tuple[datetime, ...]
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of an SQL question; ``cut`` when there were more."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    cut: bool


@dataclass(frozen=True, slots=True)
class Count:
    """A value and how often it was seen."""

    value: Any
    count: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A value that was looked for and found: how often, first and last."""

    value: str
    count: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class RejectGroup:
    """Frames of one source that could not be read for the same kind of reason."""

    source: str
    stage: str
    kind: str
    todo: str
    count: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class TableFigures:
    """An event table as the catalogue shows it."""

    name: str
    rows: int
    bytes: int
    files: int
    days: int
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True, slots=True)
class LevelFigures:
    """Events of one level in a table, and for how many days they are kept."""

    level: int
    rows: int
    days: int


@dataclass(frozen=True, slots=True)
class Owned:
    """Whose events a table holds: the organisation's id (empty: its source is gone), its sources, how many events."""

    organisation: str
    sources: tuple[str, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class TableStory:
    """One table in the catalogue. ``filled``: column → share of the ``sampled`` events since ``since`` in which it is filled."""

    name: str
    levels: tuple[LevelFigures, ...]
    owners: tuple[Owned, ...]
    since: datetime
    sampled: int
    filled: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Overview:
    """The lake in figures for the viewer: events per hour, sources that speak, sources that fell silent."""

    hours: tuple[Count, ...]
    events: int
    sources: int
    active: int
    silent: tuple[str, ...] = field(default=())


# ---- a sample, as it would be stored ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Setup:
    """How logs are read and mapped. ``mapping``: the YAML of an own mapping; else ``template`` names one that is there (empty: found by itself)."""

    codec: str = "auto"
    encoding: str = "utf-8"
    header: str = ""
    start: str = ""
    zone: str = ""
    template: str = ""
    mapping: str = ""


@dataclass(frozen=True, slots=True)
class TriedField:
    """One field of an event: its text, the columns it goes into, and those of them that it gave no value for."""

    name: str
    text: str
    columns: tuple[str, ...]
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TriedEvent:
    """One record as it would be stored. ``columns`` are those with a value; ``coverage`` is the share of its fields that are in one, 0 to 1."""

    number: int
    columns: Mapping[str, Any]
    level: int
    template: str
    raw: str
    fields: tuple[TriedField, ...]
    coverage: float


@dataclass(frozen=True, slots=True)
class TriedReject:
    """A record that cannot be read: why, and what to do."""

    number: int
    reason: str
    todo: str
    raw: str


@dataclass(frozen=True, slots=True)
class SampleField:
    """A field over all records of a sample: in how many it is, what it says, where it goes, where one of its name usually goes."""

    name: str
    count: int
    examples: tuple[str, ...]
    columns: tuple[str, ...]
    failed: int
    usual: str


@dataclass(frozen=True, slots=True)
class Preview:
    """A sample as it would be stored: the first events, every reject, all fields, and how much of them is in columns (0 to 1)."""

    records: int
    events: tuple[TriedEvent, ...]
    rejects: tuple[TriedReject, ...]
    fields: tuple[SampleField, ...]
    coverage: float
    header: str = ""
@dataclass(frozen=True, slots=True)
class Tally:
    """How many rows of a table a check applied to during a stretch that begins at ``start``, and how many of them failed; ``check`` is its key (empty: all rows)."""

    table: str
    check: str
    start: datetime
    applied: int
    failed: int


@dataclass(frozen=True, slots=True)
class Freshness:
    """The newest event of a table in the viewer's scope: when it happened, and when the newest receipt was; ``None``: nothing within a day."""

    happened: datetime | None
    received: datetime | None


@dataclass(frozen=True, slots=True)
class Gap:
    """An hour in which a source that had spoken before brought a table nothing."""

    source: str
    start: datetime


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of how many hours of sources (``expected``) how many brought events; the gaps, newest first."""

    expected: int
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of what the lake holds: events of one source in some tables, whose time lies in ``[since, until)``."""

    source: str
    tables: tuple[str, ...]
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """What one source holds in one table: events by level, first and last hour, for how many days its events of the highest level are kept."""

    source: str
    table: str
    territory: str
    rows: int
    first: datetime
    last: datetime
    level: int
    days: int


@dataclass(frozen=True, slots=True)
class WayIn:
    """A source as whoever follows its data needs it: its reference, kind, whether its way is encrypted, whether it leads over a network, and its figures."""

    ref: str
    name: str
    kind: str
    encrypted: bool
    remote: bool
    organisation: str
    created: datetime
    last_seen: datetime | None
    events: int
    rejects: int
    template: str


# ---- facts -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BatchStored(Fact):
    """Events became durable: how many, into which tables (``name@version``), out of which batches."""

    batches: list[str]
    tables: list[str]
    events: int
    rejects: int


@dataclass(frozen=True, slots=True)
class PartDestroyed(Fact):
    """A part is gone: how many events, table by table (``name=rows=fingerprint``), and the data files that held it, which the tidying removes.

    ``source``, ``since``, ``until`` (RFC 3339): which part, for whoever holds a copy of it.
    """

    request: str
    rows: int
    tables: list[str]
    files: list[str]
    source: str = ""
    since: str = ""
    until: str = ""


@dataclass(frozen=True, slots=True)
class GradingLearned(Fact):
    """A look at a data set used what ``lessons`` decisions of reviewers taught."""

    run: str
    organisation: str
    territory: str
    industry: str
    lessons: int


@dataclass(frozen=True, slots=True)
class PartRestored(Fact):
    """An archived part is back: how many events were brought back; those that were there still are not counted."""

    request: str
    rows: int


@dataclass(frozen=True, slots=True)
class SourceErased(Fact):
    """A source and all its events are gone; whatever came of them should go too. May be told twice."""

    source: str


@dataclass(frozen=True, slots=True)
class ReadingStopped(Fact):
    """Somebody read or took away more than their organisation's limit per hour, and was stopped."""

    person: str
    who: str
    organisation: str
    level: int
    limit: int
    territory: str = ""
    industry: str = ""
    touch: str = ""


@dataclass(frozen=True, slots=True)
class SourceSilent(Fact):
    """Nothing came from a source for longer than its owner allows; ``minutes`` is how long that is."""

    source: str
    organisation: str
    minutes: int


@dataclass(frozen=True, slots=True)
class SourceDrifted(Fact):
    """A source writes otherwise than it usually does; ``changes`` name what (``attribute template name``, ``unknown``, ``rejects``, ``fields template``)."""

    source: str
    organisation: str
    changes: list[str]


@dataclass(frozen=True, slots=True)
class SourceSpoke(Fact):
    """A source that was silent speaks again."""

    source: str
    organisation: str


class Odd(StrEnum):
    """What is not as usual about a log template: nobody said it before; many more, or many fewer lines than usual in an hour."""

    NEW = "new"
    MORE = "more"
    FEWER = "fewer"


@dataclass(frozen=True, slots=True)
class OddTemplate:
    """A log template that is not as usual. ``hour``: in which; ``count``: lines in it, where ``usual`` ± ``spread`` are. Of a new one they are 0.

    ``known`` templates of its source, in ``lines`` lines since ``since``; ``curve``: begin, lines, and between what they are usual, of the hours up to this one. ``alike``: further
    new ones of its source, which came with it and are too many to be told one by one; ``found``: when the last of them was read. ``place``: organisation, territory and industry.
    """

    odd: Odd
    template: str
    source: str
    layer: str
    place: tuple[str, str, str]
    text: str
    level: int
    hour: datetime
    count: int
    usual: float
    spread: float
    first: datetime
    last: datetime
    sample: str
    known: int
    lines: int
    since: datetime
    found: datetime
    curve: tuple[tuple[datetime, int, float | None, float | None], ...] = ()
    alike: int = 0


@dataclass(frozen=True, slots=True)
class TemplateLine:
    """A template of a source's logs. ``parts``: its text, open places as ``None``; ``spark``: lines of each of the last 48 hours; ``fresh``: new today;
    ``strange``: which of them were not as usual, by place; ``unusual``: what is not as usual in the last whole hour, or already in this one. ``usual``: for each of ``hours`` between
    what it is usual, where enough is known."""

    id: str
    source: str
    text: str
    parts: tuple[str | None, ...]
    level: int
    count: int
    share: float
    first: datetime
    last: datetime
    sample: str
    fresh: bool
    hours: tuple[tuple[datetime, int], ...] = ()
    spark: tuple[int, ...] = ()
    unusual: Unusual | None = None
    strange: tuple[int, ...] = ()
    usual: tuple[tuple[float, float] | None, ...] = ()

    @property
    def constants(self) -> list[str]:
        """What all its lines say, in its order."""
        return [part.strip() for part in self.parts if part and part.strip()]


@dataclass(frozen=True, slots=True)
class TemplateBranch:
    """Templates of one source that begin with the same words."""

    words: str
    count: int
    share: float
    lines: tuple[TemplateLine, ...]


@dataclass(frozen=True, slots=True)
class TemplateTree:
    """Templates of one source. ``hidden``: how many are above the viewer's clearance; ``more``: how many are left out."""

    source: str
    count: int
    templates: int
    fresh: int
    hidden: int
    more: int
    branches: tuple[TemplateBranch, ...]


@dataclass(frozen=True, slots=True)
class MetLine:
    """Events of one kind at one host that share an entity: the nearest one (``event_id``, ``at``), how many, from when to when, and what took part in that one."""

    event_id: str
    at: datetime
    often: int
    begun: datetime
    ended: datetime
    class_uid: int
    activity_id: int | None
    event_code: str | None
    host: str
    rules: tuple[str, ...]
    entities: frozenset[tuple[str, str]]
    level: int


@dataclass(frozen=True, slots=True)
class Met:
    """What an entity was met in: on how many hosts, in how many events, and the lines that say most."""

    places: int
    events: int
    lines: tuple[MetLine, ...]
