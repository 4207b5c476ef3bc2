"""The frame in which rules are read: tactics and techniques of ATT&CK, and alarm types. Content, read once.

In: ``content/frameworks``. Out: names in the reader's language, the order of tactics, the alarm type of a rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml
from django.conf import settings

from lianfang.commons.frame.language import either, headed

ALARM_TAG = "lianfang.alarm."
TACTIC_TAG = "attack."


@dataclass(frozen=True, slots=True)
class Named:
    """Something with a key (and an identifier others know it by) and a name in two languages."""

    key: str
    id: str
    en: str
    zh: str

    @property
    def name(self) -> str:
        """In the reader's language."""
        return either(self.zh, self.en)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Attack:
    """The matrix: tactics in their order; techniques with the tactics they serve."""

    edition: str
    tactics: tuple[Named, ...]
    techniques: dict[str, Named]
    serves: dict[str, tuple[str, ...]]
    other_names: dict[str, tuple[str, ...]]

    @property
    def order(self) -> dict[str, int]:
        """Tactic key → its column."""
        return {tactic.key: column for column, tactic in enumerate(self.tactics)}

    def tactic(self, key: str) -> Named:
        """A tactic by its key; an unknown one is named by its key."""
        return next((tactic for tactic in self.tactics if tactic.key == key), Named(key, "", key, key))

    def technique(self, id: str) -> Named:
        """A technique by its id; an unknown one is named by its id alone."""
        return self.techniques.get(id) or Named(id, id, id, id)

    def full_name(self, id: str) -> str:
        """``T1003.001`` → ``OS Credential Dumping: LSASS Memory``."""
        own = self.technique(id).name
        parent = id.split(".")[0]
        return headed(self.technique(parent).name, own) if parent != id and own != id else own

    def served_by(self, id: str) -> tuple[str, ...]:
        """The tactics that a technique serves, in the order of the matrix."""
        return self.serves.get(id.split(".")[0], ())


@cache
def attack() -> Attack:
    """ATT&CK Enterprise, as far as this node names it."""
    content = _read("attack.yaml")
    techniques = content["techniques"]
    return Attack(
        edition=content["edition"],
        tactics=tuple(Named(row["key"], row["id"], row["en"], row["zh"]) for row in content["tactics"]),
        techniques={id: Named(id, id, row[0], row[1]) for id, row in techniques.items()},
        serves={id: tuple(row[2:]) for id, row in techniques.items() if len(row) > 2},
        other_names=_other_names(content["tactics"]),
    )


def _other_names(rows: list[dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Older names of tactics → what became of each; one was parted in two."""
    old: dict[str, tuple[str, ...]] = {}
    for row in rows:
        for name in row.get("also", ()):
            old[name] = (*old.get(name, ()), row["key"])
    return old


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm type, and what makes a rule one of it."""

    named: Named
    techniques: tuple[str, ...]
    tactics: tuple[str, ...]

    def fits(self, techniques: Iterable[str], tactics: Iterable[str]) -> bool:
        """Whether a rule with these marks is of this type; a parent technique covers its sub-techniques."""
        return any(id in self.techniques or id.split(".")[0] in self.techniques for id in techniques) or bool(set(tactics) & set(self.tactics))


@cache
def alarms() -> dict[str, Alarm]:
    """Alarm types by key, in the order of decision."""
    return {row["key"]: Alarm(Named(row["key"], "", row["en"], row["zh"]), tuple(row.get("techniques", ())), tuple(row.get("tactics", ()))) for row in _read("alarms.yaml")}


def alarm_name(key: str) -> str:
    """What an alarm type is called in the reader's language."""
    found = alarms().get(key)
    return found.named.name if found else key


def tactics_of(tags: Iterable[str], techniques: Iterable[str]) -> tuple[str, ...]:
    """The tactics a rule names, or, where it names none, those its techniques serve; in the order of the matrix.

    >>> tactics_of(["attack.defense-evasion", "attack.t1055"], ["T1055"]), tactics_of(["attack.defense_evasion"], ["T1562.001"])
    (('stealth',), ('defense-impairment',))
    """
    frame = attack()
    said = {tag.removeprefix(TACTIC_TAG).replace("_", "-") for tag in tags if tag.startswith(TACTIC_TAG)}
    served = {tactic for id in techniques for tactic in frame.served_by(id)}
    named = said & set(frame.order)
    for old in said & set(frame.other_names):
        became = frame.other_names[old]
        named |= (served & set(became)) or {became[0]}
    named = named or {tactic for id in techniques for tactic in frame.served_by(id)[:1]}
    return tuple(sorted(named, key=frame.order.__getitem__))


def alarm_of(tags: Iterable[str], techniques: Iterable[str], tactics: Iterable[str]) -> str:
    """The alarm type of a rule: the one it names, else the first that fits; ``""`` when none does.

    >>> alarm_of(["lianfang.alarm.webshell"], [], []), alarm_of([], ["T1110.003"], [])
    ('webshell', 'weak-password')
    """
    named = next((tag.removeprefix(ALARM_TAG) for tag in tags if tag.startswith(ALARM_TAG)), "")
    if named:
        return named
    techniques, tactics = list(techniques), list(tactics)
    return next((key for key, alarm in alarms().items() if alarm.fits(techniques, tactics)), "")


def _read(name: str) -> Any:
    return yaml.safe_load((settings.CONTENT / "frameworks" / name).read_text("utf-8"))
