"""Hits fold by rule, host and quarter of an hour of event time, whatever order they come in."""

import random
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from lianfang.rooms.detect.actions import folding

START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


def columns(times, hosts):
    return {"event_id": [f"e{n}" for n in range(len(times))], "time": times, "host": hosts, "territory": ["00001"] * len(times), "user": ["li"] * len(times), "ips": [["10.0.0.1", "10.0.0.2"]] * len(times)}


def test_one_rule_on_one_host_within_a_quarter_of_an_hour_is_one_finding():
    times = [START + timedelta(minutes=n) for n in (0, 1, 14, 15)]
    found = folding.fold(dict.fromkeys(range(4), ("r",)), columns(times, ["a"] * 4))
    assert [(fold.window.minute, fold.count, fold.first, fold.last) for fold in found] == [(0, 3, times[0], times[2]), (15, 1, times[3], times[3])]


def test_another_host_or_another_rule_is_another_finding():
    found = folding.fold({0: ("r", "s"), 1: ("r",)}, columns([START, START], ["a", "b"]))
    assert sorted((fold.rule_uid, fold.host) for fold in found) == [("r", "a"), ("r", "b"), ("s", "a")]


def test_what_took_part_is_noted_once():
    found = folding.fold({0: ("r",), 1: ("r",)}, columns([START, START], ["a", "a"]))
    assert found[0].plain_entities() == {"ips": ["10.0.0.1", "10.0.0.2"], "users": ["li"], "hosts": ["a"]}


def test_a_flood_over_endless_hosts_costs_a_bounded_number_of_findings():
    count = 20_000
    found = folding.fold(dict.fromkeys(range(count), ("r",)), columns([START] * count, [f"h{n}" for n in range(count)]))
    assert len(found) == folding.HOSTS_PER_RULE + 1
    assert sum(fold.count for fold in found) == count
    assert max(len(fold.events) for fold in found) == 50


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3000), st.sampled_from("ab"), st.sampled_from("rs")), min_size=1, max_size=60), st.randoms())
def test_order_changes_nothing_and_nothing_is_lost(events, chance: random.Random):
    def folded(order):
        found = folding.fold({n: (rule,) for n, (_, _, rule) in enumerate(order)}, columns([START + timedelta(seconds=at) for at, _, _ in order], [host for _, host, _ in order]))
        return sorted((fold.key("b"), fold.count, fold.first, fold.last) for fold in found)

    shuffled = events[:]
    chance.shuffle(shuffled)
    assert folded(events) == folded(shuffled)
    assert sum(count for _, count, _, _ in folded(events)) == len(events)
