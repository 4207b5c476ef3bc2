"""Walk 1, docs/walks/01-log-line-to-alert.md: a line of log becomes an alert. Each part is a sentence of that page."""

import json
from datetime import UTC, datetime

import httpx
import pytest
from tests.walks.living import Node, Person

pytestmark = pytest.mark.xdist_group("walk-1")  # one node, and its day in order

PASSWORD = "a-long-Enough-word-26"
LINE = {
    "Channel": "Microsoft-Windows-Sysmon/Operational",
    "EventID": 1,
    "Provider_Name": "Microsoft-Windows-Sysmon",
    "Computer": "walk-01.member.example",
    "Image": r"C:\Windows\System32\vssadmin.exe",
    "CommandLine": "vssadmin.exe delete shadows /all /quiet",
    "ParentImage": r"C:\Windows\System32\cmd.exe",
    "User": "MEMBER\\svc-backup",
}


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with Node(tmp_path_factory.mktemp("walk") / "home") as node:
        yield node


@pytest.fixture(scope="module")
def newcomer(node):
    person = Person(node)
    person.submit("/accounts/login/", login="admin", password=node.first_password())
    page = person.get("/")
    assert "password" in str(page.url), f"a one-time password is for one time: {page.url}"
    person.submit(str(page.url), oldpassword=node.first_password(), password1=PASSWORD, password2=PASSWORD)
    return person


@pytest.fixture(scope="module")
def posted(node, newcomer):
    """The operator's line, sent with a key of its own; what the node answered."""
    key = json.loads(node.run("source", "add", "laptop", "--url", node.url, "--json").stdout)
    line = json.dumps(LINE | {"UtcTime": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]})
    answer = httpx.post(key["url"], content=f"{line}\n{{broken\n", headers={"Authorization": f"Lianfang {key['id']}:{key['secret']}"})
    assert answer.status_code == 202, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def alert(node, newcomer, posted):
    """The alert that the operator's line caused, as soon as it is in the queue."""
    return node.until(lambda: next((row for row in newcomer.ask("/api/respond/alerts/", q="walk-01")["items"] if row), None), "the operator's alert")


def test_the_sample_stream_shows_ranked_alerts_with_reasons(node, newcomer):
    alerts = node.until(lambda: (rows := newcomer.ask("/api/respond/alerts/")["items"]) and len(rows) >= 10 and rows, "alerts of the sample", seconds=60)
    scores = [row["score"] for row in alerts]
    assert scores == sorted(scores, reverse=True)
    assert newcomer.ask(f"/api/respond/alerts/{alerts[0]['id']}/whole/")["reasons"]
    overview = newcomer.get("/respond/")
    assert overview.status_code == 200
    assert alerts[0]["host"] in overview.text


@pytest.mark.covers("Q01")
def test_the_line_is_searchable_whole(node, newcomer, posted):
    found = node.until(lambda: newcomer.ask("/api/lake/events/", filter="host:is:walk-01.member.example")["events"], "the line in the search", seconds=15)
    event = newcomer.ask(f"/api/lake/events/{found[0]['event_id']}/")
    assert json.loads(event["raw"])["CommandLine"] == LINE["CommandLine"]


@pytest.mark.covers("XD8")
def test_the_alert_shows_rule_author_evidence_and_the_raw_line(newcomer, alert):
    page = newcomer.get(f"/respond/alerts/{alert['id']}/")
    assert page.status_code == 200
    for words in ("删除卷影副本或备份", "Lianfang", "vssadmin.exe delete shadows /all /quiet", "CommandLine", "T1490"):
        assert words in page.text, f"the page does not show {words}"


@pytest.fixture(scope="module")
def closed(newcomer, alert):
    """The operator's alert after an analyst's work; the address of its verbs."""
    newcomer.get("/respond/alerts/")
    verbs = f"/api/respond/alerts/{alert['id']}"
    for verb, given in (("acknowledge", {}), ("start", {}), ("close", {"verdict": "true_positive", "comment": "Confirmed with the owner of the host."})):
        answer = newcomer.tell(f"{verbs}/{verb}/", given)
        assert answer.status_code == 200, f"{verb}: {answer.text}"
    return verbs


@pytest.mark.covers("O16")
def test_the_analyst_works_on_it_and_closes_it_with_a_verdict(newcomer, closed):
    assert newcomer.ask(f"{closed}/whole/")["state"] == "closed"
    assert newcomer.tell(f"{closed}/acknowledge/", {}).status_code == 409


def test_what_cannot_be_read_waits_among_the_rejects(node, newcomer, posted):
    assert posted["rejected"] == 1
    group = node.until(lambda: next(iter(newcomer.ask("/api/lake/rejects/", source="laptop")), None), "the reject", seconds=15)
    assert (group["source"], group["count"]) == ("laptop", 1)
    assert "JSON" in group["kind"]
    assert group["todo"]


@pytest.mark.covers("P01", "W01")
def test_the_auditor_finds_every_step_and_nothing_was_changed(node, newcomer, closed):
    def verbs():
        return {row["verb"] for row in newcomer.ask("/api/ledger/records/", limit=200)["items"]}

    wanted = {"respond.acknowledged", "respond.closed", "lake.stored", "detect.found"}
    node.until(lambda: wanted <= verbs(), f"records of {wanted}", seconds=20)
    verdict = node.run("ledger", "verify", "--json")
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    assert json.loads(verdict.stdout)["ok"]


def test_one_click_removes_the_sample_and_its_alerts(node, newcomer):
    overview = newcomer.get("/respond/")
    assert "/respond/sample/erase/" in overview.text
    newcomer.post("/respond/sample/erase/", headers={"X-CSRFToken": newcomer.cookies["csrftoken"], "Referer": node.url})
    node.until(lambda: all(row["host"] == LINE["Computer"] for row in newcomer.ask("/api/respond/alerts/")["items"]), "the sample's alerts go", seconds=60)
    node.until(lambda: not newcomer.ask("/api/lake/events/", filter="source:starts:sample")["events"], "the sample's events go", seconds=60)
    verbs = {row["verb"] for row in newcomer.ask("/api/ledger/records/", limit=200)["items"]}
    assert any("erase" in verb for verb in verbs), "that the sample was there, and that it was removed, stays on record"


def test_machines_can_ask_whether_the_node_is_well(node):
    health = httpx.get(f"{node.url}/healthz").json()
    assert health["status"] == "ok"
    assert {"lake", "detect", "respond"} <= set(health["rooms"])
    assert "lianfang_lag_seconds" in httpx.get(f"{node.url}/metrics").text


def test_ctrl_c_stops_the_node_cleanly(node):
    assert node.stop() == 0, node.tail()
