"""The rules engine over 201,000 real Windows events with all Windows rules of the public pack, beside its limits and its peer.

Figures are events per CPU second of one process. Rounds alternate between a figure and its peer, so that both see the same
machine; each is given by its best round. Needs ``LIANFANG_DATA``.

* *limit*: what msgspec reaches decoding the 20 commonest fields of the same bytes, and nothing else.
* *hard*: 22 long fields of every event are made unique, as no real stream and some attackers do.
* *peer*: one SQL statement for each rule, made by pySigma-backend-sqlite, over a sample of the events; its cost grows with
  events × rules, so the cost per event is that of the sample.
"""

from __future__ import annotations

import gc
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

import msgspec  # noqa: E402
import pyarrow as pa  # noqa: E402
import zstandard  # noqa: E402
from benchmarks import report  # noqa: E402

from lianfang.engines.rules import Compiled, Examiner, prepared, sources  # noqa: E402
from lianfang.engines.rules.compiler import compile_rules  # noqa: E402

UNIT = "events/CPU-s"
ROUNDS = 5
HARD_EVENTS = 80_000
LIMIT_BATCH = 4096
SQL_EVENTS = 1_500
LONG_FIELDS = (
    "CommandLine", "ParentCommandLine", "ScriptBlockText", "TargetFilename", "TargetObject", "ContextInfo", "Payload", "ServiceFileName", "ImagePath", "Details", "QueryName",
    "Data", "CallTrace", "RelativeTargetName", "ObjectName", "Hashes", "Image", "ImageLoaded", "DestinationHostname", "ProcessName", "NewProcessName", "TaskContent",
)  # fmt: skip
START = """
import time
begun = time.process_time()
import sys
from lianfang.engines.rules import Compiled, Examiner
examiner = Examiner(Compiled.load(sys.argv[1]))
examiner.json_lines([sys.argv[2].encode()])
print(time.process_time() - begun)
"""


def data() -> Path:
    """The folder of field data; ends the bench where there is none."""
    folder = Path(os.environ.get("LIANFANG_DATA", "")) / "detection"
    if not (folder / "sigma-rules.tar.zst").is_file():
        print("LIANFANG_DATA names no folder of field data: nothing measured.")
        raise SystemExit(0)
    return folder


def events(folder: Path) -> list[bytes]:
    with (folder / "windows-events-201k.jsonl.zst").open("rb") as packed:
        return zstandard.ZstdDecompressor().stream_reader(packed).read().splitlines()


def made_unique(lines: list[bytes], seed: int = 7) -> list[bytes]:
    """Twelve random hexadecimal digits inside each long field, after a separator where it has one."""
    dice = random.Random(seed)
    return [msgspec.json.encode({name: _unique(value, dice) if name in LONG_FIELDS else value for name, value in json.loads(line).items()}) for line in lines]


def _unique(value: str, dice: random.Random) -> str:
    places = [at + 1 for at, char in enumerate(value[:400]) if char in "\\ /;"] or [len(value)]
    at = dice.choice(places)
    return f"{value[:at]}{dice.getrandbits(48):012x}{value[at:]}"


def spent(work: Callable[[], object]) -> float:
    gc.collect()
    begun = time.process_time()
    work()
    return time.process_time() - begun


def twenty_fields(lines: list[bytes]) -> Callable[[], None]:
    """The limit: decode the 20 commonest fields, in batches of the size that suits it best."""
    common = Counter(name for line in lines[::50] for name in json.loads(line)).most_common(20)
    shape = msgspec.defstruct("Twenty", [(f"f{at}", str | None, msgspec.field(name=name, default=None)) for at, (name, _) in enumerate(common)], gc=False)
    decode = msgspec.json.Decoder(shape).decode

    def run() -> None:
        for start in range(0, len(lines), LIMIT_BATCH):
            list(map(decode, lines[start : start + LIMIT_BATCH]))

    return run


def json_rows(rules: Compiled, lines: list[bytes]) -> list[report.Row]:
    limit, first, warm = twenty_fields(lines), [], []
    limits = [spent(limit)]
    for _ in range(2):
        examiner = Examiner(rules)
        first.append(spent(lambda examiner=examiner: examiner.json_lines(lines)))
    for _ in range(ROUNDS):
        limits.append(spent(limit))
        warm.append(spent(lambda: examiner.json_lines(lines)))
    count, peak = len(lines), len(lines) / min(limits)
    return [
        report.Row("rules: JSON → fired rules, first pass", count / min(first), UNIT, "msgspec, 20 fields", peak, min(limits) / min(first), 150_000),
        report.Row("rules: JSON → fired rules, warm", count / min(warm), UNIT, "msgspec, 20 fields", peak, min(limits) / min(warm), "ratio 0.5"),
        report.Row("rules: JSON → fired rules, 22 long fields unique", *hard(rules, lines), goal=60_000),
    ]


def hard(rules: Compiled, lines: list[bytes]) -> tuple[float, str]:
    unique = made_unique(random.Random(1).sample(lines, HARD_EVENTS))
    examiner = Examiner(rules)
    examiner.json_lines(made_unique(lines[:2000], seed=8))
    return HARD_EVENTS / spent(lambda: examiner.json_lines(unique)), UNIT


