"""The pages of the lake, as the three people see them."""

import gzip
import json
import re
from io import BytesIO

import pytest
from tests.rooms.lake.conftest import sysmon

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger.models import Record
from lianfang.rooms.lake import actions, declare, models
from lianfang.rooms.lake.actions import receiving

pytestmark = pytest.mark.django_db(transaction=True)


class Watch:
    """An examiner that finds whoami."""

    def examine(self, batch):
        return {at: ("rule-whoami",) for at, row in enumerate(batch.rows) if "whoami" in row.get("CommandLine", "")}

    def conclude(self, batch, hits):
        pass


@pytest.fixture
def stored(put, monkeypatch):
    """Two events and a reject of the member's source."""
    monkeypatch.setattr(declare, "_factories", {"watch": Watch})
    return put(sysmon(1), sysmon(2, CommandLine="notepad.exe"), b"{broken")


PAGES = ["/lake/search/", "/lake/search/?q=whoami&span=1h", "/lake/search/facets/", "/lake/sql/", "/lake/catalogue/", "/lake/source/", "/lake/rejects/", "/lake/upload/"]


@pytest.mark.parametrize("url", PAGES)
@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_every_page_opens_for_members_and_sends_strangers_to_the_login(url, language, stored, browser):
    client = browser("member")
    client.cookies["django_language"] = language
    assert client.get(url).status_code == 200
    assert browser(None).get(url).status_code == 302


@pytest.mark.covers("XD8")
def test_the_whole_raw_log_stands_behind_what_a_rule_found(stored, browser):
    """From the list of what fired to the raw log: nothing of the record is missing."""
    page = browser("member").get("/lake/search/?f=rules:is:rule-whoami&span=1h").content.decode()
    assert stored.event_id(0) in page
    assert stored.event_id(1) not in page
    event = browser("member").get(f"/lake/events/{stored.event_id(0)}/").content.decode()
    for value in sysmon(1).values():
        assert str(value).replace("\\", "\\\\").split(" ")[0].split(".")[0] in event
    assert "rule-whoami" in event
    assert json.loads(browser("member").get(f"/api/lake/events/{stored.event_id(0)}/").json()["raw"])["CommandLine"] == "whoami /all 1"


def test_the_unit_above_sees_the_event_and_an_outsider_does_not(stored, browser):
    url = f"/lake/events/{stored.event_id(0)}/"
    assert browser("colleague").get(url).status_code == 200
    assert browser("outsider").get(url).status_code == 404
    page = browser("outsider").get("/lake/search/").content.decode()
    assert "pc-01" not in page
    assert "pc-01" not in browser("outsider").get("/lake/search/facets/").content.decode()
    assert "pc-01" not in browser("outsider").post("/lake/sql/", {"sql": "SELECT host FROM events"}).content.decode()
    assert "edr" not in browser("outsider").get("/lake/rejects/").content.decode()


def test_conditions_time_and_words_narrow_the_list(stored, browser):
    client = browser("member")
    assert client.get("/lake/search/?f=host:is:pc-01.harbour.example").content.count(b"event-row") == 1
    assert client.get("/lake/search/?q=notepad").content.count(b"event-row") == 1
    assert client.get("/lake/search/?since=2020-01-01T00:00&until=2020-01-02T00:00").content.count(b"event-row") == 0
    for wrong in ("f=nonsense", "f=host:smells:x", "since=yesterday", "since=2026-01-02T00:00&until=2026-01-01T00:00", "after=x"):
        assert client.get(f"/lake/search/?{wrong}").status_code == 422, wrong


def test_what_is_shown_is_escaped(put, browser):
    put(sysmon(3, CommandLine="<script>alert(1)</script>", Computer='"><img src=x>'), b"<script>broken")
    client = browser("member")
    for url in ("/lake/search/", "/lake/search/facets/", "/lake/rejects/", "/lake/rejects/kind/?source=edr&kind=Not JSON: unexpected character"):
        page = client.get(url).content.decode()
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "<script>broken" not in page


def test_export_gives_what_is_shown_and_is_on_record(stored, browser):
    answer = browser("member").get("/lake/search/export/?f=process_cmd:contains:whoami")
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    assert text.count("\n") == 2
    assert "whoami /all 1" in text
    assert Record.objects.filter(verb="lake.events_exported").count() == 1


def test_a_formula_in_a_log_is_text_in_a_spreadsheet(put, browser):
    put(sysmon(1, CommandLine="=cmd|' /C calc'!A0"))
    assert "'=cmd|" in b"".join(browser("member").get("/lake/search/export/").streaming_content).decode()


def test_sql_is_answered_or_refused_in_words(stored, browser):
    client = browser("member")
    page = client.post("/lake/sql/", {"sql": "SELECT host, process_pid FROM events ORDER BY host"}).content.decode()
    assert "pc-01.harbour.example" in page
    page = client.post("/lake/sql/", {"sql": "SELECT * FROM read_text('/etc/passwd')"}).content.decode()
    assert "read_text()" in page
    assert "root:" not in page


