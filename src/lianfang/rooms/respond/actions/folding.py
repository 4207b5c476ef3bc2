"""Folding: findings → sessions. One rule on one host stays one alert until it has been silent for a quarter of an hour.

Sessions follow event time, so findings may come late, reversed or twice. A finding that bridges two sessions joins them,
unless a person has decided something about the younger one: what people touched stays where it is. A closed alert takes
in only what lies within the time it already covers; whatever comes after it is news.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from lianfang.kernel.labels import DataLevel, Severity
from lianfang.rooms.detect.types import FindingLine
from lianfang.rooms.respond import models
from lianfang.rooms.respond.types import GAP, Verdict

KEPT_EVENTS = 50
KEPT_VALUES = 50

Key = tuple[str, str, str]
"""(territory, host, rule uid): what may fold together."""


def key_of(row: FindingLine | models.Alert) -> Key:
    """What this finding or alert folds by."""
    return (row.territory, row.host, row.rule_uid)


@dataclass(slots=True)
class Session:
    """An alert being filled. ``stored``: it stands in the table; ``absorbed``: stored alerts whose place it takes."""

    alert: models.Alert
    stored: bool = False
    changed: bool = False
    fresh: list[FindingLine] = field(default_factory=list)
    absorbed: list[models.Alert] = field(default_factory=list)

    def touches(self, first: datetime, last: datetime) -> bool:
        """Whether something from ``first`` to ``last`` belongs to this session."""
        if not self.alert.is_open:
            again = self.alert.verdict == Verdict.RECOVERED and self.alert.recovered is not None and first >= self.alert.recovered
            return self.alert.first <= first and last <= self.alert.last and not again
        return first <= self.alert.last + GAP and last >= self.alert.first - GAP

    def take(self, finding: FindingLine) -> None:
        """Fold one finding in."""
        alert = self.alert
        alert.first, alert.last = min(alert.first, finding.first), max(alert.last, finding.last)
        alert.hour = models.hour_of(alert.last)
        alert.count += finding.count
        if alert.is_open and alert.recovered and finding.last >= alert.recovered:
            alert.recovered = None  # it is said again
        alert.severity = max(alert.severity, finding.severity)
        alert.level = max(alert.level or DataLevel.L4, finding.level or DataLevel.L4)
        alert.backfilled = alert.backfilled and finding.backfilled
        alert.events = _first(alert.events, finding.events, KEPT_EVENTS)
        alert.techniques, alert.tactics = _first(alert.techniques, finding.techniques), _first(alert.tactics, finding.tactics)
        alert.entities = merged(alert.entities, finding.entities)
        self.fresh.append(finding)
        self.changed = True

    def absorb(self, other: Session) -> None:
        """Take over all that ``other`` holds; ``other`` ends."""
        alert, gone = self.alert, other.alert
        alert.first, alert.last = min(alert.first, gone.first), max(alert.last, gone.last)
        alert.raised = min(alert.raised, gone.raised)
        alert.hour = models.hour_of(alert.last)
        alert.count += gone.count
        alert.severity = max(alert.severity, gone.severity)
        alert.level = max(alert.level or DataLevel.L4, gone.level or DataLevel.L4)
        alert.backfilled = alert.backfilled and gone.backfilled
        alert.events = _first(alert.events, gone.events, KEPT_EVENTS)
        alert.entities = merged(alert.entities, gone.entities)
        self.fresh += other.fresh
        self.absorbed += other.absorbed + ([gone] if other.stored else [])
        self.changed = True


def _first(kept: Iterable[str], more: Iterable[str], limit: int = KEPT_VALUES) -> list[str]:
    return list(dict.fromkeys([*kept, *more]))[:limit]


def merged(entities: dict[str, list[str]], more: dict[str, list[str]]) -> dict[str, list[str]]:
    """Two lists of what took part, as one; each kind keeps its first fifty values.

    >>> merged({"ips": ["10.0.0.1"]}, {"ips": ["10.0.0.2", "10.0.0.1"], "users": ["li"]})
    {'ips': ['10.0.0.1', '10.0.0.2'], 'users': ['li']}
    """
    return {kind: _first(entities.get(kind, ()), more.get(kind, ())) for kind in dict.fromkeys([*entities, *more])}


def opened(finding: FindingLine) -> Session:
    """A new session that begins with this finding."""
    alert = models.Alert(
        **{name: getattr(finding, name) for name in ("organisation", "territory", "industry", "kind", "rule_uid", "title", "title_zh", "author", "licence", "status", "alarm", "host", "source", "source_name", "sample", "backfilled", "first", "last")},
        severity=Severity.INFORMATIONAL,
        level=finding.level,
    )
    session = Session(alert)
    session.take(finding)
    return session


def _joined(touching: list[Session]) -> Session:
    """Of sessions that one finding touches, the one that takes it; untouched others are absorbed into it."""
    keep = min(touching, key=lambda session: (not session.alert.is_open, session.alert.untouched, not session.stored, session.alert.first))
    for other in touching:
        if other is not keep and keep.alert.is_open and other.alert.untouched:
            keep.absorb(other)
    return keep


def fold(findings: Iterable[FindingLine], sessions: list[Session]) -> list[Session]:
    """Fold findings of one key into ``sessions`` of the same key; returns all sessions that are left, in no order."""
    for finding in sorted(findings, key=lambda one: (one.first, one.last, one.id)):
        touching = [session for session in sessions if session.touches(finding.first, finding.last)]
        if not touching:
            sessions = [*sessions, opened(finding)]
            continue
        keep = _joined(touching)
        keep.take(finding)
        gone = [session for session in touching if session is not keep and keep.alert.is_open and session.alert.untouched]
        sessions = [session for session in sessions if session not in gone]
    return sessions
