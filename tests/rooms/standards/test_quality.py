"""The quality of data as people meet it: rules without code, scores by the five words, the rows that fail, a word to the owner."""

import html
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.rooms.lake.conftest import sysmon

from lianfang.commons.jobs.models import OutboxFact
from lianfang.commons.ledger.models import Record
from lianfang.commons.people import queries as people
from lianfang.kernel import clock
from lianfang.kernel.labels import DataLevel
from lianfang.rooms.standards import actions, models

pytestmark = pytest.mark.django_db(transaction=True)

RULE = {"name": "rule", "kind": "filled", "table": "", "column": "", "weight": "1", "threshold": "95", "window": "24", "enabled": "on"}
TABLE = "system_activity"


def declared(client, **values):
    answer = client.post("/standards/rule/add/", {**RULE, **values})
    assert answer.status_code == 302, answer.context["form"].errors
    return models.Rule.objects.get(name=values["name"])


def scores(client, span="24h"):
    """Score by word of the one table, as the overview shows them."""
    (row,) = client.get(f"/standards/quality/?span={span}").context["tables"]
    return {cell["word"]: cell["score"] for cell in row["words"]}


@pytest.mark.covers("XA4")
def test_rules_of_all_five_words_are_declared_without_code_and_scored(put, browser, measured):
    now = datetime.now(UTC)
    put(*(sysmon(n, at=now) for n in range(1, 4)), sysmon(4, at=now - timedelta(hours=3), ParentImage="", User=""))
    client = browser("member")
    declared(client, name="parent", kind="filled", column="parent", table=TABLE)
    declared(client, name="host form", kind="format", column="host", pattern=r"pc-0[123]\..+")
    declared(client, name="not from the future", kind="order", column="time", other="received")
    declared(client, name="in time", kind="delay", column="time", seconds="600")
    declared(client, name="every hour", kind="sources", table=TABLE)
    with clock.frozen(now):
        measured()
        found = scores(client)
    assert found == {"coverage": "33.3", "accuracy": "75.0", "completeness": "75.0", "consistency": "100", "timeliness": "75.0"}
    rule = models.Rule.objects.get(name="parent")
    assert (rule.word, rule.score, rule.applied, rule.failed, rule.standing) == ("completeness", 75.0, 4, 1, "below")
    gaps = models.Rule.objects.get(name="every hour")
    assert (gaps.applied, gaps.failed) == (3, 2), "three whole hours since it first spoke; in two of them nothing came"
    page = client.get("/standards/quality/").content.decode()
    for word in ("Coverage", "Accuracy", "Completeness", "Consistency", "Timeliness"):
        assert word in page
    assert "parent" in page[page.index("Below their threshold") :]


@pytest.mark.covers("XA4")
def test_weights_count(put, browser, measured):
    put(sysmon(1, User="x"), sysmon(2, User=""))
    client = browser("member")
    declared(client, name="light", column="user", weight="1")
    declared(client, name="heavy", column="host", weight="3")
    measured()
    assert scores(client)["completeness"] == "87.5"


@pytest.mark.covers("XA4")
def test_the_rows_that_fail_are_shown_and_taken_out_within_scope(put, browser, measured):
    put(sysmon(1), sysmon(2, Computer="bad host!"), sysmon(3, Computer="=1+1"))
    client = browser("member")
    rule = declared(client, name="host form", kind="format", column="host", pattern=r"[\w.-]+")
    measured()
    page = client.get(f"/standards/rule/{rule.pk}/failing/").content.decode()
    assert "bad host!" in page
    assert "pc-01" not in page
    table = client.get(f"/standards/rule/{rule.pk}/failing/?format=csv").content.decode("utf-8-sig").splitlines()
    assert len(table) == 3
    assert any("'=1+1" in line for line in table), "no spreadsheet takes a cell for a formula"
    assert Record.objects.filter(verb="lake.events_exported").exists()
    assert browser("outsider").get(f"/standards/rule/{rule.pk}/failing/").status_code == 404
    above = browser("colleague").get(f"/standards/rule/{rule.pk}/failing/").content.decode()
    assert "bad host!" in above


@pytest.mark.covers("XA4")
def test_the_owner_is_told_once_when_a_rule_falls_and_once_when_it_recovers(put, browser, measured):
    put(sysmon(1, User=""))
    rule = declared(browser("member"), name="user", column="user", threshold="60")
    page = browser("member").get("/standards/quality/").content.decode()
    bell = html.unescape(re.search(r'hx-get="(/standards/bell/[^"]*)"', page)[1])
    assert browser("member").get(bell).status_code == 204
    measured()
    measured()
    rung = browser("member").get(bell).content.decode()
    assert rung.count('role="alert"') == 1
    assert "fell to 0.0 (threshold 60" in rung
    assert browser("member").get(html.unescape(re.search(r'hx-get="(/standards/bell/[^"]*)"', rung)[1])).status_code == 204, "told once"
    assert browser("outsider").get(bell).status_code in (204, 403)
    told = OutboxFact.objects.filter(name="standards.QualityFell")
    assert [fact.body["score"] for fact in told] == [0.0]
    assert Record.objects.filter(verb="standards.quality_fell", ref=str(rule.ref)).count() == 1
    put(*(sysmon(n) for n in range(2, 10)))
    measured()
    measured()
    rule.refresh_from_db()
    assert (rule.standing, rule.below_since) == ("kept", None)
    assert OutboxFact.objects.filter(name="standards.QualityRecovered").count() == 1


