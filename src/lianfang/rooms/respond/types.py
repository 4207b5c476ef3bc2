"""Values and facts of respond that may leave the room: states, verdicts, lines of the queue, and reasons in words.

In: nothing. Out: frozen values that pages, the API and higher rooms read; the fact that alerts were raised.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext, pgettext_lazy

from lianfang.kernel.facts import Fact
from lianfang.kernel.ref import Ref

GAP = timedelta(minutes=15)
"""What one rule finds on one host stays one alert until it has been silent for this long."""

CHAIN = timedelta(hours=1)
"""Rules that fire on the same host within this time count as one chain."""

STORY = timedelta(hours=24)
"""Over this time the tactics seen on a host are read as one story."""

MEMORY = timedelta(days=30)
"""How far back ranking asks whether this was seen before."""


class State(TextChoices):
    """Where an alert stands."""

    NEW = "new", pgettext_lazy("alert", "new")
    ACKNOWLEDGED = "acknowledged", _("acknowledged")
    IN_PROGRESS = "in_progress", _("in progress")
    CLOSED = "closed", _("closed")


OPEN = (State.NEW, State.ACKNOWLEDGED, State.IN_PROGRESS)


class Verdict(TextChoices):
    """What an alert turned out to be."""

    TRUE_POSITIVE = "true_positive", _("true positive")
    FALSE_POSITIVE = "false_positive", _("false positive")
    BENIGN = "benign", _("benign")
    DUPLICATE = "duplicate", _("duplicate")
    RECOVERED = "recovered", _("recovered by itself")


class Threat(TextChoices):
    """How high the threat is that a score of 0 … 100 speaks of: threat × attacked asset × where it comes from × context. The order of handling follows it."""

    VERY_HIGH = "very_high", pgettext_lazy("threat", "very high")
    HIGH = "high", pgettext_lazy("threat", "high")
    MEDIUM = "medium", pgettext_lazy("threat", "medium")
    LOW = "low", pgettext_lazy("threat", "low")

    @classmethod
    def of(cls, score: int) -> Threat:
        """The level of a score.

        >>> [Threat.of(score).value for score in (80, 79, 40, 0)]
        ['very_high', 'high', 'medium', 'low']
        """
        return next(level for level in cls if score >= LEAST[level])


LEAST = {Threat.VERY_HIGH: 80, Threat.HIGH: 60, Threat.MEDIUM: 40, Threat.LOW: 0}
"""The least score of each threat level."""


@dataclass(frozen=True, slots=True)
class AlertRaised(Fact):
    """``count`` alerts were raised from one batch; ``alerts`` names at most a hundred of them, the most important first."""

    batch: str
    count: int
    alerts: list[str]


@dataclass(frozen=True, slots=True)
class Reason:
    """One term of a score: ``value`` (0 … 1) × ``weight`` gave ``points`` of 100; ``facts`` are the numbers that its words speak of.

    Without a weight, ``value`` multiplied the odds of what stood before, and ``points`` (also below 0) is what that changed.
    """

    name: str
    value: float
    weight: float
    points: float
    facts: dict[str, Any]

    @property
    def title(self) -> str:
        return str(TITLES.get(self.name, self.name))

    @property
    def words(self) -> str:
        """The reason as a sentence in the reader's language."""
        speak = _WORDS.get(self.name)
        return str(speak(self.facts)) if speak else ""


FACTORS = (("threat", _("Threat")), ("asset", _("Attacked asset")), ("source", _("Where it comes from")), ("context", _("Context")))
"""The four factors of an alert's score."""
FACTOR_OF = {"severity": "threat", "progression": "threat", "watch": "threat", "asset": "asset", "confidence": "source", "judged": "source", "chain": "context", "rarity": "context", "novelty": "context", "volume": "context"}

TITLES = {
    "severity": _("Severity"),
    "confidence": _("Confidence in the rule"),
    "chain": _("Chain on the host"),
    "progression": _("Progress of an attack"),
    "watch": _("Watch list"),
    "rarity": _("Rarity"),
    "novelty": _("New on this host"),
    "volume": _("Volume"),
    "loudest": _("Loudest alert"),
    "phases": _("Phases of an attack"),
    "spread": _("Hosts"),
    "rules": _("Rules"),
    "asset": _("Importance"),
    "judged": _("Verdicts on its like"),
}

_STATUS = {
    "stable": _("The rule is stable: well tried, few false alarms."),
    "test": _("The rule is in test: it works, tuning may be needed."),
    "experimental": _("The rule is experimental: false alarms are likely."),
    "ioc": _("A value from the watch list was seen."),
}
_SEVERITY = {1: _("The rule calls this informational."), 2: _("The rule calls this low."), 3: _("The rule calls this medium."), 4: _("The rule calls this high."), 5: _("The rule calls this critical.")}


def _chain(facts: dict[str, Any]) -> str:
    others = int(facts["rules"]) - 1
    if others < 1:
        return str(_("No other rule fired on this host within an hour."))
    return ngettext("%(n)d other rule fired on this host within an hour.", "%(n)d other rules fired on this host within an hour.", others) % {"n": others}


def _progression(facts: dict[str, Any]) -> str:
    seen = int(facts["tactics"])
    if seen < 2:
        return str(_("Only one stage of an attack was seen on this host within a day."))
    words = ngettext("%(n)d stage of an attack was seen on this host within a day", "%(n)d stages of an attack were seen on this host within a day", seen) % {"n": seen}
    return words + str(_(", in the order of an attack.") if facts.get("ordered") else _("."))


def _rarity(facts: dict[str, Any]) -> str:
    hosts = int(facts["hosts"])
    return ngettext("The rule fired on %(n)d host in the last 30 days.", "The rule fired on %(n)d hosts in the last 30 days.", hosts) % {"n": hosts}


