"""Baselines: what the engine says of any stream is what plain loops over all events say, in whatever order and pieces they come, also after a restart."""

from __future__ import annotations

from statistics import median

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from lianfang.engines.series import DAY, HOUR, Baseline, Kind, Spec, judge
from lianfang.engines.series.baselines import LATE
from lianfang.kernel.errors import Invalid

NOW = 20_000 * DAY + 10 * HOUR
NAMES = ("place", "group", "entity", "value", "first", "n", "level")


def table(events, level=1):
    """Events without a level are of this one."""
    return pa.table({name: pa.array([(*event, level)[at] for event in events], pa.int64() if at > 3 else pa.string()) for at, name in enumerate(NAMES)})


def found(spec, pieces, *, now=NOW, restart=False):
    base = Baseline(spec)
    judge(base, now=now - 2 * HOUR)
    for piece in pieces:
        base.take(table(piece), now=now)
        if restart:
            state, base = base.snapshot(), Baseline(spec)
            base.restore(state)
    return {(one.place, one.group, one.entity, one.value, one.at): (one.seen, round(one.usual, 6), round(one.far, 6), one.samples) for one in judge(base, now=now)}


# ---- plain loops ---------------------------------------------------------------------------------------------------


def naive(spec, events, *, now=NOW):
    span = spec.span
    kept = [(*event[:4], event[4] // span, event[4], event[5]) for event in events if (now // DAY - LATE - spec.days - 1) * DAY <= event[4] <= now + 600_000]
    return dict({Kind.RATE: _rate, Kind.PEER: _peer, Kind.RARITY: _rare}.get(spec.kind, _unseen)(spec, kept, now))


def _fresh(spec, kept, now):
    """Cells that are to be judged: settled, and not too long ago."""
    cells = {}
    for place, group, entity, value, bucket, first, _n in kept:
        cells[key] = min(first, cells.get(key := (place, group, entity, value, bucket), first))
    return [key for key, first in cells.items() if first <= now - spec.settle * 1000 and key[4] > now // DAY - LATE]


def _before(spec, kept, day):
    return [one for one in kept if day - spec.days <= one[4] < day]


def _unseen(spec, kept, now):
    for key in _fresh(spec, kept, now):
        place, group, entity, value, day = key
        past = _before(spec, kept, day)
        own = [one for one in past if one[:3] == (place, group, entity)]
        theirs = [one for one in past if (one[0], one[3]) == (place, value)]
        known = [own, *([theirs] if spec.kind is Kind.NEW_PAIR else [])]
        if any(one[3] == value for one in own) or not all(rows and min(one[4] for one in rows) <= day - spec.learning for rows in known):
            continue
        values = {one[3] for one in own}
        if len({one[4] for one in own}) >= spec.least and len(values) <= spec.most:
            seen = sum(one[6] for one in kept if one[:5] == key)
            yield (*key[:4], day * DAY), (seen, len(values), 0, sum(one[6] for one in own))


def _rare(spec, kept, now):
    for key in _fresh(spec, kept, now):
        place, group, _entity, value, day = key
        past = _before(spec, kept, day)
        within = [one for one in kept if day - spec.days <= one[4] <= day and one[:2] == (place, group)]
        if any(one[:4] == key[:4] for one in past) or not any(one[:2] == (place, group) and one[4] <= day - spec.learning for one in past):
            continue
        members = {one[2] for one in within}
        has = {one[:3] for one in kept if day - spec.days <= one[4] <= day and (one[0], one[1], one[3]) == (place, group, value)}
        if len(members) >= spec.least and len(has) <= spec.share * len(members):
            yield (*key[:4], day * DAY), (len(has), round(spec.share * len(members), 6), 0, sum(one[6] for one in within))


def _spread(samples):
    usual = median(samples)
    return usual, max(1.4826 * median(abs(one - usual) for one in samples), max(usual, 1) ** 0.5)


def _peer(spec, kept, now):
    def amount(rows):
        return len({one[3] for one in rows}) if spec.distinct else sum(one[6] for one in rows)

    def daily(rows):
        return [amount([one for one in rows if (one[2], one[4]) == key]) for key in {(one[2], one[4]) for one in rows}]

    for place, group, entity, day in {(*key[:3], key[4]) for key in _fresh(spec, kept, now)}:
        past = [one for one in _before(spec, kept, day) if one[:2] == (place, group)]
        others = [one for one in past if one[2] != entity]
        seen = amount([one for one in kept if (*one[:3], one[4]) == (place, group, entity, day)])
        if seen < spec.floor or not past or min(one[4] for one in past) > day - spec.learning or len({one[2] for one in others}) < spec.least:
            continue
        samples = daily(others)
        usual, spread = _spread(samples)
        if (seen - usual) / spread >= spec.far:
            yield (place, group, entity, "", day * DAY), (seen, round(usual, 6), round((seen - usual) / spread, 6), len(samples))


def _rate(spec, kept, now):
    closed = (now - spec.settle * 1000) // HOUR
    people, hours = {one[:3] for one in kept}, {one[4] for one in kept}

    def count(who, hour):
        return sum(one[6] for one in kept if one[:3] == who and one[4] == hour)

    for who in people:
        start = min(one[4] for one in kept if one[:3] == who)
        own = {one[4] for one in kept if one[:3] == who and now // HOUR - LATE * 24 < one[4] < closed}
        for hour in own | set(range(closed - 2, closed)):
            samples = [count(who, hour - week * 168) for week in range(1, spec.days // 7 + 1) if hour - week * 168 >= start]
            if len(samples) < spec.weeks:
                continue
            seen, (usual, spread) = count(who, hour), _spread(samples)
            above = not spec.below and hour in own and seen >= spec.least and seen - usual >= spec.far * spread
            below = spec.below and hour >= closed - 2 and hour in hours and usual >= spec.least and usual - seen >= spec.far * spread
            if above or below:
                yield (*who, "", hour * HOUR), (seen, round(usual, 6), round((seen - usual) / spread, 6), len(samples))


SPECS = [
    Spec(Kind.FIRST_SEEN, days=12, learning=4, least=2, most=3),
    Spec(Kind.NEW_PAIR, days=12, learning=4, least=2, most=4),
    Spec(Kind.RARITY, days=8, learning=3, least=3, share=0.4),
    Spec(Kind.PEER, days=8, learning=3, least=2, floor=3, far=1.5),
    Spec(Kind.PEER, days=8, learning=3, least=2, floor=2, far=1.0, distinct=True),
    Spec(Kind.RATE, days=21, weeks=2, least=3, far=1.5, settle=0),
    Spec(Kind.RATE, days=21, weeks=2, least=2, far=1.0, settle=0, below=True),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.kind}{'-distinct' * spec.distinct}{'-below' * spec.below}")
@settings(max_examples=60, deadline=None)
@given(data=some.data())
def test_it_says_what_plain_loops_say_in_any_order_and_pieces(spec, data):
    back = some.integers(0, 15 * 24) if spec.kind is not Kind.RATE else some.integers(0, 4).flatmap(lambda week: some.integers(0, 3).map(lambda hour: week * 168 + hour))
    event = some.tuples(some.sampled_from(("01", "02")), some.sampled_from(("", "g")) if spec.kind in (Kind.PEER, Kind.RARITY) else some.just(""), some.sampled_from("abcd"), some.sampled_from("xyz") if spec.kind is not Kind.RATE else some.just(""), back.map(lambda hours: NOW - hours * HOUR - 7 * 60_000), some.integers(1, 9))
    events = data.draw(some.lists(event, min_size=1, max_size=60))
    shuffled = data.draw(some.permutations(events))
    cut = data.draw(some.integers(0, len(events)))
    told = naive(spec, events)
    assert found(spec, [events]) == told
    assert found(spec, [shuffled[:cut], shuffled[cut:]] if 0 < cut < len(events) else [shuffled]) == told
    assert found(spec, [events[::-1]], restart=True) == told


def test_what_is_late_by_less_than_it_settles_changes_nothing():
    spec = Spec(Kind.NEW_PAIR, days=12, learning=4, least=2, settle=600)
    history = [("01", "", "a", "x", NOW - day * DAY, 1) for day in range(1, 10)] + [("01", "", "b", "y", NOW - day * DAY, 1) for day in range(1, 10)]
    base = Baseline(spec)
    base.take(table(history), now=NOW)
    base.take(table([("01", "", "a", "y", NOW, 1)]), now=NOW)
    assert judge(base, now=NOW + 60_000) == []
    base.take(table([("01", "", "a", "y", NOW - 2 * DAY, 1)]), now=NOW + 60_000)
    (told,) = judge(base, now=NOW + 700_000)
    assert told.at == (NOW - 2 * DAY) // DAY * DAY, "the earlier one is the first"
    assert judge(base, now=NOW + 800_000) == [], "each is told once"


def test_clocks_that_are_wrong_are_no_history():
    base = Baseline(Spec(Kind.FIRST_SEEN))
    base.take(table([("01", "", "a", "x", NOW + DAY, 5), ("01", "", "a", "x", NOW - 200 * DAY, 5), ("01", "", "a", "x", NOW, 1)]), now=NOW)
    assert (base.told["events"], base.told["outside"], base.cells.num_rows) == (11, 10, 1)


def test_endless_new_names_cost_no_more_memory_and_leave_those_known_for_long():
    base = Baseline(Spec(Kind.FIRST_SEEN, learning=4, least=2), memory=200_000)
    base.take(table([("01", "", "server", "x", NOW - day * DAY, 1) for day in range(1, 20)]), now=NOW)
    for piece in range(20):
        base.take(table([("01", "", f"made-up-{piece}-{n}", "x", NOW - n, 1) for n in range(500)]), now=NOW)
        assert base.size <= base.memory
    base.take(table([("01", "", "made-up", f"v{n}", NOW - DAY, 1) for n in range(6000)]), now=NOW)
    assert base.size <= base.memory
    assert base.told["shed"] > 1000
    base.take(table([("01", "", "server", "y", NOW - HOUR, 1)]), now=NOW)
    assert [(one.entity, one.value) for one in judge(base, now=NOW)] == [("server", "y")]


def test_of_one_population_that_is_too_large_what_came_last_goes_first():
    """Accounts of a whole organisation: no room for all of them must not mean that none is known any more."""
    base = Baseline(Spec(Kind.FIRST_SEEN, days=30, learning=4, least=2, most=20_000), memory=500_000)
    base.take(table([("01", "", "", f"user-{n}", NOW - day * DAY, 1) for day in range(1, 21) for n in range(400)]), now=NOW, judge=False)
    base.take(table([("01", "", "", f"made-up-{n}", NOW - HOUR, 1) for n in range(9000)]), now=NOW, judge=False)
    assert base.told["shed"] > 1000
    assert base.size <= base.memory
    base.take(table([("01", "", "", f"user-{n}", NOW - HOUR, 1) for n in range(400)] + [("01", "", "", "intruder", NOW - HOUR, 1)]), now=NOW)
    assert [one.value for one in judge(base, now=NOW)] == ["intruder"]


def test_when_very_many_fall_silent_those_that_fell_farthest_are_told_and_the_next_hour_waits(monkeypatch):
    monkeypatch.setattr("lianfang.engines.series.judging.MOST", 5)
    spec = Spec(Kind.RATE, days=28, weeks=3, least=10, settle=0, below=True)
    base = Baseline(spec)
    base.take(table([("01", "", f"host-{n}", "", NOW - week * 7 * DAY - hour * HOUR, 100 + n) for week in range(1, 4) for hour in (1, 2) for n in range(8)]), now=NOW, judge=False)
    base.take(table([("01", "", "collector", "", NOW - hour * HOUR, 1) for hour in (1, 2)]), now=NOW)
    judge(base, now=NOW - 2 * HOUR)
    first, second = judge(base, now=NOW), judge(base, now=NOW)
    assert [sorted(one.entity for one in told) for told in (first, second)] == [[f"host-{n}" for n in range(3, 8)]] * 2
    assert {one.at for one in first} != {one.at for one in second}
    assert base.told["more"] == 6
    assert judge(base, now=NOW) == []


def test_what_is_told_bears_the_highest_level_of_what_it_was_worked_out_from():
    base = Baseline(Spec(Kind.NEW_PAIR, days=12, learning=4, least=2))
    base.take(table([("01", "", who, where, NOW - day * DAY, 1) for day in range(1, 9) for who, where in (("a", "x"), ("b", "y"))], level=2), now=NOW)
    base.take(table([("01", "", "a", "z", NOW - 3 * DAY, 1)], level=4), now=NOW, judge=False)
    state = base.snapshot()
    base.restore(state)
    base.take(table([("01", "", "a", "y", NOW - HOUR, 1), ("01", "", "b", "x", NOW - HOUR, 1)]), now=NOW)
    assert {one.entity: one.level for one in judge(base, now=NOW)} == {"a": 4, "b": 2}


def test_a_departure_tells_its_numbers():
    spec = Spec(Kind.RATE, days=35, weeks=3, least=10, settle=0)
    base = Baseline(spec)
    base.take(table([("01", "", "app", "", NOW - hour * HOUR, 5) for hour in range(1, 24 * 30)] + [("01", "", "app", "", NOW - HOUR, 95)]), now=NOW)
    (one,) = judge(base, now=NOW)
    assert (one.seen, one.usual, one.samples, one.days) == (100, 5, 4, 4)
    assert one.far == pytest.approx((100 - 5) / 5**0.5)
    last = one.curve[-1]
    assert (last.n, len(one.curve)) == (100, 48)
    assert last.low == 0
    assert last.high == pytest.approx(5 + spec.far * 5**0.5)
    assert [number for _hour, number in one.known] == [5, 5, 5, 5]


def test_numbers_that_contradict_each_other_and_states_of_others_are_refused():
    for wrong in ({"days": 0}, {"days": 5, "learning": 9}, {"share": 0.9}, {"far": 0.1}, {"least": 0}):
        with pytest.raises(Invalid):
            Spec(Kind.RARITY, **wrong)
    with pytest.raises(Invalid):
        Spec(Kind.RATE, days=14, weeks=3)
    with pytest.raises(Invalid):
        Baseline(Spec(Kind.RARITY)).restore(b"something else")


def test_what_is_forgotten_is_what_nobody_can_ask_for():
    base = Baseline(Spec(Kind.FIRST_SEEN, days=5, learning=2))
    base.take(table([("01", "", "a", f"v{day}", NOW - day * DAY, 1) for day in range(9)]), now=NOW)
    base.forget(now=NOW + 3 * DAY)
    assert base.cells.num_rows == 7
    assert {base.name(code)[-1] for code in base.cells["value"].to_pylist()} == {f"v{day}" for day in range(7)}
