"""What pages count over long times comes from roll-ups and is what a scan counts, for whoever asks."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st

from lianfang.engines.columns.query import Query
from lianfang.engines.columns.shape import table
from lianfang.engines.columns.store import EventStore
from lianfang.kernel import clock
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.lake import queries
from lianfang.rooms.lake.queries import searching
from lianfang.rooms.lake.types import EVENT_TABLES, Filter, Question

DAWN = datetime(2026, 11, 1, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Four weeks in two tables, of which three are rolled up."""
    home = tmp_path_factory.mktemp("weeks")
    store = EventStore(home / "lake")
    for week in range(4):
        for part, name in enumerate(("iam", "network_activity")):
            store.append(name, _week(week, part), transactions={"w000": week})
        if week == 2:
            store.count_up(EVENT_TABLES)
    return home


@pytest.fixture
def shelved(shelf, settings):
    settings.HOME = shelf


def _week(week: int, part: int):
    n = range(600)
    return table({
        "event_id": [f"{week}-{part}-{i:04d}" for i in n], "time": [DAWN + timedelta(days=7 * week, minutes=16.7 * i, seconds=week) for i in n], "source": [f"s{i % 3}" for i in n],
        "territory": [("00001", "0000100002", "00002")[i % 3] for i in n], "level": [(1, 2, 3, 4, None)[i % 5] for i in n], "class_uid": [(3002, 4001)[part]] * 600, "severity_id": [i % 4 for i in n],
        "status_id": [i % 3 for i in n], "host": [f"h{i % 7}" for i in n], "user": [f"u{i % 11}" if i % 2 else None for i in n], "src_ip": [f"10.0.0.{i % 13}" for i in n], "rules": [[f"r{k}" for k in range(i % 3)] for i in n],
    })  # fmt: skip


def viewer(territory: tuple[str, ...], clearance: int) -> Viewer:
    return Viewer("x", "x", territory=territory, permissions=frozenset({"lake.event.view"}), clearance=DataLevel(clearance))


VIEWERS = st.builds(viewer, st.sampled_from([("",), ("00001",), ("0000100002",), ("00002",), ()]), st.integers(1, 4)) | st.just(SYSTEM)
FILTERS = st.lists(st.sampled_from([Filter("class_uid", "is", "3002"), Filter("source", "is", "S1"), Filter("severity_id", "above", "1"), Filter("host", "is", "h3"), Filter("user", "filled"), Filter("level", "is", "4"), Filter("rules", "is", "r1")]), max_size=2, unique=True)


@rules(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(who=VIEWERS, filters=FILTERS, column=st.sampled_from(["host", "user", "src_ip", "rules", "source", "class_uid", "severity_id", "level"]), start=st.integers(0, 20_000), length=st.integers(3_000, 41_000))
def test_counts_over_weeks_are_those_of_a_scan(shelved, who, filters, column, start, length):
    question = Question(DAWN + timedelta(minutes=start), DAWN + timedelta(minutes=start + length), tuple(filters))
    rolled = queries.histogram(question, viewer=who), queries.top(question, column, viewer=who, limit=50)
    with pytest.MonkeyPatch.context() as world:
        world.setattr(searching, "_is_counted", lambda question, rollup: False)
        assert rolled == (queries.histogram(question, viewer=who), queries.top(question, column, viewer=who, limit=50))


@pytest.fixture(scope="module")
def test_a_month_is_not_scanned_to_be_counted(shelved, monkeypatch):
    """Of three rolled-up weeks no data file is opened: only the edges and the newest week are."""
    opened = []
    stored = Query._stored
    monkeypatch.setattr(Query, "_stored", lambda self, files: stored(self, opened.extend(files) or files))
    question = Question(DAWN, DAWN + timedelta(days=28))
    assert queries.histogram(question, viewer=SYSTEM).total == 4_800
    assert queries.top(question, "host", viewer=SYSTEM)[0].count > 600
    days = {path.split("event_day=")[1][:10] for path in opened if "event_day=" in path}
    assert min(days) >= "2026-11-21"


def test_the_overview_counts_the_last_day_by_hours(shelved):
    with clock.frozen(DAWN + timedelta(days=15, minutes=20)):
        found = queries.overview(viewer=SYSTEM)
    assert len(found.hours) == 24
    assert [count.value.minute for count in found.hours] == [0] * 24
    until = DAWN + timedelta(days=15, hours=1)
    assert found.events == sum(count.count for count in found.hours) == queries.histogram(Question(until - timedelta(days=1), until), viewer=SYSTEM).total
