"""Values and facts of intel that may leave the room: kinds, standing, the watch list, what is known of a value.

In: nothing. Out: frozen values that ``detect``, pages and the API read; the fact that the watch list changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.kernel.facts import Fact
from lianfang.kernel.ref import Ref


class Kind(TextChoices):
    """What an indicator names; the kinds of ``engines.schema.observables``."""

    IPV4 = "ipv4", _("IPv4 address")
    IPV6 = "ipv6", _("IPv6 address")
    CIDR = "cidr", _("network")
    DOMAIN = "domain", _("domain name")
    URL = "url", _("URL")
    MD5 = "md5", "MD5"
    SHA1 = "sha1", "SHA-1"
    SHA256 = "sha256", "SHA-256"
    EMAIL = "email", _("e-mail address")


WATCHED: dict[str, str] = {"ipv4": "ips", "ipv6": "ips", "cidr": "cidrs", "domain": "domains", "url": "urls", "md5": "hashes", "sha1": "hashes", "sha256": "hashes"}
"""Kind → the part of the watch list it stands in. E-mail addresses are kept and found, but events are not examined for them."""


class About(TextChoices):
    """What an entry of the knowledge base is about; the kinds of ``engines.schema.knowledge``."""

    VULNERABILITY = "vulnerability", _("vulnerability")
    MALWARE = "malware", _("malware")
    EVENT = "event", _("security event")
    GROUP = "group", _("hacker group")
    FINGERPRINT = "fingerprint", _("device fingerprint")


class Mark(TextChoices):
    """FIRST TLP 2.0, as a column."""

    CLEAR = "clear", "TLP:CLEAR"
    GREEN = "green", "TLP:GREEN"
    AMBER = "amber", "TLP:AMBER"
    AMBER_STRICT = "amber+strict", "TLP:AMBER+STRICT"
    RED = "red", "TLP:RED"


class Way(TextChoices):
    """What becomes of a field of indicators that are shared."""

    KEEP = "keep", pgettext_lazy("sharing", "as it is")
    HIDE = "hide", pgettext_lazy("sharing", "pseudonymised")
    REMOVE = "remove", pgettext_lazy("sharing", "left out")


@dataclass(frozen=True, slots=True)
class Sharing:
    """How indicators are shared: the highest mark that goes, what becomes of source, note, tags and of values that are our own; ``ours``: our domains, ``words``: further names of ours."""

    tlp: str = "green"
    source: str = "keep"
    note: str = "hide"
    tags: str = "keep"
    own: str = "remove"
    ours: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(slots=True)
class Leaving:
    """Indicators as they go: rows of the table, some of the changes as (value, field, before, after), and how many stay: marked too closely, our own."""

    rows: list[tuple[str, ...]] = field(default_factory=list)
    changes: list[tuple[str, str, str, str]] = field(default_factory=list)
    changed: int = 0
    marked: int = 0
    own: int = 0


class Standing(TextChoices):
    """Where an indicator stands now."""

    ACTIVE = "active", pgettext_lazy("indicators", "active")
    PENDING = "pending", _("not yet valid")
    EXPIRED = "expired", _("expired")
    REVOKED = "revoked", pgettext_lazy("indicators", "revoked")


class Form(TextChoices):
    """How a delivery of indicators is written."""

    AUTO = "auto", _("found by itself")
    CSV = "csv", "CSV"
    LIST = "list", _("list, one per line")
    STIX = "stix", "STIX 2.1"
    NVD = "nvd", _("CVE JSON 2.0 of the NVD")
    CNVD = "cnvd", _("CNVD XML")
    MAIL = "mail", _("mail message (.eml, .msg)")
    TABLE = "table", _("table of a knowledge base (CSV)")
    TEXT = "text", _("text in which values stand")


CHOSEN = (Form.MAIL, Form.TEXT)
"""Deliveries that only propose: a person chooses what of them is watched for."""


class Api(TextChoices):
    """How an outside API is asked."""

    FILE = "file", _("a file, in any form of the imports")
    JSON = "json", _("JSON with a list of values (MISP, OTX and the like)")
    TAXII = "taxii", _("a collection of TAXII 2.1")


class Matter(TextChoices):
    """What a submission of an outsider is about."""

    VULNERABILITY = "vulnerability", _("vulnerability")
    INTELLIGENCE = "intelligence", _("attacker or campaign")
    PHISHING = "phishing", _("phishing")
    LEAK = "leak", _("leaked data")
    OTHER = "other", _("something else")


class State(TextChoices):
    """Where a submission stands."""

    RECEIVED = "received", pgettext_lazy("submission", "received")
    ASKED = "asked", pgettext_lazy("submission", "needs information")
    ACCEPTED = "accepted", pgettext_lazy("submission", "accepted")
    WORKED = "worked", pgettext_lazy("submission", "in work")
    MENDED = "mended", pgettext_lazy("submission", "mended")
    CLOSED = "closed", pgettext_lazy("submission", "closed")
    DUPLICATE = "duplicate", pgettext_lazy("submission", "duplicate")
    REJECTED = "rejected", pgettext_lazy("submission", "rejected")


UNDECIDED = (State.RECEIVED, State.ASKED)
ENDED = (State.CLOSED, State.DUPLICATE, State.REJECTED)
STANDING = tuple(state for state in State if state not in ENDED)
"""Somebody still has something to do."""
TONES = {State.RECEIVED: "warn", State.ASKED: "busy", State.ACCEPTED: "busy", State.WORKED: "busy", State.MENDED: "good", State.CLOSED: "quiet", State.DUPLICATE: "quiet", State.REJECTED: "quiet"}
"""How a state is shown."""


class Side(TextChoices):
    """Whose words stand beside a submission, and who reads them."""

    REPORTER = "reporter", pgettext_lazy("submission", "reporter")
    ANSWER = "answer", pgettext_lazy("submission", "answer")
    NOTE = "note", pgettext_lazy("submission", "internal note")


class Stage(TextChoices):
    """Where an import stands."""

    DRAFT = "draft", _("preview")
    WAITING = "waiting", _("waiting")
    RUNNING = "running", _("running")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")


@dataclass(frozen=True, slots=True)
class Terms:
    """What an import says of indicators that do not say it themselves.

    ``days``: how long they are valid from now; 0: without end; ``until``, where it is given, goes before it. ``internal``: take
    private addresses too. ``only``: the lines that a person chose, where a delivery is chosen from (a mail); empty: all.
    """

    source: str
    tlp: str = Mark.AMBER
    confidence: int = 50
    days: int = 90
    tags: tuple[str, ...] = ()
    internal: bool = False
    until: datetime | None = None
    only: tuple[int, ...] = ()


REASONS: dict[str, tuple[Any, Any]] = {
    "unknown": (_("This is no address, network, domain, URL, hash or e-mail address."), _("Correct or remove the line.")),
    "long": (_("It is longer than %s characters."), _("Leave it out.")),
    "empty": (_("It is the hash of an empty file."), _("Leave it out.")),
    "wide": (_("The network is too wide: at least /%s is taken."), _("Name narrower networks.")),
    "nowhere": (_("The address leads nowhere outside its own machine or link."), _("Leave it out.")),
    "private": (_("The address is private: it would match our own traffic."), _("If it is meant, allow internal addresses.")),
    "csv": (_("The line is not CSV: %s"), _("Check its quotes.")),
    "bare": (_("The row has no value."), _("Fill in the value, or remove the row.")),
    "kind": (_("The value is not of the kind that its row names: %s"), _("Correct the value or the kind.")),
    "tlp": (_("“%s” is no sharing mark."), _("Use clear, green, amber, amber+strict or red.")),
    "confidence": (_("“%s” is no confidence."), _("Use a number from 0 to 100, or high, medium, low.")),
    "time": (_("“%s” is no time."), _("Write it like 2026-11-20 or 2026-11-20T08:00:00Z.")),
    "span": (_("It ends before it begins."), _("Correct one of the two times.")),
    "entry": (_("It is no entry of a knowledge base: %s"), _("Correct it, or leave it out.")),
    "mail": (_("It is no mail that can be read: %s"), _("Save the message again as .eml or .msg, with its attachments.")),
    "object": (_("The object was not understood: %s"), _("Ask its sender, or enter it by hand.")),
}
"""Code → why something is not taken, and what to do; ``%s`` takes the detail."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """What was not taken: where it stood (line or object, from 1), its beginning, and why (a code of ``REASONS`` with its detail)."""

    line: int
    raw: str
    code: str
    detail: str = ""

    @property
    def reason(self) -> str:
        """Why, in the reader's language."""
        return reason_of(self.code, self.detail)

    @property
    def todo(self) -> str:
        """What to do, in the reader's language."""
        return str(REASONS[self.code][1])


