"""The watch list: every value that is active now, node-wide, and a version that tells cheaply whether it changed.

The version has two parts: how often indicators were changed, and the last moment at which one became valid or expired.
So time alone changes it too, and nothing has to run for that. Asking for it costs three look-ups by index.

A process that asked for the list once keeps it, and afterwards reads only what was changed, began or ended since.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from uuid import UUID

from django.db.models import Q, QuerySet

from lianfang.kernel import clock
from lianfang.rooms.intel import models
from lianfang.rooms.intel.types import WATCHED, Standing, WatchList

ONLY = 1
"""The key of the one row of editions."""
_AT_ONCE = 800


def active(now: datetime | None = None) -> QuerySet[models.Indicator]:
    """Indicators that stand at this moment: valid, not expired, not revoked."""
    now = now or clock.now()
    return models.Indicator.objects.filter(Q(valid_until__isnull=True) | Q(valid_until__gt=now), revoked=False, valid_from__lte=now)


def watchlist_version() -> str:
    """Changes whenever ``watchlist()`` may give something else; cheap enough to ask every second."""
    return _version(_edition().number, clock.now())


def _edition() -> models.Edition:
    """As the table says it; while nothing was ever changed, one that was never written."""
    return models.Edition.objects.filter(pk=ONLY).first() or models.Edition(pk=ONLY)


def _version(number: int, now: datetime) -> str:
    turns = [_last(name, now) for name in ("valid_from", "valid_until")]
    last = max((moment for moment in turns if moment), default=None)
    return f"{number}.{int(last.timestamp() * 1000) if last else 0}"


def _last(name: str, now: datetime) -> datetime | None:
    """The last moment up to now at which something began (or ended): the end of an index, one row."""
    return models.Indicator.objects.filter(**{f"{name}__lte": now}).order_by(f"-{name}").values_list(name, flat=True).first()


Parts = dict[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Kept:
    """The list as it was at an edition and a moment. ``birth`` tells the tables of one node from those of another."""

    birth: UUID
    number: int
    moment: datetime
    parts: Parts


_kept: list[Kept] = []
_turn = Lock()


def watchlist() -> WatchList:
    """All values to watch for now. The version is read first: what changes meanwhile gives another version later."""
    now, edition = clock.now(), _edition()
    version = _version(edition.number, now)
    with _turn:
        last = _kept[0] if _kept else None
        follows = last is not None and last.birth == edition.birth and edition.removed <= last.number <= edition.number and last.moment <= now
        parts = _changed(last, now) if last is not None and follows else _whole(now)
        _kept[:] = [Kept(edition.birth, edition.number, now, parts)]
    return WatchList(version, **parts)


def _whole(now: datetime) -> Parts:
    parts: dict[str, set[str]] = {part: set() for part in WATCHED.values()}
    for kind, value in _watched(active(now)).values_list("kind", "value").iterator(chunk_size=5_000):
        parts[WATCHED[kind]].add(value)
    return {part: frozenset(values) for part, values in parts.items()}


def _changed(last: Kept, now: datetime) -> Parts:
    """The parts with what was written, began or ended since. What one source no longer says stays while another says it."""
    moved = (Q(edition__gt=last.number), Q(valid_from__gt=last.moment, valid_from__lte=now), Q(valid_until__gt=last.moment, valid_until__lte=now))
    come, gone = defaultdict[str, set[str]](set), dict[str, tuple[str, str]]()
    for since in moved:
        for row in _watched(models.Indicator.objects.filter(since)).only("kind", "value", "digest", "revoked", "valid_from", "valid_until").iterator(chunk_size=5_000):
            if row.standing_at(now) == Standing.ACTIVE:
                come[WATCHED[row.kind]].add(row.value)
            else:
                gone[row.digest] = WATCHED[row.kind], row.value
    left = _left(gone, now)
    return {part: (values - left[part]) | come[part] if left[part] or come[part] else values for part, values in last.parts.items()}


def _left(gone: dict[str, tuple[str, str]], now: datetime) -> dict[str, set[str]]:
    """Of values that somebody no longer says, those that nobody says."""
    left, digests = defaultdict[str, set[str]](set), list(gone)
    for start in range(0, len(digests), _AT_ONCE):
        asked = digests[start : start + _AT_ONCE]
        said = set(active(now).filter(digest__in=asked).values_list("digest", flat=True))
        for part, value in (gone[digest] for digest in asked if digest not in said):
            left[part].add(value)
    return left


def _watched(rows: QuerySet[models.Indicator]) -> QuerySet[models.Indicator]:
    return rows.filter(kind__in=list(WATCHED))


def size() -> int:
    """How many indicators are active and watched for."""
    return _watched(active()).count()
