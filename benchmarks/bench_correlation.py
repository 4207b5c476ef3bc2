"""Correlations: matches per CPU second of one core over the rules that come with the node, beside one SQL statement per rule in DuckDB on the same matches.

Matches are made: forty minutes of event time of 40 steps over 4,000 addresses, 2,000 users and 500 hosts, in batches of 20,000 as a busy node's correlator takes them.
DuckDB gets all matches at once and only counts what its windows hold; the correlator gets them batch by batch and says of each firing its group, its steps and which events made it (looked up, read when somebody reads them).
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE)]

import duckdb  # noqa: E402
import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
from report import Row, merge, show  # noqa: E402

from lianfang.engines.rules import sources  # noqa: E402
from lianfang.engines.rules.compiler import compile_rules  # noqa: E402
from lianfang.engines.rules.correlation import Correlation  # noqa: E402
from lianfang.engines.rules.correlator import FIELD, Correlator, Marks  # noqa: E402

MATCHES, BATCH, SPAN = 1_000_000, 20_000, 2_400_000
START = 1_795_000_000_000
SIZES = {"host": 500, "src_ip": 4000, "dst_ip": 1000, "user": 2000, "TargetUserName": 2000, "SubjectUserName": 300, "Image": 200, "source": 12}
PACK = HERE.parent / "content/rules/correlations"


def table(correlations: list[Correlation], steps: list[str]) -> pa.Table:
    """Matches in the order of time; a rule's events have the fields that correlations look at."""
    chance = np.random.default_rng(1)
    rules = chance.integers(0, len(steps), MATCHES)
    moments = np.sort(START + chance.integers(0, SPAN, MATCHES))
    names = sorted({name for one in correlations for ref in one.refs for name in one.names(ref)})
    columns: dict[str, pa.Array] = {
        "rule": pa.DictionaryArray.from_arrays(rules.astype(np.int32), pa.array(steps)), "time": pa.array(moments), "event": pa.array([f"19a0000000a-w000-{n:07x}" for n in range(MATCHES)]),
        "host": pa.array([f"host-{n}" for n in chance.integers(0, 500, MATCHES).tolist()]),
    }  # fmt: skip
    for name in names:
        numbers = name in ("sentbyte", "body_bytes_sent")
        size = SIZES.get(name, 5000)
        values = [str(n * 1000) for n in range(size)] if numbers else [f"{name}-{n}" for n in range(size)]
        columns[FIELD + name] = pa.DictionaryArray.from_arrays(chance.integers(0, size, MATCHES).astype(np.int32), pa.array(values)).cast(pa.string())
    return pa.table(columns)


def ours(correlations: list[Correlation], matches: pa.Table) -> tuple[float, int, int]:
    """CPU seconds, firings, and the most bytes that were held."""
    batches = [Marks("bench", "", matches.slice(start, BATCH).combine_chunks()) for start in range(0, MATCHES, BATCH)]
    work, found, most = Correlator(correlations), 0, 0
    started = time.process_time()
    for one in batches:
        found += len(work.advance([one], int(one.table["time"][-1].as_py())))
        most = max(most, work.size)
    return time.process_time() - started, found, most


def theirs(correlations: list[Correlation], matches: pa.Table) -> tuple[float, int]:
    """CPU seconds of one statement per rule that counts or tells values apart, and how many rules that is; chains and absences are left out, in their favour."""
    plain = [one for one in correlations if one.kind in ("event_count", "value_count", "value_sum")]
    con = duckdb.connect()
    con.execute("SET threads = 1")
    con.register("given", matches)
    con.execute("CREATE TABLE matches AS SELECT * FROM given")
    started = time.process_time()
    for one in plain:
        fields = ", ".join(f'"{FIELD}{name}"' for name in one.group_by) or "1"
        named = f'"{FIELD}{one.fields[0]}"' if one.fields else ""
        measure = "count(*)" if one.kind == "event_count" else f"count(DISTINCT {named})" if one.kind == "value_count" else f"sum({named}::BIGINT)"
        refs = ", ".join(f"'{ref}'" for ref in one.refs)
        con.execute(f"SELECT count(*) FROM (SELECT {measure} OVER (PARTITION BY {fields} ORDER BY time RANGE BETWEEN {one.width} PRECEDING AND CURRENT ROW) AS n FROM matches WHERE rule IN ({refs})) WHERE n >= {one.bound}").fetchall()
    return time.process_time() - started, len(plain)


def main() -> None:
    compiled = compile_rules(sources.load([PACK / "chains", PACK / "steps"]))
    correlations = list(compiled.correlations)
    steps = [rule.uid for rule in compiled.rules]
    random.Random(1).shuffle(steps)
    matches = table(correlations, steps[:40])
    spent, found, most = min(ours(correlations, matches) for _ in range(3))
    plain = [one for one in correlations if one.kind in ("event_count", "value_count", "value_sum")]
    same, _found, _most = min(ours(plain, matches) for _ in range(2))
    other, rules = theirs(plain, matches)
    rows = [
        Row(f"correlation: matches per second, {len(correlations)} correlations", MATCHES / spent, "1/CPU-s", goal=500_000),
        Row(f"correlation: matches per second, the {rules} that count alone", MATCHES / same, "1/CPU-s", "DuckDB, one statement per rule, all at once", MATCHES / other, other / same, None),
        Row("correlation: memory held at most", most / 1e6, "MB", goal="≤ 64"),
    ]
    show(rows)
    print(f"{found:,} firings")
    merge(rows)


if __name__ == "__main__":
    main()
