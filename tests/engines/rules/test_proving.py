"""Every rule is tried on events made from itself; what is made satisfies it, and a fault of the engine is found."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engines.rules.conftest import ANY, rule, selection

from lianfang.engines.rules import Compiled, Examiner, expressions, naive, patterns, proving, sources, synthesis
from lianfang.engines.rules.compiler import compile_rules
from lianfang.engines.rules.matchers import Matcher

TWO = "  one:\n    {0}\n  two:\n    {1}\n  condition: {2}\n"


def built(text, **named) -> synthesis.Built:
    compiled = compile_rules([rule("a rule", text, **named)])
    assert not compiled.problems
    found = synthesis.build(compiled.atoms, compiled.trees[0], compiled.rules[0].logsource)
    if found.event is not None:
        assert naive.holds(compiled.atoms, compiled.trees[0], found.event.row, found.event.source)
    return found


@pytest.mark.parametrize("engine", ["vectorscan", "fallback"])
def test_every_rule_of_a_pack_that_uses_every_modifier_is_proven(own, engine):
    proofs = list(proving.prove(own, engine=engine))
    assert {proof.rule.title: proof.reason or proof.differences for proof in proofs if proof.state != "proven"} == {}
    assert len(proofs) == len(own.rules)
    assert all(proof.silent >= 2 and proof.event for proof in proofs)


def test_the_starter_pack_is_proven():
    compiled = compile_rules(sources.load("content/rules/starter"))
    told = []
    proofs = list(proving.prove(compiled, tell=lambda done, total: told.append((done, total))))
    assert {proof.rule.path: proof.reason or proof.differences for proof in proofs if proof.state != "proven"} == {}
    assert told[0] == (0, len(proofs))
    assert told[-1] == (len(proofs), len(proofs))


@pytest.mark.parametrize("spoil", ["loses a pattern", "takes case for nothing", "sees too much"])
def test_a_fault_of_the_engine_is_found(own, monkeypatch, spoil):
    """Whatever the engine gets wrong about a rule, one of the events made from the rule shows."""
    victim = {"loses a pattern": "contains", "takes case for nothing": "cased", "sees too much": "regex"}[spoil]
    (tree,) = (tree for each, tree in zip(own.rules, own.trees) if each.title == victim)
    number = max(synthesis.atoms_of(tree))
    match, atom = Matcher.match, own.atoms[number]

    def wrong(self, raw):
        found = match(self, raw)
        if not any(own.atoms[label] == atom for label, _ in self.text):
            return found
        if spoil == "loses a pattern":
            return found - {number}
        folded = naive.holds_of(atom._replace(cased=False, pattern=atom.pattern.lower()), {atom.field: raw.decode()}, ("", "", "")) if spoil == "takes case for nothing" else b"user" in raw
        return found | {number} if folded else found

    monkeypatch.setattr(Matcher, "match", wrong)
    differing = [proof for proof in proving.prove(own) if proof.state == "differs"]
    assert victim in {proof.rule.title for proof in differing}
    assert all(one.engine != one.reference for proof in differing for one in proof.differences)


def test_a_hit_that_gets_lost_on_one_way_alone_is_found(own, monkeypatch):
    lines = Examiner.json_lines
    monkeypatch.setattr(Examiner, "json_lines", lambda self, *given: lines(self, *given)[1:])
    assert {one.way for proof in proving.prove(own) for one in proof.differences} == {"JSON lines"}


def test_only_what_is_needed_is_in_the_event():
    event = built(TWO.format("Image|endswith: '\\cmd.exe'", "User|contains: system", "one and not two")).event
    assert event is not None
    assert {name for name in event.row if name not in ("Channel", "EventID")} == {"Image"}
    assert event.row["Image"] == "\\cmd.exe"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (TWO.format("Image: 'a.exe'", "Image: 'b.exe'", "one and two"), "eq a.exe"),
        (TWO.format("Image|contains: 'temp\\evil'", "Image|contains: evil", "one and not two"), "contains evil"),
        (TWO.format("Image|startswith: 'C:'", "Image|startswith: 'D:'", "one and two"), "cannot both hold"),
        (TWO.format("Image: null", "Image|endswith: x", "one and two"), "cannot both hold"),
        (TWO.format("Image: runwizard", "Image|re: '[0-9]{4}'", "one and two"), "cannot both hold"),
        (TWO.format("EventID: 4", "Image: x", "one and two"), "cannot both hold"),
    ],
)
def test_a_rule_that_contradicts_itself_is_called_so_with_the_reason(text, why):
    found = built(text)
    assert found.event is None
    assert found.certain
    assert why in found.reason


def test_what_was_only_not_found_is_not_called_a_contradiction():
    """Two expressions that some text satisfies, but none of those that are tried."""
    found = built(TWO.format("Image|re: '^(a|b){40}$'", "Image|re: '^(ba|bb|aab){5,20}$'", "one and two"))
    assert found.event is None
    assert not found.certain
    assert "no value was found" in found.reason


@pytest.mark.parametrize(
    "text",
    [
        selection("  Image|startswith: 'C:\\Temp\\'", "  Image|endswith: '\\Temp\\x.exe'"),
        selection("  CommandLine|re: '^cmd.*\\.exe$'", "  CommandLine|contains|all: ['/c', 'whoami']"),
        selection("  CommandLine: 'a*b?c'", "  CommandLine|contains: middle"),
        selection("  ProcessId|gt: 10", "  ProcessId|lt: 11"),
        selection("  SourceIp|cidr: 'fe80::/10'"),
        selection("  Image|fieldref: ParentImage", "  ParentImage|contains: x", "  Image|endswith: '.exe'"),
        TWO.format("Image|fieldref: ParentImage", "Image|endswith: '.exe'", "two and not one"),
        TWO.format("Image|endswith: '.exe'", "Image: null", "1 of them"),
        TWO.format("CommandLine|windash|contains|all: [' -a', ' -b']", "CommandLine|base64offset|contains: 'http://'", "all of them"),
        TWO.format("CommandLine|contains|cased: ABC", "CommandLine|contains|cased: abc", "one and not two"),
        TWO.format("CommandLine|re: '.{300,}'", "CommandLine|contains: 'x'", "one and not two"),
    ],
)
def test_conditions_that_hang_together_are_fulfilled_together(text):
    assert built(text).event is not None, built(text).reason


def test_keywords_stand_somewhere_and_those_that_are_barred_nowhere():
    event = built(TWO.format("- 'first word'", "- forbidden", "one and not two"), logsource=ANY).event
    assert event is not None
    assert any("first word" in value for value in event.row.values())


def test_each_needed_condition_has_a_near_miss_on_which_the_rule_is_silent(own):
    for each, tree in zip(own.rules, own.trees):
        made = synthesis.build(own.atoms, tree, each.logsource)
        silent = {one.needed for one in synthesis.near_misses(made) if not naive.holds(own.atoms, tree, proving.Spelled(one.event.row), one.event.source)}
        for name, literals in made.wants.items():
            if name != synthesis.LOGSOURCE:
                assert not {(atom, on) for atom, on in literals if on and atom.op in ("contains", "startswith", "endswith", "like", "eq", "re", "cidr", "lt", "gte")} - silent, each.title


EXPRESSIONS = st.recursive(
    st.sampled_from(["a", "B", ".", r"\d", r"\s", r"[^a-z]", r"[0-9_x]", r"\.", "机", "(?i:ab)", r"\x41", "k"]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "+?"])).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
    ),
    max_leaves=6,
)


@given(EXPRESSIONS, st.sampled_from(["", "zz", "A.b"]))
def test_texts_made_for_an_expression_match_it(expression, filler):
    for text in expressions.texts(f"^{expression}$", filler):
        assert re.search(f"^{expression}$", text, re.ASCII), text


def test_no_text_is_made_for_what_cannot_run():
    with pytest.raises(patterns.Unportable):
        next(expressions.texts("(?=a)b"))


def test_nothing_is_proven_of_no_rules():
    assert list(proving.prove(Compiled((), (), ()))) == []
