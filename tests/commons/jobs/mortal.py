"""A node of its own whose workers are killed: run as a script, prints what happened as JSON.

``python mortal.py FACTS JOBS KILLS`` on the database of the environment. Workers are forked from one warm process, so
that dozens can die within seconds, at moments nobody chooses. A machine that works off everything before the killing
ends is given as much again, so that nobody dies idle.
"""

import json
import os
import random
import signal
import sys
import time
from dataclasses import dataclass

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lianfang.site.settings")

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402

from lianfang.commons.jobs import actions, declare, models  # noqa: E402
from lianfang.kernel.facts import Fact  # noqa: E402

LEASE = 0.4
ECHO = 1_000_000
"""What a listener writes is numbered from here, so that it is told apart from what the supply asks for."""


@dataclass(frozen=True, slots=True)
class Rang(Fact):
    n: int


@dataclass(frozen=True, slots=True)
class Echoed(Fact):
    n: int


def effect(kind: str, n: int) -> None:
    """Something that a second time would be seen: no constraint protects this table."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO effect (kind, n) VALUES (%s, %s)", [kind, n])
    time.sleep(random.random() * 0.004)


@declare.on(Rang, name="mortal.hear")
def hear(fact):
    effect("heard", fact.n)
    actions.publish(Echoed(fact.n))
    if fact.n % 5 == 0:
        actions.enqueue("mortal.write", {"n": ECHO + fact.n})


@declare.on(Rang, name="mortal.overhear")
def overhear(fact):
    effect("overheard", fact.n)


@declare.on(Echoed, name="mortal.echo")
def echo(fact):
    effect("echoed", fact.n)


@declare.job("mortal.write", atomic=True, attempts=1000)
def write(n):
    effect("written", n)


@declare.job("mortal.keep", attempts=1000)
def keep(n, run):
    """At least once: what such a job does must bear repetition."""
    run.progress(50)
    effect("kept", n)


def prepare() -> None:
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        serial = {"sqlite": "integer primary key autoincrement", "postgresql": "serial primary key", "mysql": "integer primary key auto_increment"}[connection.vendor]
        cursor.execute(f"CREATE TABLE effect (id {serial}, kind varchar(20), n integer)")


@dataclass
class Supply:
    """Work without end: ``facts`` and ``jobs`` at a time, numbered on; ``shares`` counts how often it was given."""

    facts: int
    jobs: int
    shares: int = 0

    def give(self) -> None:
        for n in range(self.shares * self.facts, (self.shares + 1) * self.facts):
            actions.publish(Rang(n))
        with transaction.atomic():
            for n in range(self.shares * self.jobs, (self.shares + 1) * self.jobs):
                actions.enqueue("mortal.write", {"n": n})
                actions.enqueue("mortal.keep", {"n": n})
        self.shares += 1
        connection.close()  # workers are forked from here


def worker() -> int:
    pid = os.fork()
    if not pid:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # attempts cut short may complain; what counts is the table
        actions.work(lanes=1, lease=LEASE)
    return pid


def open_work() -> bool:
    busy = models.Delivery.objects.exclude(due=None).exists() or models.Job.objects.filter(name__startswith="mortal.").exclude(due=None).exists()
    connection.close()  # the next worker is forked from here
    return busy


def slaughter(kills: int, supply: Supply) -> int:
    """Two workers at once; again and again one of them dies, while there is work. Says how many died."""
    living, dead, started = [worker(), worker()], 0, time.monotonic()
    while dead < kills and time.monotonic() - started < 90:
        time.sleep(random.random() * 0.25 + 0.002)
        if not open_work():
            supply.give()
        victim = living.pop(random.randrange(len(living)))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        dead += 1
        living.append(worker())
    finish(living)
    return dead


def finish(living: list[int]) -> None:
    deadline = time.monotonic() + 120  # far more than it takes; a busy machine is not a failure
    while time.monotonic() < deadline and open_work():
        time.sleep(0.1)
    for pid in living:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def report(dead: int, supply: Supply) -> dict:
    with connection.cursor() as cursor:
        cursor.execute("SELECT kind, n FROM effect ORDER BY id")
        rows = cursor.fetchall()
    effects = {kind: [n for each, n in rows if each == kind] for kind in ("heard", "overheard", "echoed", "written", "kept")}
    left = models.Delivery.objects.exclude(state="done").count() + models.Job.objects.filter(name__startswith="mortal.").exclude(state="done").count()
    return {"kills": dead, "left": left, "facts": supply.shares * supply.facts, "jobs": supply.shares * supply.jobs, **effects}


if __name__ == "__main__":
    facts, jobs, kills = map(int, sys.argv[1:])
    prepare()
    supply = Supply(facts, jobs)
    supply.give()
    print(json.dumps(report(slaughter(kills, supply), supply)))
