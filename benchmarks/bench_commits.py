"""What a commit costs: the same events appended with one, two and four segments of the spool in each commit, in turns.

201,000 real Windows events, decoded and mapped beforehand, go into a fresh store each time, by table, as the writer does it.
Counted is processor time of the process, threads of Delta Lake included.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

import pyarrow as pa  # noqa: E402
from benchmarks import bench_path  # noqa: E402
from report import Row, merge, show  # noqa: E402

from lianfang.engines.columns import shape  # noqa: E402
from lianfang.engines.columns.store import EventStore  # noqa: E402
from lianfang.engines.connect import codecs  # noqa: E402
from lianfang.engines.connect.mapping import Templates  # noqa: E402
from lianfang.engines.schema.events import table_of  # noqa: E402

BODIES = 3
"""Bodies of a thousand events that fill a segment."""
TURNS = 5

Segment = dict[str, pa.Table]


def segments() -> list[Segment]:
    """What the writer has in hand of each segment: rows by table."""
    templates, received, found = Templates.load(HERE.parent / "content" / "mappings"), datetime.now(UTC), []
    bodies = bench_path.bodies()
    for start in range(0, len(bodies), BODIES):
        decoded = codecs.decode("json", b"\n".join(bodies[start : start + BODIES]).split(b"\n"))
        columns = templates.map(decoded.rows, received=received).columns
        columns |= {"event_id": [f"{start:04d}-{at:05d}" for at in range(len(decoded.rows))], "raw": [raw.decode("utf-8", "replace") for raw in decoded.raws], "source": ["bench"] * len(decoded.rows)}
        rows, places = shape.table({name: values for name, values in columns.items() if name in shape.EVENTS.names}), defaultdict(list)
        for at, uid in enumerate(columns["class_uid"]):
            places[table_of(uid or 0)].append(at)
        found.append({name: rows.take(pa.array(those)) for name, those in places.items()})
    return found


def appended(found: list[Segment], together: int) -> tuple[float, int]:
    """CPU seconds, and how many appends there were."""
    appends = 0
    with tempfile.TemporaryDirectory() as folder:
        store, before = EventStore(Path(folder)), _spent()
        for start in range(0, len(found), together):
            tables = defaultdict(list)
            for segment in found[start : start + together]:
                for name, rows in segment.items():
                    tables[name].append(rows)
            for name, parts in tables.items():
                store.append(name, pa.concat_tables(parts), transactions={"w000": start})
                appends += 1
        return _spent() - before, appends


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    if not (bench_path.DATA / "windows-events-201k.jsonl.zst").is_file():
        print("LIANFANG_DATA names no folder of field data: nothing is measured")
        return
    print(f"   load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    found = segments()
    events = sum(rows.num_rows for segment in found for rows in segment.values())
    times: dict[int, list[float]] = defaultdict(list)
    appends: dict[int, int] = {}
    for _turn in range(TURNS):
        for together in (1, 2, 4):
            spent, appends[together] = appended(found, together)
            times[together].append(spent)
    alone = events / median(times[1])
    each = (median(times[1]) - median(times[4])) / (appends[1] - appends[4])
    print(f"   {events:,} events; appends: {', '.join(f'{count} with {together} together' for together, count in appends.items())}; an append costs {1000 * each:.1f} ms of the processor before its first row")
    rows = [Row(f"commits: events appended, {together} segments in each", events / median(times[together]), "events/CPU-s", peer="one segment in each", peer_value=alone, ratio=events / median(times[together]) / alone) for together in (2, 4)]
    show(rows)
    merge(rows)


if __name__ == "__main__":
    main()
