"""Grading as people meet it: ask for a look, read the votes, decide; and from then on the level protects."""

import json
import random
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from tests.rooms.lake.conftest import sysmon

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger.models import Record
from lianfang.commons.people import queries as people
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Refused
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.lake import actions, models, queries
from lianfang.rooms.lake.queries import grading

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def analyst(tree, users, make_person):
    """A colleague of the member who may see data up to level 2."""
    users.analyst = make_person("analyst", tree.harbour, "analyst")
    return users.analyst


@pytest.fixture
def plain(put):
    """Events whose own level everyone may see: no one signs in, no script."""
    return put(*(sysmon(n, User=rf"HARBOUR\user{n}", Image=rf"C:\tools\t{n}.exe") for n in range(1, 6)))


def looked(client, **data):
    """Ask for a look through the page, and let a worker have it."""
    answer = client.post("/lake/grading-start/", data)
    assert answer.status_code == 302, answer.content.decode()
    assert "/jobs/work/" in answer.url
    jobs.work(once=True)


def table(**columns):
    """A CSV file of these columns."""
    lines = [",".join(columns), *(",".join(row) for row in zip(*columns.values()))]
    return SimpleUploadedFile("customers.csv", "\n".join(lines).encode())


PHONES = [f"13{random.Random(n).randrange(10**9):09d}" for n in range(200)]


def one(column, dataset="events"):
    return models.Grade.objects.get(dataset=dataset, column=column)


def decided(client, row, **values):
    return client.post(f"/lake/grading/{row.pk}/change/", {"item": row.item, "level": row.level, "reason": "", **values})


@pytest.mark.covers("XA5")
def test_a_look_at_the_event_tables_proposes_and_says_why(plain, browser):
    looked(browser("member"), what="events")
    user, address = one("user"), one("process")
    assert (grading.classes().items[user.item].zh, user.level, user.state) == ("系统账号", 3, "open")
    assert user.votes[0]["why"] == "user"
    assert address.records == 5
    page = browser("member").get(f"/lake/grading/{user.pk}/").content.decode()
    assert "System accounts" in page
    assert "The highest that it contains." in page
    assert "user3" not in page, "values are not kept"
    assert {record.verb for record in Record.objects.filter(verb__startswith="lake.grad")} == {"lake.grading_asked", "lake.graded"}


def test_only_the_rows_of_who_asks_are_looked_at(plain, browser):
    looked(browser("outsider"), what="events")
    assert all(row.records == 0 and row.profile["values"] == 0 for row in models.Grade.objects.all())
    grade = models.Grade.objects.first()
    assert browser("outsider").get(f"/lake/grading/{grade.pk}/").status_code == 200
    assert browser("member").get(f"/lake/grading/{grade.pk}/").status_code == 404


def test_a_table_file_is_graded_and_removed(home, browser):
    serial = [f"62{random.Random(n).randrange(10**17):017d}" for n in range(200)]
    looked(browser("member"), what="file", file=table(c1=PHONES, serial=serial, YEAR_CODE=[str(2000 + n % 25) for n in range(200)]))
    found = {row.column: grading.class_name(row.item) for row in models.Grade.objects.filter(dataset="customers.csv")}
    assert found == {"c1": "Mobile phone number", "serial": "", "YEAR_CODE": "Codes of years"}
    assert not [path for path in (home / "uploads").rglob("*") if path.is_file()]
    kept = json.dumps(list(models.Grade.objects.values("votes", "features", "profile", "shapes")))
    assert not any(phone in kept for phone in PHONES)


@pytest.mark.parametrize(("name", "content"), [("a.csv", b"only,headings"), ("events", b"a\n1"), ("x.xlsx", b"PK\x03\x04broken")])
def test_what_is_no_table_is_refused_or_fails_with_its_reason(name, content, browser):
    answer = browser("member").post("/lake/grading-start/", {"what": "file", "file": SimpleUploadedFile(name, content)})
    assert answer.status_code in (302, 422)
    jobs.work(once=True)
    assert not models.Grade.objects.exists()


