"""Findings fold into sessions by event time, whatever order they come in, and only once."""

import random
from datetime import timedelta

import pytest
from tests.rooms.respond.conftest import NOON

from lianfang.commons.jobs import models as jobs
from lianfang.commons.ledger import queries as ledger
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import models as detect
from lianfang.rooms.respond import actions, models
from lianfang.rooms.respond.types import Verdict

pytestmark = pytest.mark.django_db


def spans(alerts):
    return [(alert.host, alert.rule_uid, int((alert.first - NOON) / timedelta(minutes=1)), int((alert.last - NOON) / timedelta(minutes=1)), alert.count) for alert in alerts]


def test_one_rule_on_one_host_is_one_alert_until_a_quarter_of_an_hour_of_silence(raised):
    assert spans(raised((0, "r", "a"), (10, "r", "a"), (25, "r", "a"), (41, "r", "a"))) == [("a", "r", 0, 25, 3), ("a", "r", 41, 41, 1)]


def test_another_host_rule_or_organisation_is_another_alert(raised, found, organisations):
    raised((0, "r", "a"), (1, "r", "b"), (2, "s", "a"))
    actions.raise_alerts(found((0, "r", "a"), territory=organisations.mill.territory))
    assert models.Alert.objects.count() == 4


def test_a_later_batch_extends_the_alert(raised):
    raised((0, "r", "a"))
    assert spans(raised((5, "r", "a"))) == [("a", "r", 0, 5, 2)]


def test_late_events_extend_backwards(raised):
    raised((20, "r", "a"))
    assert spans(raised((8, "r", "a"))) == [("a", "r", 8, 20, 2)]


def test_a_finding_between_two_alerts_joins_them(raised):
    raised((0, "r", "a"))
    assert len(raised((30, "r", "a"))) == 2
    (alert,) = raised((15, "r", "a"))
    assert spans([alert]) == [("a", "r", 0, 30, 3)]
    assert alert.folded.count() == 3


def test_what_a_person_touched_is_never_absorbed(raised, three):
    (first,) = raised((0, "r", "a"))
    actions.acknowledge(first.pk, actor=three.viewers.member)
    first, second = raised((30, "r", "a"))
    actions.comment(second.pk, "Another wave?", actor=three.viewers.member)
    actions.acknowledge(second.pk, actor=three.viewers.colleague)
    alerts = raised((15, "r", "a"))
    assert [alert.pk for alert in alerts] == [first.pk, second.pk]
    assert sum(alert.folded.count() for alert in alerts) == 3


def test_an_untouched_alert_joins_the_one_that_somebody_works_on(raised, three):
    raised((0, "r", "a"))
    _, second = raised((30, "r", "a"))
    actions.acknowledge(second.pk, actor=three.viewers.member)
    (alert,) = raised((15, "r", "a"))
    assert (alert.pk, alert.state, alert.folded.count()) == (second.pk, "acknowledged", 3)


def test_a_closed_alert_takes_only_what_lies_within_it(raised, three):
    (alert,) = raised((0, "r", "a"), (10, "r", "a"))
    actions.close(alert.pk, Verdict.FALSE_POSITIVE, actor=three.viewers.member)
    assert spans(raised((5, "r", "a"))) == [("a", "r", 0, 10, 3)]
    assert spans(raised((12, "r", "a"))) == [("a", "r", 0, 10, 3), ("a", "r", 12, 12, 1)]


def test_raising_a_batch_again_changes_nothing(found):
    ref = found((0, "r", "a"), (1, "s", "a"))
    assert actions.raise_alerts(ref) == 2
    before = list(models.Alert.objects.order_by("id").values())
    assert actions.raise_alerts(ref) == 0
    assert list(models.Alert.objects.order_by("id").values()) == before
    assert jobs.OutboxFact.objects.filter(name="respond.AlertRaised").count() == 1
    assert ledger.seen(SYSTEM).filter(verb="respond.alerted").count() == 1


@pytest.mark.parametrize("seed", range(12))
def test_the_order_of_arrival_changes_nothing(found, seed):
    """Sessions of untouched alerts depend on event times alone: every shuffle, in batches of any size, ends the same."""
    chance = random.Random(seed)
    minutes = sorted(chance.randint(0, 150) for _ in range(14))
    expected, start = [], 0
    for at in range(1, len(minutes) + 1):
        if at == len(minutes) or minutes[at] - minutes[at - 1] > 15:
            expected.append(("a", "r", minutes[start], minutes[at - 1], at - start))
            start = at
    chance.shuffle(minutes)
    while minutes:
        size = chance.randint(1, 4)
        actions.raise_alerts(found(*((minute, "r", "a") for minute in minutes[:size])))
        minutes = minutes[size:]
    assert spans(models.Alert.objects.order_by("first")) == expected
    assert models.Folded.objects.count() == detect.Finding.objects.count()


def test_an_alert_carries_what_was_found(raised):
    first = {"severity": 4, "techniques": ["T1003.001"], "tactics": ["credential-access"], "alarm": "credential", "entities": {"ips": ["10.0.0.1"]}, "licence": "DRL 1.1"}
    (alert,) = raised((0, "r", "a", first), (1, "r", "a", {"entities": {"ips": ["10.0.0.2"]}}))
    assert (alert.title, alert.author, alert.licence, alert.severity, alert.alarm) == ("Rule r", "Author of r", "DRL 1.1", 4, "credential")
    assert alert.entities == {"ips": ["10.0.0.1", "10.0.0.2"]}
    assert {(mark.kind, mark.value) for mark in alert.marks.all()} == {("technique", "T1003"), ("technique", "T1003.001"), ("tactic", "credential-access")}


def test_found_by_looking_back_only_when_all_of_it_was(raised):
    (alert,) = raised((0, "r", "a", {"backfilled": True}))
    assert alert.backfilled
    (alert,) = raised((1, "r", "a"))
    assert not alert.backfilled


def test_a_flood_over_many_hosts_is_raised_in_bounded_time(found, django_assert_max_num_queries):
    ref = found(*((n % 7, "r", f"h{n}") for n in range(150)))
    with django_assert_max_num_queries(150 * 4 + 60):
        assert actions.raise_alerts(ref) == 150


def test_what_came_of_a_source_goes_with_it(raised):
    raised((0, "r", "a"))
    raised((0, "s", "b"), source="sample")
    assert actions.forget_source("sample") == 1
    assert actions.forget_source("sample") == 0
    assert [alert.source for alert in models.Alert.objects.all()] == ["edge"]
