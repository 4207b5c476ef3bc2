"""Protection by level and who touches data: before, during and after, through the pages and the API, as the three people."""

import csv
import io
import json

import pyarrow.parquet as pq
import pytest
from tests.rooms.kept import everything
from tests.rooms.lake.conftest import cleared, sysmon

from lianfang.commons.ledger.models import Record
from lianfang.rooms.lake import models
from lianfang.rooms.lake.types import Outcome

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "net use x: /user:admin password=Hunter-22"
SQL = "SELECT host, process_cmd FROM events ORDER BY host"


def measure(client, level, **values):
    answer = client.post("/lake/protection/", {"level": level, "hours": 24, "reads": 0, "exports": 0, **values})
    assert answer.status_code == 302, answer.content.decode()


@pytest.fixture
def secret(put):
    """Two events, one of level 4 (a password stands in it)."""
    return put(sysmon(1), sysmon(2, CommandLine=SECRET))


@pytest.mark.covers("XA8")
def test_protection_follows_the_level(put, browser, users, home):
    """Masked by clearance, sealed on the disk, its export waits for a second person: set on one page."""
    client = browser("member")
    page = client.get("/lake/protection/").content.decode()
    assert "Masked for everybody cleared below L4" in page
    measure(client, 4, seal="on", approve="on")
    put(sysmon(1), sysmon(2, CommandLine=SECRET))
    assert b"hunter-22" not in everything(home), "level 4 lies sealed"
    assert b"whoami /all 1" in everything(home), "level 2 does not"
    masked = json.dumps(client.get("/api/lake/events/").json(), ensure_ascii=False)
    assert "Hunter-22" not in masked
    cleared(users.member)
    events = client.get("/api/lake/events/?filter=process_cmd:contains:hunter").json()["events"]
    assert [event["process_cmd"] for event in events] == [SECRET], "the same question by another role"
    assert SECRET in client.get(f"/lake/events/{events[0]['event_id']}/").content.decode()
    assert "Hunter-22" in client.get("/lake/search/?q=hunter-22").content.decode()
    assert "Hunter-22" in client.post("/lake/sql/", {"sql": "SELECT upper(process_cmd), process_cmd FROM events WHERE process_cmd LIKE '%Hunter%'"}).content.decode()
    assert client.post("/lake/sql/export/", {"sql": SQL, "form": "csv"}).status_code == 403
    assert "whoami /all 1" in client.post("/lake/sql/export/", {"sql": SQL + " LIMIT 1", "form": "csv"}).content.decode(), "what says nothing of level 4 leaves at once"
    assert Record.objects.filter(verb="lake.measures_set").count() == 1


@pytest.mark.covers("XA10")
def test_before_taking_away_waits_for_a_second_person(secret, browser, users):
    cleared(users.member)
    client = browser("member")
    page = client.post("/lake/sql/export/", {"sql": SQL, "form": "csv"})
    assert (page.status_code, b"Hunter-22" in page.content, b"level 4" in page.content) == (403, False, True)
    ask = {"kind": "sql", "asked": SQL, "form": "csv"}
    assert client.post("/lake/export-ask/", {**ask, "reason": ""}).status_code == 422
    assert client.post("/lake/export-ask/", {**ask, "reason": "case 7, for the court"}).status_code == 302
    row = models.ExportRequest.objects.get()
    assert (row.level, row.rows, row.state) == (4, 2, "waiting")
    assert client.get(f"/lake/export-requests/{row.pk}/take/").status_code == 409
    assert client.post(f"/lake/export-requests/{row.pk}/decide/", {"do": "approve"}).status_code == 403, "nobody approves their own"
    other = browser("colleague")
    assert other.post(f"/lake/export-requests/{row.pk}/decide/", {"do": "approve"}).status_code == 403, "it is above the colleague's clearance"
    cleared(users.colleague)
    assert "for the court" in other.get(f"/lake/export-requests/{row.pk}/").content.decode()
    other.post(f"/lake/export-requests/{row.pk}/decide/", {"do": "approve"})
    assert other.get(f"/lake/export-requests/{row.pk}/take/").status_code == 403, "only who asked may take it"
    lines = list(csv.DictReader(io.StringIO(browser("member").get(f"/lake/export-requests/{row.pk}/take/").content.decode("utf-8-sig"))))
    assert [line["process_cmd"] for line in lines] == ["whoami /all 1", SECRET]
    assert all(row.number in line["watermark"] and "Member" in line["watermark"] for line in lines)
    assert list(Record.objects.filter(verb__startswith="lake.export_").order_by("time").values_list("verb", flat=True)) == ["lake.export_asked", "lake.export_approved", "lake.export_taken"]
    assert "sha256" in Record.objects.get(verb="lake.export_taken").detail
    models.ExportRequest.objects.update(until=row.created)
    assert client.get(f"/lake/export-requests/{row.pk}/take/").status_code == 409, "the approval is over"


