"""Event tables in an object store that speaks S3: kept, joined, forgotten and asked as in a folder, by several machines at once.

The server is the one that ``LIANFANG_S3`` names (``tools/real_parts.py`` starts moto's)."""

import os
import threading
import time
import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from pyarrow.fs import S3FileSystem

from lianfang.engines.columns import bucket as buckets
from lianfang.engines.columns import sieves
from lianfang.engines.columns.bucket import Bucket
from lianfang.engines.columns.query import Bounds, Query
from lianfang.engines.columns.rollups import HOURS
from lianfang.engines.columns.shape import table
from lianfang.engines.columns.store import EventStore, equal
from lianfang.kernel.errors import Conflict, Invalid

DAWN = datetime(2026, 11, 20, tzinfo=UTC)
IAM = Bounds(("iam",))


def events(start: int, count: int, *, moment: datetime = DAWN, source: str = "s1", **more):
    return table({"event_id": [f"{start + n:08d}" for n in range(count)], "time": [moment + timedelta(seconds=n) for n in range(count)], "source": [source] * count, **more})


@pytest.fixture
def bucket():
    """A bucket of its own on the real server."""
    endpoint = os.environ.get("LIANFANG_S3", "")
    if not endpoint:
        pytest.skip("LIANFANG_S3 names no server (tools/real_parts.py starts one where moto_server is installed)")
    name = f"lake-{uuid.uuid4().hex[:12]}"
    S3FileSystem(access_key="key", secret_key="secret", endpoint_override=endpoint, region="us-east-1", allow_bucket_creation=True).create_dir(name)
    return Bucket(f"s3://{name}/node", endpoint=endpoint, key="key", secret="secret")


@pytest.mark.realparts
def test_a_lake_in_a_bucket_keeps_joins_travels_counts_and_forgets_as_in_a_folder(bucket, tmp_path):
    here, there = EventStore(tmp_path / "folder"), EventStore(tmp_path / "copies", bucket=bucket)
    for store in (here, there):
        for step in range(12):
            store.append("iam", events(step * 10, 10, moment=DAWN + timedelta(days=step % 3), source=f"s{step % 2}", host=[f"h{step}"] * 10), transactions={"w0": step})
    moment = datetime.now(UTC)
    time.sleep(1.1)  # a store dates its objects to the second
    asked = "SELECT event_id, host, event_day FROM stored ORDER BY 1"
    whole = Query(here).rows(asked, bounds=IAM)
    for store in (here, there):
        assert store.committed("iam", "w0") == 11
        assert store.compact("iam") == 12
        assert Query(store).roll_up(HOURS, "iam") == 3
        assert store.erase("iam", equal("source", "s1")) == 60
        assert store.retain("iam", since=date(2026, 11, 21)) == 20
        assert store.carry("iam", "territory", before="1", after="2", end="2") == 0
        store.vacuum("iam")
    assert Query(here).rows(asked, bounds=Bounds(("iam",), as_of=moment)) == Query(there).rows(asked, bounds=Bounds(("iam",), as_of=moment)) == whole
    span = Bounds(("iam",), DAWN, DAWN + timedelta(days=4))
    for ask in (lambda query: query.rows(asked, bounds=IAM), lambda query: query.counted(HOURS, "SELECT sum(n) AS n FROM stored", bounds=span), lambda query: query.guarded("SELECT * FROM events ORDER BY 1", bounds=IAM, views={"events": asked}).to_pylist()):
        assert ask(Query(here)) == ask(Query(there))
    assert there.tables() == here.tables() == ["iam"]
    assert there.stats("iam").rows == here.stats("iam").rows == 40
    assert not list((tmp_path / "copies").glob("*/_delta_log"))


@pytest.mark.realparts
def test_another_machine_sees_what_was_committed_and_copies_only_what_it_asks_for(bucket, tmp_path):
    writer, reader = EventStore(tmp_path / "one", bucket=bucket), EventStore(tmp_path / "two", bucket=bucket)
    for day in range(4):
        writer.append("iam", events(day * 10, 10, moment=DAWN + timedelta(days=day)), transactions={"w0": day})
    rows = Query(reader).rows("SELECT count(*) AS n FROM stored", bounds=Bounds(("iam",), DAWN + timedelta(days=3)))
    assert rows == [{"n": 10}]
    copies = list((tmp_path / "two").glob("iam/event_day=*/*.parquet"))
    assert [path.parent.name for path in copies] == ["event_day=2026-11-23"]


