"""The life of data as people meet it: what happened to it, its end by two people, and the record that remains."""

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.rooms.lake.conftest import sysmon

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger.models import Record
from lianfang.commons.people import actions as people
from lianfang.commons.people import queries as people_queries
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.lake import actions as lake
from lianfang.rooms.lake import queries
from lianfang.rooms.lake.types import EVENT_TABLES, Part
from lianfang.rooms.standards import models

pytestmark = pytest.mark.django_db(transaction=True)

TABLE = "system_activity"
PAGE = f"/standards/life/edr/{TABLE}/"


def days(ago_since, ago_until):
    today = datetime.now(UTC).date()
    return {"since": (today - timedelta(days=ago_since)).isoformat(), "until": (today - timedelta(days=ago_until)).isoformat()}


@pytest.fixture
def events(put):
    """Three events of five days ago, two of today."""
    now = datetime.now(UTC)
    put(*(sysmon(n, at=now - timedelta(days=5)) for n in range(1, 4)), *(sysmon(n, at=now) for n in (4, 5)))


def hosts():
    part = Part("edr", EVENT_TABLES, datetime.now(UTC) - timedelta(days=30), datetime.now(UTC) + timedelta(days=2))
    return sorted(host for rows in queries.seen_hours(part, TABLE, viewer=SYSTEM) for host in rows["host"].to_pylist())


def asked(client, deed, **more):
    answer = client.post(PAGE, {"deed": deed, "reason": "kept long enough", **days(7, 2), **more})
    assert answer.status_code == 302, answer.content.decode()
    return models.Disposal.objects.latest("asked")


def approved(client, row):
    answer = client.post("/standards/disposal/", {"do": f"approve:{row.pk}", "confirm": "1"})
    assert answer.status_code == 302
    jobs.work(once=True)
    lake.drain()
    jobs.work(once=True)
    row.refresh_from_db()


@pytest.mark.covers("XA9")
def test_the_seven_stages_are_shown_with_what_really_happened(events, browser):
    page = browser("member").get(PAGE)
    text = page.content.decode()
    for stage in ("Collected", "Transmitted", "Stored", "Used", "Shared", "Archived", "Destroyed"):
        assert stage in text
    stages = {str(one["label"]): one for one in page.context["stages"]}
    assert stages["Collected"]["items"][0]["title"]
    assert dict(stages["Stored"]["facts"])["events here"] == 5
    assert str(stages["Destroyed"]["state"]) == "not yet"
    assert browser("outsider").get(PAGE).status_code == 404
    assert "edr" in browser("member").get("/standards/life/").content.decode()
    assert "edr" not in browser("outsider").get("/standards/life/").content.decode()


@pytest.mark.covers("XA9")
def test_a_destroyed_data_set_leaves_a_record(events, browser, home):
    row = asked(browser("member"), "destroy")
    assert browser("member").post(f"/api/standards/disposal/{row.pk}/approve/").status_code == 403, "a second person has to approve"
    assert len(hosts()) == 5
    approved(browser("second"), row)
    assert (row.state, row.rows, row.asked_by, row.decided_by) == ("done", 3, "Member", "Second")
    assert hosts() == ["pc-04.harbour.example", "pc-05.harbour.example"], "what is outside its time stays"
    record = Record.objects.get(verb="standards.deed_done", ref=str(row.ref))
    said = json.loads(record.detail)
    assert said["tables"][TABLE]["rows"] == 3
    assert len(said["tables"][TABLE]["fingerprint"]) == 64
    assert (said["asked_by"], said["approved_by"]) == ("Member", "Second")
    page = browser("member").get(f"/standards/disposal/{row.pk}/certificate/")
    text = page.content.decode()
    assert "Certificate of destruction" in text
    assert said["tables"][TABLE]["fingerprint"] in text
    assert page.context["there"] == 0
    for name in row.result["files"]:
        (Path(home) / "lake" / name).unlink()
    assert browser("member").get(f"/standards/disposal/{row.pk}/certificate/").context["files"] == []
    stages = {str(one["label"]): one for one in browser("member").get(PAGE).context["stages"]}
    assert dict(stages["Destroyed"]["facts"])["events destroyed"] == 3
    assert browser("outsider").get(f"/standards/disposal/{row.pk}/certificate/").status_code == 404


