"""The words everyone shares mean what they say."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianfang.kernel import clock, facts, ids
from lianfang.kernel.errors import Invalid, Refused
from lianfang.kernel.labels import TLP, Severity
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import NOBODY, SYSTEM, Viewer, after


@dataclass(frozen=True, slots=True)
class Happened(facts.Fact):
    what: str
    count: int = 1


def test_identifiers_are_uuid7_and_sort_by_time():
    made = [ids.new_id() for _ in range(50)]
    assert {one.version for one in made} == {7}
    assert {one.variant for one in made} == {uuid.RFC_4122}
    assert len(set(made)) == 50
    assert [one.int >> 80 for one in made] == sorted(one.int >> 80 for one in made)


@given(st.text(max_size=30))
def test_a_reference_is_read_as_written_or_refused(text):
    try:
        ref = Ref.parse(text)
    except Invalid as error:
        assert error.todo
    else:
        assert str(ref) == text


def test_a_fact_travels_by_name_and_body():
    fact = Happened("rain", 2)
    assert facts.revive(Happened.name(), fact.body()) == fact
    assert facts.revive(Happened.name(), {"what": "rain"}) == Happened("rain")


def test_a_fact_of_a_newer_version_is_refused_with_words():
    with pytest.raises(Invalid, match="colour"):
        facts.revive(Happened.name(), {"what": "rain", "colour": "red"})
    with pytest.raises(Invalid, match="No fact"):
        facts.revive("nowhere.Nothing", {})


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1)))
def test_a_moment_survives_its_text(moment):
    assert abs(clock.parse(clock.text(moment)) - moment) < timedelta(milliseconds=1)


@pytest.mark.parametrize("text", ["yesterday", "", "2026-11-20T08:00:00", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_time_without_one_meaning_is_refused(text):
    with pytest.raises(Invalid):
        clock.parse(text)


def test_the_clock_can_be_held():
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    with clock.frozen(moment):
        assert clock.now() == moment
    assert clock.now() != moment


paths = st.lists(st.integers(1, 99_998), max_size=5).map(lambda parts: "".join(f"{part:05d}" for part in parts))


@given(paths, paths)
def test_a_path_range_is_exactly_the_subtree(top, other):
    assert (top <= other < after(top)) == other.startswith(top)


def test_permissions_are_granted_by_name_or_by_part():
    viewer = Viewer(id="1", name="one", permissions=frozenset({"detect.*", "respond.alert.view"}))
    assert viewer.may("detect.rule.change")
    assert viewer.may("respond.alert.view")
    assert not viewer.may("respond.alert.change")
    assert not viewer.may("detective.rule.view")
    reader = Viewer(id="2", name="two", permissions=frozenset({"detect.*.view", "*.case.close"}))
    assert reader.may("detect.rule.view") and reader.may("respond.case.close")
    assert not reader.may("detect.rule.change") and not reader.may("respond.alert.close")
    assert SYSTEM.may("anything.at.all")
    with pytest.raises(Refused) as refusal:
        NOBODY.must("lake.event.view")
    assert refusal.value.details == {"permission": "lake.event.view"}
    assert refusal.value.as_dict()["todo"]


def test_scope_is_territory_or_industry():
    viewer = Viewer(id="1", name="one", territory=("00001",), industry=("00007",))
    assert viewer.sees("0000100002")
    assert viewer.sees("00002", "0000700001")
    assert not viewer.sees("00002", "00008")
    assert not NOBODY.sees("00001", "")


def test_labels_are_ordered():
    assert Severity.of_sigma("critical") > Severity.of_sigma("high") > Severity.of_sigma(None)
    assert [level.rank for level in TLP] == [0, 1, 2, 3, 4]


def test_a_fault_reads_as_sentences_whatever_its_parts_end_with():
    assert str(Invalid("The port is taken", why="Another source listens there.", todo="Choose another")) == "The port is taken. Another source listens there. Choose another"
    assert str(Invalid("端口被占用", why="另一日志源正在监听", todo="请换一个。")) == "端口被占用。另一日志源正在监听。请换一个。"
    assert str(Invalid("Too late")) == "Too late"
