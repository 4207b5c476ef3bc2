"""The event store keeps what it acknowledged, once, and readers never notice the writer."""

import doctest
import itertools
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake.exceptions import CommitFailedError
from deltalake.table import TableOptimizer
from hypothesis import given, settings
from hypothesis import strategies as st

from lianfang.engines.columns import apart, joining
from lianfang.engines.columns.query import Bounds, Query
from lianfang.engines.columns.shape import EVENTS, days, table
from lianfang.engines.columns.store import EventStore, equal
from lianfang.kernel.errors import Conflict, Invalid

DAWN = datetime(2026, 11, 20, tzinfo=UTC)


def events(start: int, count: int, *, moment: datetime = DAWN, source: str = "s1", **more) -> pa.Table:
    return table({"event_id": [f"{start + n:08d}" for n in range(count)], "time": [moment + timedelta(seconds=n) for n in range(count)], "source": [source] * count, **more})


@pytest.fixture
def store(tmp_path) -> EventStore:
    return EventStore(tmp_path / "lake")


def test_the_readme_runs():
    readme = Path(__file__).parents[3] / "src/lianfang/engines/columns/README.md"
    assert doctest.testfile(str(readme), module_relative=False).failed == 0


def test_a_commit_notes_how_far_each_origin_has_come(store):
    assert store.committed("iam", "w0") == -1
    store.append("iam", events(0, 10), transactions={"w0": 5, "w1": 9})
    store.append("iam", events(10, 10), transactions={"w0": 6})
    assert (store.committed("iam", "w0"), store.committed("iam", "w1"), store.committed("iam", "w2")) == (6, 9, -1)
    assert EventStore(store.root).committed("iam", "w0") == 6


def test_a_column_learned_later_reads_as_null_in_older_rows(store):
    narrow = EVENTS.remove(EVENTS.get_field_index("user_agent"))
    store.append("iam", table({"event_id": ["a"], "time": [DAWN]}, schema=narrow), transactions={"w0": 1})
    store.append("iam", table({"event_id": ["b"], "time": [DAWN], "user_agent": ["curl"]}), transactions={"w0": 2})
    rows = Query(store).rows("SELECT event_id, user_agent FROM stored ORDER BY 1", bounds=Bounds(("iam",)))
    assert rows == [{"event_id": "a", "user_agent": None}, {"event_id": "b", "user_agent": "curl"}]


def test_compaction_joins_small_files_and_loses_nothing(store):
    for step in range(30):
        store.append("iam", events(step * 100, 100), transactions={"w0": step})
    assert store.small_files("iam") == 30
    assert store.compact("iam") == 30
    assert store.stats("iam").files == 1
    assert store.committed("iam", "w0") == 29
    assert Query(store).rows("SELECT count(DISTINCT event_id) AS n FROM stored", bounds=Bounds(("iam",))) == [{"n": 3000}]
    assert store.vacuum("iam", hours=1) == 0, "readers of the old version finish in peace"
    assert store.vacuum("iam", hours=0) == 30
    assert Query(store).rows("SELECT count(*) AS n FROM stored", bounds=Bounds(("iam",))) == [{"n": 3000}]


def test_days_are_dropped_and_sources_erased(store):
    for back in range(5):
        store.append("iam", events(back * 10, 10, moment=DAWN - timedelta(days=back), source=f"s{back % 2}"), transactions={"w0": back})
    assert store.retain("iam", since=date(2026, 11, 18)) == 20
    assert store.erase("iam", equal("source", "s0")) == 20
    left = Query(store).rows("SELECT DISTINCT source, event_day FROM stored", bounds=Bounds(("iam",)))
    assert left == [{"source": "s1", "event_day": "2026-11-19"}]


def test_an_old_log_that_came_late_is_kept_as_long_as_a_new_one(store):
    store.append("iam", events(0, 2, moment=DAWN - timedelta(days=900), received=[DAWN, DAWN - timedelta(days=900)]), transactions={})
    assert store.retain("iam", since=date(2026, 6, 1)) == 1
    assert store.stats("iam").rows == 1


def test_an_emptied_table_still_answers_and_grows_again(store):
    store.append("iam", events(0, 10), transactions={"w0": 1})
    assert store.erase("iam", equal("source", "s1")) == 10
    assert store.stats("iam").rows == 0
    assert store.files(["iam"], since=DAWN, until=DAWN + timedelta(days=1), event_id="x", source="s1") == []
    assert Query(store).rows("SELECT count(*) AS n FROM stored", bounds=Bounds(("iam",), since=DAWN)) == [{"n": 0}]
    store.append("iam", events(0, 10), transactions={"w0": 2})
    assert store.stats("iam").rows == 10


def test_a_table_name_is_a_plain_word(store):
    with pytest.raises(Invalid):
        store.append("../elsewhere", events(0, 1), transactions={})


