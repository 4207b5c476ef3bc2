"""Walk 2, docs/walks/02-reported-to-another-node.md: what one node collected is sent to another by one click. Two real nodes."""

import json
import re
from datetime import UTC, datetime

import httpx
import pytest
from tests.walks.living import Node, Person
from tests.walks.test_01_log_line_to_alert import LINE, PASSWORD

pytestmark = pytest.mark.xdist_group("walk-2")  # two nodes, and their day in order


@pytest.fixture(scope="module")
def centre(tmp_path_factory):
    """The node of the centre."""
    with Node(tmp_path_factory.mktemp("walk-2") / "centre") as node:
        yield node


@pytest.fixture(scope="module")
def member(tmp_path_factory):
    """The node of a member; the centre lies in a network that its settings allow."""
    with Node(tmp_path_factory.mktemp("walk-2") / "member", LIANFANG_POLL_NETWORKS="127.0.0.0/8") as node:
        yield node


def administrator(node):
    person = Person(node)
    person.cookies.set("django_language", "en")
    person.submit("/accounts/login/", login="admin", password=node.first_password())
    person.submit(str(person.get("/").url), oldpassword=node.first_password(), password1=PASSWORD, password2=PASSWORD)
    return person


@pytest.fixture(scope="module")
def analyst(member):
    return administrator(member)


@pytest.fixture(scope="module")
def officer(centre):
    return administrator(centre)


def press(person, where, **fields):
    """A button of a page: a form that is sent with its token."""
    return person.post(where, data={"csrfmiddlewaretoken": person.cookies["csrftoken"], **fields}, headers={"Referer": str(person.base_url)})


@pytest.fixture(scope="module")
def destination(centre, analyst):
    """The centre makes a source and a key; the member's administrator sets the destination once and tries it."""
    key = json.loads(centre.run("source", "add", "member-7", "--url", centre.url, "--json").stdout)
    analyst.get("/lake/destinations/add/")
    press(analyst, "/lake/destinations/add/", **{"name": "Centre", "address": centre.url, "key_id": key["id"], "secret": key["secret"], "source": "member-7", "events": "on", "level": "2", "tlp": "green", "authority": ""})
    return re.search(r"/lake/destinations/([0-9a-f-]{36})/", analyst.get("/lake/destinations/").text)[1]


@pytest.fixture(scope="module")
def collected(member, analyst):
    """A line that the member's own node collected."""
    key = json.loads(member.run("source", "add", "laptop", "--url", member.url, "--json").stdout)
    line = json.dumps(LINE | {"UtcTime": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]})
    answer = httpx.post(key["url"], content=line, headers={"Authorization": f"Lianfang {key['id']}:{key['secret']}"})
    assert answer.status_code == 202, answer.text
    member.until(lambda: analyst.ask("/api/lake/events/", filter="host:is:walk-01.member.example")["events"], "the line in the member's search", seconds=60)


def test_the_connection_is_tried_by_a_button(analyst, destination):
    press(analyst, "/lake/destinations/", do=f"try:{destination}")
    assert "The other side answers and lets the key in" in analyst.get(f"/lake/destinations/{destination}/").text


@pytest.fixture(scope="module")
def reported(analyst, destination, collected):
    """One click on the search: the address of the report."""
    page = analyst.get("/lake/search/", params={"f": "host:is:walk-01.member.example"})
    assert "Report to Centre" in page.text
    asked = re.search(r'name="asked" value="([^"]+)"', page.text)[1].replace("&amp;", "&")
    report = press(analyst, "/lake/search/report/", asked=asked, to=destination)
    assert report.status_code == 200
    assert "/lake/reports/" in str(report.url)
    return str(report.url)


@pytest.mark.covers("Q10")
def test_one_click_and_the_centre_finds_it(member, centre, analyst, officer, reported):
    found = centre.until(lambda: officer.ask("/api/lake/events/", filter="host:is:walk-01.member.example")["events"], "the line in the centre's search", seconds=60)
    event = officer.ask(f"/api/lake/events/{found[0]['event_id']}/")
    assert (len(found), event["source"], event["process_cmd"], event["class_uid"]) == (1, "member-7", LINE["CommandLine"], 1007)
    member.until(lambda: "taken by the other side" in (text := analyst.get(reported).text) and "100" in text, "the history says that it arrived", seconds=60)


def test_both_ledgers_have_it(member, centre, analyst, officer, reported):
    def verbs(person):
        return {row["verb"] for row in person.ask("/api/ledger/records/", limit=200)["items"]}

    member.until(lambda: {"lake.destination_made", "lake.report_asked", "lake.report_done"} <= verbs(analyst), "the member's records", seconds=60)
    centre.until(lambda: "lake.stored" in verbs(officer), "the centre's records", seconds=60)
    for node in (member, centre):
        assert json.loads(node.run("ledger", "verify", "--json").stdout)["ok"]
