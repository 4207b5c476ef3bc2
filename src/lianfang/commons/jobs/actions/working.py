"""The worker: one lane for facts and schedules, some lanes for jobs, one heartbeat.

Facts have a lane of their own because a person waits for what they set in motion; a long job never stands in their way.
Idle, a worker costs one indexed look for facts every fifth of a second and one per lane for jobs every half; work written
in the same process rings a bell.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from lianfang.commons.jobs import declare
from lianfang.commons.jobs.actions import bell, delivering, running, scheduling
from lianfang.kernel import clock

log = logging.getLogger("lianfang.jobs")
SHORTEST, FACTS_WAIT, JOBS_WAIT = 0.01, 0.2, 0.5


class Worker:
    """One worker process. ``lease``: seconds after which another may take over what this one left lying."""

    def __init__(self, *, lanes: int, lease: float):
        self.lanes, self.lease = lanes, lease
        self.held: dict[UUID, str] = {}
        self.look_again: datetime | None = None

    def facts(self) -> int:
        """One round of the lane of facts and schedules; returns how much was done."""
        if self.look_again is None or self.look_again <= clock.now():
            self.look_again = scheduling.start_due()
        return delivering.deliver_due(lease=self.lease)

    def jobs(self) -> int:
        """One job, if one is due."""
        job = running.take_due(lease=self.lease)
        if job is None:
            return 0
        self.held[job.token] = job.name
        try:
            running.run(job)
        finally:
            self.held.pop(job.token, None)
        return 1

    def beat(self) -> int:
        if self.held:
            running.extend_all(list(self.held), lease=self.lease)
        return 0


def work(once: bool = False, stop: threading.Event | None = None, *, lanes: int = 2, lease: float = 30.0) -> None:
    """Work until ``stop`` is set; ``once``: until nothing is due, in the calling thread."""
    declare.discover()
    scheduling.write_down()
    worker = Worker(lanes=lanes, lease=lease)
    if once:
        while worker.facts() + worker.jobs():
            pass
    else:
        _run_lanes(worker, stop or threading.Event())


def _run_lanes(worker: Worker, stop: threading.Event) -> None:
    lanes = [threading.Thread(target=_lane, args=(worker.jobs, stop, JOBS_WAIT), name=f"jobs-{n}", daemon=True) for n in range(worker.lanes)]
    lanes.append(threading.Thread(target=_heart, args=(worker, stop), name="heartbeat", daemon=True))
    for lane in lanes:
        lane.start()
    _lane(worker.facts, stop, FACTS_WAIT)
    for lane in lanes:
        lane.join(timeout=worker.lease)


def _lane(step: Callable[[], int], stop: threading.Event, longest: float) -> None:
    """Step while there is work; wait longer and longer, up to ``longest``, while there is none."""
    rung, delay = bell.new(), SHORTEST
    while not stop.is_set():
        delay = SHORTEST if _outliving(step) else min(delay * 2, longest)
        if delay > SHORTEST and rung.wait(delay):
            rung.clear()
            delay = SHORTEST
    connection.close()


def _heart(worker: Worker, stop: threading.Event) -> None:
    """Hold the leases of what runs here."""
    while not stop.wait(worker.lease / 3):
        _outliving(worker.beat)
    connection.close()


def _outliving(step: Callable[[], int]) -> int:
    """One step, by a lane that outlives a database that goes away."""
    try:
        return step()
    except (DatabaseError, InterfaceError) as error:
        log.warning("The database did not answer, trying again: %s", error)
        close_old_connections()
        return 0