def test_a_rule_over_a_long_time_counts_only_what_is_new(put, browser):
    put(*(sysmon(n) for n in range(5)))
    declared(browser("member"), name="user", column="user", window="720")
    assert [actions.measure(), actions.measure()] == [1, 0]
    put(sysmon(6, User=""))
    assert actions.measure() == 1
    assert (models.Rule.objects.get().applied, models.Rule.objects.get().failed) == (6, 1)


@pytest.mark.covers("XA4")
def test_scores_are_shown_over_time(put, browser, measured):
    now = datetime.now(UTC)
    put(sysmon(1, at=now - timedelta(days=2), User=""), sysmon(2, at=now))
    client = browser("member")
    rule = declared(client, name="user", column="user", window="100")
    measured()
    lines = client.get("/standards/quality/?span=7d").context["chart"]["series"]
    assert [line["data"] for line in lines] == [[0.0, 100.0]]
    words = client.get(f"/standards/quality/?span=7d&table={TABLE}").context["chart"]["series"]
    assert [line["name"] for line in words] == ["Completeness"]
    assert "Scores over time" in client.get(f"/standards/rule/{rule.pk}/").content.decode()


def test_what_may_not_be_seen_is_not_counted(put, browser, measured, users, viewers):
    """A made-up format must not tell whether a hidden value fits it."""
    put(sysmon(1, CommandLine="net use x: /user:li secret"))
    values = {**RULE, "kind": "format", "column": "process_cmd", "pattern": ".*secret.*"}
    reader = replace(people.viewer_of(users.analyst), permissions=frozenset({"*"}), clearance=DataLevel.L1)
    rule = actions.create_rule({**values, "weight": 1, "threshold": 95.0, "window": 24, "enabled": True, "codes": []}, actor=reader)
    measured()
    rule.refresh_from_db()
    assert (rule.standing, rule.applied) == ("nothing", 0)


def test_the_newest_record_may_not_be_too_old(put, browser, measured):
    put(sysmon(1))
    rule = declared(browser("member"), name="fresh", kind="fresh", table=TABLE, seconds="3600")
    measured()
    rule.refresh_from_db()
    assert rule.score == 100.0
    with clock.frozen(datetime.now(UTC) + timedelta(hours=2)):
        actions.measure()
    rule.refresh_from_db()
    assert (rule.score, rule.standing) == (0.0, "below")


def test_the_form_asks_only_what_the_kind_needs_and_refuses_what_cannot_be(browser):
    client = browser("member")
    asked = client.get("/standards/rule/add/?kind=delay").context["form"].fields
    assert "seconds" in asked
    assert "pattern" not in asked
    assert [value for value, _label in asked["column"].choices] == ["", "time", "received"]
    for values, field in (({"kind": "format", "column": "host", "pattern": "("}, "pattern"), ({"kind": "codes", "column": "user"}, "codes"), ({"kind": "range", "column": "src_port"}, "least"), ({"kind": "fresh"}, "seconds"), ({"kind": "filled"}, "column")):
        answer = client.post("/standards/rule/add/", {**RULE, "name": "x", **values})
        assert (answer.status_code, field in answer.context["form"].errors) == (422, True), values


@pytest.mark.covers("XA4")
def test_the_basic_rules_come_with_one_click_and_cover_four_words(put, browser, measured):
    put(sysmon(1))
    client = browser("member")
    client.post("/standards/quality/", {"do": "basic"})
    client.post("/standards/quality/", {"do": "basic"})
    assert models.Rule.objects.count() == 6
    measured()
    found = scores(client)
    assert found["timeliness"] == "100"
    assert found["consistency"] == "100"


def test_who_may_only_read_changes_nothing(browser, put, measured):
    put(sysmon(1))
    rule = declared(browser("member"), name="user", column="user")
    client = browser("analyst")
    assert client.get("/standards/quality/").status_code == 200
    assert client.post("/standards/quality/", {"do": "measure"}).status_code == 403
    assert client.post("/standards/rule/", {"do": f"disable:{rule.pk}"}).status_code in (403, 404)
    assert client.get("/standards/rule/add/").status_code == 403


def test_a_row_that_came_late_is_shown_with_when_it_came(put, browser, measured):
    put(sysmon(1, at=datetime.now(UTC) - timedelta(hours=3)))
    client = browser("member")
    declared(client, name="in time", kind="delay", column="time", seconds="600")
    page = client.get(f"/standards/rule/{models.Rule.objects.get().pk}/failing/")
    (line,) = page.context["lines"]
    assert [column["name"] for column in page.context["titles"]] == ["time", "received"]
    assert line["cells"][1] - line["cells"][0] > timedelta(hours=2)