def test_a_day_that_is_none_and_no_file_are_told(browser):
    assert browser("member").post("/lake/grading-start/", {"what": "file"}).status_code == 422
    assert browser("member").post("/lake/grading-start/", {"what": "file", "file": table(a=["1"]), "day": "2026-02-31"}).status_code == 422


def test_a_run_that_is_repeated_after_a_crash_changes_nothing(plain, viewers):
    actions.start_grading(actor=viewers.member)
    jobs.work(once=True)
    run = models.GradingRun.objects.get()
    before = list(models.Grade.objects.values_list("pk", "graded"))
    actions.grade(str(run.pk), progress=lambda *_: None)
    assert list(models.Grade.objects.values_list("pk", "graded")) == before


@pytest.mark.covers("XA5")
def test_a_decision_sticks_and_teaches(browser):
    client = browser("member")
    looked(client, what="file", file=table(zq_hz=[f"ZQ-{n}" for n in range(50)]))
    row = one("zq_hz", "customers.csv")
    assert row.item == ""
    assert decided(client, row, item="030301", level=3).status_code != 302, "a change needs a reason"
    assert decided(client, row, item="030301", level=3, reason="Accounts at the securities firm").status_code == 302
    looked(client, what="file", file=table(zq_hz=[f"ZQ-{n}" for n in range(60)], zq_hz2=[f"ZQ-{n}" for n in range(60)]))
    row.refresh_from_db()
    assert (row.item, row.level, row.state, row.reason) == ("030301", 3, "changed", "Accounts at the securities firm")
    twin = one("zq_hz2", "customers.csv")
    assert twin.item == "030301"
    assert {vote["by"] for vote in twin.votes} == {"model"}
    assert models.GradingRun.objects.first().lessons == 1
    record = Record.objects.get(verb="lake.grade_changed")
    assert "Accounts at the securities firm" in json.dumps(record.detail)


def test_many_are_accepted_at_once_and_each_stands_in_the_ledger(plain, browser):
    client = browser("member")
    looked(client, what="events")
    rows = list(models.Grade.objects.filter(column__in=("user", "process")))
    answer = client.post("/lake/grading/", {"do": "accept", "row": [str(row.pk) for row in rows]})
    assert answer.status_code in (200, 302)
    assert {row.state for row in models.Grade.objects.filter(pk__in=[row.pk for row in rows])} == {"accepted"}
    assert Record.objects.filter(verb="lake.grade_accepted").count() == 2
    with pytest.raises(Conflict):
        actions.accept_grade(rows[0], actor=SYSTEM)


# -- protection follows the level ------------------------------------------------------------------------------------


@pytest.fixture
def closed(plain, browser, analyst):
    """The member's reviewer has put user names on level 3."""
    looked(browser("member"), what="events")
    assert decided(browser("member"), one("user"), level=3, reason="It tells who it was").status_code == 302


def answers(client):
    """The same questions, as this client gets them answered."""
    found = client.get("/api/lake/events/?since=2020-01-01T00:00:00Z").json()["events"]
    asked = client.post("/api/lake/query", json.dumps({"sql": "SELECT \"user\", process, raw FROM events ORDER BY process"}), content_type="application/json").json()
    top = client.get("/api/lake/events/top/user?since=2020-01-01T00:00:00Z").json()
    hits = client.get("/api/lake/events/?since=2020-01-01T00:00:00Z&filter=user:is:user1").json()["events"]
    words = client.get("/api/lake/events/?since=2020-01-01T00:00:00Z&q=user1").json()["events"]
    return found, asked["rows"], top, hits, words


