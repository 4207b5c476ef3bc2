"""Values and facts of detect that may leave the room.

In: nothing. Out: frozen values that pages, the command line and higher rooms read; the fact that findings were stored.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lianfang.kernel.facts import Fact
from lianfang.kernel.ref import Ref

WINDOW = timedelta(minutes=15)
"""Findings fold by rule, host and a window of event time as long as this."""

CORRELATION = "correlation"
"""The kind of findings that several matches made together, and the category of the rules that say so."""

BASELINE = "baseline"
"""The kind of findings that depart from what was usual, and the category of the rules that say what is."""

ANOMALY = "anomaly"
"""The kind of findings that tell of log templates which are not as usual, and how their rule's name begins: ``anomaly:<alarm>:<what>:<template>``."""

SAMPLE = "sample-"
"""How the lake names the sources of the sample stream."""


def window_of(moment: datetime) -> datetime:
    """The start of the quarter of an hour in which ``moment`` lies, in UTC.

    >>> window_of(datetime(2026, 11, 20, 8, 29, 59, tzinfo=UTC)).minute
    15
    """
    seconds = int(WINDOW.total_seconds())
    return datetime.fromtimestamp(moment.timestamp() // seconds * seconds, UTC)


KEPT_EVENTS = 50
"""How many event ids a finding names; the rest are reachable in the lake by the column ``rules``."""

ENTITIES: dict[str, tuple[str, ...]] = {
    "ips": ("ips",),
    "users": ("user", "actor_user"),
    "hosts": ("host", "src_host", "dst_host"),
    "processes": ("process",),
    "files": ("file",),
    "hashes": ("hashes",),
    "domains": ("domains",),
    "urls": ("url",),
}
"""Kinds of things that take part in a finding, and the columns of events that tell them."""

WATCHLIST = "watchlist"
"""What a hunt by the watch list is called."""

IOC = "ioc:"
"""How the uid of a watch-list hit begins: ``ioc:<kind>:<value>``."""


@dataclass(frozen=True, slots=True)
class FindingsStored(Fact):
    """``count`` findings of one batch stand in the table; ``batch`` names them all."""

    batch: str
    count: int


@dataclass(frozen=True, slots=True)
class MatchesKept(Fact):
    """``count`` matches of ``batch`` wait for the correlator."""

    batch: str
    count: int


@dataclass(frozen=True, slots=True)
class MonitorRecovered(Fact):
    """A keyword alarm is over because its system said so. ``rules``: the uids its findings bear; ``event`` said it (empty: a sign
    of life came); ``closes``: alerts that nobody has taken may be closed."""

    monitor: str
    title: str
    rules: list[str]
    territory: str
    began: str
    at: str
    event: str
    closes: bool


READING_LIMIT = "own:reading-limit"
"""How the uid of a finding about a broken reading limit begins; the person's identifier follows."""

THIS_NODE = "lianfang"
"""The source, and the host, of what the node finds out about itself."""

OWN_PACK = "node-keywords"
"""The pack into which this node writes the words of its keyword alarms."""

NODE_RULES = "node-rules"
"""The pack of the rules that people of this node wrote."""

OWN_LOGS = ("lianfang", "", "keywords")
"""The log source that those rules name, whatever the logs are: which source they look at is said by the alarm."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a rule of a pack cannot be used. ``path`` is relative to the pack."""

    path: str
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class PackLine:
    """A pack as others see it."""

    id: str
    name: str
    version: str
    digest: str
    licence: str
    rules: int
    usable: int
    problems: tuple[Problem, ...]
    installed: datetime


@dataclass(frozen=True, slots=True)
class RuleLine:
    """A rule as others see it. ``severity`` is 1 … 5; ``problem`` says why it is not loaded (empty: it is)."""

    id: str
    uid: str
    title: str
    title_zh: str
    level: str
    severity: int
    status: str
    author: str
    pack: str
    enabled: bool
    problem: str
    techniques: tuple[str, ...]
    tactics: tuple[str, ...]
    alarm: str
    fired: int
    last_fired: datetime | None

    @property
    def ref(self) -> Ref:
        return Ref("detect", "rule", self.id)


@dataclass(frozen=True, slots=True)
class FindingLine:
    """A finding as higher rooms read it: everything an alert copies, so that it stays true when the rule changes."""

    id: str
    batch: str
    organisation: str
    territory: str
    industry: str
    kind: str
    rule_uid: str
    title: str
    title_zh: str
    severity: int
    status: str
    author: str
    licence: str
    techniques: tuple[str, ...]
    tactics: tuple[str, ...]
    alarm: str
    host: str
    user: str
    source: str
    source_name: str
    first: datetime
    last: datetime
    count: int
    events: tuple[str, ...]
    entities: dict[str, list[str]]
    level: int | None
    backfilled: bool
    sample: bool


@dataclass(frozen=True, slots=True)
class Hit:
    """How often one indicator of the watch list was met: events and findings, on how many hosts, when first and last."""

    kind: str
    value: str
    events: int
    findings: int
    hosts: int
    first: datetime
    last: datetime

    @property
    def uid(self) -> str:
        """What its findings are filtered by."""
        return f"{IOC}{self.kind}:{self.value}"


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a value: its text, and whether it is what made the rule fire."""

    text: str
    hit: bool


@dataclass(frozen=True, slots=True)
class Condition:
    """How a value was compared, and with what."""

    operator: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Match:
    """A field that made the rule fire: the conditions that held for it, and its value in pieces. ``gate``: it only says which log this is."""

    field: str
    conditions: tuple[Condition, ...]
    value: tuple[Span, ...]
    gate: bool = False


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a rule fired on an event. ``reason`` says why there is nothing to show, when there is nothing."""

    uid: str
    title: str
    matches: tuple[Match, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A sample that did not do what it should."""

    rule: str
    sample: str
    reason: str


@dataclass(frozen=True, slots=True)
class TestReport:
    """What running the samples of a pack showed."""

    rules: int
    samples: int
    failures: tuple[Failure, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An event on which the engine and the reference disagree about a rule. ``way``: as what the event was given; ``changed``: what sets it apart."""

    rule: str
    way: str
    changed: str
    engine: bool
    reference: bool
    event: dict[str, str]


@dataclass(frozen=True, slots=True)
class RuleProof:
    """What trying one rule on events made from it showed.

    ``state``: proven; differs (see ``differences``); contradiction (no event can satisfy it) or unbuilt (none was found), both
    with ``reason``. ``event`` is the smallest that satisfies it; on ``silent`` of its variants the rule is silent, on ``firing`` it fires.
    """

    rule: str
    title: str
    path: str
    pack: str
    state: str
    reason: str
    event: dict[str, str] | None
    silent: int
    firing: int
    differences: tuple[Disagreement, ...]


@dataclass(frozen=True, slots=True)
class ProofReport:
    """What trying all rules of some packs showed; ``problems``: rules that could not be compiled, so not tried either."""

    packs: tuple[str, ...]
    rules: int
    events: int
    near_misses: int
    proven: int
    differing: int
    contradictory: int
    unbuilt: int
    problems: tuple[Problem, ...]
    proofs: tuple[RuleProof, ...]


STATES = ("fired", "ready", "fields", "source", "unknown", "off", "unusable")
"""What may be said of a rule on this node: it fired; it can; events of its kind come, but without fields that it needs; no such
events come; not yet looked at; switched off; cannot be used."""


@dataclass(frozen=True, slots=True)
class PackCoverage:
    """How many rules of a pack are in each of ``STATES``."""

    id: str
    pack: str
    rules: int
    states: dict[str, int]


@dataclass(frozen=True, slots=True)
class MissingField:
    """A field for which ``rules`` wait, ``alone`` of them for nothing else. ``kinds``: the kinds of events that come without it, from ``sources``."""

    field: str
    rules: int
    alone: int
    kinds: tuple[str, ...]
    sources: tuple[str, ...]
    advice: str


@dataclass(frozen=True, slots=True)
class MissingSource:
    """A log source, in Sigma's names, from which nothing comes, and how many rules wait for it."""

    product: str
    category: str
    service: str
    rules: int
    advice: str

    @property
    def name(self) -> str:
        return " / ".join(part for part in (self.product, self.category, self.service) if part) or "?"


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which rules can fire on what this node receives. ``at``: when that was looked at last (``None``: never); ``kinds``: of events that came."""

    at: datetime | None
    kinds: int
    packs: tuple[PackCoverage, ...]
    fields: tuple[MissingField, ...]
    sources: tuple[MissingSource, ...]

    @property
    def rules(self) -> int:
        return sum(pack.rules for pack in self.packs)

    def count(self, *states: str) -> int:
        """How many rules are in these states."""
        return sum(pack.states[state] for pack in self.packs for state in states)

    @property
    def document(self) -> dict[str, Any]:
        """As plain data. ``able``: rules that fired or can fire."""
        return asdict(self) | {"rules": self.rules, "able": self.count("fired", "ready")}


@dataclass(frozen=True, slots=True)
class RuleState:
    """One rule on this node: which of ``STATES``, and for which fields it waits."""

    uid: str
    title: str
    pack: str
    state: str
    waits: tuple[str, ...]
    last_fired: datetime | None


@dataclass(frozen=True, slots=True)
class Health:
    """How the examiners stand, as they last said it themselves."""

    loaded: int
    problems: int
    version: int
    watch_version: str
    seen: datetime | None
    stats: dict[str, Any]