@pytest.mark.realparts
def test_copies_stay_within_their_room_and_those_that_nobody_asks_for_go(bucket, tmp_path, monkeypatch):
    store = EventStore(tmp_path, bucket=bucket, copies=1)
    for day in range(4):
        store.append("iam", events(day * 10, 10, moment=DAWN + timedelta(days=day)), transactions={"w0": day})
    query = Query(store)
    for day in range(4):
        since = DAWN + timedelta(days=day)
        assert query.rows("SELECT count(*) AS n FROM stored", bounds=Bounds(("iam",), since, since + timedelta(days=1))) == [{"n": 10}]
        assert len(list(tmp_path.glob("iam/event_day=*/*.parquet"))) == 1, "only what was asked for last"
    assert query.rows("SELECT count(*) AS n FROM stored", bounds=IAM) == [{"n": 40}], "a question may need more than the room"
    monkeypatch.setattr(buckets, "UNUSED", -1.0)
    monkeypatch.setattr(buckets, "SWEEP_EVERY", -1.0)
    query.rows("SELECT 1 FROM stored", bounds=Bounds(("iam",), DAWN, DAWN + timedelta(days=1)))
    assert len(list(tmp_path.glob("iam/event_day=*/*.parquet"))) == 1


@pytest.mark.realparts
def test_a_file_that_was_joined_away_while_a_reader_slept_is_no_error(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(sieves, "WORTH", 1)
    writer, reader = EventStore(tmp_path / "one", bucket=bucket), Query(EventStore(tmp_path / "two", bucket=bucket))
    for step in range(5):
        writer.append("iam", events(step * 10, 10), transactions={"w0": step})
    assert reader.rows("SELECT count(*) AS n FROM stored", bounds=Bounds(("iam",), DAWN + timedelta(days=1))) == [{"n": 0}]  # it has read the log
    writer.compact("iam")
    writer.vacuum("iam", hours=0)
    assert Query(writer).sift("iam") == 1
    assert reader.rows("SELECT count(*) AS n FROM stored", bounds=IAM) == [{"n": 50}]


@pytest.mark.realparts
def test_writers_on_several_machines_and_a_compactor_lose_no_batch(bucket, tmp_path):
    stores = [EventStore(tmp_path / str(number), bucket=bucket) for number in range(3)]
    stores[0].append("iam", events(0, 1), transactions={})
    faults: list[Exception] = []

    def write(number: int) -> None:
        try:
            for step in range(8):
                stores[number].append("iam", events(1 + number * 1000 + step * 10, 10), transactions={f"w{number}": step})
        except Exception as error:
            faults.append(error)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for writer in writers:
        writer.start()
    for _ in range(3):
        EventStore(tmp_path / "keeper", bucket=bucket).compact("iam")
    for writer in writers:
        writer.join()
    assert not faults
    (row,) = Query(EventStore(tmp_path / "other", bucket=bucket)).rows("SELECT count(*) AS n, count(DISTINCT event_id) AS ids FROM stored", bounds=IAM)
    assert row == {"n": 241, "ids": 241}
    assert [stores[0].committed("iam", f"w{number}") for number in range(3)] == [7, 7, 7]


@pytest.mark.realparts
def test_a_race_of_writers_tells_whether_the_store_keeps_its_word_and_leaves_nothing(bucket):
    assert bucket.race() == (16, 16)
    assert bucket.names() == []


def test_keys_are_never_shown_and_addresses_that_are_none_are_refused():
    bucket = Bucket("s3://lake/node/", key="AKIA", secret="hidden")
    assert bucket.address == "s3://lake/node"
    assert "hidden" not in repr(bucket)
    assert "AKIA" not in repr(bucket)
    for address in ("s3://", "https://lake", "s3://key:secret@lake/node", "lake"):
        with pytest.raises(Invalid):
            Bucket(address)


def test_a_store_that_does_not_answer_says_so(tmp_path):
    with pytest.raises(Conflict, match="does not answer") as refusal:
        Bucket("s3://lake/node", endpoint="ftp://127.0.0.1:1", key="k", secret="hidden").names()
    assert "hidden" not in str(refusal.value)


def test_copies_never_lie_where_tables_lie(tmp_path):
    EventStore(tmp_path).append("iam", events(0, 1), transactions={})
    with pytest.raises(Conflict, match="Copies"):
        EventStore(Path(tmp_path), bucket=Bucket("s3://lake/node"))
