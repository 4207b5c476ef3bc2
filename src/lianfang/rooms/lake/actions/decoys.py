"""Pages of ours that tell who looks at them: a visit comes in without a login, by a name that cannot be guessed.

In: the token of a source, the bytes of a visit, and what the node saw of its sender. Out: one frame in the spool, or a
refusal that tells a stranger nothing.
"""

from __future__ import annotations

import secrets

from django.db import transaction

from lianfang.commons.ledger import actions as ledger
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Missing
from lianfang.kernel.pace import Pace
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.lake import models
from lianfang.rooms.lake.actions import receiving
from lianfang.rooms.lake.adapters import decoy
from lianfang.rooms.lake.types import Busy, Kind, Stage

EACH, ALL = 30, 600
"""Visits a minute that one address may tell, and that one source takes."""
PACE = Pace()


def new_token() -> str:
    """The name of a source that stands in its script's address: 144 bits, unlike its name in events."""
    return secrets.token_urlsafe(18)


def decoy_of(token: str) -> models.Source:
    """The open source of that token; raises ``Missing`` for any other."""
    row = models.Source.objects.filter(kind=Kind.DECOY, token=token, stage=Stage.ACTIVE).first() if token else None
    if row is None:
        raise Missing("There is nothing at this address")
    return row


def meet(token: str, body: bytes, *, address: str, agent: str, languages: str) -> None:
    """Take a visit in. Raises ``Missing``, ``Invalid``, ``Busy`` (too many, or the spool is full)."""
    row = decoy_of(token)
    if not PACE.allows((f"{row.pk} {address}", EACH), (str(row.pk), ALL)):
        busy = Busy("Too many visits at once")
        busy.retry_after = 60
        raise busy
    frame = decoy.record(body, decoy.Seen(clock.text(clock.now()), address, agent, languages), source=row.name)
    receiving.receive(row.name, [frame], actor=SYSTEM)


@transaction.atomic
def renew_token(row: models.Source, *, actor: Viewer) -> None:
    """Give the script another address; pages that name the old one tell nothing any more."""
    actor.must("lake.source.change")
    if row.kind != Kind.DECOY:
        raise Conflict("Only decoy pages have a script")
    models.Source.objects.filter(pk=row.pk).update(token=new_token())
    ledger.record("lake.token_renewed", row.ref, actor=actor, label=row.name, territory=row.territory, industry=row.industry)
