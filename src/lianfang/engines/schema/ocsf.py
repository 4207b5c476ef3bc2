"""The event classes of OCSF at one pinned release: numbers, names, activities; nothing else of the schema.

In: ``ocsf.json`` beside this file, written by ``tools/compile_ocsf.py``. Out: frozen tables.
Source: Open Cybersecurity Schema Framework, https://schema.ocsf.io (Apache-2.0).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

from lianfang.kernel.errors import Invalid


@dataclass(frozen=True, slots=True)
class EventClass:
    """One class: ``activities`` maps ``activity_id`` → English caption; ``zh`` is our Chinese name of the class."""

    uid: int
    name: str
    caption: str
    category_uid: int
    activities: dict[int, str]
    zh: str
    deprecated: bool = False

    def activity(self, caption: str) -> int:
        """English caption → ``activity_id``; raises ``Invalid`` when the class has no such activity.

        >>> CLASSES[3002].activity("Logon")
        1
        """
        for number, name in self.activities.items():
            if name.lower() == caption.lower():
                return number
        raise Invalid(f"{self.caption} has no activity “{caption}”", why=f"It has {', '.join(self.activities.values())}.", todo="Use one of these names.")


def _read() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(resources.files(__package__).joinpath("ocsf.json").read_text("utf-8"))
    return table


def _revive(item: dict[str, Any]) -> EventClass:
    return EventClass(**{**item, "activities": {int(number): name for number, name in item["activities"].items()}})


_TABLE = _read()

RELEASE: str = _TABLE["release"]
CLASSES: dict[int, EventClass] = {item["uid"]: _revive(item) for item in _TABLE["classes"]}
BY_NAME: dict[str, EventClass] = {item.name: item for item in CLASSES.values()}
CATEGORIES_ZH: dict[int, str] = {int(uid): name for uid, name in _TABLE["categories_zh"].items()}
ACTIVITIES_ZH: dict[str, str] = _TABLE["activities_zh"]
CATEGORIES: dict[int, str] = {
    0: "Uncategorized",
    1: "System Activity",
    2: "Findings",
    3: "Identity & Access Management",
    4: "Network Activity",
    5: "Discovery",
    6: "Application Activity",
    7: "Remediation",
    8: "Unmanned Systems",
}
"""English captions of the categories; the Chinese ones are in ``CATEGORIES_ZH``."""


def class_of(name: str | int) -> EventClass:
    """Name or number → the class; raises ``Invalid`` when this release has none.

    >>> class_of("process_activity").uid, class_of(4003).zh
    (1007, 'DNS 活动')
    """
    found = BY_NAME.get(name) if isinstance(name, str) else CLASSES.get(name)
    if found is None:
        raise Invalid(f"OCSF {RELEASE} has no event class “{name}”", todo="Look the class up at schema.ocsf.io and write its name, like process_activity.")
    return found


def caption(class_uid: int, activity_id: int | None = None, *, language: str = "zh") -> str:
    """What an event is called: class, and activity when given.

    >>> caption(3002, 1), caption(3002, 1, language="en")
    ('身份认证：登录', 'Authentication: Logon')
    """
    event = CLASSES.get(class_uid, CLASSES[0])
    chinese = language.startswith("zh")
    title = event.zh if chinese else event.caption
    activity = event.activities.get(activity_id) if activity_id is not None else None
    if not activity:
        return title
    return f"{title}：{ACTIVITIES_ZH[activity]}" if chinese else f"{title}: {activity}"
