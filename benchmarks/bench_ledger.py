"""The ledger: records per second, batched and one by one, and verification; beside plain inserts of the same rows in the same run.

Runs on a fresh node in a temporary folder (SQLite unless ``LIANFANG_DATABASE`` names a server). Every figure is the best
of three rounds. Beside the rate by the clock stands the rate per CPU second of this process: on a machine that is busy
with other things, that one still says what the code costs.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]
HOME = tempfile.mkdtemp(prefix="lianfang-bench-")
os.environ.update(LIANFANG_HOME=HOME, LIANFANG_ROOMS="ledger", DJANGO_SETTINGS_MODULE="lianfang.site.settings")

import django  # noqa: E402

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import transaction  # noqa: E402

from lianfang.commons.ledger import actions, queries  # noqa: E402
from lianfang.commons.ledger.models import Record  # noqa: E402
from lianfang.commons.ledger.types import Draft  # noqa: E402
from lianfang.kernel import clock  # noqa: E402
from lianfang.kernel.ids import new_id  # noqa: E402
from lianfang.kernel.ref import Ref  # noqa: E402
from lianfang.kernel.viewer import Viewer  # noqa: E402

ROWS, SINGLES, ROUNDS = 40_000, 1_500, 3
CLERK = Viewer(id="018f3c00-0000-7000-8000-000000000000", name="bench", organisation="018f3c00-0000-7000-8000-000000000001", path="0000100002")


def drafts(count: int) -> list[Draft]:
    return [Draft("detect.found", Ref("detect", "finding", f"018f3c00-{n}"), f"finding {n}", {"rule": "proc_creation_win_whoami", "host": f"host{n % 100}", "count": n}) for n in range(count)]


def plain(count: int) -> None:
    """The peer: the same rows as model instances by ``bulk_create``, without commitment, leaf or tree."""
    for start in range(0, count, 1000):
        with transaction.atomic():
            Record.objects.bulk_create([_row(n) for n in range(start, min(start + 1000, count))])


def _row(n: int) -> Record:
    return Record(
        id=new_id(), organisation=CLERK.organisation, territory=CLERK.path, time=clock.now(), verb="detect.found", ref=f"detect:finding:018f3c00-{n}", label=f"finding {n}",
        actor=CLERK.id, actor_name=CLERK.name, actor_kind="user", detail=json.dumps({"rule": "proc_creation_win_whoami", "host": f"host{n % 100}", "count": n}), salt=bytes(32), commitment=bytes(32),
    )  # fmt: skip


def one_by_one(count: int) -> None:
    for n in range(count):
        _row(n).save(force_insert=True)


def batched(many: list[Draft]) -> None:
    """In a transaction of its own, sealed as it is written."""
    actions.record_many(many, actor=CLERK)


def inside(many: list[Draft]) -> None:
    """In the caller's transaction; sealed afterwards."""
    with transaction.atomic():
        actions.record_many(many, actor=CLERK)


def single(count: int) -> None:
    for n in range(count):
        actions.record("respond.closed", Ref("respond", "alert", f"018f3c00-{n}"), actor=CLERK, label="closed", detail={"before": {"state": "new"}, "after": {"state": "closed"}})


Rate = tuple[float, float]
"""Per second by the clock, per second of CPU."""


def rate(work: Callable[[], object], count: int) -> Rate:
    gc.collect()
    started, spent = time.perf_counter(), time.process_time()
    work()
    return count / (time.perf_counter() - started), count / (time.process_time() - spent)


def better(one: Rate, other: Rate) -> Rate:
    return max(one[0], other[0]), max(one[1], other[1])


def measure() -> list[dict[str, object]]:
    many, best = drafts(ROWS), defaultdict[str, Rate](lambda: (0.0, 0.0))
    steps: list[tuple[str, Callable[[], object], int]] = [
        ("sealed", lambda: batched(many), ROWS),
        ("inside", lambda: inside(many), ROWS),
        ("sequenced", actions.sequence, ROWS),
        ("single", lambda: single(SINGLES), SINGLES),
        ("left", actions.sequence, SINGLES),
        ("checkpoint", actions.cut_checkpoint, 1),
    ]
    for _round in range(ROUNDS):
        for name, work, count in steps:
            best[name] = better(best[name], rate(work, count))
    total = ROUNDS * (2 * ROWS + SINGLES)
    best["verified"] = rate(lambda: _must_hold(total), total)
    for _round in range(ROUNDS):  # the peers' rows come last: they have no commitment and would not verify
        best["peer_many"] = better(best["peer_many"], rate(lambda: plain(ROWS), ROWS))
        best["peer_single"] = better(best["peer_single"], rate(lambda: one_by_one(SINGLES), SINGLES))
    return [
        row("ledger: records batched and sealed", best["sealed"], "plain bulk_create of the same rows", best["peer_many"], 50_000),
        row("ledger: records batched in the caller's transaction", best["inside"], "plain bulk_create of the same rows", best["peer_many"], 50_000),
        row("ledger: records sealed by the sequencer", best["sequenced"], "plain bulk_create of the same rows", best["peer_many"], None),
        row("ledger: records one by one, a transaction each", best["single"], "plain save of the same row", best["peer_single"], 1_000),
        row("ledger: records verified", best["verified"], "", None, None),
    ]


def _must_hold(total: int) -> None:
    verdict = queries.verify()
    if not verdict.ok or verdict.records != total:
        raise SystemExit(f"the log does not hold: {verdict}")


def row(name: str, value: Rate, peer: str, beside: Rate | None, goal: int | None) -> dict[str, object]:
    peers = {"peer_value": round(beside[0]), "ratio": round(value[1] / beside[1], 2)} if beside else {"peer_value": None, "ratio": None}
    return {"name": name, "value": round(value[0]), "unit": "records/s", "per_cpu_second": round(value[1]), "peer": peer, **peers, "goal": goal}


def keep(rows: list[dict[str, object]]) -> None:
    """Merge into ``latest.json``: one row per name."""
    path = HERE / "latest.json"
    known = {str(each["name"]): each for each in (json.loads(path.read_text("utf-8")) if path.exists() else [])}
    known.update({str(each["name"]): each for each in rows})
    path.write_text(json.dumps(list(known.values()), indent=1, ensure_ascii=False) + "\n", "utf-8")


def main() -> int:
    try:
        call_command("migrate", verbosity=0)
        rows = measure()
    finally:
        shutil.rmtree(HOME, ignore_errors=True)
    for each in rows:
        goal = f"goal {each['goal']:,}" if each["goal"] else ""
        beside = f"{each['ratio']}× {each['peer']}" if each["peer"] else ""
        print(f"{each['name']:<54}{each['value']:>10,} /s {each['per_cpu_second']:>10,} /CPU-s  {goal:<13} {beside}")
    keep(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
