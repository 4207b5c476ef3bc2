"""The watch list, as intel keeps it: when it changed, its values, and what is known of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lianfang.engines.rules.types import WatchSets
from lianfang.kernel.labels import TLP, Severity
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect.types import IOC
from lianfang.rooms.intel import queries as intel
from lianfang.rooms.intel.types import WATCHED, Known

AT_ONCE = 500
SURE = 75
"""From this confidence on, a hit counts as high; below, as medium."""

_ALARM = {"hash": ("execution", "execution")}
_NAMED = {"ips": "ip", "cidrs": "cidr", "domains": "domain", "hashes": "hash", "urls": "url"}
_USUAL = ("callback", "command-and-control")


def changed_since(version: str) -> tuple[str, WatchSets | None]:
    """The watch list's version, and its values when that is not ``version``."""
    if intel.watchlist_version() == version:
        return version, None
    found = intel.watchlist()
    return found.version, WatchSets(ips=found.ips, cidrs=found.cidrs, domains=found.domains, hashes=found.hashes, urls=found.urls)


def uid_of(kind: str, value: str) -> str:
    """What findings call an indicator of intel: ``ioc:<kind>:<value>``.

    >>> uid_of("ipv4", "192.0.2.7"), uid_of("sha256", "ab")
    ('ioc:ip:192.0.2.7', 'ioc:hash:ab')
    """
    return f"{IOC}{_NAMED.get(WATCHED.get(kind, ''), kind)}:{value}"[:190]


def described(uids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What a finding copies of an indicator: ``ioc:<kind>:<value>`` → title, severity, author (its source) and the rest."""
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(uids), AT_ONCE):
        part = uids[start : start + AT_ONCE]
        answers = intel.look_up([uid.removeprefix(IOC).split(":", 1)[1] for uid in part], SYSTEM)
        found |= {uid: _described(uid, answer.known) for uid, answer in zip(part, answers, strict=True)}
    return found


def _described(uid: str, known: Iterable[Known]) -> dict[str, Any]:
    kind, value = uid.removeprefix(IOC).split(":", 1)
    best = max((one for one in known if one.standing == "active"), key=lambda one: one.confidence, default=None)
    alarm, tactic = _ALARM.get(kind, _USUAL)
    sure = best is None or best.confidence >= SURE
    return {
        "title": f"Watch list hit: {value}"[:250], "title_zh": f"命中布控名单：{value}"[:250], "severity": Severity.HIGH if sure else Severity.MEDIUM, "status": "",
        "author": _source(best), "licence": "", "techniques": [], "tactics": [tactic], "alarm": alarm,
    }  # fmt: skip


def _source(known: Known | None) -> str:
    """Whose indicator it is, as far as its mark lets everybody on this node know."""
    return known.source if known and TLP(known.tlp).rank <= TLP.AMBER.rank else ""
