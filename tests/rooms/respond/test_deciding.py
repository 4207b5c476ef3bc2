"""What people do with an alert, from where to where, each step on record, and who may not."""

import pytest

from lianfang.commons.ledger import queries as ledger
from lianfang.commons.people.queries import viewer_of
from lianfang.kernel.errors import Conflict, Invalid, Missing, Refused
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.respond import actions, models
from lianfang.rooms.respond.types import State, Verdict

pytestmark = pytest.mark.django_db


@pytest.fixture
def alert(raised):
    return raised((0, "r", "a"))[0]


def verbs(alert):
    return [entry.verb.removeprefix("respond.") for entry in reversed(ledger.timeline(alert.ref, SYSTEM))]


def test_from_new_to_closed_and_back(alert, three):
    me = three.viewers.member
    assert actions.acknowledge(alert.pk, actor=me).state == State.ACKNOWLEDGED
    assert actions.start(alert.pk, actor=me).state == State.IN_PROGRESS
    closed = actions.close(alert.pk, Verdict.TRUE_POSITIVE, comment="Host isolated.", actor=me)
    assert (closed.state, closed.verdict, closed.assignee_name) == (State.CLOSED, "true_positive", "Member")
    assert actions.reopen(alert.pk, actor=three.viewers.colleague).state == State.IN_PROGRESS
    assert verbs(alert) == ["acknowledged", "started", "closed", "reopened"]
    assert [comment.text for comment in alert.comments.all()] == ["Host isolated."]


def test_who_acknowledges_what_nobody_owns_owns_it(alert, three):
    assert actions.acknowledge(alert.pk, actor=three.viewers.member).assignee == three.viewers.member.id
    row = models.Alert.objects.get(pk=alert.pk)
    assert row.acknowledged is not None


@pytest.mark.parametrize(("verb", "arguments"), [("acknowledge", ()), ("start", ())])
def test_a_step_that_the_state_does_not_allow_is_a_conflict_that_names_it(alert, three, verb, arguments):
    actions.close(alert.pk, Verdict.BENIGN, actor=three.viewers.member)
    before = verbs(alert)
    with pytest.raises(Conflict) as caught:
        getattr(actions, verb)(alert.pk, *arguments, actor=three.viewers.member)
    assert caught.value.details == {"state": "closed"}
    assert verbs(alert) == before


def test_of_two_who_acknowledge_one_is_told_that_the_other_was_faster(alert, three):
    actions.acknowledge(alert.pk, actor=three.viewers.colleague)
    with pytest.raises(Conflict, match="Colleague"):
        actions.acknowledge(alert.pk, actor=three.viewers.member)


def test_closing_needs_a_verdict(alert, three):
    with pytest.raises(Invalid) as caught:
        actions.close(alert.pk, "", actor=three.viewers.member)
    assert "verdict" in caught.value.details
    assert models.Alert.objects.get(pk=alert.pk).state == State.NEW


def test_assigned_to_somebody_who_may_see_it(alert, three):
    done = actions.assign(alert.pk, three.viewers.colleague.id, actor=three.viewers.member)
    assert done.assignee_name == "Colleague"
    with pytest.raises(Invalid):
        actions.assign(alert.pk, three.viewers.outsider.id, actor=three.viewers.member)
    with pytest.raises(Invalid):
        actions.assign(alert.pk, "nobody at all", actor=three.viewers.member)
    assert actions.assign(alert.pk, "", actor=three.viewers.member).assignee == ""


def test_comments_are_kept_and_empty_ones_refused(alert, three):
    actions.comment(alert.pk, "  Looks like the backup job.  ", actor=three.viewers.member)
    with pytest.raises(Invalid):
        actions.comment(alert.pk, " ", actor=three.viewers.member)
    assert [(comment.author_name, comment.text) for comment in alert.comments.all()] == [("Member", "Looks like the backup job.")]


@pytest.mark.parametrize("verb", ["acknowledge", "start", "reopen"])
def test_an_outsider_is_told_that_there_is_nothing(alert, three, verb):
    with pytest.raises(Missing):
        getattr(actions, verb)(alert.pk, actor=three.viewers.outsider)


def test_the_colleague_above_may_what_the_member_may(alert, three):
    assert actions.acknowledge(alert.pk, actor=three.viewers.colleague).state == State.ACKNOWLEDGED


def test_a_role_that_only_looks_decides_nothing(alert, three, organisations):
    officer = viewer_of(three.person("officer", organisations.harbour, "intelligence_officer"))
    for verb, arguments in (("acknowledge", ()), ("start", ()), ("assign", ("",)), ("close", ("benign",)), ("reopen", ()), ("comment", ("x",))):
        with pytest.raises(Refused):
            getattr(actions, verb)(alert.pk, *arguments, actor=officer)
    assert verbs(alert) == []
