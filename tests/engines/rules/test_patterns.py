"""Patterns mean the same to Python's re (ASCII), to RE2 and to Vectorscan."""

import re

import hyperscan
import pytest
import re2
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lianfang.engines.rules import fallback, naive, patterns, vectorscan
from lianfang.engines.rules.trees import Atom

CHARS = "aAbBkKsSzZ019_-./\\ \n\té计算机ДдKſİı𝄞"
TEXTS = st.text(CHARS, max_size=12)
ATOMS = st.sampled_from(["a", "B", "k", "S", ".", r"\d", r"\w", r"\S", r"\s", r"\.", r"\\", "[a-z]", "[^a-k]", r"[\w.]", r"[^\s]", "计", "[计-机]", "Д", "é", r"\x41", r"\u8ba1", "[]a]", "[a-]"])
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "*?"])).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
        inner.map(lambda each: f"({each})"),
        inner.map(lambda each: f"(?i:{each})"),
        inner.map(lambda each: f"^{each}"),
        inner.map(lambda each: f"{each}$"),
        inner.map(lambda each: rf"\b{each}"),
    ),
    max_leaves=5,
)


def answers(atom: Atom, text: str) -> list[bool]:
    found = [naive._value(atom, text)]
    for scanner in (vectorscan.Scanner, fallback.Scanner):
        found.append(bool(list(scanner([(7, atom)]).scan(patterns.raw(text)))))
    return found


@settings(max_examples=300, deadline=None)
@given(EXPRESSIONS, st.sampled_from(["", "(?i)", "(?s)", "(?m)", "(?im)"]), TEXTS)
@example("a$", "", "a\n")
@example("^a$", "(?m)", "b\na\n")
@example("k", "(?i)", "\u212a")
@example("(?:a|)$", "", "")
@example("^(?:a)*$", "(?m)", "0\n")
@example("(?i:a|S|k)", "", "ſ")
@example("(?i:a|[s]|[K])", "", "\u212a")
def test_a_regular_expression_is_read_alike_by_all(expression, flags, text):
    try:
        re.compile(flags + expression)
    except re.error:
        return
    assert len(set(answers(Atom("f", "re", flags + expression), text))) == 1


@settings(max_examples=300, deadline=None)
@given(st.text(CHARS + "*?", min_size=1, max_size=8), TEXTS, st.booleans())
def test_wildcards_are_read_alike_by_all(pattern, text, cased):
    pattern = pattern.replace("\\", "\\\\")
    assert len(set(answers(Atom("f", "like", pattern if cased else patterns.lower(pattern), cased), text))) == 1


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["contains", "startswith", "endswith"]), st.text(CHARS, min_size=1, max_size=3), TEXTS, st.booleans())
def test_literals_are_read_alike_by_all(op, pattern, text, cased):
    assert len(set(answers(Atom("f", op, pattern if cased else patterns.lower(pattern), cased), text))) == 1


def test_only_ascii_letters_have_case():
    assert patterns.lower("ABC xyz ДЖ İI \u212a 计算机") == "abc xyz ДЖ İi \u212a 计算机"
    assert answers(Atom("f", "contains", "kernel"), "\u212aernel") == [False, False, False]
    assert answers(Atom("f", "contains", "дж"), "ДЖ") == [False, False, False]
    assert answers(Atom("f", "contains", "计算机"), "我的计算机") == [True, True, True]


def test_a_question_mark_is_one_character_however_many_bytes():
    for text, fits in (("计算机", True), ("计x机", True), ("计机", False), ("计算算机", False)):
        assert answers(Atom("f", "like", "计?机"), text) == [fits] * 3


@pytest.mark.parametrize("expression", [r"a(?=b)", r"a(?!b)", r"(?<=a)b", r"(a)\1", r"(?P<x>a)(?P=x)", r"(?>a)b", r"(?x) a b"])
def test_what_cannot_run_in_linear_time_is_refused(expression):
    with pytest.raises(patterns.Unportable):
        patterns.portable(expression)


def test_vectorscan_gives_to_re2_what_is_too_large_for_it():
    atoms = [(1, Atom("f", "contains", "abc")), (2, Atom("f", "re", "(?:a{1,900}b{1,900}){1,3}c"))]
    with pytest.raises(hyperscan.error):
        vectorscan._compile([vectorscan._expression(atoms[1][1])] * 2 + [vectorscan.Expression(b"(", 0)])
    scanner = vectorscan.Scanner(atoms)
    again = vectorscan.Scanner(atoms, serialised=scanner.serialise())
    for text, numbers in ((b"xabc", {1, 2}), (b"abbc", {2}), (b"ab", set())):
        assert set(scanner.scan(text)) == set(again.scan(text)) == numbers


def test_repeats_within_repeats_go_to_re2_before_vectorscan_labours_at_them():
    nested = Atom("f", "re", r"\$\{(?:\$\{[^}]{0,30}:?-?)?j(?:[^:]{0,40})n[^:]{0,40}d[^:]{0,40}i[^:]{0,90}:")
    scanner = vectorscan.Scanner([(1, nested), (2, Atom("f", "contains", "abc"))])
    assert scanner.refused == {0}
    assert set(scanner.scan(b"x${j--n--d--i--:abc")) == {1, 2}
    assert set(scanner.scan(b"x${j--n--d--abc")) == {2}


def test_portable_patterns_compile_in_both():
    for expression in (r"[-/–][Ee^]{1,2}", r"https?://(?:0[0-9]{1,11}\.){3}", r"(?i)\$\{`?e`?n`?v`?:`?p`?a`?t`?h`?\}", r"a{b}", r"x{,3}y"):
        re2.compile(patterns.portable(expression))