def test_a_source_is_made_tested_paused_and_erased_in_the_browser(browser, users, all_events):
    client = browser("member")
    answer = client.post("/lake/source/add/", {"name": "fw-1", "kind": "http", "codec": "json", "encoding": "utf-8"})
    assert answer.status_code == 302, answer.content.decode()[-3000:]
    row = models.Source.objects.get(name="fw-1")
    assert row.territory == users.member.territory
    page = client.get(f"/lake/source/{row.pk}/").content.decode()
    assert "/api/lake/ingest/fw-1" in page
    client.post("/lake/source/", {"do": f"test:{row.pk}"})
    receiving.seal()
    actions.drain()
    assert [event["source"] for event in all_events()] == ["fw-1"]
    client.post("/lake/source/", {"do": f"pause:{row.pk}"})
    row.refresh_from_db()
    assert row.stage == "paused"
    assert browser("outsider").get(f"/lake/source/{row.pk}/").status_code == 404


def test_the_form_of_a_source_offers_its_zone(browser, viewers):
    client = browser("member")
    assert 'value="Asia/Shanghai"' in client.get("/lake/source/add/").content.decode()
    said = {"name": "fw-2", "kind": "http", "codec": "auto", "encoding": "utf-8"}
    for language, words in (("en", "There is no time zone of this name."), ("zh-hans", "没有这个名称的时区。")):
        client.cookies["django_language"] = language
        answer = client.post("/lake/source/add/", said | {"zone": "Mars/Olympus"})
        assert words in answer.content.decode()
    assert client.post("/lake/source/add/", said | {"zone": "Europe/Berlin"}).status_code == 302
    row = models.Source.objects.get(name="fw-2")
    assert "Europe/Berlin" in client.get(f"/lake/source/{row.pk}/").content.decode()
    client.post(f"/lake/source/{row.pk}/change/", said | {"zone": "UTC"})
    row.refresh_from_db()
    assert row.zone == "UTC"


def test_rejects_are_looked_at_and_sent_through_again(stored, browser):
    client = browser("member")
    page = client.get("/lake/rejects/").content.decode()
    assert "edr" in page
    (group,) = client.get("/api/lake/rejects/").json()
    assert "{broken" in client.get("/lake/rejects/kind/", {"source": "edr", "kind": group["kind"]}).content.decode()
    assert browser("outsider").post("/api/lake/rejects/replay", json.dumps({"source": "edr", "kind": group["kind"]}), content_type="application/json").status_code in (403, 404)
    assert browser("member").post("/lake/rejects/", {"source": "edr", "kind": group["kind"]}).status_code == 302
    assert client.get("/api/lake/rejects/").json() == []


def test_uploaded_files_are_read_by_a_worker_and_removed(browser, home, all_events):
    file = BytesIO(gzip.compress(b"\n".join(json.dumps(sysmon(n)).encode() for n in range(20))))
    file.name = "../../evil/../case 7.jsonl.gz"
    answer = browser("member").post("/lake/upload/", {"files": [file], "source": "case-7"})
    assert answer.status_code == 302, answer.content.decode()[-2000:]
    assert "/jobs/work/" in answer.url
    jobs.work(once=True)
    actions.drain()
    assert len(all_events()) == 20
    assert list((home / "uploads").iterdir()) == []
    assert browser("member").post("/lake/upload/", {"source": "case-7"}).status_code == 422


REFUSED = [
    ("/lake/sql/", {"sql": "SELECT host FROM nowhere"}), ("/lake/sql/", {"sql": "DELETE FROM events"}), ("/lake/sql/", {"sql": "SELECT host FROM events", "as_of": "yesterday"}), ("/lake/upload/", {"source": "x"}), ("/lake/grading-start/", {"what": "file"}),
    ("/lake/masking-try/", {"line": ""}), ("/lake/masking/add/", {"name": "x1", "way": "in", "verb": "mask", "form": "text"}), ("/lake/protection/", {"level": "4", "hours": "0"}), ("/lake/export-ask/", {"kind": "sql", "asked": "SELECT host FROM events", "form": "csv"}),
]  # fmt: skip


@pytest.mark.parametrize(("url", "form"), REFUSED)
def test_a_refused_form_says_all_of_it_in_the_reader_s_language(url, form, stored, browser):
    client = browser("member")
    client.cookies["django_language"] = "zh-hans"
    page = client.post(url, form).content.decode()
    said = re.sub(r"<[^>]+>", " ", re.search(r'class="form-fault".*?</form>|class="form-fault".*', page, re.DOTALL).group().split('class="field"')[0])
    assert re.search(r"[\u4e00-\u9fff]", said)
    assert not re.search(r"[A-Za-z]{3,} [a-z]{2,} [a-z]{2,}", said), said
