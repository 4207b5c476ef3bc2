"""Leases: one holder at a time, across threads, processes and machines.

A lease is a row that is taken by a conditional update and runs out by itself when its holder dies. It saves doing things
twice; what must never happen twice is guarded by the transaction that does it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID, uuid4

from lianfang.commons.jobs import models
from lianfang.kernel import clock


def take(name: str, *, seconds: float) -> UUID | None:
    """Take the lease, or ``None`` while another holds it."""
    now, token = clock.now(), uuid4()
    until = now + timedelta(seconds=seconds)
    if models.Lease.objects.filter(name=name, until__lte=now).update(token=token, until=until):
        return token
    models.Lease.objects.bulk_create([models.Lease(name=name, token=token, until=until)], ignore_conflicts=True)
    return token if models.Lease.objects.filter(name=name, token=token).exists() else None


def extend(name: str, token: UUID, *, seconds: float) -> bool:
    """Hold it longer; ``False`` when it was lost."""
    return bool(models.Lease.objects.filter(name=name, token=token).update(until=clock.now() + timedelta(seconds=seconds)))


def give_back(name: str, token: UUID) -> None:
    """Let the next one in at once."""
    models.Lease.objects.filter(name=name, token=token).update(until=clock.now())


@contextmanager
def leased(name: str, *, seconds: float = 30.0) -> Iterator[bool]:
    """``with leased("lake.compact") as mine:`` — ``mine`` says whether this caller holds it."""
    token = take(name, seconds=seconds)
    try:
        yield token is not None
    finally:
        if token:
            give_back(name, token)
