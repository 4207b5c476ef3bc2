"""Events are kept as long as the policy says, by table and level; what went is on record, and the catalogue says both."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from lianfang.commons.ledger.models import Record
from lianfang.engines.columns.query import Bounds
from lianfang.engines.columns.shape import table
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid
from lianfang.rooms.lake.actions import keeping
from lianfang.rooms.lake.queries import scope
from lianfang.rooms.lake.queries.retention import retention

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
POLICY = """
usual: 190
levels: {4: 400}
tables:
  iam: {usual: 30, 1: 10}
  rejects: {usual: 5}
"""

pytestmark = pytest.mark.django_db


@pytest.fixture
def said(tmp_path, monkeypatch):
    """``said(text)``: the node has a policy of its own."""

    def say(text: str):
        path = tmp_path / "retention.yaml"
        path.write_text(text, "utf-8")
        monkeypatch.setenv("LIANFANG_RETENTION", str(path))

    return say


@pytest.fixture
def store(home):
    """For each of two tables an event of every level (and of none) for each of some ages in days."""
    store = scope.query().store
    for number, name in enumerate(("iam", "findings")):
        rows = [(age, level) for age in (1, 11, 31, 191, 401) for level in (1, 2, 3, 4, None)]
        moments = [NOW - timedelta(days=age) for age, _ in rows]
        store.append(name, table({"event_id": [f"{age}-{level}" for age, level in rows], "time": moments, "received": moments, "level": [level for _, level in rows]}), transactions={"w": number})
    return store


def left(name: str) -> set[str]:
    return {row["event_id"] for row in scope.query().rows("SELECT event_id FROM stored", bounds=Bounds((name,)))}


def test_each_table_and_level_has_its_time(store, said):
    said(POLICY)
    with clock.frozen(NOW):
        keeping.tidy(store)
    assert left("iam") == {*(f"1-{level}" for level in (1, 2, 3, 4, None)), *(f"11-{level}" for level in (2, 3, 4, None))}
    assert left("findings") == {*(f"{age}-{level}" for age in (1, 11, 31) for level in (1, 2, 3, 4, None)), "191-4", "191-None"}
    records = [(record.label, json.loads(record.detail)) for record in Record.objects.filter(verb="lake.events_forgotten")]
    told = {(label, tuple(detail["levels"])): detail for label, detail in records}
    assert {key: detail["rows"] for key, detail in told.items()} == {("iam", (1,)): 4, ("iam", (2, 3, 4)): 12, ("findings", (1, 2, 3)): 6, ("findings", (4,)): 2}
    assert told["findings", (4,)]["before"] == (NOW - timedelta(days=400)).date().isoformat()


def test_an_old_log_that_came_late_stays_as_long_as_a_new_one(home, said):
    said(POLICY)
    store = scope.query().store
    store.append("iam", table({"event_id": ["late"], "time": [NOW - timedelta(days=300)], "received": [NOW - timedelta(days=3)], "level": [2]}), transactions={})
    with clock.frozen(NOW):
        keeping.tidy(store)
    assert left("iam") == {"late"}


def test_the_next_day_looks_again(store, said):
    said(POLICY)
    with clock.frozen(NOW):
        keeping.tidy(store)
    with clock.frozen(NOW + timedelta(days=10)):
        keeping.tidy(store)
    assert left("iam") == {"1-2", "1-3", "1-4", "1-None", "11-2", "11-3", "11-4", "11-None"}


@pytest.mark.parametrize("text", ["usual: never", "levels: {}", "usual: 190\nlevels: {5: 1}", "usual: 190\ntables: {iams: {usual: 3}}", "usual: 0", "- 190", "usual: [", "usual: 190\nlevels: {4: 1.5}"])
def test_a_policy_that_cannot_be_read_lets_nothing_go(store, said, text):
    said(text)
    with clock.frozen(NOW), pytest.raises(Invalid):
        keeping.tidy(store)
    assert len(left("iam")) == 25


def test_the_policy_that_ships_keeps_six_months_everywhere():
    policy = retention()
    assert all(policy.days(name, level) >= 180 for name in ("iam", "other", "rejects") for level in (1, 2, 3, 4))
