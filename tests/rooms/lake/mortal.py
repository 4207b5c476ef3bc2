# ruff: noqa: E402  (Django must be up before its models are imported)
"""Parts of a node that tests start as real processes, to kill them: ``python -m tests.rooms.lake.mortal <role> …``.

Roles: ``init`` makes a node; ``kafka`` gives it a topic to read, ``database`` a table; ``receive`` takes numbered lines in for ever and prints each number once it is safe;
``ingest`` is the ingest process, or one of several; ``verify`` stores what is left and prints what the tables hold, as JSON.
"""

import json
import os
import signal
import sys
import threading
import time

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lianfang.site.settings")
os.environ.setdefault("LIANFANG_ROOMS", "lake")

import django

django.setup()

from django.core.management import call_command

from lianfang.engines.columns.query import Bounds
from lianfang.engines.columns.shape import REJECTS
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.lake import actions, declare, models
from lianfang.rooms.lake.adapters import kafka as kafka_
from lianfang.rooms.lake.queries import scope
from lianfang.rooms.lake.types import EVENT_TABLES, REJECT_TABLE, Busy

CHANNELS = ("Microsoft-Windows-Sysmon/Operational", "Security", "Unknown")


class Witness:
    """An examiner that finds every seventh line and writes down, durably and once per batch, what it concluded."""

    def examine(self, batch):
        return {at: ("seventh",) for at, row in enumerate(batch.rows) if int(row["n"]) % 7 == 0}

    def conclude(self, batch, hits):
        models.Receipt.objects.get_or_create(source="witness", key=batch.ref)


def init():
    call_command("migrate", verbosity=0)
    actions.create_source("edr", codec="json", actor=SYSTEM)


def receive(worker: str):
    """Lines in groups of different sizes; some are broken, some groups carry a number and are sent twice."""
    step = 0
    while True:
        count = 1 + step % 40
        lines = [json.dumps({"n": n, "who": worker, "Channel": CHANNELS[n % 3], "EventID": 4624, "Computer": f"h{n % 9}"}).encode() if n % 11 else f"broken {worker} {n}".encode() for n in range(step * 100, step * 100 + count)]
        for _ in range(1 + (step % 5 == 0)):
            try:
                actions.receive("edr", lines, actor=SYSTEM, key=f"{worker}-{step}" if step % 5 == 0 else "")
            except Busy:
                time.sleep(0.05)
                continue
        print(step, flush=True)
        step += 1
        time.sleep(0.004)


def kafka(brokers: str, topic: str):
    """A source that reads a topic."""
    actions.create_source("bus", kind="kafka", codec="json", address=brokers, table=topic, actor=SYSTEM)


def database(address: str):
    """A source that reads a table every second."""
    actions.create_source("app", kind="database", codec="json", address=address, table="log", column="n", every=1, actor=SYSTEM)


def ingest(part: str = "1/1"):
    declare.examiner("witness", Witness)
    kafka_.SESSION = 6000  # the least that brokers allow: a killed member's partitions are soon another's
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    print("up", flush=True)
    actions.ingest(stop, part=actions.Part.parse(part))


def verify(name: str = "edr"):
    declare.examiner("witness", Witness)
    actions.drain()
    rows = scope.query().rows("SELECT json_extract_string(raw, '$.who') AS who, json_extract_string(raw, '$.n')::INT AS n, len(rules) AS hits FROM stored", bounds=Bounds(EVENT_TABLES))
    rejects = scope.query(REJECTS).rows("SELECT decode(raw) AS raw FROM stored", bounds=Bounds((REJECT_TABLE,)))
    source = models.Source.objects.get(name=name)
    print(json.dumps({"events": [(row["who"], row["n"], row["hits"]) for row in rows], "rejects": [row["raw"] for row in rejects], "counted": source.events, "counted_rejects": source.rejects, "runs": list(source.runs.order_by("began", "id").values("state", "resumed", "read", "stored", "rejected"))}))


if __name__ == "__main__":
    {"init": init, "kafka": kafka, "database": database, "receive": receive, "ingest": ingest, "verify": verify}[sys.argv[1]](*sys.argv[2:])
