"""The values that cross this engine's door: rules, problems, hits, explanations, watch lists."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

LogSource = tuple[str, str, str]
"""(product, category, service) in Sigma's names; ``""`` where a part is not known."""

Hits = list[tuple[int, tuple[str, ...]]]
"""(index of the event, uids of the rules that fired), ordered by index; events without a hit do not appear."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What people are shown of a rule. ``author`` must be shown with every alert (DRL 1.1); ``attack`` holds technique ids such as ``T1059.001``."""

    uid: str
    title: str
    level: str = "medium"
    status: str = ""
    author: str = ""
    description: str = ""
    references: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    attack: tuple[str, ...] = ()
    logsource: LogSource = ("", "", "")
    falsepositives: tuple[str, ...] = ()
    digest: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule, or a whole file, that could not be taken in, and why. ``rule_uid`` is ``""`` when the text never became a rule."""

    path: str
    rule_uid: str
    reason: str


@dataclass(frozen=True, slots=True)
class Match:
    """One condition that held: the event's own ``field`` name, the operator and pattern of the rule, and where in ``value`` it was found.

    ``spans`` are (start, end) character offsets into ``value``; empty where no part of the text can be pointed at (a missing field, say).
    """

    field: str
    operator: str
    pattern: str
    value: str
    spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a rule fired on an event. ``fired`` is false, and ``matches`` empty, when it did not."""

    uid: str
    title: str
    matches: tuple[Match, ...]
    fired: bool = True


@dataclass(frozen=True, slots=True)
class WatchSets:
    """Indicators examined in the same pass as the rules; a hit's uid is ``ioc:<kind>:<value>``, kind one of ip, cidr, domain, hash, url."""

    ips: Collection[str] = ()
    cidrs: Collection[str] = ()
    domains: Collection[str] = ()
    hashes: Collection[str] = ()
    urls: Collection[str] = ()

    def __bool__(self) -> bool:
        return any((self.ips, self.cidrs, self.domains, self.hashes, self.urls))


@dataclass(frozen=True, slots=True)
class Stats:
    """Counters since the examiner was made or its rules replaced.

    ``values``: distinct values matched against patterns; ``keys``: combinations judged; ``classes``: specialisations alive;
    ``cached_bytes``: bytes held by the value and key memos; ``refused``: JSON lines that could not be read.
    """

    engine: str = ""
    rules: int = 0
    events: int = 0
    hits: int = 0
    values: int = 0
    keys: int = 0
    classes: int = 0
    cached_bytes: int = 0
    turns: int = 0
    refused: int = 0
    last_refusal: str = ""
    spellings: dict[str, tuple[str, ...]] = field(default_factory=dict)
