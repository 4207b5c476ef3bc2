"""Every headline figure, one command: ``make bench``. Each bench runs in a process of its own, one after another.

A bench is ``benchmarks/bench_*.py``: it prints its table and merges its rows into ``benchmarks/latest.json``.
Field data is looked for in ``LIANFANG_DATA``; a bench that needs it and finds none says so and ends with code 0.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
APART = {"lake": "make bench-lake"}
"""Benches that take long: run only when they are named."""


def main() -> int:
    chosen = set(sys.argv[1:])
    failed = []
    for bench in sorted(FOLDER.glob("bench_*.py")):
        name = bench.stem.removeprefix("bench_")
        if chosen and name not in chosen:
            continue
        if not chosen and name in APART:
            print(f"\n== {bench.stem}: left out; {APART[name]} runs it", flush=True)
            continue
        print(f"\n== {bench.stem}", flush=True)
        if subprocess.run([sys.executable, str(bench)], check=False).returncode:
            failed.append(bench.stem)
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