def test_a_quote_in_a_source_name_erases_only_that_source(store):
    store.append("iam", events(0, 3, source="it's"), transactions={"w0": 1})
    store.append("iam", events(3, 3, source="its"), transactions={"w0": 2})
    assert store.erase("iam", equal("source", "it's")) == 3
    assert store.stats("iam").rows == 3


@given(st.lists(st.datetimes(datetime(1999, 1, 1), datetime(2100, 1, 1)), min_size=1))
def test_the_day_of_a_moment_is_its_utc_day(moments):
    times = pa.array([moment.replace(tzinfo=UTC) for moment in moments], pa.timestamp("us", "UTC"))
    assert days(times).to_pylist() == [moment.date().isoformat() for moment in moments]


@pytest.fixture(scope="module")
def spread(tmp_path_factory) -> EventStore:
    """Forty files over three days and two sources, with identifiers in no order."""
    store, chance = EventStore(tmp_path_factory.mktemp("spread")), random.Random(7)
    for step in range(40):
        store.append("iam", events(chance.randrange(10**6) * 100, 20, moment=DAWN + timedelta(minutes=chance.randrange(4320)), source=f"s{step % 2}"), transactions={"w0": step})
    return store


@settings(deadline=None, max_examples=40)
@given(start=st.integers(-100, 4400), length=st.integers(0, 2000), source=st.sampled_from([None, "s0", "s1", "s2"]))
def test_pruning_never_hides_a_row(spread, start, length, source):
    since, until = DAWN + timedelta(minutes=start), DAWN + timedelta(minutes=start + length)
    sql, params = "SELECT event_id FROM stored WHERE time >= ? AND time < ?", [since, until]
    if source:
        sql, params = sql + " AND source = ?", [*params, source]
    whole = Query(spread).rows(sql + " ORDER BY 1", params, bounds=Bounds(("iam",)))
    assert Query(spread).rows(sql + " ORDER BY 1", params, bounds=Bounds(("iam",), since, until, source=source)) == whole
    bounded = "SELECT event_id FROM stored" + (" WHERE source = ?" if source else "")
    assert Query(spread).rows(bounded + " ORDER BY 1", params[2:], bounds=Bounds(("iam",), since, until, source=source)) == whole, "the bounds alone say which rows there are"


def test_the_last_microsecond_of_a_file_is_not_lost_to_the_rounding_of_its_statistics(store):
    store.append("iam", events(0, 1, moment=DAWN + timedelta(microseconds=1_611)), transactions={})
    ask = lambda *bounds: Query(store).rows("SELECT event_id FROM stored", bounds=Bounds(("iam",), *bounds))  # noqa: E731
    assert len(ask(DAWN + timedelta(microseconds=1_500), DAWN + timedelta(hours=1))) == 1
    assert ask(DAWN, DAWN + timedelta(microseconds=1_600)) == []
    assert ask(DAWN + timedelta(microseconds=1_612)) == []


def test_files_that_lack_columns_are_asked_together_with_whole_ones_within_the_time(store):
    narrow = EVENTS.remove(EVENTS.get_field_index("user_agent"))
    for step, schema in enumerate((narrow, EVENTS, narrow, EVENTS)):
        store.append("iam", table({"event_id": [f"{step}{n}" for n in range(4)], "time": [DAWN + timedelta(hours=n) for n in range(4)]}, schema=schema), transactions={})
    rows = Query(store).rows("SELECT event_id FROM stored ORDER BY 1", bounds=Bounds(("iam",), DAWN + timedelta(hours=1), DAWN + timedelta(hours=3)))
    assert [row["event_id"] for row in rows] == ["01", "02", "11", "12", "21", "22", "31", "32"]


def test_a_reader_sees_the_next_commit_of_another_process_at_once(store):
    reader = Query(EventStore(store.root))
    for step in range(3):
        store.append("iam", events(step, 1), transactions={})
        assert reader.rows("SELECT count(*) AS n FROM stored", bounds=Bounds(("iam",))) == [{"n": step + 1}]
        store.compact("iam")
        assert reader.rows("SELECT count(*) AS n FROM stored", bounds=Bounds(("iam",))) == [{"n": step + 1}]


def test_files_are_joined_anew_when_the_race_to_commit_them_was_lost(store, monkeypatch):
    for step in range(4):
        store.append("iam", events(step, 1), transactions={})
    lost, compact = iter([True, True, False]), TableOptimizer.compact

    def race(optimizer, **options):
        if next(lost):
            raise CommitFailedError("Failed to commit transaction: 15")
        return compact(optimizer, **options)

    monkeypatch.setattr(TableOptimizer, "compact", race)
    assert joining.join(store.address("iam"), None, 1 << 20, 1000) == 4
    lost = itertools.repeat(True)
    with pytest.raises(CommitFailedError):
        joining.join(store.address("iam"), None, 1 << 20, 1000)
    assert Query(store).rows("SELECT count(*) AS n FROM stored", bounds=Bounds(("iam",))) == [{"n": 4}]


