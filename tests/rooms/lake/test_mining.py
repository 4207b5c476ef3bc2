"""Stored events are read for templates once each, whatever writer they came by; templates are kept as the events are."""

from datetime import timedelta

import pytest

from lianfang.commons.people import models as people_models
from lianfang.engines.columns import shape
from lianfang.kernel import clock
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import actions, models, queries
from lianfang.rooms.lake.actions import mining
from lianfang.rooms.lake.queries import places, retention

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def logs(viewers, home):
    """A source of plain lines."""
    actions.create_source("gate", codec="lines", zone="UTC", actor=viewers.member)
    mining._miners.clear()
    return models.Source.objects.get(name="gate")


@pytest.fixture
def store(logs):
    """``store(writer, second, *texts)``: events of a segment that was begun so many seconds ago, as its writer commits it."""

    def store(writer, ago, *texts, level=2, raw=None):
        begun = int((clock.now() - timedelta(seconds=ago)).timestamp() * 1000)
        rows = {
            "event_id": [f"{begun:011x}-{writer}-{n:05x}" for n in range(len(texts))], "time": [clock.now() - timedelta(seconds=ago)] * len(texts), "source": ["gate"] * len(texts), "territory": [logs.territory] * len(texts),
            "industry": [logs.industry] * len(texts), "level": [level] * len(texts), "message": list(texts), "raw": [raw or text for text in texts],
        }  # fmt: skip
        places.store().append("system_activity", shape.table(rows), transactions={})

    return store


def counts():
    return dict(models.LogTemplate.objects.values_list("text", "count"))


def test_what_a_slow_writer_brings_later_is_counted_too_and_nothing_twice(store):
    store("w000", 50, *(f"door {n} opened" for n in range(3)))
    store("w001", 60, "lift 7 stuck")
    assert actions.find_templates() == 4
    store("w001", 55, "lift 8 stuck", "lift 9 stuck")
    store("w000", 40, "door 9 opened")
    store("w002", 70, "gate 4 jammed")
    assert actions.find_templates() == 4, "also what a writer that is quite new began before the others"
    before = queries.mined_to()
    assert actions.find_templates() == 0
    assert queries.mined_to() > before, "the page says when was looked, also when nothing was new"
    assert counts() == {"door <*> opened": 4, "lift <*> stuck": 3, "gate <*> jammed": 1}


def test_steps_end_where_they_must_and_another_process_goes_on(store, monkeypatch):
    monkeypatch.setattr(mining, "STEP", 4)
    store("w000", 50, *(f"door {n} opened by {name}" for n, name in enumerate(("ma", "li", "wu", "he", "ba", "gu"))))
    store("w001", 49, *(f"door {n} opened by {name}" for n, name in enumerate(("ma", "yu"))))
    assert actions.find_templates() == 8
    mining._miners.clear()  # as in another worker
    store("w000", 30, "door 1 opened by ke")
    assert actions.find_templates() == 1
    assert counts() == {"door <*> opened by <*>": 9}


def test_two_at_the_same_time_count_once(store, monkeypatch):
    store("w000", 50, "door 1 opened")
    actions.find_templates()
    store("w000", 40, "door 2 opened")
    note = mining._note

    def meanwhile(reached, to):
        models.MinedTo.objects.update(event_id=to["w000"])
        note(reached, to)

    monkeypatch.setattr(mining, "_note", meanwhile)
    assert actions.find_templates() == 0
    monkeypatch.undo()
    assert counts() == {"door <*> opened": 1}, "what the other one reads is not counted here"


def test_of_an_event_its_message_counts_else_a_raw_log_that_is_no_json(store):
    store("w000", 50, "door 1 opened", raw='{"m": "x"}')
    store("w000", 49, None, raw='{"door": 3}')
    store("w000", 48, None, raw="<Event><Data/></Event>")
    store("w000", 47, "", raw="lift 7 stuck")
    actions.find_templates()
    assert counts() == {"door <*> opened": 1, "lift <*> stuck": 1}


def test_a_template_has_the_highest_level_of_its_events(store, viewers):
    store("w000", 50, "client 88 paid", "door 1 opened")
    store("w000", 40, "client 89 paid", level=3)
    actions.find_templates()
    assert dict(models.LogTemplate.objects.values_list("text", "level")) == {"client <*> paid": 3, "door <*> opened": 2}
    low = Viewer(id="low", name="low", territory=viewers.member.territory, permissions=frozenset({"lake.event.view"}))
    tree = queries.template_tree("gate", viewer=low)
    assert [line.text for branch in tree.branches for line in branch.lines] == ["door <*> opened"]
    assert (tree.hidden, tree.count, tree.templates) == (1, 3, 1)
    assert queries.template_tree("gate", viewer=low, words="paid").branches == ()


def test_a_column_that_reviewers_closed_closes_the_templates(store, viewers):
    store("w000", 50, "door 1 opened")
    actions.find_templates()
    low = Viewer(id="low", name="low", territory=viewers.member.territory, permissions=frozenset({"lake.event.view"}))
    assert queries.template_sources(viewer=low)[0].templates == 1
    organisation = people_models.Organisation.objects.get(territory=models.Source.objects.get(name="gate").territory)
    models.Grade.objects.create(dataset=models.EVENTS, column="user", level=4, state=models.Review.ACCEPTED, organisation=str(organisation.pk), territory=organisation.territory, industry=organisation.industry, graded=clock.now())
    (tree,) = queries.template_sources(viewer=low)
    assert (tree.templates, tree.hidden) == (0, 1)


def test_what_lies_sealed_does_not_lie_open_as_a_template(store, monkeypatch):
    store("w000", 50, "steady1.AAAA", "door 1 opened")
    actions.find_templates()
    assert counts() == {"door <*> opened": 1}


def test_what_was_not_said_for_as_long_as_events_are_kept_goes(store):
    store("w000", 50, "door 1 opened", "lift 7 stuck")
    actions.find_templates()
    models.LogTemplate.objects.filter(text__startswith="lift").update(last=clock.now() - timedelta(days=retention.retention().usual + 1))
    actions.find_templates()
    assert counts() == {"door <*> opened": 1}
