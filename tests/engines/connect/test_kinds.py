"""Which kinds of events the mappings make, and which rules can fire on them: by evaluation, never by name."""

from pathlib import Path

import pytest

from lianfang.engines.connect.kinds import kinds
from lianfang.engines.connect.mapping import Templates
from lianfang.engines.rules import Examiner, compiler
from lianfang.engines.rules.sources import RuleText

SHIPPED = {one.name: one for one in Templates.load(Path("content/mappings")).templates}
LOGON = "title: a\nid: 6b7a1c1e-7b2e-4a58-9d0e-0000000000a1\nlogsource: {product: windows, service: security}\ndetection: {one: {EventID: 4625, IpAddress|startswith: '203.'}, condition: one}\n"
PROCESS = "title: b\nid: 6b7a1c1e-7b2e-4a58-9d0e-0000000000a2\nlogsource: {product: windows, category: process_creation}\ndetection: {one: {Image|endswith: x.exe}, condition: one}\n"
SSH = "title: c\nid: 6b7a1c1e-7b2e-4a58-9d0e-0000000000a3\nlogsource: {product: linux, service: sshd}\ndetection: {one: {action: failed}, condition: one}\n"


def test_a_template_says_what_it_makes_and_what_is_certain_of_it():
    found = kinds(SHIPPED["linux.sshd"])
    assert {(kind.class_uid, kind.activity_id) for kind in found if kind.known.get("action") == "failed"} == {(3002, 1)}
    assert {kind.logsource for kind in found} == {("linux", "", "sshd")}
    assert {(kind.class_uid, kind.activity_id) for kind in kinds(SHIPPED["windows.security"]) if kind.known.get("EventID") == "4704"} == {(3005, 1)}


@pytest.mark.parametrize("one", [one for one in SHIPPED.values() if one.name != "lianfang.report"], ids=lambda one: one.name)
def test_what_a_sample_of_a_mapping_becomes_is_known_to_be_made_by_it(one):
    """Only events that another node reported bring a class of their own."""
    made = {(kind.class_uid, kind.activity_id) for kind in kinds(one)}
    for said in (test.get("expect", {}) for test in one.tests):
        if said.get("class_uid"):
            assert said["class_uid"] in {class_uid for class_uid, _activity in made}
            assert "activity_id" not in said or (said["class_uid"], said["activity_id"]) in made


def test_rules_are_about_what_they_can_fire_on():
    reach = Examiner(compiler.compile_rules([RuleText("a.yml", LOGON), RuleText("b.yml", PROCESS), RuleText("c.yml", SSH)])).reach()
    about: dict[str, set[tuple[int, int]]] = {}
    for one in SHIPPED.values():
        for kind in kinds(one):
            known = kind.known if kind.logsource[0] == "windows" else {"Channel": None, **kind.known}
            for uid in reach.may_fire(known, kind.logsource):
                about.setdefault(uid[-2:], set()).add((kind.class_uid, kind.activity_id))
    assert about == {"a1": {(3002, 1)}, "a2": {(1007, 1)}, "a3": {(3002, 1)}}
