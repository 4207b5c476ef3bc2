"""From a laptop to a province: what a load asks for, extrapolated from the measured figures. ``python tools/province.py [EVENTS_PER_SECOND …]``

A day is played second by second: arrivals follow the hours of an office (``SHAPE``) with one flood of ``FLOOD`` times the
peak for ten minutes, and every ingest process takes what its core can (``path: HTTP to searchable, warm``, per CPU second,
from ``benchmarks/latest.json``). What does not fit waits in the spool. In: mean events per second. Out: cores, partitions,
the longest wait, disk. The model knows no network and no disk that is slower than its core: measure before you buy.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

LATEST = Path(__file__).parents[1] / "benchmarks/latest.json"
SHAPE = (0.4, 0.3, 0.3, 0.3, 0.3, 0.4, 0.6, 1.0, 1.7, 2.0, 1.9, 1.6, 1.2, 1.6, 1.9, 1.8, 1.6, 1.3, 1.0, 0.8, 0.7, 0.6, 0.4, 0.3)
"""Load of each hour of a working day against the mean of the day."""
FLOOD, FLOOD_AT, FLOOD_FOR = 3.0, 10 * 3600, 600
BUSY = 0.6
"""Share of a core that the peak hour may take: the rest is for questions, floods and compaction."""
PACKED, RAW = 94, 794
"""Bytes of an event at rest and as it arrives (design notes, 10 M events)."""
DAYS = 190


@dataclass(frozen=True, slots=True)
class Plan:
    """What a mean rate asks for. ``wait``: seconds that the unluckiest event of the day waits before it can be found."""

    rate: int
    processes: int
    cores: int
    wait: float
    spool: float
    disk: float


def per_core() -> float:
    """Events per CPU second of receiving, decoding, mapping, examining and storing, as last measured."""
    rows = json.loads(LATEST.read_text("utf-8"))
    return next(float(row["per_cpu_second"]) for row in rows if row["name"] == "path: HTTP to searchable, warm")


def plan(rate: int, core: float) -> Plan:
    """Play one day. ``core``: events per CPU second."""
    mean = sum(SHAPE) / len(SHAPE)
    peak = rate * max(SHAPE) / mean
    processes = max(1, math.ceil(peak / (core * BUSY)))
    waiting = longest = most = 0.0
    for second in range(24 * 3600):
        arriving = rate * SHAPE[second // 3600] / mean * (FLOOD if FLOOD_AT <= second < FLOOD_AT + FLOOD_FOR else 1.0)
        waiting = max(0.0, waiting + arriving - processes * core)
        most, longest = max(most, waiting), max(longest, waiting / (processes * core))
    return Plan(rate, processes, processes + max(1, math.ceil(processes / 4)), longest, most * RAW / 1e9, rate * 86400 * DAYS * PACKED / 1e12)


def table(rates: list[int]) -> str:
    """The plans as Markdown."""
    core = per_core()
    lines = ["| events/s (mean) | events a day | ingest processes = Kafka partitions | cores with web and worker | longest wait in the flood | spool then | disk, 190 days |", "|--:|--:|--:|--:|--:|--:|--:|"]
    for one in (plan(rate, core) for rate in rates):
        wait = "under a second" if one.wait < 1 else f"{one.wait / 60:.0f} min" if one.wait >= 90 else f"{one.wait:.0f} s"
        lines.append(f"| {one.rate:,} | {one.rate * 86400:,} | {one.processes} | {one.cores} | {wait} | {one.spool:,.1f} GB | {one.disk:,.1f} TB |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table([int(word) for word in sys.argv[1:]] or [50, 500, 5_000, 20_000, 100_000]))
