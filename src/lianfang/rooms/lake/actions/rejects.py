"""Rejects sent through again, after whatever stopped them was mended.

In: a source and the kind of reason. Out: how many frames went in again. They carry the number of their reject, so that
however often this is asked each is taken once; rejects whose bytes were cut stay where they are.
"""

from __future__ import annotations

from django.db import transaction

from lianfang.commons.ledger import actions as ledger
from lianfang.kernel.errors import Conflict
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models, queries
from lianfang.rooms.lake.actions import receiving
from lianfang.rooms.lake.types import AGAIN

PART = 500
MOST = 50_000


def replay_rejects(source: str, kind: str, *, actor: Viewer) -> int:
    """Receive the rejects of one kind again; returns how many frames. Those that fail again are listed anew."""
    actor.must("lake.reject.replay")
    row = receiving.door(source, actor)
    until = receiving.stored_until()
    count = 0
    for part in queries.whole_rejects(source, kind, until=until, viewer=actor, part=PART, most=MOST):
        receiving.receive(source, [receiving.shown(raw) for _, raw in part], actor=actor, key=f"{AGAIN}{part[0][0]}:{part[-1][0]}")
        count += len(part)
    if not count:
        raise Conflict("Nothing can be sent through again", why="The rejects of this kind are gone, were sent already, or were too long to be kept whole.", todo="Look at the list again.")
    with transaction.atomic():
        replay = models.Replay.objects.create(source=source, kind=kind, until=until, frames=count)
        ledger.record("lake.rejects_replayed", queries.reject_ref(replay), actor=actor, label=f"{source}: {kind}"[:200], detail={"frames": count}, territory=row.territory, industry=row.industry)
    return count
