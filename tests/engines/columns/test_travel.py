"""How the tables were: asked again after they changed, as long as their files are kept."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from lianfang.engines.columns.query import Bounds, Query
from lianfang.engines.columns.shape import EVENTS, table
from lianfang.engines.columns.store import EventStore, equal
from lianfang.kernel.errors import Missing

DAWN = datetime(2026, 11, 20, tzinfo=UTC)


def events(*names: str, **more):
    return table({"event_id": list(names), "time": [DAWN] * len(names), "source": [f"s{name[-1]}" for name in names], **more})


def ids(store, **more):
    return [row["event_id"] for row in Query(store).rows("SELECT event_id FROM stored ORDER BY 1", bounds=Bounds(("iam", "other"), **more))]


def now():
    time.sleep(0.02)
    moment = datetime.now(UTC)
    time.sleep(0.02)
    return moment


def test_a_question_is_answered_as_it_would_have_been(tmp_path):
    store = EventStore(tmp_path)
    before = now()
    store.append("iam", events("a1", "b2"), transactions={})
    first = now()
    store.append("other", events("c1"), transactions={})
    store.append("iam", events("d1"), transactions={})
    second = now()
    store.erase("iam", equal("source", "s1"))
    store.compact("iam")
    assert ids(store) == ["b2", "c1"]
    assert ids(store, as_of=second) == ["a1", "b2", "c1", "d1"]
    assert ids(store, as_of=first) == ["a1", "b2"]
    assert ids(store, as_of=before) == []
    assert ids(store, as_of=datetime.now(UTC) + timedelta(hours=1)) == ["b2", "c1"]


def test_the_history_ends_where_its_log_does(tmp_path):
    store = EventStore(tmp_path, history=5)
    store.append("iam", events("a1"), transactions={})
    first = now()
    for step in range(60):  # beyond a checkpoint
        store.append("iam", events(f"b{step}"), transactions={"w": step})
    store.vacuum("iam")
    assert len(ids(store, as_of=first)) == 1, "five hours of history are kept"
    assert EventStore(tmp_path)._existing("iam").delta.metadata().configuration["delta.logRetentionDuration"] == "interval 6 hours"
    for entry in sorted((tmp_path / "iam" / "_delta_log").glob("*.json"))[:40]:
        entry.unlink()
    with pytest.raises(Missing):
        ids(EventStore(tmp_path), as_of=first)


def test_a_column_that_comes_and_one_that_is_not_there_yet(tmp_path):
    """An older release wrote without a column, a newer one adds another; joined or not, every row reads in today's shape."""
    import pyarrow as pa

    store = EventStore(tmp_path)
    narrow = EVENTS.remove(EVENTS.get_field_index("user_agent"))
    store.append("iam", table({"event_id": ["a"], "time": [DAWN]}, schema=narrow), transactions={"w": 1})
    store.append("iam", table({"event_id": ["b"], "time": [DAWN], "user_agent": ["curl"]}), transactions={"w": 2})
    store.append("iam", table({"event_id": ["c"], "time": [DAWN]}, schema=narrow), transactions={"w": 3})
    wide = EVENTS.append(pa.field("quantum", pa.string()))
    store.append("iam", table({"event_id": ["d"], "time": [DAWN], "quantum": ["x"]}, schema=wide), transactions={"w": 4})
    for _ in ("as they came", "joined"):
        rows = Query(store).rows("SELECT event_id, user_agent FROM stored ORDER BY 1", bounds=Bounds(("iam",)))
        assert [(row["event_id"], row["user_agent"]) for row in rows] == [("a", None), ("b", "curl"), ("c", None), ("d", None)]
        rows = Query(store, schema=wide).rows("SELECT quantum FROM stored WHERE quantum IS NOT NULL", bounds=Bounds(("iam",)))
        assert rows == [{"quantum": "x"}]
        store.compact("iam")
    assert store.committed("iam", "w") == 4