def test_the_same_query_by_two_roles_shows_it_clear_or_masked(closed, browser):
    browser("member")
    found, rows, top, hits, words = answers(browser("member"))
    assert {event["user"] for event in found} == {f"user{n}" for n in range(1, 6)}
    assert rows[0][0] == "user1"
    assert len(top) == 5
    assert len(hits) == len(words) == 1
    found, rows, top, hits, words = answers(browser("analyst"))
    assert {event["user"] for event in found} == {"u●●●"}
    assert all(event["masked"] and event["process"].startswith("C:") for event in found), "only what was graded is hidden"
    assert [row[0] for row in rows] == [None] * 5
    assert rows[0][1] == r"C:\tools\t1.exe"
    assert {row[2] for row in rows} == {None}, "the raw log holds the name too"
    assert (top, hits, words) == ([], [], []), "nor can it be learned by asking"
    one = browser("analyst").get(f"/api/lake/events/{found[0]['event_id']}/").json()
    assert (one["user"], one["raw"]) == ("u●●●", "●●●")


def test_looking_back_for_many_values_a_closed_column_closes_itself_alone(closed, analyst, viewers):
    low, span = people.viewer_of(analyst), {"since": clock.now() - timedelta(hours=1), "until": clock.now() + timedelta(minutes=5)}
    assert [one.value for one in queries.seen([r"C:\tools\t1.exe"], "process", viewer=low, **span)] == [r"C:\tools\t1.exe"]
    assert queries.seen(["user1"], "user", viewer=low, **span) == []
    assert [one.value for one in queries.seen(["user1"], "user", viewer=viewers.member, **span)] == ["user1"]


def test_before_the_review_nothing_is_hidden_and_lowering_opens_again(plain, browser, analyst, client):
    looked(browser("member"), what="events")
    assert len(answers(browser("analyst"))[3]) == 1
    decided(browser("member"), one("user"), level=3, reason="up")
    assert answers(browser("analyst"))[3] == []
    decided(browser("member"), one("user"), level=2, reason="down again")
    assert len(answers(browser("analyst"))[3]) == 1


def test_a_grade_binds_the_rows_of_its_own_organisation(closed, viewers, put, tree, make_person):
    """West's events are not hidden by what harbour decided."""
    actions.create_source("west", codec="json", actor=viewers.outsider)
    put(sysmon(9, User=r"MILL\guest"), source="west", actor=viewers.outsider)
    low = make_person("low", tree.root, "analyst")
    rows = queries.sql('SELECT "user" FROM events WHERE "user" IS NOT NULL', viewer=people.viewer_of(low)).rows
    assert rows == (("guest",),)


def test_who_may_not_review_cannot(closed, browser, analyst, viewers):
    row = one("user")
    assert browser("analyst").get(f"/lake/grading/{row.pk}/").status_code == 200
    assert decided(browser("analyst"), row, level=1, reason="x").status_code == 403
    assert browser("analyst").post("/lake/grading-start/", {"what": "events"}).status_code == 403
    row.refresh_from_db()
    assert row.level == 3
    with pytest.raises(Refused):
        actions.accept_grade(row, actor=people.viewer_of(analyst))


# -- pages -----------------------------------------------------------------------------------------------------------


@pytest.mark.covers("XA6")
def test_the_classes_of_data_are_shown_with_their_numbers(browser):
    page = browser("member").get("/lake/data-classes/").content.decode()
    assert "16 classes, 66 sub-classes, 359 items" in page
    assert page.count('<details class="card">') == 16
    assert page.count('<code class="quiet">') == 359


@pytest.mark.covers("XA7")
def test_a_level_says_why_it_is_higher_or_lower(browser):
    client = browser("member")
    masked = [f"138****{n:04d}" for n in range(200)]
    looked(client, what="file", file=table(客户姓名=["张三", "李四"] * 100, mobile=PHONES, balance=[str(n) for n in range(200)], 联系手机=masked))
    raised, lowered = one("mobile", "customers.csv"), one("联系手机", "customers.csv")
    assert (raised.level, lowered.level) == (4, 2)
    assert "beside it lies what says more together" in client.get(f"/lake/grading/{raised.pk}/").content.decode()
    assert "its values are masked" in client.get(f"/lake/grading/{lowered.pk}/").content.decode()


