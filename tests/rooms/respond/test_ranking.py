"""What deserves to be looked at first, and why: every point has its reason."""

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st
from tests.rooms.respond.conftest import NOON

from lianfang.rooms.respond import models
from lianfang.rooms.respond.actions import ranking
from lianfang.rooms.respond.actions.ranking import Past, Sight
from lianfang.rooms.respond.types import Reason

ORDER = {"initial-access": 0, "execution": 1, "persistence": 2, "credential-access": 3, "impact": 4}


def sight(rule="r", minute=0, *tactics, kind="sigma"):
    from datetime import timedelta

    moment = NOON + timedelta(minutes=minute)
    return Sight(rule, kind, tactics, moment, moment)


def rank(one=None, *, severity=3, status="stable", count=1, around=(), past=Past(1, 0)):
    one = one or sight()
    score, reasons = ranking.rank(one, severity=severity, status=status, count=count, around=[one, *around], past=past, order=ORDER)
    return score, {reason.name: reason for reason in reasons}


def test_the_weights_make_a_hundred():
    assert sum(ranking.WEIGHTS.values()) == 100


@given(st.integers(1, 5), st.sampled_from(["stable", "test", "experimental", ""]), st.integers(1, 10**7), st.integers(1, 1000), st.integers(0, 1000))
def test_a_score_lies_between_0_and_100_and_is_the_sum_of_its_reasons(severity, status, count, hosts, before):
    score, reasons = rank(severity=severity, status=status, count=count, past=Past(hosts, before))
    assert 0 <= score <= 100
    assert abs(sum(reason.points for reason in reasons.values()) - score) <= 0.6


@given(st.integers(1, 4))
def test_a_more_severe_rule_is_never_ranked_lower(severity):
    assert rank(severity=severity)[0] <= rank(severity=severity + 1)[0]


def test_other_rules_on_the_host_within_the_hour_make_a_chain():
    alone = rank()[0]
    chain = rank(around=[sight("s", 30), sight("t", -50)])
    assert chain[0] > alone
    assert chain[1]["chain"].facts == {"rules": 3}
    assert rank(around=[sight("s", 61)])[1]["chain"].facts == {"rules": 1}


def test_stages_in_the_order_of_an_attack_weigh_more_than_the_same_stages_in_another_order():
    steps = ["initial-access", "execution", "credential-access"]
    forward = rank(sight("r", 200, "impact"), around=[sight(f"s{n}", 60 * n, step) for n, step in enumerate(steps)])[1]["progression"]
    backward = rank(sight("r", 0, "impact"), around=[sight(f"s{n}", 200 - 60 * n, step) for n, step in enumerate(steps)])[1]["progression"]
    assert forward.facts == {"tactics": 4, "ordered": True}
    assert backward.facts == {"tactics": 4, "ordered": False}
    assert forward.points > backward.points > 0


def test_the_watch_list_counts_for_the_whole_host():
    assert rank(around=[sight("ioc:ip:203.0.113.9", 5, kind="ioc")])[1]["watch"].points == ranking.WEIGHTS["watch"]
    assert rank()[1]["watch"].points == 0


def test_what_is_rare_and_new_comes_before_what_everybody_has_all_day():
    assert rank(past=Past(1, 0))[0] > rank(past=Past(400, 90))[0]


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_every_reason_has_words(language):
    with translation.override(language):
        for reason in rank(around=[sight("s", 30, "impact")], count=4)[1].values():
            assert reason.title
            assert reason.words.strip()


def test_a_reason_survives_the_table():
    told = Reason("chain", 0.5, 18, 9.0, {"rules": 2})
    from dataclasses import asdict

    assert Reason(**asdict(told)) == told


def judged(*said, days=0):
    from datetime import timedelta

    return [ranking.Judgement(NOON - timedelta(days=days), person, verdict, host, frozenset(entities)) for person, verdict, host, *entities in said]


def odds(said, host="a", entities=()):
    return ranking.track(said, host=host, entities=frozenset(entities), now=NOON).odds


