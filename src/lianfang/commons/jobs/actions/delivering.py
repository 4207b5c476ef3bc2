"""Delivering facts: each listener in turn, its facts in order, each in the transaction of its own effect."""

from __future__ import annotations

import logging
from uuid import UUID

from django.db import transaction

from lianfang.commons.jobs import declare, models
from lianfang.commons.jobs.actions.leasing import extend, give_back, take
from lianfang.commons.jobs.types import State, pause
from lianfang.kernel import clock
from lianfang.kernel.errors import Fault
from lianfang.kernel.facts import revive

log = logging.getLogger("lianfang.jobs")
BATCH = 200


def deliver_due(*, lease: float) -> int:
    """Hand every due fact to its listeners; returns how many were handled. Listeners in other hands are left to them."""
    waiting = models.Delivery.objects.filter(due__lte=clock.now()).order_by().values_list("listener", flat=True).distinct()
    return sum(_serve(listener, lease=lease) for listener in waiting)


def _serve(listener: str, *, lease: float) -> int:
    name = f"listener:{listener}"
    token = take(name, seconds=lease)
    if token is None:
        return 0
    try:
        return _drain(listener, name, token, lease=lease)
    finally:
        give_back(name, token)


def _drain(listener: str, name: str, token: UUID, *, lease: float) -> int:
    """Up to ``BATCH`` facts in order. One that must wait holds back those behind it; one that failed for good does not."""
    queue = models.Delivery.objects.filter(listener=listener, state=State.WAITING).select_related("fact").order_by("fact_id")[:BATCH]
    renew = clock.now().timestamp() + lease / 3
    for done, delivery in enumerate(queue):
        now = clock.now()
        if delivery.due > now or not _hand_over(delivery):
            return done
        if now.timestamp() > renew:
            renew = now.timestamp() + lease / 3
            if not extend(name, token, seconds=lease):
                return done + 1
    return len(queue)


def _hand_over(delivery: models.Delivery) -> bool:
    """The listener's effect and the mark "done" are one transaction, both or neither, unless it wants none. ``False`` when it must wait."""
    try:
        listener, fact = declare.listener_called(delivery.listener), revive(delivery.fact.name, delivery.fact.body)
        if not listener.atomic:
            listener.function(fact)
        with transaction.atomic():
            mine = models.Delivery.objects.filter(pk=delivery.pk, state=State.WAITING)
            if mine.update(state=State.DONE, due=None, attempts=delivery.attempts + 1, finished=clock.now(), error="") and listener.atomic:
                listener.function(fact)
        return True
    except Exception as error:
        return _set_back(delivery, error)


def _set_back(delivery: models.Delivery, error: Exception) -> bool:
    attempts = delivery.attempts + 1
    known = declare._listeners.get(delivery.listener)
    final = attempts >= (known.attempts if known else 1) or (isinstance(error, Fault) and not error.retry)
    log.warning("%s: attempt %d failed%s: %s", delivery, attempts, " for good" if final else "", error, exc_info=not isinstance(error, Fault))
    change = {"state": State.DEAD, "due": None, "finished": clock.now()} if final else {"due": clock.now() + pause(attempts)}
    models.Delivery.objects.filter(pk=delivery.pk, state=State.WAITING).update(attempts=attempts, error=f"{type(error).__name__}: {error}"[:4000], **change)
    return final
