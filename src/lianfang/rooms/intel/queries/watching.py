"""The watch list: every value that is active now, node-wide, and a version that tells cheaply whether it changed.

The version has two parts: how often indicators were changed, and the last moment at which one became valid or expired.
So time alone changes it too, and nothing has to run for that. Asking for it costs three look-ups by index.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q, QuerySet

from lianfang.kernel import clock
from lianfang.rooms.intel import models
from lianfang.rooms.intel.types import WATCHED, WatchList

ONLY = 1
"""The key of the one row of editions."""


def active(now: datetime | None = None) -> QuerySet[models.Indicator]:
    """Indicators that stand at this moment: valid, not expired, not revoked."""
    now = now or clock.now()
    return models.Indicator.objects.filter(Q(valid_until__isnull=True) | Q(valid_until__gt=now), revoked=False, valid_from__lte=now)


def watchlist_version() -> str:
    """Changes whenever ``watchlist()`` may give something else; cheap enough to ask every second."""
    return _version(clock.now())


def _version(now: datetime) -> str:
    number = models.Edition.objects.filter(pk=ONLY).values_list("number", flat=True).first() or 0
    turns = [_last(name, now) for name in ("valid_from", "valid_until")]
    last = max((moment for moment in turns if moment), default=None)
    return f"{number}.{int(last.timestamp() * 1000) if last else 0}"


def _last(name: str, now: datetime) -> datetime | None:
    """The last moment up to now at which something began (or ended): the end of an index, one row."""
    return models.Indicator.objects.filter(**{f"{name}__lte": now}).order_by(f"-{name}").values_list(name, flat=True).first()


def watchlist() -> WatchList:
    """All values to watch for now. The version is read first: what changes meanwhile gives another version later."""
    now = clock.now()
    version = _version(now)
    parts: dict[str, set[str]] = {part: set() for part in WATCHED.values()}
    for kind, value in active(now).filter(kind__in=list(WATCHED)).values_list("kind", "value").iterator(chunk_size=5_000):
        parts[WATCHED[kind]].add(value)
    return WatchList(version, **{part: frozenset(values) for part, values in parts.items()})


def size() -> int:
    """How many indicators are active and watched for."""
    return active().filter(kind__in=list(WATCHED)).count()
