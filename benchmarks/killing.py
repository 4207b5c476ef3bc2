"""Kill -9 at random: a writer, a compactor and a reader of one event table die again and again and are started again.

``python benchmarks/killing.py [seconds]`` (600 when nothing is said). Ends with 0 when every batch whose append returned
is there, once and whole, however often anyone died; when every answer that a reader got held whole batches and all that
had been acknowledged before it was asked; and when roll-ups count what a scan counts. Prints what happened as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from lianfang.engines.columns.query import Bounds, Query
from lianfang.engines.columns.rollups import HOURS
from lianfang.engines.columns.shape import table
from lianfang.engines.columns.store import LARGE, EventStore

ROWS, NAME, ORIGIN = 120, "iam", "w000"
BEGIN = datetime(2026, 11, 20, tzinfo=UTC)
BOUNDS = Bounds((NAME,), BEGIN, BEGIN + timedelta(days=4))
WHOLE = "SELECT count(*) AS n, count(DISTINCT event_id) AS ids, count(DISTINCT substr(event_id, 1, 8)) AS batches FROM stored"
SUM = "SELECT coalesce(sum(n), 0)::BIGINT AS n FROM stored"


def write(root: Path) -> None:
    """Append batch after batch, each under its number; a batch whose append returned is acknowledged durably."""
    store = EventStore(root)
    step = store.committed(NAME, ORIGIN) + 1
    with (root / "acknowledged").open("a") as file:
        while True:
            rows = {"event_id": [f"{step:08d}-{n:03d}" for n in range(ROWS)], "time": [BEGIN + timedelta(minutes=(step * 7) % 4_000, seconds=n % 60) for n in range(ROWS)], "source": [f"s{step % 5}"] * ROWS}
            store.append(NAME, table(rows), transactions={ORIGIN: step})
            file.write(f"{step}\n")
            file.flush()
            os.fsync(file.fileno())
            step += 1


def compact(root: Path) -> None:
    """Join, sum up and clear away without a pause."""
    store = EventStore(root)
    query = Query(store, memory="128MB", threads=1)
    while True:
        store.compact(NAME, target=random.choice([100_000, LARGE]))
        query.roll_up(HOURS, NAME)
        store.vacuum(NAME)


def read(root: Path) -> None:
    """Ask all the time; a wrong answer or a failure is written down."""
    query = Query(EventStore(root), memory="128MB", threads=1)
    while True:
        before = acknowledged(root)
        try:
            (whole,) = query.rows(WHOLE, bounds=BOUNDS)
            (summed,) = query.counted(HOURS, SUM, bounds=BOUNDS)
            right = whole["n"] == whole["ids"] == whole["batches"] * ROWS and whole["batches"] > before and summed["n"] % ROWS == 0 and summed["n"] >= whole["n"]
            _note(root, "answers" if right else "faults", json.dumps({"acknowledged": before, **whole, "summed": summed["n"]}))
        except Exception as error:
            _note(root, "faults", repr(error))


def _note(root: Path, name: str, text: str) -> None:
    with (root / name).open("a") as file:
        file.write(text + "\n")


def acknowledged(root: Path) -> int:
    """The last number that was acknowledged; a line that a kill cut short does not count."""
    path = root / "acknowledged"
    text = path.read_text() if path.exists() else ""
    numbers = [int(line) for line in text[: text.rfind("\n") + 1].split()]
    return max(numbers, default=-1)


ROLES = {"write": write, "compact": compact, "read": read}


def run(seconds: float, root: Path, *, seed: int = 1) -> dict[str, Any]:
    """Let all three live and die for ``seconds``; returns what happened."""
    chance, kills, living = random.Random(seed), dict.fromkeys(ROLES, 0), dict[str, subprocess.Popen[bytes]]()
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            for role in ROLES:
                if role not in living or living[role].poll() is not None:
                    living[role] = subprocess.Popen([sys.executable, __file__, role, str(root)])
            time.sleep(chance.uniform(0.3, 4.0))
            role = chance.choice(list(ROLES))
            living[role].send_signal(signal.SIGKILL)
            living[role].wait()
            kills[role] += 1
    finally:
        for process in living.values():
            process.kill()
            process.wait()
    return _verdict(root, kills)


def _verdict(root: Path, kills: dict[str, int]) -> dict[str, Any]:
    store = EventStore(root)
    query = Query(store)
    (whole,) = query.rows(WHOLE, bounds=BOUNDS)
    summed = [query.counted(HOURS, SUM, bounds=BOUNDS)[0]["n"]]
    store.compact(NAME, target=LARGE)
    query.roll_up(HOURS, NAME)
    summed.append(query.counted(HOURS, SUM, bounds=BOUNDS)[0]["n"])
    last, position = acknowledged(root), store.committed(NAME, ORIGIN)
    lines = {name: (root / name).read_text().splitlines() if (root / name).exists() else [] for name in ("answers", "faults")}
    return {
        "kills": kills, "batches": whole["batches"], "lost": max(0, last + 1 - whole["batches"]), "doubled": whole["n"] - whole["ids"], "torn": whole["batches"] * ROWS - whole["n"],
        "position": position - whole["batches"] + 1, "summed": [each - whole["n"] for each in summed], "answers": len(lines["answers"]), "faults": lines["faults"][:5],
    }  # fmt: skip


def is_well(found: dict[str, Any]) -> bool:
    """Nothing lost, nothing doubled, always readable."""
    return not any((found["lost"], found["doubled"], found["torn"], found["position"], any(found["summed"]), found["faults"])) and found["batches"] > 0 and found["answers"] > 0


def main() -> int:
    if len(sys.argv) == 3:
        ROLES[sys.argv[1]](Path(sys.argv[2]))
    with tempfile.TemporaryDirectory(prefix="lianfang-killing-") as folder:
        found = run(float(sys.argv[1]) if len(sys.argv) == 2 else 600.0, Path(folder))
    print(json.dumps(found))
    return 0 if is_well(found) else 1


if __name__ == "__main__":
    sys.exit(main())
