"""Partial evaluation, necessary atoms and shading agree with plain evaluation."""

from hypothesis import given
from hypothesis import strategies as st

from lianfang.engines.rules import trees
from lianfang.engines.rules.trees import AND, NOT, OR, holds, necessary, outcome, settle, shade

ATOM = st.integers(0, 7)
TREES = st.recursive(
    ATOM,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from([AND, OR]), st.lists(inner, min_size=1, max_size=4).map(tuple)),
        st.tuples(st.just(NOT), st.tuples(inner)),
    ),
    max_leaves=12,
)
WORLDS = st.frozensets(ATOM)


@given(TREES, WORLDS, WORLDS)
def test_settling_what_is_known_changes_no_answer(tree, true, decided):
    left = settle(tree, {atom: atom in true for atom in decided})
    assert (left if isinstance(left, bool) else holds(left, true)) == holds(tree, true)


@given(TREES, WORLDS)
def test_a_test_answers_as_its_tree(tree, true):
    assert outcome(trees.test_of(tree), true) == holds(tree, true)


@given(TREES, WORLDS, WORLDS)
def test_a_shaded_tree_is_never_wrong_about_what_it_is_sure_of(tree, true, known):
    answer = outcome(trees.test_of(shade(tree, known)), true & known)
    assert answer is None or answer == holds(tree, true)


@given(TREES, WORLDS, WORLDS)
def test_a_tree_does_not_hold_without_one_of_its_necessary_atoms(tree, true, usable):
    clue = necessary(tree, lambda atom: 1.0 / (1 + atom) if atom in usable else None)
    if clue is not None and holds(tree, true):
        assert true.intersection(clue.atoms)
        assert usable.issuperset(clue.atoms)
