"""The knowledge graph of events: how long it takes to follow the links of an event over the event tables, and how much is read for it.

A fresh node with the stream of ``bench_lake`` (``BENCH_EVENTS``, 3,000,000 unless said, over ten days), then events chosen at random, each
asked for what is linked with it six hours around, over two links and over three; the answer is the product's own (``respond.linked_events``).
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("BENCH_EVENTS", "3_000_000")

import bench_lake
from report import Row, merge, show

ASKED = 60
CASES = (("6h", 2, 1.0), ("6h", 3, None), ("24h", 2, None))


def main() -> None:
    home = Path(tempfile.mkdtemp(prefix="lianfang-bench-linked-"))
    here = Path(__file__).parents[1]
    os.environ |= {"LIANFANG_HOME": str(home), "DJANGO_SETTINGS_MODULE": "lianfang.site.settings", "PYTHONPATH": os.pathsep.join([str(here / "src"), os.environ.get("PYTHONPATH", "")])}
    sys.path.insert(0, str(here / "src"))
    try:
        subprocess.run([sys.executable, "-m", "lianfang.site", "init", "--json"], check=True, stdout=subprocess.DEVNULL)
        import django

        django.setup()
        bench_lake.fill(home / "lake")
        rows = measured()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    show(rows)
    merge(rows)


def measured() -> list[Row]:
    """Each case: the 95th of a hundred answers, and how much they hold."""
    from lianfang.kernel.viewer import SYSTEM
    from lianfang.rooms.lake import queries as lake
    from lianfang.rooms.lake.types import Question
    from lianfang.rooms.respond import queries

    chance, names = random.Random(11), []
    while len(names) < ASKED:
        since = bench_lake.BEGIN + (bench_lake.END - bench_lake.BEGIN) * (0.1 + 0.8 * chance.random())
        names += [event["event_id"] for event in lake.search(Question(since, since + (bench_lake.END - bench_lake.BEGIN) / 2000, limit=3), viewer=SYSTEM).events]
    rows, about = [], f"{bench_lake.EVENTS // 1_000_000} M events"
    for span, depth, goal in CASES:
        times, found = [], 0
        for name in names[:ASKED]:
            started = time.perf_counter()
            found += len(queries.linked_events(name, SYSTEM, span=span, depth=depth).steps)
            times.append(time.perf_counter() - started)
        times.sort()
        print(f"   ± {span}, {depth} links: median {times[len(times) // 2]:.3f} s, p95 {times[int(len(times) * 0.95)]:.3f} s, greatest {times[-1]:.3f} s; {found / len(times):.0f} lines an answer", flush=True)
        rows.append(Row(f"linked: what is linked with an event, ± {span}, {depth} links, p95, {about}", round(times[int(len(times) * 0.95)], 3), "s", goal=goal))
    return rows


if __name__ == "__main__":
    main()