def fallback_rows(rules: Compiled, lines: list[bytes]) -> list[report.Row]:
    examiner = Examiner(rules, engine="fallback")
    first, warm = (spent(lambda: examiner.json_lines(lines)) for _ in range(2))
    return [
        report.Row("rules: the same without Vectorscan, first pass", len(lines) / first, UNIT),
        report.Row("rules: the same without Vectorscan, warm", len(lines) / warm, UNIT),
    ]


def arrow_rows(rules: Compiled, lines: list[bytes]) -> list[report.Row]:
    rows = [json.loads(line) for line in lines]
    names = sorted(set().union(*rows))
    table = pa.table({name: pa.array([row.get(name) for row in rows], pa.string()).dictionary_encode() for name in names})
    del rows
    first, warm = [], []
    for _ in range(2):
        examiner = Examiner(rules)
        first.append(spent(lambda examiner=examiner: examiner.arrow(table)))
    for _ in range(ROUNDS):
        warm.append(spent(lambda: examiner.arrow(table)))
    return [
        report.Row("rules: Arrow → fired rules, first pass", len(lines) / min(first), UNIT, goal=400_000),
        report.Row("rules: Arrow → fired rules, warm", len(lines) / min(warm), UNIT, goal=1_000_000),
    ]


def sql_row(folder: Path, rules: Compiled, lines: list[bytes], ours: float) -> report.Row:
    """One statement for each rule that the backend can say, over a table of the sample."""
    rows = [json.loads(line) for line in random.Random(3).sample(lines, SQL_EVENTS)]
    said = statements(folder, rules)
    names = list({name.lower(): name for name in [*sorted(set().union(*rows)), *sorted({atom.field for atom in rules.atoms if atom.field and atom.field[0] != "@"})]}.values())
    with sqlite3.connect(":memory:") as database:
        columns = ", ".join(f'"{name}" TEXT COLLATE NOCASE' for name in names)
        database.execute(f"CREATE TABLE logs ({columns})")
        held = [{name.lower(): value for name, value in row.items()} for row in rows]
        database.executemany(f"INSERT INTO logs VALUES ({', '.join('?' * len(names))})", [[row.get(name.lower()) for name in names] for row in held])
        rate = SQL_EVENTS / spent(lambda: [database.execute(statement).fetchall() for statement in said])
    return report.Row("rules: against one SQL statement for each rule", ours, UNIT, f"pySigma-backend-sqlite, {len(said):,} statements", rate, ours / rate, "ratio 60")


def statements(folder: Path, rules: Compiled) -> list[str]:
    from sigma.backends.sqlite import sqliteBackend
    from sigma.collection import SigmaCollection
    from sigma.exceptions import SigmaError
    from sigma.pipelines.sysmon import sysmon_pipeline
    from sigma.pipelines.windows import windows_logsource_pipeline

    backend = sqliteBackend(sysmon_pipeline() + windows_logsource_pipeline())
    wanted, said = {rule.path for rule in rules.rules}, []
    for text in sources.load(folder / "sigma-rules.tar.zst"):
        if text.path in wanted:
            try:
                found = backend.convert(SigmaCollection.from_yaml(text.text))
                with sqlite3.connect(":memory:") as check:
                    check.execute("CREATE TABLE logs (x)")
                    said += [statement for statement in found if _is_sql(check, statement)]
            except (SigmaError, NotImplementedError):
                continue
    return said


def _is_sql(check: sqlite3.Connection, statement: str) -> bool:
    """Keywords without a field become no SQL; such rules are left out of the peer's work."""
    try:
        check.execute(statement)
    except sqlite3.Error as error:
        return "no such column" in str(error) and "REGEXP" not in statement
    return True


def start_row(cache: Path, line: bytes) -> report.Row:
    """A new process: import, load, examine the first event."""
    times = [float(subprocess.run([sys.executable, "-c", START, str(cache), line.decode()], capture_output=True, check=True, env=os.environ | {"PYTHONPATH": str(HERE.parent / "src")}).stdout) for _ in range(3)]
    return report.Row("rules: start of a worker from the cache, to its first event", min(times), "CPU-s", f"a file of {cache.stat().st_size / 1e6:.0f} MB", goal=1.0)


def compiled_rows(folder: Path, cache: Path) -> list[report.Row]:
    """Compile the pack, leave it in ``cache``; the compiler's own objects are gone afterwards, as in a worker."""
    begun = time.process_time()
    compiled = compile_rules(sources.load(folder / "sigma-rules.tar.zst"))
    rows = [
        report.Row("rules: compiled of the public pack", len(compiled.rules), "rules", "problems, each with its reason", len(compiled.problems), goal=3755),
        report.Row("rules: compiling them from YAML", time.process_time() - begun, "CPU-s"),
    ]
    prepared(compiled).save(cache)
    return rows


def main() -> None:
    folder = data()
    lines = events(folder)
    with tempfile.TemporaryDirectory() as place:
        cache = Path(place) / "rules.cache"
        rows = [*compiled_rows(folder, cache), start_row(cache, lines[0])]
        ready = Compiled.load(cache)
    windows = ready.only({rule.uid for rule in ready.rules if rule.logsource[0] == "windows"})
    print(f"{len(lines):,} events, {len(windows.rules):,} Windows rules", flush=True)
    rows += json_rows(windows, lines)
    rows.append(sql_row(folder, windows, lines, next(row.value for row in rows if "first pass" in row.name)))
    rows += arrow_rows(windows, lines)
    rows += fallback_rows(windows, lines)
    report.show(rows)
    report.merge(rows)


if __name__ == "__main__":
    main()