@pytest.mark.parametrize(("program", "why"), [("import sys; sys.exit(9)", "was ended"), ('print(\'{"fault": "no space left"}\')', "no space left")])
def test_joining_that_fails_says_so_and_loses_nothing(store, monkeypatch, tmp_path, program, why):
    for step in range(4):
        store.append("iam", events(step, 1), transactions={})
    (tmp_path / "child.py").write_text(program)
    monkeypatch.setattr(apart, "command", lambda _module: [sys.executable, str(tmp_path / "child.py")])
    with pytest.raises(Conflict, match=r"not joined") as refusal:
        store.compact("iam")
    assert why in str(refusal.value.why)
    assert Query(store).rows("SELECT count(*) AS n FROM stored", bounds=Bounds(("iam",))) == [{"n": 4}]


def test_one_event_opens_few_files(spread):
    event_id = Query(spread).rows("SELECT event_id FROM stored LIMIT 1", bounds=Bounds(("iam",)))[0]["event_id"]
    assert len(spread.files(["iam"], event_id=event_id)) <= 2
    assert len(spread.files(["iam"], since=DAWN, until=DAWN + timedelta(hours=6))) < 20


def test_what_came_later_opens_the_files_that_hold_it(store):
    for start in (0, 10, 20):
        store.append("iam", events(start, 10), transactions={"w0": start})
    names = sorted(row["event_id"] for row in Query(store).rows("SELECT event_id FROM stored", bounds=Bounds(("iam",))))
    assert len(store.snapshot(["iam"]).pruned(later=names[0])) == 3
    assert len(store.snapshot(["iam"]).pruned(later=names[-1])) == 1
    assert len(store.snapshot(["iam"]).pruned(later="~")) == 0


def _write(root: Path, seconds: float) -> None:
    store, step, end = EventStore(root), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        store.append("iam", events(step * 50, 50), transactions={"w0": step})
        step += 1
        if step % 20 == 0:
            store.compact("iam")
            store.vacuum("iam", hours=0)  # no grace at all: worse than real life, so that readers do lose files


def _read(root: Path, seconds: float, answers: multiprocessing.Queue) -> None:
    query, end, asked = Query(EventStore(root)), time.monotonic() + seconds, 0
    try:
        while time.monotonic() < end:
            (row,) = query.rows("SELECT count(*) AS n, count(DISTINCT event_id) AS distinct_ids FROM stored", bounds=Bounds(("iam",)))
            assert row["n"] == row["distinct_ids"]
            assert row["n"] % 50 == 0, "a reader saw half a batch"
            asked += 1
        answers.put(asked)
    except BaseException as error:
        answers.put(repr(error))


