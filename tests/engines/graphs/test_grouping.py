"""What belongs together: by rare entities and time, whatever the order; hubs and chatter glue nothing."""

import random

from hypothesis import given
from hypothesis import strategies as st

from lianfang.engines.graphs import Entity, Rules, Sight, groups, hubs

HOUR = 3600.0
RULES = Rules(reach={"host": 2 * HOUR, "ip": 12 * HOUR}, strength={"host": 1.0, "ip": 0.8})


def sight(key, hour, host, *ips, signature=None, last=None):
    return Sight(key, host, signature or key, hour * HOUR, (last if last is not None else hour) * HOUR, frozenset([Entity("host", host), *(Entity("ip", ip) for ip in ips)]))


def parts(found):
    return sorted(sorted(group.members) for group in found)


def test_neighbours_on_a_host_are_joined_and_a_long_silence_parts_them():
    assert parts(groups([sight("a", 0, "h"), sight("b", 1.5, "h"), sight("c", 5, "h"), sight("d", 0, "g")], RULES)) == [["a", "b"], ["c"], ["d"]]


def test_a_rare_address_joins_hosts_and_says_so():
    found = groups([sight("a", 0, "h", "203.0.113.9"), sight("b", 3, "g", "203.0.113.9")], RULES)
    (group,) = found
    edge = group.by["b"]
    assert (edge.one, edge.entity, edge.gap) == ("a", Entity("ip", "203.0.113.9"), 3 * HOUR)
    assert 0 < edge.weight < 0.8


def test_a_hub_that_all_share_glues_nothing():
    shared = [sight(f"h{n}", 0.01 * n, f"host-{n}", "10.0.0.53") for n in range(12)]
    assert len(groups(shared, RULES)) == 12
    assert hubs(shared, RULES) == {(0, Entity("ip", "10.0.0.53")): 12}
    walked = [sight(f"h{n}", 0.01 * n, f"host-{n}", *(["203.0.113.9"] if n < 5 else [])) for n in range(40)]
    assert max(len(group.members) for group in groups(walked, RULES)) == 5, "five of forty is somebody who walks, not a server that all ask"


def test_what_sounds_all_day_on_a_host_keeps_to_itself():
    noise = [sight(f"n{n}", n, "h", signature="noise") for n in range(24)]
    attack = [sight("x", 10.2, "h"), sight("y", 10.9, "h")]
    assert parts(groups([*noise, *attack], RULES)) == sorted([sorted(f"n{n}" for n in range(24)), ["x", "y"]])


def test_what_sounds_without_an_end_keeps_to_itself():
    endless = sight("n", 0, "h", last=90)
    assert parts(groups([endless, sight("x", 10, "h"), sight("y", 10.5, "h"), sight("z", 40, "h")], RULES)) == [["n"], ["x", "y"], ["z"]]


def test_what_a_person_said_holds():
    seen = [sight("a", 0, "h"), sight("b", 1, "h"), sight("c", 9, "g")]
    assert parts(groups(seen, RULES, held={"a": "one", "b": "two"})) == [["a"], ["b"], ["c"]]
    assert parts(groups(seen, RULES, held={"b": "one", "c": "one"})) == [["a", "b", "c"]]
    between = sight("m", 0.5, "h")
    assert parts(groups([*seen, between], RULES, held={"a": "one", "b": "two"})) in ([["a", "m"], ["b"], ["c"]], [["a"], ["b", "m"], ["c"]]), "what comes between joins one of them and not both"


SEEN = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 4), st.sampled_from("hgfed"), st.sets(st.sampled_from(["1.1.1.1", "2.2.2.2", "10.0.0.53"])), st.sampled_from("pqr")), max_size=40)


@given(SEEN, st.randoms())
def test_the_order_of_arrival_changes_nothing(seen, chance):
    made = [sight(f"{n:03}", hour, host, *ips, signature=signature, last=hour + length) for n, (hour, length, host, ips, signature) in enumerate(seen)]
    expected = groups(made, RULES)
    random.Random(chance.random()).shuffle(made)
    assert groups(made, RULES) == expected
    assert sorted(key for group in expected for key in group.members) == [one.key for one in sorted(made, key=lambda one: one.key)]


@given(SEEN)
def test_a_group_hangs_together_by_its_links(seen):
    made = [sight(f"{n:03}", hour, host, *ips, signature=signature, last=hour + length) for n, (hour, length, host, ips, signature) in enumerate(seen)]
    for group in groups(made, RULES):
        assert set(group.by) == set(group.members[1:])
        for key in group.members:
            steps = 0
            while key != group.members[0]:
                key, steps = group.by[key].one, steps + 1
                assert steps <= len(group.members)
