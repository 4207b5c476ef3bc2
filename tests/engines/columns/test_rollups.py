"""A roll-up counts exactly as a full scan does, whatever happened to the tables meanwhile."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lianfang.engines.columns import rollups
from lianfang.engines.columns.query import Bounds, Query
from lianfang.engines.columns.rollups import HOURS, ROLLUPS, VALUES
from lianfang.engines.columns.shape import EVENTS, table
from lianfang.engines.columns.store import EventStore, equal

DAWN = datetime(2026, 11, 1, tzinfo=UTC)
STEPS = st.lists(st.tuples(st.sampled_from(["append", "append", "append", "compact", "roll", "erase", "carry", "narrow"]), st.integers(0, 10_000)), min_size=1, max_size=12)


def events(seed: int, count: int = 25, *, schema=EVENTS):
    moments = [DAWN + timedelta(seconds=(seed * 7919 + n * 40_503) % 400_000) for n in range(count)]
    return table({
        "event_id": [f"{seed:06d}-{n}" for n in range(count)], "time": moments, "source": [f"s{(seed + n) % 3}" for n in range(count)], "territory": [("00001", "0000100002")[n % 2] for n in range(count)],
        "level": [(1, 2, None)[n % 3] for n in range(count)], "class_uid": [(3002, 1007)[seed % 2]] * count, "host": [f"h{(seed * n) % 5}" if n % 4 else None for n in range(count)], "rules": [[f"r{k}" for k in range(n % 3)] for n in range(count)],
    }, schema=schema)  # fmt: skip


def do(store: EventStore, query: Query, step: str, seed: int) -> None:
    match step:
        case "append":
            store.append(("iam", "other")[seed % 2], events(seed), transactions={"w0": seed})
        case "narrow":  # a file of an older release, without a column
            store.append("iam", events(seed, schema=EVENTS.remove(EVENTS.get_field_index("severity_id"))), transactions={"w0": seed})
        case "compact":
            store.compact("iam")
        case "roll":
            for name in store.tables():
                for rollup in ROLLUPS:
                    query.roll_up(rollup, name)
        case "erase":
            store.erase("iam", equal("source", f"s{seed % 3}"))
        case "carry":
            store.carry("iam", "territory", before="0000100002", after="0000700002", end="0000100003")


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, start=st.integers(-5_000, 400_000), length=st.integers(1, 500_000))
def test_a_sum_of_roll_ups_is_what_a_scan_counts(tmp_path_factory, steps, start, length):
    store = EventStore(tmp_path_factory.mktemp("rolled"))
    query = Query(store)
    for step, seed in steps:
        do(store, query, step, seed)
    bounds = Bounds(("iam", "other"), DAWN + timedelta(seconds=start), DAWN + timedelta(seconds=start + length))
    span = [bounds.since, bounds.until]
    scanned = query.rows("SELECT epoch_us(time) // 3600000000 AS h, source, territory, level, class_uid, count(*) AS n FROM stored WHERE time >= ? AND time < ? GROUP BY ALL ORDER BY ALL", span, bounds=bounds)
    assert query.counted(HOURS, "SELECT epoch_us(time) // 3600000000 AS h, source, territory, level, class_uid, sum(n)::BIGINT AS n FROM stored GROUP BY ALL ORDER BY ALL", bounds=bounds) == scanned
    for name, value in (("host", "host"), ("rules", "unnest(rules)")):
        scanned = query.rows(f"SELECT {value} AS value, count(*) AS n FROM stored WHERE time >= ? AND time < ? GROUP BY 1 ORDER BY ALL", span, bounds=bounds)
        assert query.counted(VALUES[name], f'SELECT "{name}" AS value, sum(n)::BIGINT AS n FROM stored GROUP BY 1 ORDER BY ALL', bounds=bounds) == scanned


def test_what_was_counted_is_not_opened_again(tmp_path):
    store = EventStore(tmp_path)
    query = Query(store)
    for seed in range(4):
        store.append("iam", events(seed), transactions={"w0": seed})
    files = len(store.files(["iam"]))
    assert query.roll_up(HOURS, "iam") == files
    assert query.roll_up(HOURS, "iam") == 0
    store.append("iam", events(9), transactions={"w0": 9})
    fresh = len(store.files(["iam"])) - files
    assert query.roll_up(HOURS, "iam") == fresh
    bounds = Bounds(("iam",), DAWN, DAWN + timedelta(days=5))
    for path in store.files(["iam"]):
        tmp_path.joinpath(path).write_bytes(b"")  # whoever opened it would fail
    assert query.counted(HOURS, "SELECT sum(n)::BIGINT AS n FROM stored", bounds=bounds) == [{"n": 125}]


def test_a_lost_roll_up_costs_time_and_nothing_else(tmp_path):
    store = EventStore(tmp_path)
    query = Query(store)
    store.append("iam", events(1), transactions={})
    bounds = Bounds(("iam",), DAWN, DAWN + timedelta(days=5))
    for _ in range(4):
        query.roll_up(HOURS, "iam")
        store.append("iam", events(2), transactions={})
    left = sorted((tmp_path / rollups.FOLDER / "iam").iterdir())
    assert len(left) == 2, "the one before stays for whoever reads it"
    assert query.counted(HOURS, "SELECT sum(n)::BIGINT AS n FROM stored", bounds=bounds) == [{"n": 125}]
    for path in left:
        path.unlink()
    assert query.counted(HOURS, "SELECT sum(n)::BIGINT AS n FROM stored", bounds=bounds) == [{"n": 125}]


def test_files_that_hold_nothing_to_count_are_counted(tmp_path):
    store = EventStore(tmp_path)
    query = Query(store)
    store.append("iam", table({"event_id": ["a"], "time": [DAWN + timedelta(hours=30)]}), transactions={})
    assert query.roll_up(VALUES["rules"], "iam") == 1
    assert query.roll_up(VALUES["rules"], "iam") == 0
    assert query.counted(VALUES["rules"], "SELECT rules, n FROM stored", bounds=Bounds(("iam",), DAWN, DAWN + timedelta(days=5))) == []


@pytest.mark.parametrize("until", [DAWN, DAWN + timedelta(minutes=30)])
def test_a_time_without_a_whole_stretch_is_scanned(tmp_path, until):
    store = EventStore(tmp_path)
    store.append("iam", events(1), transactions={})
    Query(store).roll_up(HOURS, "iam")
    low, high = HOURS.inside(DAWN + timedelta(minutes=1), until)
    assert low >= high
    Query(store).counted(HOURS, "SELECT sum(n) AS n FROM stored", bounds=Bounds(("iam",), DAWN + timedelta(minutes=1), until + timedelta(minutes=2)))
