"""A bell in the process: who writes work rings it after the commit, and the workers of this process need not wait for their next look."""

from __future__ import annotations

import threading
from weakref import WeakSet

from django.db import transaction

_bells: WeakSet[threading.Event] = WeakSet()


def new() -> threading.Event:
    """A bell that is rung with all others."""
    bell = threading.Event()
    _bells.add(bell)
    return bell


def ring() -> None:
    """Ring now."""
    for bell in tuple(_bells):
        bell.set()


def ring_after_commit() -> None:
    """Ring when the work can be seen."""
    if _bells:
        transaction.on_commit(ring)
