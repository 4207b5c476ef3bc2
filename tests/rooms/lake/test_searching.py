"""Search finds what is there, page by page, and shows nobody more than they may see."""

import itertools
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lianfang.engines.columns.shape import table
from lianfang.engines.columns.store import EventStore
from lianfang.engines.schema.events import BY_NAME
from lianfang.kernel.errors import Fault, Invalid, Missing, Refused
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import NOBODY, SYSTEM, Viewer
from lianfang.rooms.lake import queries
from lianfang.rooms.lake.types import Filter, Question

DAWN = datetime(2026, 11, 20, tzinfo=UTC)
PATHS = ("00001", "0000100001", "0000100002", "000010000200001", "0000100003", "00002")
INDUSTRIES = ("", "00001", "0000100007")
DAY = Question(DAWN, DAWN + timedelta(days=1))

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """One event per path, industry and level, spread over a day and two tables; each carries a secret of its own."""
    home = tmp_path_factory.mktemp("shelf")
    store = EventStore(home / "lake")
    rows = [(path, industry, level) for path, industry, level in itertools.product(PATHS, INDUSTRIES, (1, 2, 3, 4, None))]
    for part in range(2):
        mine = [(n, row) for n, row in enumerate(rows) if n % 2 == part]
        store.append(("iam", "system_activity")[part], _events(mine), transactions={"w000": part})
    return home, rows


def _events(mine) -> pa.Table:
    return table({
        "event_id": [f"e{n:04d}" for n, _ in mine], "time": [DAWN + timedelta(minutes=7 * n) for n, _ in mine], "source": ["edr"] * len(mine),
        "territory": [row[0] for _, row in mine], "industry": [row[1] for _, row in mine], "level": [row[2] for _, row in mine], "class_uid": [1007] * len(mine),
        "host": [f"H{n}" for n, _ in mine], "user": [f"secret{n}" for n, _ in mine], "process_cmd": [f"run secret{n}" for n, _ in mine], "process_pid": [n for n, _ in mine],
        "ips": [["10.0.0.1", f"secret{n}"] for n, _ in mine], "raw": [f'{{"path": "C:\\\\Temp\\\\secret{n}", "who": "\\u5f20"}}' for n, _ in mine],
    })  # fmt: skip


@pytest.fixture
def shelved(shelf, settings):
    settings.HOME = shelf[0]
    return shelf[1]


scopes = st.builds(
    lambda territory, industry, clearance: Viewer("x", "x", territory=tuple(territory), industry=tuple(industry), permissions=frozenset({"lake.*.view"}), clearance=DataLevel(clearance)),
    st.lists(st.sampled_from((*PATHS, "0000100009")), max_size=2), st.lists(st.sampled_from(INDUSTRIES[1:]), max_size=1), st.integers(1, 4),
)  # fmt: skip


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(viewer=scopes)
def test_every_question_stays_within_scope_and_clearance(shelved, viewer):
    visible = {f"e{n:04d}": (row[2] or 4) <= viewer.clearance for n, row in enumerate(shelved) if viewer.sees(row[0], row[1])}
    secrets = {f"secret{int(name[1:])}" for name, shown in visible.items() if shown}
    found = queries.search(Question(DAWN, DAWN + timedelta(days=1), limit=500), viewer=viewer)
    assert {event["event_id"] for event in found.events} == set(visible)
    assert {event["event_id"] for event in found.events if not event["masked"]} == {name for name, shown in visible.items() if shown}
    assert {event["user"] for event in found.events if not event["masked"]} == secrets
    assert all("ecret" not in str(event["raw"]) + str(event["process_cmd"]) + str(event["user"]) for event in found.events if event["masked"])
    assert queries.histogram(DAY, viewer=viewer).total == len(visible)
    assert {one.value for one in queries.top(DAY, "user", viewer=viewer, limit=500)} == secrets
    assert {one.value for one in queries.top(DAY, "ips", viewer=viewer, limit=500)} - {"10.0.0.1"} == secrets
    assert {event["user"] for event in queries.search(Question(DAY.since, DAY.until, text="secret", limit=500), viewer=viewer).events} == secrets
    answer = queries.sql("SELECT event_id, user, raw, ips, process_pid, territory FROM events", viewer=viewer)
    assert {row[0] for row in answer.rows} == set(visible)
    assert {row[1] for row in answer.rows} - {None} == secrets
    assert all((row[2] is None) == (row[1] is None) == (row[3] is None) == (row[4] is None) for row in answer.rows)
    for number in range(0, len(shelved), 7):
        name = f"e{number:04d}"
        assert [event["event_id"] for event in queries.events([name], viewer=viewer)] == ([name] if name in visible else [])


