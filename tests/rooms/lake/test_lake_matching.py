"""Many values looked for at once, and words looked for in the raw log: what is there is found, what is hidden is not."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st

from lianfang.engines.columns.shape import table
from lianfang.engines.columns.store import EventStore
from lianfang.kernel.errors import Invalid
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.lake import queries
from lianfang.rooms.lake.types import Question

DAWN = datetime(2026, 11, 20, tzinfo=UTC)
SPAN = {"since": DAWN, "until": DAWN + timedelta(days=1)}
RAWS = ("C:\\Temp\\a.exe", 'say "Hello" (now)', "10.0.0.1:443 [OK]", "用户 Ünal 登录", "100% ^start$ a|b {x}")

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    home = tmp_path_factory.mktemp("matching")
    EventStore(home / "lake").append("iam", table({
        "event_id": [f"e{n}" for n in range(5)], "time": [DAWN + timedelta(hours=n) for n in range(5)], "source": ["s"] * 5, "territory": ["00001", "00001", "00002", "00002", "00002"], "level": [1, 4, 1, 4, None],
        "src_ip": ["10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"], "host": ["a", "a", "b", "b", "c"], "ips": [["10.0.0.1", "8.8.8.8"], ["10.0.0.1"], ["8.8.8.8"], ["9.9.9.9"], []], "raw": list(RAWS),
    }), transactions={})  # fmt: skip
    return home


@pytest.fixture
def shelved(shelf, settings):
    settings.HOME = shelf


def test_which_of_many_values_were_seen_how_often_and_when(shelved):
    wanted = [f"172.16.{n // 250}.{n % 250}" for n in range(20_000)] + ["8.8.8.8", "10.0.0.1", "9.9.9.9"]
    found = queries.seen(wanted, "ips", viewer=SYSTEM, **SPAN)
    assert [(one.value, one.count) for one in found] == [("10.0.0.1", 2), ("8.8.8.8", 2), ("9.9.9.9", 1)]
    assert (found[1].first, found[1].last) == (DAWN, DAWN + timedelta(hours=2))
    assert queries.seen(wanted, "ips", since=DAWN + timedelta(hours=3), until=SPAN["until"], viewer=SYSTEM)[0].value == "9.9.9.9"


def test_what_is_hidden_is_not_seen(shelved):
    low = Viewer("x", "x", territory=("",), permissions=frozenset({"lake.event.view"}), clearance=DataLevel.L2)
    narrow = Viewer("x", "x", territory=("00002",), permissions=frozenset({"lake.event.view"}), clearance=DataLevel.L4)
    wanted = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]
    assert {one.value: one.count for one in queries.seen(wanted, "src_ip", viewer=low, **SPAN)} == {"10.0.0.1": 1, "10.0.0.2": 1}
    assert {one.value for one in queries.seen(wanted, "src_ip", viewer=narrow, **SPAN)} == {"10.0.0.2", "10.0.0.3", "10.0.0.4"}
    assert {one.value: one.count for one in queries.seen(["a", "b"], "host", viewer=low, **SPAN)} == {"a": 2, "b": 2}, "open columns tell at every level"


@pytest.mark.parametrize("column", ["level", "time", "nonsense", "host; DROP"])
def test_only_texts_are_looked_for(shelved, column):
    with pytest.raises(Invalid):
        queries.seen(["x"], column, viewer=SYSTEM, **SPAN)


@rules(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 4), start=st.integers(0, 12), length=st.integers(1, 12), upper=st.booleans())
def test_every_piece_of_a_raw_log_finds_it_whatever_signs_it_holds(shelved, at, start, length, upper):
    piece = RAWS[at][start : start + length].replace('"', " ").strip()
    words = (piece.upper() if upper else piece).split()
    if words:
        found = queries.search(Question(**SPAN, text=" ".join(words)), viewer=SYSTEM).events
        assert f"e{at}" in {event["event_id"] for event in found}
        assert all(all(word.lower() in event["raw"].lower() for word in words) for event in found)
