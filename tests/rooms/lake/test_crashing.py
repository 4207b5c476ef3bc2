"""A crash between any two steps loses nothing and doubles nothing."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.rooms.lake.conftest import sysmon

from lianfang.engines.columns import store as columns
from lianfang.rooms.lake import actions, declare, models, queries
from lianfang.rooms.lake.actions import ingesting, receiving, storing

HERE = Path(__file__).parents[3]


class Crash(BaseException):
    """Not an error that anybody catches."""


class Recorder:
    """An examiner that finds whoami and counts its conclusions by batch."""

    concluded = Counter()

    def examine(self, batch):
        return {at: ("whoami",) for at, row in enumerate(batch.rows) if "whoami" in row.get("CommandLine", "")}

    def conclude(self, batch, hits):
        self.concluded[batch.ref] += 1


@pytest.fixture
def recorder(monkeypatch):
    monkeypatch.setattr(declare, "_factories", {"recorder": Recorder})
    Recorder.concluded = Counter()
    return Recorder


def crash_after(calls: int, function):
    """``function``, which works ``calls`` times and then once more before the world ends."""
    left = [calls]

    def wrapped(*args, **kwargs):
        result = function(*args, **kwargs)
        left[0] -= 1
        if left[0] < 0:
            raise Crash
        return result

    return wrapped


STEPS = [
    ("the first table was written", columns.EventStore, "append", 0),
    ("the second table was written", columns.EventStore, "append", 1),
    ("all tables were written", columns.EventStore, "append", 2),
    ("the examiners had concluded", Recorder, "conclude", 0),
    ("the figures were told", storing.Storer, "_tell", 0),
    ("the first segment was removed", storing.Storer, "remove", 0),
]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("moment", "owner", "name", "calls"), STEPS, ids=[step[0] for step in STEPS])
def test_a_crash_after_any_step_is_mended(moment, owner, name, calls, put, source, viewers, recorder, monkeypatch, all_events):
    rows = [sysmon(n) for n in range(6)] + [{"Channel": "Security", "EventID": 4624, "Computer": f"dc-{n}", "TargetUserName": "li"} for n in range(5)]
    actions.receive(source, [json.dumps(row).encode() for row in rows[:6]] + [b"broken"], actor=viewers.member, key="k1")
    receiving.seal()  # two segments
    with monkeypatch.context() as world:
        world.setattr(owner, name, crash_after(calls, getattr(owner, name)))
        with pytest.raises(Crash):
            put(*rows[6:], b"{also broken")
    put(*rows[:6], b"broken", key="k1")  # the client heard nothing and sends again
    found = Counter(event["event_id"] for event in all_events())
    assert len(found) == sum(found.values()) == 11
    assert sum(group.count for group in queries.reject_groups(viewer=viewers.member)) == 2
    assert sum("whoami" in event["rules"] for event in all_events()) == 6
    row = models.Source.objects.get(name=source)
    assert (row.events, row.rejects) == (11, 2)
    assert len(recorder.concluded) == 2
    assert models.Receipt.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_failure_in_the_running_process_is_tried_again_without_doubling(source, viewers, monkeypatch, all_events):
    actions.receive(source, [json.dumps(sysmon(n)).encode() for n in range(50)], actor=viewers.member)
    failures = iter([True, True])

    def failing(self, *args, _tell=storing.Storer._tell):
        if next(failures, False):
            raise RuntimeError("the database is away")
        return _tell(self, *args)

    monkeypatch.setattr(storing.Storer, "_tell", failing)
    receiving.seal()
    stop = threading.Event()
    line = ingesting.Line()
    runner = threading.Thread(target=line.run, args=(stop,))
    runner.start()
    deadline = time.monotonic() + 20
    while models.Source.objects.get(name=source).events < 50 and time.monotonic() < deadline:
        time.sleep(0.1)
    stop.set()
    runner.join(20)
    assert len({event["event_id"] for event in all_events()}) == len(all_events()) == 50
    assert models.Source.objects.get(name=source).events == 50


def mortal(home: Path, *role: str, **options) -> subprocess.Popen:
    environment = {**os.environ, "LIANFANG_HOME": str(home), "LIANFANG_ROOMS": "lake", "PYTHONPATH": os.pathsep.join([str(HERE / "src"), str(HERE), os.environ.get("PYTHONPATH", "")])}
    environment.pop("LIANFANG_DATABASE", None)
    return subprocess.Popen([sys.executable, "-m", "tests.rooms.lake.mortal", *role], env=environment, stdout=subprocess.PIPE, text=True, cwd=HERE, **options)


def storm(home: Path, *, kills: int, seed: int, parts: int = 1) -> None:
    """Two receivers and the ingest process (or several that share the work), killed again and again at moments nobody chose; then nothing is missing or double."""
    chance = random.Random(seed)
    assert mortal(home, "init").wait() == 0
    said: Counter[str] = Counter()
    procs: dict[str, subprocess.Popen] = {}
    generation: Counter[str] = Counter()

    def start(name: str) -> None:
        generation[name] += 1
        procs[name] = mortal(home, "ingest", f"{name[6:]}/{parts}") if name in ingests else mortal(home, "receive", f"{name}{generation[name]}")

    def kill(name: str) -> None:
        procs[name].send_signal(signal.SIGKILL)
        lines = procs[name].stdout.read().split()
        procs[name].wait()
        if name not in ingests and lines:
            said[f"{name}{generation[name]}"] = int(lines[-1]) + 1

    ingests = [f"ingest{number}" for number in range(1, parts + 1)]
    for name in ("a", "b", *ingests):
        start(name)
    for proc in procs.values():
        assert proc.stdout.readline(), "a part did not come up"
    for _ in range(kills):
        time.sleep(chance.uniform(0.9, 2.2))
        victim = chance.choice([*ingests, *ingests, "a", "b"] if parts == 1 else [*ingests, "a", "b"])
        kill(victim)
        start(victim)
    for name in procs:
        kill(name)
    check = mortal(home, "verify")
    held = json.loads(check.communicate(timeout=120)[0])
    assert check.returncode == 0
    _compare(said, held)


def _compare(said: Counter, held: dict) -> None:
    events = Counter((who, n) for who, n, _ in held["events"])
    rejects = Counter(held["rejects"])
    assert max(events.values()) == max(rejects.values()) == 1, "something was stored twice"
    for worker, steps in said.items():
        for step in range(steps):
            for n in range(step * 100, step * 100 + 1 + step % 40):
                there = (worker, n) in events if n % 11 else f"broken {worker} {n}" in rejects
                assert there, f"{worker} was told that line {n} is safe, and it is not there"
    assert sum(said.values()) > 50
    assert all(bool(hits) == (n % 7 == 0) for _, n, hits in held["events"]), "a hit was lost on the way"
    assert held["counted"] == len(held["events"])
    assert held["counted_rejects"] == len(held["rejects"])


def test_killed_at_many_moments_nothing_is_lost_or_doubled(tmp_path):
    storm(tmp_path, kills=6, seed=20261120)


def test_several_ingest_processes_killed_at_many_moments_lose_and_double_nothing(tmp_path):
    storm(tmp_path, kills=4, seed=20261121, parts=2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_for_a_long_time_nothing_is_lost_or_doubled(tmp_path, seed):
    storm(tmp_path, kills=30, seed=seed)