def test_days_are_utc_days_wherever_the_node_stands(store, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        store.append("iam", events(0, 1, moment=datetime(2026, 11, 20, 23, 30, tzinfo=UTC)), transactions={})
        (row,) = Query(store).rows("SELECT event_day, time FROM stored", bounds=Bounds(("iam",)))
        assert row["event_day"] == "2026-11-20"
        assert row["time"].utcoffset() == timedelta(0)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_subtree_of_paths_is_carried_to_its_new_place(store):
    for number, path in enumerate(("00001", "0000100002", "000010000200003", "0000100003")):
        store.append("iam", events(number, 1, territory=[path]), transactions={"w0": number})
    assert store.carry("iam", "territory", before="0000100002", after="000010000900002", end="0000100003") == 2
    rows = Query(store).rows("SELECT territory FROM stored ORDER BY 1", bounds=Bounds(("iam",)))
    assert [row["territory"] for row in rows] == ["00001", "0000100003", "000010000900002", "00001000090000200003"]
    for before, end in (("", ":"), ("x' OR '1", "y")):
        with pytest.raises(Invalid):
            store.carry("iam", "territory", before=before, after="00009", end=end)


def test_an_empty_path_is_filled_for_one_source_only(store):
    store.append("iam", events(0, 2, industry=["", "00007"]), transactions={})
    store.append("iam", events(2, 1, source="s2"), transactions={})
    assert store.fill("iam", "industry", "00003", where=equal("source", "s1")) == 1
    rows = Query(store).rows("SELECT industry FROM stored ORDER BY event_id", bounds=Bounds(("iam",)))
    assert [row["industry"] for row in rows] == ["00003", "00007", None]


def test_several_processes_read_while_one_writes_compacts_and_vacuums(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    answers = spawn.Queue()
    store = EventStore(tmp_path)
    store.append("iam", events(10**6, 50), transactions={})
    readers = [spawn.Process(target=_read, args=(tmp_path, 4.0, answers)) for _ in range(2)]
    for reader in readers:
        reader.start()
    _write(tmp_path, 4.5)
    counts = [answers.get(timeout=20) for _ in readers]
    for reader in readers:
        reader.join(10)
    assert all(isinstance(count, int) and count > 0 for count in counts), counts


WRITER = """
    import sys
    from datetime import UTC, datetime, timedelta
    from pathlib import Path
    from lianfang.engines.columns.shape import table
    from lianfang.engines.columns.store import EventStore
    store = EventStore(Path(sys.argv[1]))
    step = store.committed("iam", "w0") + 1
    while True:
        ids = [f"{step:06d}-{n:03d}" for n in range(200)]
        store.append("iam", table({"event_id": ids, "time": [datetime(2026, 11, 20, tzinfo=UTC)] * 200}), transactions={"w0": step})
        print(step, flush=True)
        step += 1
        if step % 10 == 0:
            store.compact("iam")
"""


def test_killed_at_any_moment_the_table_holds_every_acknowledged_batch_once(tmp_path):
    chance, acknowledged = random.Random(11), -1
    for _ in range(6):
        writer = subprocess.Popen([sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path)], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        assert writer.stdout is not None
        acknowledged = max(acknowledged, int(writer.stdout.readline()))
        time.sleep(chance.uniform(0.0, 0.6))
        writer.send_signal(signal.SIGKILL)
        said = writer.stdout.read().split()
        writer.wait()
        acknowledged = max([acknowledged, *map(int, said)])
    store = EventStore(tmp_path)
    (row,) = Query(store).rows("SELECT count(*) AS n, count(DISTINCT event_id) AS ids, count(DISTINCT substr(event_id, 1, 6)) AS batches FROM stored", bounds=Bounds(("iam",)))
    assert row["n"] == row["ids"] == row["batches"] * 200
    assert row["batches"] == store.committed("iam", "w0") + 1 >= acknowledged + 1


def test_a_day_is_written_anew_while_others_append(store):
    for n in range(3):
        store.append("iam", events(10 * n, 10, host=["old"] * 10), transactions={"w0": n})
    store.append("iam", events(30, 5, moment=DAWN + timedelta(days=1), host=["old"] * 5), transactions={"w0": 3})
    came = []

    def change(rows):
        if not came:
            other = threading.Thread(target=lambda: came.append(EventStore(store.root).append("iam", events(100, 7, host=["meanwhile"] * 7), transactions={"w1": 1})))
            other.start()
            other.join()
        return rows.set_column(rows.column_names.index("host"), "host", pa.array(["new"] * rows.num_rows))

    assert store.rewrite("iam", "2026-11-20", change) in (30, 37)
    rows = Query(store).rows("SELECT host, count(*) AS n FROM stored GROUP BY 1 ORDER BY 1", bounds=Bounds(("iam",)))
    assert {row["host"]: row["n"] for row in rows} in ({"meanwhile": 7, "new": 30, "old": 5}, {"new": 37, "old": 5})
    assert (store.committed("iam", "w0"), store.committed("iam", "w1")) == (3, 1)
    assert {path.split("event_day=")[1][:10] for path in store.files(["iam"], since=DAWN + timedelta(days=1))} == {"2026-11-21"}


def test_a_day_that_breaks_off_stays_as_it_was_and_columns_learned_later_are_null(store):
    narrow = EVENTS.remove(EVENTS.get_field_index("user_agent"))
    store.append("iam", table({"event_id": ["a"], "time": [DAWN]}, schema=narrow), transactions={"w0": 1})
    store.append("iam", table({"event_id": ["b"], "time": [DAWN], "user_agent": ["curl"], "rules": [["r1", "r2"]]}), transactions={"w0": 2})
    before = Query(store).rows("SELECT * FROM stored ORDER BY event_id", bounds=Bounds(("iam",)))
    with pytest.raises(Exception, match="broken off"):
        store.rewrite("iam", "2026-11-20", lambda rows: (_ for _ in ()).throw(OSError("broken off")))
    assert Query(store).rows("SELECT * FROM stored ORDER BY event_id", bounds=Bounds(("iam",))) == before
    assert store.rewrite("iam", "2026-11-20", lambda rows: rows) == 2
    assert Query(store).rows("SELECT * FROM stored ORDER BY event_id", bounds=Bounds(("iam",))) == before
    assert store.rewrite("iam", "2026-11-19", lambda rows: rows) == store.rewrite("absent", "2026-11-20", lambda rows: rows) == 0
    with pytest.raises(Invalid):
        store.rewrite("iam", "today", lambda rows: rows)