def reason_of(code: str, detail: str = "") -> str:
    """A reason in the reader's language."""
    text = str(REASONS[code][0])
    return text % detail if "%s" in text else text


@dataclass(frozen=True, slots=True)
class Report:
    """What an import did. ``read`` = ``added + renewed + same + doubled + rejected``; ``rejects`` are the first of them."""

    read: int = 0
    added: int = 0
    renewed: int = 0
    same: int = 0
    doubled: int = 0
    rejected: int = 0
    rejects: tuple[Rejected, ...] = ()


@dataclass(frozen=True, slots=True)
class WatchList:
    """All values to watch for now, by the parts of ``engines.rules.WatchSets``; ``version`` changes when they do."""

    version: str
    ips: frozenset[str] = frozenset()
    cidrs: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    hashes: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return sum(map(len, (self.ips, self.cidrs, self.domains, self.hashes, self.urls)))


@dataclass(frozen=True, slots=True)
class Known:
    """One indicator, as shown to whoever asks about a value. ``through``: the asked value itself, or the network or domain that holds it."""

    id: str
    kind: str
    value: str
    source: str
    tlp: str
    confidence: int
    valid_from: datetime
    valid_until: datetime | None
    tags: tuple[str, ...]
    note: str
    standing: str
    through: str = ""

    @property
    def ref(self) -> Ref:
        return Ref("intel", "indicator", self.id)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of one asked text. ``kind`` is empty when the text names nothing we could know."""

    asked: str
    kind: str
    value: str
    known: tuple[Known, ...] = field(default=())

    @property
    def active(self) -> bool:
        """Whether anything known of it stands now."""
        return any(one.standing == Standing.ACTIVE for one in self.known)


@dataclass(frozen=True, slots=True)
class WatchlistChanged(Fact):
    """The watch list has another version; ``entries`` is how many values it holds now."""

    version: str
    entries: int
