"""Taking away and looking back, through the pages and the API, as the three people."""

import io
import json
import time
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest
from tests.rooms.lake.conftest import sysmon

from lianfang.commons.ledger.models import Record
from lianfang.rooms.lake import actions, models

pytestmark = pytest.mark.django_db(transaction=True)
SQL = "SELECT host, process_pid, ips, time FROM events ORDER BY host"


def exports() -> int:
    return Record.objects.filter(verb="lake.events_exported").count()


def test_an_answer_in_sql_is_taken_away_as_csv_or_parquet_and_is_on_record(put, browser):
    put(sysmon(1, CommandLine="=cmd"), sysmon(2))
    client = browser("member")
    text = client.post("/lake/sql/export/", {"sql": "SELECT host, process_cmd, process_pid FROM events ORDER BY host", "form": "csv"}).content.decode("utf-8-sig")
    assert text.splitlines() == ["host,process_cmd,process_pid", "pc-01.harbour.example,'=cmd,1001", "pc-02.harbour.example,whoami /all 2,1002"]
    table = pq.read_table(io.BytesIO(client.post("/lake/sql/export/", {"sql": SQL, "form": "parquet"}).content))
    assert table["process_pid"].to_pylist() == [1001, 1002]
    assert exports() == 2
    record = json.loads(Record.objects.filter(verb="lake.events_exported").latest("time").detail)
    assert record["asked"].endswith(SQL)


def test_what_may_not_be_asked_is_not_taken(put, browser):
    put(sysmon(1))
    client = browser("member")
    assert client.post("/lake/sql/export/", {"sql": "SELECT * FROM read_text('/etc/passwd')", "form": "csv"}).status_code == 403
    assert client.post("/lake/sql/export/", {"sql": SQL, "form": "exe"}).status_code == 422
    assert exports() == 0
    assert b"pc-01" not in browser("outsider").post("/lake/sql/export/", {"sql": SQL, "form": "csv"}).content


def test_a_search_is_taken_away_as_parquet(put, browser):
    put(sysmon(1), sysmon(2, CommandLine="notepad.exe"))
    answer = browser("member").get("/lake/search/export/?f=process_cmd:contains:whoami&form=parquet")
    table = pq.read_table(io.BytesIO(answer.content))
    assert table["process_cmd"].to_pylist() == ["whoami /all 1"]
    assert table["masked"].to_pylist() == [False]
    assert exports() == 1


def test_a_question_is_answered_as_of_a_moment_until_something_was_erased(put, browser):
    put(sysmon(1))
    time.sleep(0.05)
    moment = datetime.now(UTC).isoformat()
    time.sleep(0.05)
    put(sysmon(2))
    client = browser("member")

    def hosts(**more):
        answer = client.post("/api/lake/query", json.dumps({"sql": "SELECT host FROM events ORDER BY 1", **more}), content_type="application/json")
        return answer.status_code, [row[0][:5] for row in answer.json().get("rows", ())]

    assert hosts() == (200, ["pc-01", "pc-02"])
    assert hosts(as_of=moment) == (200, ["pc-01"])
    page = client.post("/lake/sql/", {"sql": "SELECT host FROM events", "as_of": moment}).content.decode()
    assert "pc-01" in page
    assert "pc-02" not in page
    models.Chore.objects.create(verb=models.Chore.ERASE, arguments={"source": "edr"})
    assert hosts(as_of=moment) == (404, [])
    actions.drain()
    assert hosts(as_of=moment) == (404, []), "what was erased is not brought back by looking back"
    assert hosts(as_of=(datetime.now(UTC) - timedelta(days=400)).isoformat())[0] == 404


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_the_catalogue_tells_owners_levels_days_kept_and_quality(put, browser, language):
    put(sysmon(1), sysmon(2), b"{broken")
    client = browser("member")
    client.cookies["django_language"] = language
    assert "/lake/catalogue/system_activity/" in client.get("/lake/catalogue/").content.decode()
    page = client.get("/lake/catalogue/system_activity/").content.decode()
    for words in ("edr", "harbour", "190", "100.0 %", "1 reject" if language == "en" else "1 条拒收"):
        assert words in page, words
    assert client.get("/lake/catalogue/nonsense/").status_code == 404
    outside = browser("outsider").get("/lake/catalogue/system_activity/").content.decode()
    assert "harbour" not in outside
    assert "edr" not in outside
