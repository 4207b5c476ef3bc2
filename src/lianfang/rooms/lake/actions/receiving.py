"""Receiving: frames become durable in the spool before anybody is thanked for them.

In: a source's name and frames, from HTTP, syslog, folders or files. Out: a ``BatchRef`` that names where they lie. What
a client numbers itself (``key``) is stored once per source, however often it is sent.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic

from django.conf import settings

from lianfang.commons.people import queries as people
from lianfang.engines.envelope import mark_of
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Fault, Invalid, Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models
from lianfang.rooms.lake.actions.spool import Seal, Spool
from lianfang.rooms.lake.actions.spool import backlog as spooled
from lianfang.rooms.lake.queries import protection, shielding
from lianfang.rooms.lake.types import NOT_HERE, BatchRef, Door, Stage

log = logging.getLogger(__name__)

REMEMBERED = 2.0
"""Seconds for which a process remembers a source it has looked up."""
LIMIT = int(os.environ.get("LIANFANG_SPOOL_BYTES", 2 << 30))
MOST_SHARES = 64
MOST_FRAMES = 0xFFFF
LONGEST_KEY = 120

_spools: dict[tuple[int, Path], list[Spool]] = {}
_turns = itertools.count()
_doors: dict[str, tuple[float, Door]] = {}
_lock = threading.Lock()


def receive(source: str, frames: Sequence[bytes], *, actor: Viewer, key: str = "", faults: Sequence[tuple[bytes, str, str]] = ()) -> BatchRef:
    """Take frames of a source in. They are on the disk when this returns.

    Raises ``Refused`` without ``lake.event.add``, ``Missing`` for a source that is absent or out of the actor's scope,
    ``Conflict`` when it is paused, ``Busy`` when the spool is full (nothing was taken: send the same again).
    """
    actor.must("lake.event.add")
    found = door(source, actor)
    if not 0 < len(frames) + len(faults) <= MOST_FRAMES:
        raise Invalid("This is no batch of logs", why=f"It holds {len(frames):,} records; 1 to {MOST_FRAMES:,} are taken at once.", todo="Send them in several parts.")
    if len(key) > LONGEST_KEY:
        raise Invalid("The sequence is too long", why=f"At most {LONGEST_KEY} characters are kept.", todo="Use a number, or a UUID.")
    return spool().append(source, frames, key=key, faults=faults, seal=_seal() if found.guarded else None)


def door(name: str, actor: Viewer) -> Door:
    """The source as a way in, if the actor may see it and it is open."""
    found = _look(name)
    if found is None or not actor.sees(found.territory, found.industry):
        raise Missing(NOT_HERE, why="It does not exist, or it lies outside your scope.", todo="Make it on the page “log sources” first.")
    if found.stage != Stage.ACTIVE:
        raise Conflict(f"The source {name} takes nothing in", why=f"Its stage is {found.stage}.", todo="Open it again on its page.")
    return found


def _look(name: str) -> Door | None:
    until, found = _doors.get(name, (0.0, None))
    if until < monotonic():
        row = models.Source.objects.filter(name=name).first()
        if row is None:
            _doors.pop(name, None)
            return None
        found = Door(row.name, row.codec, row.stage, row.territory, row.industry, bool(shielding.rules_in(row.name, row.territory) or protection.sealed_levels(row.territory)))
        _doors[name] = (monotonic() + REMEMBERED, found)
    return found


def _seal() -> Seal:
    """How groups of a source that is desensitised are sealed on their way through the spool."""
    return partial(people.keyring().seal_bytes, purpose=shielding.SPOOLED)


def unseal(payload: bytes) -> bytes | None:
    """The group again, ``None`` when its key was given up; raises ``Missing``, ``Conflict`` or ``Invalid`` when the node's key is lost or another: the segment then waits."""
    try:
        return people.keyring().open_bytes(payload, purpose=shielding.SPOOLED)
    except Fault:
        if people.given_up(mark_of(payload).key):
            log.error("a sealed batch in the spool was dropped: its key was given up")
            return None
        raise


def hide(raw: bytes) -> bytes:
    """A reject of such a source, sealed: it can be sent through again, and read by nobody on the disk."""
    return people.keyring().seal_bytes(raw, purpose=shielding.REJECTED)


def shown(raw: bytes) -> bytes:
    """A reject as it came."""
    return people.keyring().open_bytes(raw.removeprefix(shielding.MARK), purpose=shielding.REJECTED) if raw.startswith(shielding.MARK) else raw


def forget_doors() -> None:
    """Look every source up again: after one was changed in this process."""
    _doors.clear()


def root() -> Path:
    """Where the spool of this node lies."""
    return Path(settings.HOME) / "spool"


def shares() -> int:
    """How many ingest processes share the work, as ``LIANFANG_INGEST`` says. Raises ``Invalid``."""
    said = os.environ.get("LIANFANG_INGEST", "1")
    count = int(said) if said.isdigit() else 0
    if not 1 <= count <= MOST_SHARES:
        raise Invalid(f"LIANFANG_INGEST is “{said[:20]}”", todo=f"Write how many ingest processes the node shall have, 1 to {MOST_SHARES}.")
    return count


def spool() -> Spool:
    """A writing end of this process, made when it is first needed: one for each ingest process, in turn, so that each has something to carry."""
    place = (os.getpid(), root())
    with _lock:
        if place not in _spools:
            _spools[place] = [Spool(root(), limit=LIMIT) for _ in range(shares())]
        ends = _spools[place]
        return ends[next(_turns) % len(ends)]


def seal() -> None:
    """Close this process's writing ends, so that everything it took can be stored at once."""
    with _lock:
        for place in [place for place in _spools if place[0] == os.getpid()]:
            for end in _spools.pop(place):
                end.close()


def stored_until() -> datetime:
    """A moment up to which everything that was received is in the tables: a second before the oldest segment that waits was begun (a receipt is dated before its segment)."""
    begun = [int(path.name[:16]) for path in root().glob("w*/*") if path.suffix in (".open", ".ready") and path.name[:16].isdigit()]
    return datetime.fromtimestamp((min(begun) - 1000) / 1000, UTC) if begun else clock.now()


def backlog() -> int:
    """Bytes that wait in the spool, of all writers."""
    return spooled(root())
