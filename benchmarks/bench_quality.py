"""Quality: rows asked per CPU second, with all that the shipped data elements say of every column, beside plain scans of the same columns.

A folder of its own with ten days of events (``BENCH_QUALITY_EVENTS``, a million), joined as the writer joins them. What is measured
is the product's own counting, file by file, from the data files to the counts on the disk; the peers only read: DuckDB hashes every
value of the columns that are asked, Arrow brings them into memory. A second measuring, after one more batch, reads that batch alone.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent), str(HERE)]
os.environ["BENCH_EVENTS"] = EVENTS = os.environ.get("BENCH_QUALITY_EVENTS", "1000000")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lianfang.site.settings")
_home = tempfile.TemporaryDirectory(prefix="bench-quality-")
os.environ["LIANFANG_HOME"] = _home.name

import django  # noqa: E402
import duckdb  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

django.setup()

import bench_lake  # noqa: E402
import report  # noqa: E402

from lianfang.engines.columns.measures import Check  # noqa: E402
from lianfang.engines.columns.query import Query  # noqa: E402
from lianfang.engines.columns.shape import table  # noqa: E402
from lianfang.engines.columns.store import LARGE, EventStore  # noqa: E402
from lianfang.engines.schema.events import COLUMNS  # noqa: E402
from lianfang.rooms.standards import models, queries  # noqa: E402
from lianfang.rooms.standards.queries.elements import best, checks_of  # noqa: E402

NAMES, ROUNDS = ("system_activity", "iam", "network_activity"), 3


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of all threads, the best of some rounds."""
    found = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return min(found)


def asked() -> list[Check]:
    """What the shipped elements say of every column that they fit, and what the basic rules ask."""
    elements = [models.Element(**values) for values in queries.starter()]
    fitting = [(column, best(column, elements)) for column in COLUMNS]
    checks = [check for column, one in fitting if one for check in checks_of(one[0], column.name)]
    checks += [rule.asked for values in queries.BASIC if (rule := models.Rule(**values)).asked]
    return list({check.key: check for check in checks}.values())


def measured(root: Path, checks: list[Check]) -> None:
    """Everything, as if for the first time."""
    for path in root.glob("rollups/*/quality-*"):
        path.unlink()
    query = Query(EventStore(root), memory="192MB", threads=1)
    for name in NAMES:
        query.measure(name, checks)


def hashed(files: list[str], columns: list[str]) -> None:
    """DuckDB reads every value of these columns."""
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(f"SELECT {', '.join(f'bit_xor(hash({chr(34)}{name}{chr(34)}))' for name in columns)} FROM read_parquet({files!r}, union_by_name=true, hive_partitioning=false)").fetchall()


def main() -> None:
    root, world, number = Path(_home.name) / "lake", bench_lake.World(), 0
    store = EventStore(root)
    for number, made in enumerate(bench_lake.batches(world, int(EVENTS))):
        for name in NAMES:
            store.append(name, table(made[name]), transactions={"w000": number})
    for name in NAMES:
        store.compact(name)
        store.compact(name, target=LARGE)
        store.vacuum(name, hours=0)
    checks = asked()
    rows, files = sum(store.stats(name).rows for name in NAMES), store.files(NAMES)
    columns = sorted({name for check in checks for name in (*check.columns(), "source", "territory", "industry", "level", "time", "received") if name != "event_day"})
    ours = cpu(lambda: measured(root, checks))
    duck = cpu(lambda: hashed(files, columns))
    arrow = cpu(lambda: [pq.ParquetFile(path).read(columns=columns) for path in files])
    for name in NAMES:
        store.append(name, table(made[name]), transactions={"w000": number + 1})
    query = Query(store, memory="192MB", threads=1)
    started = time.process_time()
    read = sum(query.measure(name, checks) for name in NAMES)
    again = time.process_time() - started
    print(f"   {rows:,} rows in {len(files)} files, {len(checks)} checks over {len(columns)} columns; one more batch: {read} files in {again:.2f} CPU-s")
    found = [
        report.Row("quality: rows asked everything that the shipped elements say", round(rows / ours), "rows/CPU-s", "DuckDB hashes every value of the same columns", round(rows / duck), round(duck / ours, 2)),
        report.Row("quality: the same beside a read into memory", round(rows / ours), "rows/CPU-s", "Arrow reads the same columns", round(rows / arrow), round(arrow / ours, 2)),
        report.Row("quality: one more batch is measured", round(again, 3), "CPU-s", "everything anew", round(ours, 2), round(ours / again, 1)),
    ]
    report.show(found)
    report.merge(found)


if __name__ == "__main__":
    main()
