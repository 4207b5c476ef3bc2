"""Which rules can fire on what comes in: decided from their trees, kind by kind of events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engines.rules.conftest import SYSMON, rule, selection

from lianfang.engines.rules import coverage, naive, synthesis
from lianfang.engines.rules.compiler import compile_rules
from lianfang.engines.rules.coverage import Kind

PROCESS = Kind(("windows", "process_creation", "sysmon"), SYSMON, "1", frozenset({"Channel", "EventID", "Image", "CommandLine"}))
LINUX = Kind(("linux", "", "auditd"), "", "", frozenset({"exe", "User", "NewValue", "ParentImage"}))
TWO = "  one:\n    {0}\n  two:\n    {1}\n  condition: {2}\n"


def reached(detection, *kinds, **named):
    (found,) = coverage.reach(compile_rules([rule("a rule", detection, **named)]), kinds)
    return found.state, found.missing


def test_a_rule_whose_fields_come_is_ready():
    assert reached(selection("  Image|endswith: x"), LINUX, PROCESS) == ("ready", ())


def test_a_rule_whose_kind_of_event_never_comes_waits_for_its_source():
    assert reached(selection("  Image|endswith: x"), LINUX) == ("source", ())
    assert reached(selection("  Image|endswith: x"), PROCESS, logsource="{product: windows, category: network_connection}") == ("source", ())
    assert reached(selection("  Image|endswith: x")) == ("source", ())


def test_a_field_of_another_source_helps_nobody():
    assert reached(selection("  User: root"), PROCESS, LINUX) == ("fields", ("User",))


def test_a_field_that_is_only_one_of_several_ways_keeps_a_rule_from_nothing():
    assert reached(TWO.format("Image|endswith: x", "OriginalFileName: y", "1 of them"), PROCESS) == ("ready", ())
    assert reached(TWO.format("Image|endswith: x", "OriginalFileName: y", "all of them"), PROCESS) == ("fields", ("OriginalFileName",))


def test_a_field_that_is_only_an_exception_keeps_a_rule_from_nothing():
    assert reached(TWO.format("Image|endswith: x", "User: system", "one and not two"), PROCESS) == ("ready", ())
    assert reached(TWO.format("Image|endswith: x", "User: null", "one and not two"), PROCESS) == ("fields", ("User",))


def test_a_field_that_must_be_absent_may_be():
    assert reached(selection("  User: null"), PROCESS) == ("ready", ())
    assert reached(selection("  User|exists: false"), PROCESS) == ("ready", ())


def test_of_several_ways_the_one_is_told_that_most_rules_wait_for():
    others = [rule(f"other {n}", selection("  User: root")) for n in range(3)]
    compiled = compile_rules([rule("either", TWO.format("Company: x", "User: root", "1 of them")), *others])
    assert coverage.reach(compiled, [PROCESS])[0].missing == ("User",)


def test_all_fields_that_are_needed_together_are_told():
    assert reached(selection("  User: root", "  Company: x", "  Image|endswith: y"), PROCESS) == ("fields", ("Company", "User"))
    assert reached(selection("  Image|fieldref: ParentImage"), PROCESS) == ("fields", ("ParentImage",))


def test_the_kind_that_needs_least_is_the_one_that_is_told():
    more = Kind(PROCESS.source, SYSMON, "1", PROCESS.fields | {"Company"})
    compiled = compile_rules([rule("a rule", selection("  User: root", "  Company: x"))])
    assert coverage.reach(compiled, [PROCESS, more]) == [coverage.Reach("fields", ("User",), 1)]


def test_other_spellings_of_a_name_are_the_same_field():
    spaced = Kind(("windows", "", "windefend"), "Microsoft-Windows-Windows Defender/Operational", "5007", frozenset({"New Value"}))
    assert reached(selection("  NewValue|contains: x"), spaced, logsource="{product: windows, service: windefend}") == ("ready", ())


def test_keywords_look_at_whatever_there_is():
    assert reached("  words: [one, two]\n  condition: words\n", LINUX, logsource="{product: linux}") == ("ready", ())


KINDS = st.builds(
    Kind,
    st.sampled_from([("windows", "process_creation", "sysmon"), ("linux", "process_creation", ""), ("", "webserver", ""), ("aws", "", "cloudtrail")]),
    st.sampled_from(["", SYSMON]),
    st.sampled_from(["", "1", "3"]),
    st.frozensets(st.sampled_from(["Image", "CommandLine", "User", "ParentImage", "IntegrityLevel", "Hashes", "SourceIp", "cs-uri-query", "userIdentity.type"])),
)


@pytest.fixture(scope="module")
def events(own):
    """An event for each rule, and near misses of it."""
    found = []
    for each, tree in zip(own.rules, own.trees):
        made = synthesis.build(own.atoms, tree, each.logsource)
        found += [made.event, *(one.event for one in synthesis.near_misses(made))]
    return [(event, {each.uid for each, tree in zip(own.rules, own.trees) if naive.holds(own.atoms, tree, event.row, event.source)}) for event in found]


@given(st.data())
def test_a_rule_that_fires_on_an_event_is_ready_for_its_kind(own, events, data):
    event, fired = data.draw(st.sampled_from(events))
    kind = Kind(event.source, event.row.get("Channel", ""), event.row.get("EventID", ""), frozenset(event.row))
    others = data.draw(st.lists(KINDS, max_size=2))
    told = coverage.reach(own, [*others, kind])
    assert {each.uid for each, one in zip(own.rules, told) if one.state == "ready"} >= fired


@given(KINDS)
def test_with_the_fields_it_waits_for_a_rule_is_ready_and_with_fewer_it_is_not(own, kind):
    compiled = own
    for at, one in enumerate(coverage.reach(compiled, [kind])):
        if one.state == "fields":
            alone = compiled.only({compiled.rules[at].uid})
            assert coverage.reach(alone, [Kind(kind.source, kind.channel, kind.event_id, kind.fields | set(one.missing))])[0].state == "ready"
            for name in one.missing:
                assert coverage.reach(alone, [Kind(kind.source, kind.channel, kind.event_id, kind.fields | (set(one.missing) - {name}))])[0].state != "ready"
