"""Memory of a worker that examines a million events: the real sample over and over with varied values, a hard stream in between.

Resident memory of the process, all of it: interpreter, libraries, rules, pattern databases, caches, the batch at hand. Needs
``LIANFANG_DATA``.
"""

from __future__ import annotations

import gc
import random
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

import psutil  # noqa: E402
from benchmarks import report  # noqa: E402
from benchmarks.bench_rules import data, made_unique  # noqa: E402

EVENTS = 1_000_000
BATCH = 5_000
HARD_EACH = 4


def main() -> None:
    import subprocess
    import tempfile

    folder = data()
    if len(sys.argv) > 1:
        worker(folder, Path(sys.argv[1]))
        return
    from lianfang.engines.rules import prepared, sources
    from lianfang.engines.rules.compiler import compile_rules

    with tempfile.TemporaryDirectory() as place:
        cache = Path(place) / "rules.cache"
        prepared(compile_rules(sources.load(folder / "sigma-rules.tar.zst"))).save(cache)
        raise SystemExit(subprocess.run([sys.executable, __file__, str(cache)], check=False).returncode)


def batches(folder: Path):  # type: ignore[no-untyped-def]
    """Batches read from the packed file: natural ones with a varied host, user and serial, every fourth with 22 long fields unique."""
    import io

    import zstandard

    dice, number = random.Random(5), 0
    while True:
        with (folder / "windows-events-201k.jsonl.zst").open("rb") as packed:
            lines = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(packed), 1 << 20)
            while batch := [line for _, line in zip(range(BATCH), lines)]:
                number += 1
                yield made_unique(batch, seed=number) if number % HARD_EACH == 0 else [varied(line, dice) for line in batch]


def varied(line: bytes, dice: random.Random) -> bytes:
    """Another host and other identifiers, as from another machine of the same fleet."""
    return line.replace(b"WORKSTATION", b"HOST%d-" % dice.randrange(500)).replace(b"-0000-", b"-%04x-" % dice.randrange(65536), 1)


def worker(folder: Path, cache: Path) -> None:
    from lianfang.engines.rules import Compiled, Examiner

    examiner, process = Examiner(Compiled.load(cache)), psutil.Process()
    seen, peak = 0, 0.0
    for batch in batches(folder):
        examiner.json_lines(batch)
        seen += len(batch)
        peak = max(peak, process.memory_info().rss / 1e6)
        if seen >= EVENTS:
            break
    gc.collect()
    stats = examiner.stats()
    print(f"{seen:,} events, {stats.values:,} values matched, {stats.turns} generations, caches {stats.cached_bytes / 1e6:.0f} MB")
    rows = [report.Row("rules: memory of a worker over a million events, a quarter of them hard", peak, "MB resident, peak", goal=600)]
    report.show(rows)
    report.merge(rows)


if __name__ == "__main__":
    main()