def _novelty(facts: dict[str, Any]) -> str:
    before = int(facts["before"])
    if before == 0:
        return str(_("This rule has not fired on this host in the last 30 days."))
    return ngettext("This rule raised %(n)d earlier alert on this host in the last 30 days.", "This rule raised %(n)d earlier alerts on this host in the last 30 days.", before) % {"n": before}


def _volume(facts: dict[str, Any]) -> str:
    count = int(facts["count"])
    return ngettext("%(n)d event is folded into this alert.", "%(n)d events are folded into this alert.", count) % {"n": count}


def _phases(facts: dict[str, Any]) -> str:
    seen = int(facts["tactics"])
    if seen < 2:
        return str(_("Only one phase of an attack was seen."))
    words = ngettext("%(n)d phase of an attack was seen", "%(n)d phases of an attack were seen", seen) % {"n": seen}
    return words + str(_(", in the order of an attack.") if facts.get("ordered") else _("."))


_STAKES = {
    "host": {3: _("This host is of high importance."), 2: _("This host is of medium importance."), 1: _("This host is of low importance.")},
    "user": {3: _("A user who took part is of high importance."), 2: _("A user who took part is of medium importance."), 1: _("A user who took part is of low importance.")},
    "range": {3: _("An address that took part lies in a range of high importance."), 2: _("An address that took part lies in a range of medium importance."), 1: _("An address that took part lies in a range of low importance.")},
    "incident": {3: _("What was attacked is of high importance."), 2: _("What was attacked is of medium importance."), 1: _("What was attacked is of low importance.")},
}


def _asset(facts: dict[str, Any]) -> str:
    return str(_STAKES.get(str(facts["about"]), {}).get(int(facts["importance"]), _("Nobody has said how important what was attacked is.")))


def _judged(facts: dict[str, Any]) -> str:
    number = int(facts["false"]) + int(facts["benign"]) + int(facts["real"])
    if not number:
        return str(_("Nobody has judged an alert of this rule here yet."))
    told = facts | {"n": number}
    match facts["circle"]:
        case "entity":
            words = ngettext("Of the last %(n)d alert of this rule with the same user, address or other trace that people judged, %(false)d were false alarms, %(benign)d harmless and %(real)d real.", "Of the last %(n)d alerts of this rule with the same user, address or other trace that people judged, %(false)d were false alarms, %(benign)d harmless and %(real)d real.", number)
        case "host":
            words = ngettext("Of the last %(n)d alert of this rule on this host that people judged, %(false)d were false alarms, %(benign)d harmless and %(real)d real.", "Of the last %(n)d alerts of this rule on this host that people judged, %(false)d were false alarms, %(benign)d harmless and %(real)d real.", number)
        case _:
            words = ngettext("Of the last %(n)d alert of this rule in the organisation that people judged, %(false)d were false alarms, %(benign)d harmless and %(real)d real.", "Of the last %(n)d alerts of this rule in the organisation that people judged, %(false)d were false alarms, %(benign)d harmless and %(real)d real.", number)
    return words % told + (" " + str(_("One person alone judged them, which counts for less.")) if int(facts["people"]) == 1 else "")


_WORDS: dict[str, Any] = {
    "asset": _asset,
    "judged": _judged,
    "severity": lambda facts: _SEVERITY.get(int(facts["severity"]), ""),
    "confidence": lambda facts: _STATUS.get(str(facts["status"]), _("The rule does not say how ripe it is.")),
    "chain": _chain,
    "progression": _progression,
    "watch": lambda facts: _("An indicator on the watch list was met on this host within an hour.") if facts["hit"] else _("No indicator on the watch list was met on this host."),
    "rarity": _rarity,
    "novelty": _novelty,
    "volume": _volume,
    "loudest": lambda facts: _("Its loudest alert has the score %(n)d.") % {"n": facts["score"]},
    "phases": _phases,
    "spread": lambda facts: ngettext("It lies on %(n)d host.", "It reaches over %(n)d hosts.", int(facts["hosts"])) % {"n": facts["hosts"]},
    "rules": lambda facts: ngettext("%(n)d rule fired.", "%(n)d different rules fired.", int(facts["rules"])) % {"n": facts["rules"]},
}


EVERYWHERE = frozenset({"system", "local service", "network service", "anonymous logon", "root", "administrator", "admin", "nobody", "-", "unknown"})
"""Accounts that are somebody else on every machine."""


def telling(kind: str, value: str) -> str:
    """What an entity is called when things are joined by it, or nothing where it names nobody in particular.

    >>> telling("users", "CORP\\\\Li"), telling("users", "SYSTEM"), telling("ips", "127.0.0.1")
    ('corp\\\\li', '', '')
    """
    name = value.strip().lower()[:300]
    if kind == "users":
        return "" if name.rpartition("\\")[2] in EVERYWHERE or name.endswith("$") else name
    if kind == "ips":
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return ""
        return "" if address.is_loopback or address.is_unspecified or address.is_multicast or address.is_link_local else name
    return "" if kind == "domains" and "." not in name else name


@dataclass(frozen=True, slots=True)
class AlertLine:
    """An alert as others see it."""

    id: str
    title: str
    title_zh: str
    severity: int
    score: int
    reasons: tuple[Reason, ...]
    state: str
    verdict: str
    assignee: str
    assignee_name: str
    host: str
    rule_uid: str
    author: str
    alarm: str
    techniques: tuple[str, ...]
    tactics: tuple[str, ...]
    source_name: str
    sample: bool
    backfilled: bool
    first: datetime
    last: datetime
    raised: datetime
    count: int

    @property
    def ref(self) -> Ref:
        return Ref("respond", "alert", self.id)