@pytest.mark.parametrize("column", ["user", "process_cmd", "process_pid", "ips", "raw"])
def test_a_condition_on_a_hidden_column_tells_nothing(shelved, column):
    low = Viewer("x", "x", territory=("",), permissions=frozenset({"lake.event.view"}), clearance=DataLevel.L1)
    for op in queries.OPERATORS[BY_NAME[column].kind]:
        found = queries.search(Question(DAY.since, DAY.until, (Filter(column, op, "3"),), limit=500), viewer=low).events
        assert all((event["level"] or 4) == 1 for event in found), (column, op)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(1, 40), since=st.integers(0, 600), length=st.integers(1, 700))
def test_pages_one_after_another_are_the_whole_list_newest_first(shelved, limit, since, length):
    span = {"since": DAWN + timedelta(minutes=since), "until": DAWN + timedelta(minutes=since + length)}
    whole = queries.search(Question(**span, limit=500), viewer=SYSTEM).events
    got, more = [], ""
    while True:
        page = queries.search(Question(**span, limit=limit, after=more), viewer=SYSTEM)
        got += page.events
        if not page.more:
            break
        more = page.more
    assert [event["event_id"] for event in got] == [event["event_id"] for event in whole]
    assert [event["time"] for event in got] == sorted((event["time"] for event in got), reverse=True)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(since=st.integers(0, 86_000), length=st.integers(1, 86_400 * 40))
def test_the_bars_cover_the_whole_time_and_count_every_event(shelved, since, length):
    question = Question(DAWN + timedelta(seconds=since), DAWN + timedelta(seconds=since + length))
    bars = queries.histogram(question, viewer=SYSTEM)
    assert bars.starts[0] <= question.since < question.until <= bars.starts[-1] + timedelta(seconds=bars.seconds)
    assert 1 <= len(bars.starts) <= 92
    expected = sum(question.since <= DAWN + timedelta(minutes=7 * n) < question.until for n in range(len(shelved)))
    assert bars.total == expected


@pytest.mark.parametrize(
    ("filters", "text", "hosts"),
    [
        ((Filter("host", "is", "h3"),), "", {"H3"}),
        ((Filter("host", "any_of", "H3, h4"),), "", {"H3", "H4"}),
        ((Filter("host", "starts", "h8"),), "", {"H8", *(f"H8{n}" for n in range(10))}),
        ((Filter("process_pid", "below", "2"),), "", {"H0", "H1"}),
        ((Filter("process_pid", "above", "87"), Filter("host", "is_not", "H88")), "", {"H89"}),
        ((Filter("process_cmd", "contains", "SECRET12"),), "", {"H12"}),
        ((Filter("ips", "is", "secret5"),), "", {"H5"}),
        ((Filter("host_ip", "filled"),), "", set()),
        ((Filter("time", "above", "2026-11-20T10:20:00Z"),), "", {"H89"}),
        ((), r"C:\Temp\secret33", {"H33"}),
        ((), '"SECRET33"', {"H33"}),
        ((), "secret33 temp", {"H33"}),
        ((), "secret33 elsewhere", set()),
        ((), "张", {f"H{n}" for n in range(90)}),
        ((Filter("event_day", "is", "2026-11-20"), Filter("process_pid", "is", "9")), "", {"H9"}),
    ],
)
def test_filters_and_words(shelved, filters, text, hosts):
    found = queries.search(Question(DAY.since, DAY.until, filters, text, limit=500), viewer=SYSTEM).events
    assert {event["host"] for event in found} == hosts


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(column=st.text(max_size=12) | st.sampled_from(["host", "process_pid", "ips", "time", "event_day"]), op=st.sampled_from(["is", "any_of", "above", "starts", "; DROP"]), value=st.text(max_size=30), text=st.text(max_size=30), after=st.text(max_size=20))
def test_any_question_is_answered_or_refused_in_words(shelved, column, op, value, text, after):
    try:
        queries.search(Question(DAY.since, DAY.until, (Filter(column, op, value),), text, after=after), viewer=SYSTEM)
    except Fault as fault:
        assert isinstance(fault, Invalid)


def test_strangers_ask_nothing(shelved):
    for ask in (lambda: queries.search(DAY, viewer=NOBODY), lambda: queries.histogram(DAY, viewer=NOBODY), lambda: queries.top(DAY, "host", viewer=NOBODY), lambda: queries.sql("SELECT 1", viewer=NOBODY), lambda: queries.event("e0001", viewer=NOBODY), lambda: queries.reject_groups(viewer=NOBODY), lambda: queries.catalogue(viewer=NOBODY)):
        with pytest.raises(Refused):
            ask()


def test_figures_follow_the_scope(shelved):
    narrow = Viewer("x", "x", territory=("00002",), permissions=frozenset({"lake.*"}), clearance=DataLevel.L2)
    assert sum(one.rows for one in queries.catalogue(viewer=SYSTEM)) == 90
    assert sum(one.rows for one in queries.catalogue(viewer=narrow)) == 15
    with pytest.raises(Missing):
        queries.event("e0000", viewer=narrow)
    assert queries.lag() == {"ingest": 0.0}
    assert queries.gauges()["spool_bytes"] == 0
