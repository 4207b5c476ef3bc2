"""What may follow is counted, drawn towards what is common, and said with its counts."""

from hypothesis import given
from hypothesis import strategies as st

from lianfang.engines.graphs import After, Following

COURSES = [{"guess": 1, "log on": 2, "dump": 3}, {"guess": 5, "log on": 9}, {"scan": 1, "exploit": 2, "dump": 8}, {"scan": 4}]


def test_what_came_after_is_expected_with_its_counts():
    found = {one.name: one for one in Following(COURSES).expect(["guess"])}
    assert found["log on"].after == (After("guess", 2, 2),)
    assert found["dump"].after == (After("guess", 1, 2),)
    assert found["exploit"].after == ()
    assert found["log on"].chance > found["dump"].chance > found["exploit"].chance
    assert found["log on"].chance == (2 + 8 * 2 / 4) / (2 + 8)


def test_one_moment_has_no_order():
    (one,) = Following([{"a": 1, "b": 1}]).expect(["a"])
    assert one.after == ()


def test_what_nobody_met_before_says_nothing_and_the_common_stands():
    found = Following(COURSES).expect(["never met"])
    assert found[0].chance == 0.5
    assert all(not one.after for one in found)
    assert Following([]).expect(["a"]) == []


def test_much_evidence_outweighs_what_is_common():
    courses = [{"rare": 1, "odd": 2}] * 40 + [{"common": 1}] * 200
    assert Following(courses).expect(["rare"], most=1)[0].name == "odd"


courses = st.lists(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 5), min_size=1), max_size=12)


@given(courses, st.sets(st.sampled_from("abcdef")), st.integers(0, 3))
def test_chances_are_shares_the_met_are_left_out_and_order_changes_nothing(known, met, turn):
    found = Following(known).expect(sorted(met), most=10)
    assert all(0 <= one.chance <= 1 and one.name not in met and one.courses for one in found)
    assert all(after.times <= after.of for one in found for after in one.after)
    assert [one.name for one in Following(known[turn:] + known[:turn]).expect(sorted(met, reverse=True), most=10)] == [one.name for one in found]