@pytest.mark.covers("XA9")
def test_an_archive_proves_what_it_holds_and_comes_back_after_destruction(events, browser, home):
    archive = asked(browser("member"), "archive")
    approved(browser("second"), archive)
    assert (archive.state, archive.rows) == ("done", 3)
    said = archive.result["tables"][TABLE]
    file = home / "archive" / str(archive.pk) / said["file"]
    assert sorted(pq.read_table(file)["host"].to_pylist()) == [f"pc-0{n}.harbour.example" for n in (1, 2, 3)]
    assert said["sha256"] in browser("member").get(f"/standards/disposal/{archive.pk}/certificate/").content.decode()
    ended = asked(browser("member"), "destroy")
    approved(browser("second"), ended)
    assert ended.result["tables"][TABLE]["fingerprint"] == said["fingerprint"], "what was destroyed is what was archived"
    assert len(hosts()) == 2
    assert browser("member").post(f"/standards/disposal/{archive.pk}/restore/", {"reason": "an inquiry"}).status_code == 302
    back = models.Disposal.objects.latest("asked")
    approved(browser("second"), back)
    assert (back.state, back.rows) == ("done", 3)
    assert len(hosts()) == 5
    browser("member").post(f"/standards/disposal/{archive.pk}/restore/", {"reason": "once more"})
    again = models.Disposal.objects.latest("asked")
    approved(browser("second"), again)
    assert (again.rows, len(hosts())) == (0, 5), "nothing comes back twice"


def test_a_damaged_archive_is_told_and_not_brought_back(events, browser, home):
    archive = asked(browser("member"), "archive")
    approved(browser("second"), archive)
    file = home / "archive" / str(archive.pk) / f"{TABLE}.parquet"
    file.write_bytes(file.read_bytes()[:-9] + b"x" * 9)
    browser("member").post(f"/standards/disposal/{archive.pk}/restore/", {"reason": "try"})
    back = models.Disposal.objects.latest("asked")
    answer = browser("second").post(f"/api/standards/disposal/{back.pk}/approve/")
    assert (answer.status_code, answer.json()["what"]) == (409, "The archive is damaged")
    back.refresh_from_db()
    assert back.state == "asked"


@pytest.mark.parametrize("values", [{"reason": ""}, {"since": "x"}, {"deed": "burn"}, {"since": "2026-02-02", "until": "2026-02-01"}])
def test_what_cannot_be_asked_is_told(values, events, browser):
    answer = browser("member").post(PAGE, {"deed": "destroy", "reason": "r", **days(7, 2), **values})
    assert answer.status_code == 422
    assert not models.Disposal.objects.exists()


def test_what_is_refused_is_not_done(events, browser):
    row = asked(browser("member"), "destroy")
    browser("second").post("/standards/disposal/", {"do": f"refuse:{row.pk}"})
    row.refresh_from_db()
    assert (row.state, len(hosts())) == ("refused", 5)
    assert browser("analyst").post(PAGE, {"deed": "destroy", "reason": "r", **days(7, 2)}).status_code in (403, 422)
    assert models.Disposal.objects.count() == 1


@pytest.mark.covers("XA1")
def test_a_data_set_is_followed_through_the_four_layers(events, browser):
    page = browser("member").get(PAGE)
    assert [str(layer["label"]) for layer in page.context["layers"]] == ["Collection", "Operation", "Management", "Interface"]
    for layer in page.context["layers"]:
        assert layer["facts"]
        for _label, url in layer["links"]:
            assert browser("member").get(url).status_code == 200, url


def test_a_data_set_is_read_as_arrow_and_parquet_by_key(events, tree, users, client):
    key = people.make_key("trainer", permissions=["lake.event.view", "lake.event.export", "standards.*.view"], over=tree.harbour, actor=people_queries.viewer_of(users.member))
    head = {"HTTP_AUTHORIZATION": key.header}
    listed = client.get("/api/standards/datasets/", **head).json()
    assert [(one["source"], one["table"], one["rows"]) for one in listed] == [("edr", TABLE, 5)]
    answer = client.get(f"/api/standards/datasets/edr/{TABLE}", **head)
    rows = pa.ipc.open_stream(b"".join(answer.streaming_content)).read_all()
    assert rows.num_rows == 5
    assert "host" in rows.column_names
    answer = client.get(f"/api/standards/datasets/edr/{TABLE}?form=parquet", **head)
    assert pq.read_table(io.BytesIO(answer.content)).num_rows == 5
    assert Record.objects.filter(verb="lake.events_exported").count() == 2
    outside = people.make_key("other", permissions=["lake.event.view", "lake.event.export"], over=tree.mill, actor=people_queries.viewer_of(users.outsider))
    assert client.get(f"/api/standards/datasets/edr/{TABLE}", HTTP_AUTHORIZATION=outside.header).status_code == 404