def test_a_refusal_says_why_and_a_search_waits_as_well(secret, browser, users):
    cleared(users.member)
    cleared(users.colleague)
    client = browser("member")
    assert client.get("/lake/search/export/?form=parquet").status_code == 403
    assert client.get("/lake/search/export/?f=process_cmd:contains:whoami").status_code == 200
    client.post("/lake/export-ask/", {"kind": "search", "asked": "span=24h", "form": "parquet", "reason": "for the report"})
    row, other = models.ExportRequest.objects.get(), browser("colleague")
    other.post(f"/lake/export-requests/{row.pk}/decide/", {"do": "refuse", "why": ""})
    row.refresh_from_db()
    assert row.state == "waiting"
    other.post(f"/lake/export-requests/{row.pk}/decide/", {"do": "approve"})
    answer = browser("member").get(f"/lake/export-requests/{row.pk}/take/")
    table = pq.read_table(io.BytesIO(answer.content))
    assert (table.num_rows, len(set(table["watermark"].to_pylist()))) == (2, 1)


@pytest.mark.covers("XA10")
def test_during_reading_beyond_the_limit_is_stopped_told_and_released_by_another(secret, browser, users):
    cleared(users.member)
    cleared(users.colleague)
    client = browser("member")
    measure(client, 4, reads=3)
    for _ in range(3):
        assert client.get("/api/lake/events/").status_code == 200
    stopped = client.get("/api/lake/events/")
    assert (stopped.status_code, "Hunter" in stopped.content.decode()) == (403, False)
    assert client.get("/lake/search/").status_code == 403
    assert client.post("/api/lake/query", json.dumps({"sql": SQL}), content_type="application/json").status_code == 403
    assert client.get("/api/lake/events/?filter=process_cmd:contains:whoami").status_code == 200, "other levels can still be read"
    assert Record.objects.filter(verb="lake.reading_stopped").count() == 3
    assert client.post("/lake/reading/", {"person": str(users.member.pk)}).status_code == 403, "nobody releases themselves"
    other = browser("colleague")
    page = other.get("/lake/reading/").content.decode()
    assert "Member" in page
    assert "stopped" in page
    assert "(100 %)" in page
    assert page.count("Release") == 1, "only who was stopped can be released"
    other.post("/lake/reading/", {"person": str(users.member.pk)})
    assert browser("member").get("/api/lake/events/").status_code == 200
    assert Record.objects.filter(verb="lake.reading_released").count() == 1


@pytest.mark.covers("XA10")
def test_after_the_report_tells_who_touched_what_and_is_filtered_and_taken(secret, browser, users):
    client = browser("member")
    client.get("/lake/search/")
    client.post("/lake/sql/export/", {"sql": SQL + " LIMIT 1", "form": "csv"})
    other = browser("colleague")
    other.get("/lake/search/")
    page = other.get("/lake/touch-report/").content.decode()
    assert "Member" in page
    assert "Rows by day and level" in page
    touches = models.Touch.objects.filter(by="Member").order_by("moment")
    assert [(one.verb, one.rows, one.masked, one.outcome) for one in touches] == [("search", 1, 1, Outcome.MASKED), ("export", 1, 0, Outcome.GIVEN)]
    found = other.get("/lake/touches/?by=Member&verb=export").content.decode()
    assert "LIMIT 1" in found
    lines = other.get("/lake/touches/export/?format=csv&by=Member").getvalue().decode("utf-8-sig").splitlines()
    assert len(lines) == 3
    outside = browser("outsider")
    assert "Member" not in outside.get("/lake/touch-report/").content.decode()


def test_measures_of_an_organisation_above_can_be_raised_and_not_lowered(browser, viewers):
    measure(browser("colleague"), 4, approve="on", reads=10)
    measure(browser("member"), 4, reads=100)
    from lianfang.rooms.lake import queries

    held = queries.measures(viewers.member.path)[4]
    assert (held.approve, held.reads) == (True, 10)
    assert browser("member").post("/lake/protection/", {"level": 4, "hours": "x", "reads": 0, "exports": 0}).status_code == 422