@pytest.mark.covers("XA6")
def test_a_node_may_have_its_own_classes_and_is_told_what_is_wrong_with_them(browser, tmp_path, monkeypatch):
    mine = tmp_path / "mine.yaml"
    monkeypatch.setenv("LIANFANG_DATA_CLASSES", str(mine))
    mine.write_text("classes: [{code: '1', zh: 甲, en: A, subclasses: [{code: '11', zh: 乙, en: B, items: [{code: '111', zh: 丙, en: C, level: 3, names: widget}]}]}]", "utf-8")
    client = browser("member")
    assert "1 classes, 1 sub-classes, 1 items" in client.get("/lake/data-classes/").content.decode()
    looked(client, what="file", file=table(widget=["a", "b"]))
    row = one("widget", "customers.csv")
    assert (row.item, row.level) == ("111", 3)
    assert "A · B" in client.get(f"/lake/grading/{row.pk}/change/").content.decode()
    mine.write_text(mine.read_text("utf-8").replace("level: 3", "level: 7"), "utf-8")
    fault = client.get("/lake/data-classes/")
    assert fault.status_code == 422
    assert "111: the level is one of 1, 2, 3, 4" in fault.content.decode()


@pytest.mark.parametrize("url", ["/lake/grading/", "/lake/grading/?confidence=sure&state=open", "/lake/grading-start/", "/lake/data-classes/"])
@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_every_page_opens(url, language, plain, browser):
    client = browser("member")
    looked(client, what="events")
    client.cookies["django_language"] = language
    assert client.get(url).status_code == 200


def test_programs_review_through_the_api(plain, browser):
    client = browser("member")
    looked(client, what="events")
    row = one("user")
    listed = client.get("/api/lake/grading/?level=3").json()
    assert "user" in {each["column"] for each in listed["items"]}
    send = {"content_type": "application/json"}
    assert client.patch(f"/api/lake/grading/{row.pk}/", json.dumps({"level": 4}), **send).status_code == 422
    assert client.patch(f"/api/lake/grading/{row.pk}/", json.dumps({"level": 4, "reason": "Names of our customers"}), **send).status_code == 200
    assert (one("user").level, one("user").state) == (4, "changed")


@pytest.mark.covers("XA7")
def test_mass_raises_and_age_lowers_as_the_file_of_classes_says(browser, tmp_path, monkeypatch, settings):
    mine = tmp_path / "mine.yaml"
    mine.write_text((settings.CONTENT / "taxonomies/data-classes.yaml").read_text("utf-8").replace("records: 100000", "records: 150"), "utf-8")
    monkeypatch.setenv("LIANFANG_DATA_CLASSES", str(mine))
    client = browser("member")
    looked(client, what="file", file=table(mobile=PHONES))
    assert one("mobile", "customers.csv").level == 4
    assert "many records lie together" in client.get(f"/lake/grading/{one('mobile', 'customers.csv').pk}/").content.decode()
    looked(client, what="file", file=table(order_price=[str(n) for n in range(200)]))
    assert one("order_price", "customers.csv").level == 3
    looked(client, what="file", file=table(order_price=[str(n) for n in range(200)]), day="2001-01-01")
    row = one("order_price", "customers.csv")
    assert row.level == 2
    assert "it is old enough" in client.get(f"/lake/grading/{row.pk}/").content.decode()


def test_a_higher_unit_can_raise_what_a_lower_one_holds_and_not_the_other_way(closed, browser, analyst):
    """East, above harbour, decides for the rows of both; harbour cannot lower it."""
    looked(browser("colleague"), what="events")
    above = models.Grade.objects.exclude(organisation=one_of_harbour().organisation).get(column="user")
    assert decided(browser("colleague"), above, level=3, reason="In all of our units").status_code == 302
    decided(browser("member"), one_of_harbour(), level=2, reason="Not with us")
    assert {event["user"] for event in answers(browser("analyst"))[0]} == {"u●●●"}


def one_of_harbour():
    """The grade of user names that the member's organisation has."""
    return models.Grade.objects.get(column="user", reviewed_by="Member")
