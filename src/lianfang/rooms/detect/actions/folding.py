"""Folding: hits of a batch → findings, one per rule, host and quarter of an hour. In memory, before anything is written.

A rule that fires on everything makes as many findings as there are hosts; one that also finds a new host in every event
is folded into one finding without a host, so that a flood costs counting and nothing more. Every event stays reachable
in the lake by the column ``rules``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from lianfang.kernel.labels import DataLevel
from lianfang.rooms.detect.types import ENTITIES, KEPT_EVENTS, window_of

KEPT_VALUES = 20
HOSTS_PER_RULE = 200
"""Beyond so many hosts in one batch, what a rule finds on further hosts folds into one finding without a host."""


@dataclass(slots=True)
class Fold:
    """What one rule found on one host in one window of one batch. ``level``: the highest data level of its events; ``exemption``: what took it."""

    rule_uid: str
    host: str
    territory: str
    industry: str
    window: datetime
    first: datetime
    last: datetime
    user: str = ""
    level: int = 0
    exemption: UUID | None = None
    count: int = 0
    events: list[str] = field(default_factory=list)
    entities: dict[str, dict[str, None]] = field(default_factory=dict)

    def key(self, batch: str) -> str:
        """What makes it one of a kind, however often the batch is examined."""
        parts = (batch, self.rule_uid, self.host, self.territory, self.window.isoformat(), *([str(self.exemption)] if self.exemption else []))
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()

    def plain_entities(self) -> dict[str, list[str]]:
        """Kinds of things that took part, each with its first values."""
        return {kind: list(values) for kind, values in self.entities.items() if values}


class Folder:
    """Takes hits one by one and folds them. ``columns``: the stored columns of the batch by name."""

    def __init__(self, columns: Mapping[str, Sequence[Any]], *, hosts_per_rule: int = HOSTS_PER_RULE):
        self.columns, self.hosts_per_rule = columns, hosts_per_rule
        self.folds: dict[tuple[str, str, str, datetime], Fold] = {}
        self._hosts: dict[str, set[str]] = {}

    def take(self, row: int, uids: Iterable[str]) -> None:
        """The rules that fired on one row."""
        moment, host, territory = self._at("time", row), self._text("host", row), self._text("territory", row)
        for uid in uids:
            self._fold(uid, self._place(uid, host), territory, row, moment).count += 1

    def _place(self, uid: str, host: str) -> str:
        hosts = self._hosts.setdefault(uid, set())
        if host in hosts or len(hosts) < self.hosts_per_rule:
            hosts.add(host)
            return host
        return ""

    def _fold(self, uid: str, host: str, territory: str, row: int, moment: datetime) -> Fold:
        window = window_of(moment)
        fold = self.folds.get(key := (uid, host, territory, window))
        if fold is None:
            fold = self.folds[key] = Fold(uid, host, territory, self._text("industry", row), window, moment, moment, self._text("user", row) or self._text("actor_user", row))
        fold.level = max(fold.level, self._at("level", row) or DataLevel.L4)
        fold.first, fold.last = min(fold.first, moment), max(fold.last, moment)
        if len(fold.events) < KEPT_EVENTS:
            fold.events.append(self._text("event_id", row))
            self._remember(fold, row)
        return fold

    def _remember(self, fold: Fold, row: int) -> None:
        for kind, names in ENTITIES.items():
            kept = fold.entities.setdefault(kind, {})
            for name in names:
                value = self._at(name, row)
                for one in value if isinstance(value, (list, tuple)) else (value,):
                    if one and len(kept) < KEPT_VALUES:
                        kept[str(one)[:300]] = None

    def _at(self, name: str, row: int) -> Any:
        column = self.columns.get(name)
        return column[row] if column is not None else None

    def _text(self, name: str, row: int) -> str:
        return str(self._at(name, row) or "")[:190]


def whole(uid: str, events: Sequence[Mapping[str, Any]], *, territory: str) -> Fold:
    """Events of any batches as one: who and what took part in all of them, on the host of the last."""
    latest = max(events, key=lambda event: event["time"])
    moment = datetime.fromtimestamp(latest["time"] / 1000, UTC)
    columns = {name: [event.get(name) for event in events] for name in events[0]}
    folder = Folder(columns | {"time": [moment] * len(events), "event_id": [event["event"] for event in events], "territory": [territory] * len(events)}, hosts_per_rule=0)
    for row in range(len(events)):
        folder.take(row, (uid,))
    (found,) = folder.folds.values()
    found.host, found.user = str(latest["host"] or "")[:190], str(latest["user"] or latest["actor_user"] or "")[:190]
    return found


def fold(hits: Mapping[int, Sequence[str]], columns: Mapping[str, Sequence[Any]], *, exemption: UUID | None = None) -> list[Fold]:
    """All hits of a batch, folded; the earliest first. ``exemption``: what took them."""
    folder = Folder(columns)
    for row, uids in hits.items():
        folder.take(row, uids)
    for one in folder.folds.values():
        one.exemption = exemption
    return sorted(folder.folds.values(), key=lambda one: (one.first, one.rule_uid, one.host))
