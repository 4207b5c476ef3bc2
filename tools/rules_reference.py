"""docs/reference/rules.md: the starter pack as a table, generated from its rules.

In: content/rules/starter, content/frameworks. Out: Markdown, the same on every run; ``--check`` writes nothing and ends
with 1 when the file is out of date.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PACK = ROOT / "content/rules/starter"
OUT = ROOT / "docs/reference/rules.md"
GROUPS = {"windows": "Windows: Sysmon, Security, System, PowerShell", "linux": "Linux: sshd, sudo, syslog", "web": "Web access logs", "trading": "Trading systems: CTP"}
LEVELS = ("critical", "high", "medium", "low", "informational")
ATTACK = "https://attack.mitre.org/techniques/"


def rules(group: str) -> list[tuple[str, dict[str, Any]]]:
    """(path in the pack, rule) of a group: the gravest first, then by title."""
    found = [(f"{group}/{path.name}", yaml.safe_load(path.read_text("utf-8"))) for path in (PACK / group).glob("*.yml")]
    return sorted(found, key=lambda one: (LEVELS.index(one[1]["level"]), one[1]["title"]))


def alarms() -> dict[str, dict[str, str]]:
    """Alarm types by key."""
    return {alarm["key"]: alarm for alarm in yaml.safe_load((ROOT / "content/frameworks/alarms.yaml").read_text("utf-8"))}


def alarm_of(rule: dict[str, Any]) -> str:
    """The alarm type that a rule names."""
    return next((tag.removeprefix("lianfang.alarm.") for tag in rule["tags"] if tag.startswith("lianfang.alarm.")), "")


def techniques(rule: dict[str, Any]) -> Iterator[str]:
    """ATT&CK techniques as links."""
    for tag in rule["tags"]:
        if re.fullmatch(r"attack\.t\d{4}(\.\d{3})?", tag):
            name = tag.removeprefix("attack.").upper()
            yield f"[{name}]({ATTACK}{name.replace('.', '/')}/)"


def table(group: str) -> Iterator[str]:
    """The rules of a group as lines of a table."""
    types = alarms()
    yield "| rule | 规则 | level | alarm type | ATT&CK |"
    yield "|---|---|---|---|---|"
    for path, rule in rules(group):
        alarm = types[alarm_of(rule)]
        yield f"| [{rule['title']}](../../content/rules/starter/{path}) | {rule['lianfang']['title_zh']} | {rule['level']} | {alarm['en']} {alarm['zh']} | {', '.join(techniques(rule))} |"


def document() -> str:
    """The whole page."""
    pack = yaml.safe_load((PACK / "pack.yml").read_text("utf-8"))
    every = [rule for group in GROUPS for _path, rule in rules(group)]
    types = alarms()
    count = Counter(alarm_of(rule) for rule in every)
    lines: list[str] = [f"# {pack['title']}", "", f"{len(every)} rules in version {pack['version']}, {pack['licence']}, written by us. Each has samples on which it fires and near misses on which it stays silent; `lianfang rules test` runs them all. How to write one: [content/rules](../../content/rules/README.md).", ""]
    lines += ["| alarm type | 告警类型 | rules |", "|---|---|--:|", *(f"| {alarm['en']} | {alarm['zh']} | {count[key]} |" for key, alarm in types.items() if count[key]), ""]
    for group, title in GROUPS.items():
        lines += [f"## {title}", "", *table(group), ""]
    return "\n".join(lines)


def main(arguments: Iterable[str]) -> int:
    """Write the page, or with ``--check`` compare it."""
    text = document()
    if "--check" in arguments:
        current = OUT.is_file() and OUT.read_text("utf-8") == text
        print(f"{OUT.relative_to(ROOT)} is {'current' if current else 'out of date: python tools/rules_reference.py'}")
        return 0 if current else 1
    OUT.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
