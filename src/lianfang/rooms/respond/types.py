"""Values and facts of respond that may leave the room: states, verdicts, lines of the queue, and reasons in words.

In: nothing. Out: frozen values that pages, the API and higher rooms read; the fact that alerts were raised.
"""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class AlertRaised(Fact):
    """``count`` alerts were raised from one batch; ``alerts`` names at most a hundred of them, the most important first."""

    batch: str
    count: int
    alerts: list[str]


@dataclass(frozen=True, slots=True)
class Reason:
    """One term of a score: ``value`` (0 … 1) × ``weight`` gave ``points`` of 100; ``facts`` are the numbers that its words speak of."""

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


_WORDS: dict[str, Any] = {
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
