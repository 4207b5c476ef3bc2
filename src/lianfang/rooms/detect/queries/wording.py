"""Wording: the words of a keyword alarm as Sigma rules of the node's own pack.

In: a monitor. Out: rule texts: what is an alarm, what ends it, what is a sign of life; each under an identifier of its own
that follows from the monitor's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from uuid import UUID, uuid5

import yaml

from lianfang.engines.rules.sources import RuleText
from lianfang.rooms.detect import models
from lianfang.rooms.detect.types import OWN_LOGS

SAID, ENDS, ALIVE = "said", "ends", "alive"
TITLES = {SAID: ("", ""), ENDS: (": over", "：恢复"), ALIVE: (": sign of life", "：心跳")}
LEVELS = ("informational", "low", "medium", "high", "critical")


def uid_of(monitor: UUID, part: str) -> str:
    """The identifier of one of a monitor's rules."""
    return str(monitor if part == SAID else uuid5(monitor, part))


def parts_of(row: models.Monitor) -> dict[str, list[str]]:
    """Which rules a monitor has, with their words."""
    return {part: words for part, words in ((SAID, row.keywords), (ENDS, row.recovery), (ALIVE, row.beats)) if words}


def texts(row: models.Monitor) -> list[RuleText]:
    """The rules of a monitor."""
    return [RuleText(f"{row.pk}-{part}.yml", _text(row, part, words)) for part, words in parts_of(row).items()]


def _text(row: models.Monitor, part: str, words: list[str]) -> str:
    every = part == SAID and row.every and len(words) > 1
    said = [_literal(word) for word in words]
    detection: dict[str, object] = {"words": {"|all": said} if every else said}
    if part == SAID and row.unless:
        detection["unless"] = [_literal(word) for word in row.unless]
    detection["condition"] = "words and not unless" if "unless" in detection else "words"
    product, _category, service = OWN_LOGS
    return yaml.safe_dump(
        {
            "title": f"{row.name}{TITLES[part][0]}", "id": uid_of(row.pk, part), "status": "stable", "description": row.note or row.name, "author": row.made_by, "tags": ["lianfang.alarm.outage"],
            "logsource": {"product": product, "service": service}, "detection": detection, "level": LEVELS[row.severity - 1] if part == SAID else LEVELS[0], "lianfang": {"title_zh": f"{row.name}{TITLES[part][1]}"},
        },
        allow_unicode=True, sort_keys=False, width=1000,
    )  # fmt: skip


def _literal(word: str) -> str:
    r"""A word in which nothing is a wildcard.

    >>> _literal(r"50% of C:\\logs* lost?")
    '50% of C:\\\\\\\\logs\\* lost\\?'
    """
    return re.sub(r"([\\*?])", r"\\\1", word)


_CHANGES = re.compile(r"\S*\d\S*|[\[\]{}()<>\"'=,;|]+")
MOST_PIECES, SHORTEST_PIECE = 4, 3
SHORTEST_WORD = 2


def constant(said: str) -> list[str]:
    """What of a log is likely said in its like as well: stretches without numbers, the longest few in their order.

    >>> constant("2026-11-20 09:31:02.113 ERROR [gw-3] order channel disconnected code=10061 by peer")
    ['ERROR', 'order channel disconnected', 'by peer']
    """
    pieces = [piece.strip(" :.-") for piece in _CHANGES.split(said)]
    pieces = [piece for piece in dict.fromkeys(pieces) if len(piece) >= (SHORTEST_PIECE if piece.isascii() else 2)]
    longest = sorted(pieces, key=len, reverse=True)[:MOST_PIECES]
    return [piece[:200] for piece in pieces if piece in longest]


def said_always(piece: str) -> str:
    """A constant piece of a log template as a phrase to look for; nothing when it holds no word.

    >>> said_always(" - order channel lost: ["), said_always("] (")
    ('order channel lost', '')
    """
    words = piece.strip(" \t:.,;|-=()[]{}<>\"'，。；：（）【】")
    return words[:200] if len(words) >= SHORTEST_WORD and any(map(str.isalnum, words)) else ""


def all_texts(rows: Iterable[models.Monitor]) -> tuple[RuleText, ...]:
    """The rules of several monitors, in an order that does not depend on when they were made."""
    return tuple(sorted((text for row in rows for text in texts(row)), key=lambda text: text.path))
