"""A measure counts exactly what asking every row would count, whatever happened to the tables meanwhile."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lianfang.engines.columns.measures import Check
from lianfang.engines.columns.query import Bounds, Query
from lianfang.engines.columns.shape import EVENTS, table
from lianfang.engines.columns.store import EventStore, equal
from lianfang.kernel.errors import Invalid

DAWN = datetime(2026, 11, 1, tzinfo=UTC)
FILLED, FORM, DELAY = Check("filled", "user"), Check("format", "host", pattern="[a-z]+-[0-9]+"), Check("delay", "time", seconds=60)
SETS = ([FILLED], [FILLED, FORM], [FORM, DELAY], [FILLED, FORM, DELAY])
STEPS = st.lists(st.tuples(st.sampled_from(["append", "append", "compact", "measure", "erase", "narrow"]), st.integers(0, 3)), min_size=1, max_size=12)


def events(seed: int, *, schema=EVENTS):
    moments = [DAWN + timedelta(minutes=37 * (seed + n)) for n in range(9)]
    return table({
        "event_id": [f"{seed}-{n}" for n in range(9)], "time": moments, "received": [moment + timedelta(seconds=20 * n) for n, moment in enumerate(moments)], "source": [f"s{(seed + n) % 3}" for n in range(9)],
        "territory": ["00001"] * 9, "level": [1] * 9, "host": [("web-1", "web_2", None)[n % 3] for n in range(9)], "user": [("li", "", None)[(n + seed) % 3] for n in range(9)],
    }, schema=schema)  # fmt: skip


def counted(query, checks):
    rows = query.measured('SELECT source, "check", sum(n)::BIGINT AS n, sum(failed)::BIGINT AS failed FROM stored GROUP BY ALL', tables=["iam"])
    names = {check.key: check.kind for check in checks} | {"": "rows"}
    return {(row["source"], names[row["check"]]): (row["n"], row["failed"]) for row in rows if row["n"]}


def asked(query, checks):
    found = {}
    for check, kind in [*((check, check.kind) for check in checks), (None, "rows")]:
        applies, fails = (check.applies(), check.fails()) if check else ("TRUE", "FALSE")
        for row in query.rows(f"SELECT source, count(*) AS n, count(*) FILTER ({fails}) AS failed FROM stored WHERE {applies} GROUP BY 1", bounds=Bounds(("iam",))):
            found[row["source"], kind] = row["n"], row["failed"]
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_the_sum_is_what_asking_every_row_gives(steps, tmp_path_factory):
    store = EventStore(tmp_path_factory.mktemp("lake"))
    query = Query(store)
    for number, (step, seed) in enumerate([*steps, ("measure", 3)]):
        if step == "append":
            store.append("iam", events(number), transactions={"w0": number})
        elif step == "narrow":
            store.append("iam", events(number, schema=EVENTS.remove(EVENTS.get_field_index("user"))), transactions={"w0": number})
        elif step == "compact":
            store.compact("iam")
        elif step == "erase":
            store.erase("iam", equal("source", f"s{seed}"))
        else:
            query.measure("iam", SETS[seed])
    assert counted(query, SETS[3]) == asked(query, SETS[3])


def test_a_file_is_read_once_for_each_check(tmp_path):
    store = EventStore(tmp_path)
    query = Query(store)
    store.append("iam", events(0), transactions={"w0": 0})
    assert query.measure("iam", [FILLED]) == 1
    assert query.measure("iam", [FILLED]) == 0
    store.append("iam", events(1), transactions={"w0": 1})
    assert query.measure("iam", [FILLED]) == 1
    assert query.measure("iam", [FILLED, FORM]) == 2, "a new check is counted everywhere"
    assert query.measure("iam", [FORM]) == 0, "one that is gone costs nothing"
    assert query.measure("iam", [FORM]) == 0
    assert counted(query, [FORM]) == asked(query, [FORM])


CASES = [
    (Check("filled", "user"), {"user": "li"}, {"user": ""}),
    (Check("filled", "ips"), {"ips": ["192.0.2.1"]}, {"ips": []}),
    (Check("format", "host", pattern="[a-z]+"), {"host": "web"}, {"host": "web-1"}),
    (Check("format", "hashes", pattern="[0-9a-f]+"), {"hashes": ["0a", "ff"]}, {"hashes": ["0a", "xyz"]}),
    (Check("length", "user", least=2, greatest=4), {"user": "王小明"}, {"user": "x"}),
    (Check("codes", "status_id", codes=("1", "2")), {"status_id": 2}, {"status_id": 9}),
    (Check("codes", "protocol", codes=("tcp", "it's")), {"protocol": "it's"}, {"protocol": "udp"}),
    (Check("range", "dst_port", least=0, greatest=65535), {"dst_port": 443}, {"dst_port": 70000}),
    (Check("order", "time", other="received"), {}, {"received": DAWN - timedelta(1)}),
    (Check("same", "user", other="actor_user"), {"user": "a", "actor_user": "a"}, {"user": "a", "actor_user": "b"}),
    (Check("member", "src_ip", other="ips"), {"src_ip": "192.0.2.1", "ips": ["192.0.2.1"]}, {"src_ip": "192.0.2.1", "ips": ["192.0.2.2"]}),
    (Check("together", "src_port", other="src_ip"), {"src_port": 1, "src_ip": "192.0.2.1"}, {"src_port": 1}),
    (Check("delay", "time", seconds=30), {"received": DAWN + timedelta(seconds=30)}, {"received": DAWN + timedelta(seconds=31)}),
    (Check("filled", "user", when="class_uid", value="3002"), {"class_uid": 3002, "user": "x"}, {"class_uid": 3002}),
]


@pytest.mark.parametrize(("check", "right", "wrong"), CASES, ids=lambda value: value.kind if isinstance(value, Check) else "")
def test_every_kind_tells_right_from_wrong(check, right, wrong, tmp_path):
    store, columns = EventStore(tmp_path), Counter(name for row in (right, wrong) for name in row)
    rows = [{"event_id": "right", "time": DAWN, "received": DAWN} | right, {"event_id": "wrong", "time": DAWN, "received": DAWN} | wrong]
    store.append("iam", table({name: [row.get(name) for row in rows] for name in {"event_id", "time", "received", *columns}}), transactions={"w0": 0})
    found = Query(store).rows(f"SELECT event_id FROM stored WHERE {check.checked().applies()} AND ({check.fails()})", bounds=Bounds(("iam",)))
    assert [row["event_id"] for row in found] == ["wrong"]


@pytest.mark.parametrize("check", [
    Check("strange", "user"), Check("filled", 'user" OR 1'), Check("format", "user", pattern="("), Check("format", "user"), Check("format", "time", pattern="x"), Check("codes", "user"), Check("length", "user", least=3, greatest=2),
    Check("range", "user", least=1), Check("order", "time", other="user"), Check("member", "user", other="host"), Check("delay", "user", seconds=1), Check("delay", "time"), Check("filled", "user", when="nowhere"),
])  # fmt: skip
def test_what_cannot_be_asked_is_refused(check):
    with pytest.raises(Invalid):
        check.checked()
