"""A watch list that follows another: whatever came and went, it finds what one made anew would find."""


import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianfang.engines.rules import watch
from lianfang.engines.rules.types import WatchSets
from lianfang.engines.rules.watch import Watch

VALUES = {
    "ips": ["203.0.113.9", "198.51.100.7", "2001:db8::9", "::ffff:203.0.113.9", "2001:DB8::9"],
    "cidrs": ["198.51.100.0/24", "2001:db8::/32"],
    "domains": ["bad.example", "Bad.Example.", "worse.bad.example"],
    "hashes": ["44d88612fea8a8f36de82e1278abb02f", "44D88612FEA8A8F36DE82E1278ABB02F", "da39a3ee5e6b4b0d3255bfef95601890afd80700"],
    "urls": ["http://bad.example/", "HTTP://bad.example", "http://bad.example/A"],
}
TEXT = " ".join(value for values in VALUES.values() for value in values).encode()
LISTS = st.fixed_dictionaries({part: st.sets(st.sampled_from(values)) for part, values in VALUES.items()})


@pytest.fixture(autouse=True)
def _any_size(monkeypatch):
    monkeypatch.setattr(watch, "_WORTH_KEEPING", 0)
    watch._made.clear()


def spelled(found):
    """What is found, one name for values that are spelled alike: which of them is told does not matter."""
    return {uid.lower().rstrip("./") for uid in found}


@given(st.lists(LISTS, min_size=1, max_size=6), st.integers(0, 40))
def test_a_list_that_follows_others_finds_what_one_made_anew_finds(lists, more):
    ballast = [f"host-{n}.ballast.example" for n in range(more)]  # so that little differs, and indexes are taken over
    held = []
    watch._made.clear()
    for one in lists:
        sets = WatchSets(**{**one, "domains": one["domains"] | set(ballast), "hashes": one["hashes"] | {f"{n:032x}" for n in range(more)}, "urls": one["urls"] | {f"http://ballast.example/{n}" for n in range(more)}})
        held.append((Watch(sets), sets))
    for followed, sets in held:  # those before, too, stay as they were
        watch._made.clear()
        assert spelled(followed.find(TEXT)) == spelled(Watch(sets).find(TEXT))


def test_one_more_among_many_costs_little():
    """Only what differs is spelled anew, and what stood there before stays as it was."""
    spelled = []

    def keys(value):
        spelled.append(value)
        return [value.lower()]

    many = frozenset(f"host-{n}.bad.example" for n in range(1000))
    first = watch.Index(keys, {"domain": many})
    assert len(spelled) == 1000
    spelled.clear()
    second = watch.Index(keys, {"domain": many - {"host-1.bad.example"} | {"new.example"}}, first)
    assert sorted(spelled) == ["host-1.bad.example", "new.example"]
    assert second.uids["new.example"] == "ioc:domain:new.example"
    assert second.uids["host-7.bad.example"] == "ioc:domain:host-7.bad.example"
    assert "host-1.bad.example" not in second.uids
    assert "new.example" not in first.uids


def test_one_more_is_found_among_many_and_not_by_the_list_before():
    many = frozenset(f"host-{n}.bad.example" for n in range(100_000))
    first = Watch(WatchSets(domains=many))
    second = Watch(WatchSets(domains=many | {"new.example"}))
    assert second.find(b"www.new.example") == ["ioc:domain:new.example"]
    assert second.find(b"host-7.bad.example") == ["ioc:domain:host-7.bad.example"]
    assert not first.find(b"www.new.example")


def test_the_one_before_is_not_held_for_its_own_sake():
    Watch(WatchSets(domains={"bad.example"}))
    assert watch._last_made() is None
