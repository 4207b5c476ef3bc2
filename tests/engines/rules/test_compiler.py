"""Sigma texts become trees; what cannot is a problem with a path and a reason."""

import pickle

import pytest

from lianfang.engines.rules import Compiled, prepared
from lianfang.engines.rules.compiler import compile_rules
from lianfang.engines.rules.sources import RuleText
from lianfang.engines.rules.trees import atoms_of
from lianfang.kernel.errors import Invalid

BASE = "title: T\nid: {uid}\nlogsource: {{product: windows, category: process_creation}}\ndetection:\n"
UID = "11111111-1111-4111-8111-11111111111{}"


def problem(detection: str, head: str = BASE) -> str:
    compiled = compile_rules([RuleText("bad.yml", head.format(uid=UID.format(1)) + detection), RuleText("good.yml", BASE.format(uid=UID.format(2)) + "  a: {Image: x}\n  condition: a")])
    assert [rule.uid for rule in compiled.rules] == [UID.format(2)]
    (found,) = compiled.problems
    assert found.path == "bad.yml"
    return found.reason


def test_a_rule_keeps_what_people_are_shown_of_it():
    text = (
        "title: Title\nid: 11111111-1111-4111-8111-111111111111\nstatus: test\nlevel: critical\nauthor: 张三, B. Writer\ndescription: Why.\nreferences: ['https://example.org/1']\n"
        "tags: [attack.execution, attack.t1059.001, attack.s0002, cve.2024-1, attack.T1003]\nfalsepositives: [Admins]\n"
        "logsource: {product: linux, service: sshd}\ndetection: {a: {x: y}, condition: a}"
    )
    (rule,) = compile_rules([RuleText("p/r.yml", text)]).rules
    assert (rule.title, rule.level, rule.status, rule.author, rule.description) == ("Title", "critical", "test", "张三, B. Writer", "Why.")
    assert rule.attack == ("T1059.001", "T1003")
    assert (rule.references, rule.falsepositives, rule.logsource, rule.path) == (("https://example.org/1",), ("Admins",), ("linux", "", "sshd"), "p/r.yml")
    assert len(rule.digest) == 64


@pytest.mark.parametrize(
    ("detection", "reason"),
    [
        ("  a: {Image|expand: '%admins%'}\n  condition: a", "placeholder %admins%"),
        ("  a: {Image|re: 'x(?=y)'}\n  condition: a", "look-around"),
        ("  a: {Image|re: '(x)\\1'}\n  condition: a", "back-references"),
        ("  a: {Image|re: '('}\n  condition: a", ""),
        ("  a: {Image|nosuch: x}\n  condition: a", "nosuch"),
        ("  a: {Image: x}\n  condition: b", ""),
        ("  a: {Image: x}\n", "condition"),
        ("  a: {UtcTime|hour: 3}\n  condition: a", "timestamp"),
    ],
)
def test_what_cannot_be_compiled_says_why(detection, reason):
    assert reason.lower() in problem(detection).lower()


def test_other_documents_are_problems_too():
    assert problem("", "just text") != ""
    assert problem("", "a: [unclosed {uid}") != ""
    assert problem("", "") == "The file holds no rule."


def test_a_correlation_stands_beside_the_rule_it_counts():
    base = BASE.format(uid=UID.format(1)).replace("title: T", "title: T\nname: base") + "  a: {Image: x}\n  condition: a"
    correlation = f"title: C\nid: {UID.format(2)}\ncorrelation: {{type: event_count, rules: [base], group-by: [b], timespan: 1m, condition: {{gte: 3}}}}"
    compiled = compile_rules([RuleText("c.yml", f"{base}\n---\n{correlation}")])
    assert [rule.uid for rule in compiled.rules] == [UID.format(1)]
    assert [(one.uid, one.refs) for one in compiled.correlations] == [(UID.format(2), (UID.format(1),))]
    assert not compiled.problems


def test_aliases_cannot_multiply():
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 60)}]\n" for n in range(6))
    assert "aliases" in problem("", bomb.replace("{", "{{"))


def test_a_uid_is_taken_once_and_made_where_it_is_missing():
    same = BASE.format(uid=UID.format(1)) + "  a: {Image: x}\n  condition: a"
    nameless = same.replace(f"id: {UID.format(1)}\n", "")
    compiled = compile_rules([RuleText("1.yml", same), RuleText("2.yml", same), RuleText("3.yml", nameless), RuleText("4.yml", nameless.replace("x}", "y}"))])
    assert len({rule.uid for rule in compiled.rules}) == 3
    assert [(found.path, found.rule_uid) for found in compiled.problems] == [("2.yml", UID.format(1))]
    assert "1.yml" in compiled.problems[0].reason
    assert compile_rules([RuleText("9.yml", nameless)]).rules[0].uid == compiled.rules[1].uid


def test_several_documents_in_one_file():
    text = "\n---\n".join(BASE.format(uid=UID.format(number)) + "  a: {Image: x}\n  condition: a" for number in range(3))
    compiled = compile_rules([RuleText("many.yml", text)])
    assert len(compiled.rules) == 3
    assert len(compiled.atoms) == 3, "one channel, one event id, one image"


def test_a_problem_leaves_no_atoms_behind():
    bad = BASE.format(uid=UID.format(1)) + "  a: {Image: only-here, User|expand: '%x%'}\n  condition: a"
    assert compile_rules([RuleText("bad.yml", bad)]).atoms == ()


def test_windows_rules_are_tied_to_channels_others_are_gated(own):
    ties = {rule.title: {own.atoms[atom].field for atom in atoms_of(tree)} for rule, tree in zip(own.rules, own.trees)}
    assert {"Channel", "EventID"} <= ties["contains"]
    assert "@logsource" not in ties["contains"]
    assert "@logsource" in ties["linux"]
    assert "@logsource" in ties["keywords"]


def test_pipelines_can_be_chosen():
    text = [RuleText("a.yml", BASE.format(uid=UID.format(1)) + "  a: {Image: x}\n  condition: a")]
    assert {atom.pattern for atom in compile_rules(text, pipelines=("windows-audit", "windows-logsources")).atoms if atom.field == "EventID"} == {"4688"}


def test_saved_rules_come_back_whole(own, tmp_path):
    ready = prepared(own)
    ready.save(tmp_path / "deep" / "cache.rules")
    back = Compiled.load(tmp_path / "deep" / "cache.rules")
    assert back == ready
    assert back.databases == ready.databases
    assert back.databases.by_field
    assert pickle.loads(pickle.dumps(back)) == ready
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["cache.rules"]


@pytest.mark.parametrize("damage", [lambda raw: raw[:-1], lambda raw: raw[:40], lambda raw: b"", lambda raw: b"X" + raw[1:], lambda raw: raw[:-20] + b"!" + raw[-19:]])
def test_a_damaged_cache_is_noticed(own, tmp_path, damage):
    path = tmp_path / "cache.rules"
    own.save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(Invalid, match="compiled rules"):
        Compiled.load(path)


def test_only_keeps_what_is_named(own):
    uid = own.rules[3].uid
    assert [rule.uid for rule in own.only({uid}).rules] == [uid]
    assert len(own.only(()).trees) == 0
