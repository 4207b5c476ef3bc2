"""A score is the sum of its reasons, whatever their order."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianfang.engines.scores import Term, weighted
from lianfang.kernel.errors import Invalid

terms = st.lists(st.builds(Term, st.text(min_size=1, max_size=8), st.floats(0, 1), st.floats(-5, 5)), max_size=8)


@given(terms, st.randoms())
def test_order_changes_nothing_and_bounds_hold(given_terms, chance: random.Random):
    score = weighted(given_terms)
    shuffled = list(given_terms)
    chance.shuffle(shuffled)
    assert weighted(shuffled) == score
    assert 0 <= score.value <= 100


@given(st.lists(st.builds(Term, st.text(min_size=1, max_size=8), st.floats(0, 1), st.floats(0.1, 5)), min_size=1, max_size=8))
def test_the_terms_add_up_to_the_score(given_terms):
    score = weighted(given_terms)
    assert math.isclose(sum(term.points for term in score.terms), score.value, abs_tol=1e-4)
    assert [abs(term.points) for term in score.terms] == sorted((abs(term.points) for term in score.terms), reverse=True)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.1, 5), st.floats(0.1, 5))
def test_more_of_a_reason_never_lowers_the_score(low, high, weight, other):
    low, high = sorted((low, high))
    rest = Term("rest", 0.5, other)
    assert weighted([Term("a", low, weight), rest]).value <= weighted([Term("a", high, weight), rest]).value


def test_an_argument_against_lowers_without_diluting():
    severe = Term("severity", 1.0, 1)
    assert weighted([severe]).value == 100
    assert weighted([severe, Term("known false alarm", 1.0, -0.4)]).value == 60
    assert weighted([severe, Term("known false alarm", 1.0, -2)]).flags == ("floored",)


def test_nothing_scores_nothing_and_says_so():
    assert weighted([]).flags == ("no_weights",)


@pytest.mark.parametrize("term", [Term("a", 1.5, 1), Term("a", -0.1, 1), Term("a", math.nan, 1), Term("a", 1, math.inf)])
def test_a_term_out_of_bounds_is_refused(term):
    with pytest.raises(Invalid):
        weighted([term])