def test_judgements_move_the_odds_with_few_data_a_little_and_never_beyond_their_bounds():
    false, real = ("li", "false_positive", "a"), ("li", "true_positive", "a")
    assert odds([]) == 1
    assert 0.5 < odds(judged(false)) < 1 < odds(judged(real)) < 1.5
    assert odds(judged(*[false] * 100)) == 0.5, "one person alone"
    assert odds(judged(*[false, ("wu", "false_positive", "a"), ("xu", "false_positive", "a")] * 30)) == 0.25
    assert odds(judged(*[real, ("wu", "true_positive", "a")] * 50)) == 2


def test_a_judgement_fades_and_a_harmless_one_counts_half():
    false = judged(*[("li", "false_positive", "a"), ("wu", "false_positive", "a")])
    assert odds(false) < odds(judged(*[("li", "false_positive", "a"), ("wu", "false_positive", "a")], days=90)) < 1
    assert odds(false) < odds(judged(("li", "benign", "a"), ("wu", "benign", "a"))) < 1


def test_the_host_says_more_than_the_rule_and_a_trace_more_than_the_host():
    """Elsewhere it is a false alarm; here it is real."""
    mixed = judged(*[("li", "false_positive", "b"), ("wu", "false_positive", "c")] * 4, *[("li", "true_positive", "a"), ("wu", "true_positive", "a")] * 3)
    assert odds(mixed, "a") > odds(mixed, "b")
    traced = judged(*[("li", "false_positive", "a", "users:backup"), ("wu", "false_positive", "a", "users:backup")] * 3)
    assert odds(traced, "a", ["users:backup"]) <= odds(traced, "a", ["users:intruder"])
    assert ranking.track(traced, host="a", entities=frozenset(["users:backup"]), now=NOON).circle == "entity"


@given(st.integers(0, 100), st.sampled_from([0.25, 0.5, 1.0, 2.0]), st.integers(0, 3))
def test_factors_keep_a_score_between_0_and_100_and_its_points_add_up(points, times, importance):
    base = [Reason("severity", points / 100, 100, float(points), {"severity": 3})]
    score, reasons = ranking.moved(base, stake=ranking.Stake(importance, "host" if importance else ""), record=ranking.Track(times, "rule", 1))
    assert 0 <= score <= 100
    assert abs(sum(reason.points for reason in reasons) - score) <= 0.6
    again, same = ranking.moved(reasons, stake=ranking.Stake(importance, "host" if importance else ""), record=ranking.Track(times, "rule", 1))
    assert (again, same) == (score, reasons), "weighing twice is weighing once"


@given(st.lists(st.tuples(st.sampled_from(["li", "wu", "xu"]), st.sampled_from(["true_positive", "false_positive", "benign"]), st.sampled_from("ab")), max_size=30), st.randoms())
def test_the_order_in_which_verdicts_came_changes_nothing(said, chance):
    shuffled = list(said)
    chance.shuffle(shuffled)
    assert odds(judged(*said)) == odds(judged(*shuffled))


@pytest.mark.django_db
def test_a_host_is_ranked_anew_when_the_story_grows(raised):
    (first,) = raised((0, "r", "a", {"tactics": ["execution"]}))
    alone = first.score
    raised((20, "s", "a", {"tactics": ["credential-access"], "severity": 5}))
    first.refresh_from_db()
    assert first.score > alone
    assert next(reason for reason in first.why if reason.name == "chain").facts == {"rules": 2}
    top = models.Alert.objects.order_by("-score").first()
    assert top.rule_uid == "s"


@pytest.mark.django_db
def test_the_past_is_asked_within_one_s_own_organisation(raised, organisations):
    for host in "bcd":
        raised((0, "r", host), territory=organisations.mill.territory)
    alert = next(alert for alert in raised((0, "r", "a")) if alert.host == "a")
    assert next(reason for reason in alert.why if reason.name == "rarity").facts == {"hosts": 1}
