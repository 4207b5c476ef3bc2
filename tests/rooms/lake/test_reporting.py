"""Reporting upwards as people do it: a destination set once, one click on what was found, and the other node's real doors at the end.

The other side is this node's own web server under an address of its own; its source and key belong to another organisation.
"""

import json
from io import BytesIO

import pytest
from tests.engines.connect import packets
from tests.rooms.kept import database
from tests.rooms.lake.conftest import cleared, sysmon

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.jobs import models as job_models
from lianfang.commons.ledger.models import Record
from lianfang.commons.people import actions as people_actions
from lianfang.engines.connect import captures
from lianfang.kernel import clock
from lianfang.rooms.lake import actions, models
from lianfang.rooms.lake.actions import receiving, reporting
from lianfang.rooms.lake.adapters import report

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def there(viewers, live_server, monkeypatch):
    """The other node: a log source, and a key for its doors."""
    monkeypatch.setenv("LIANFANG_POLL_NETWORKS", "127.0.0.0/8,::1/128")
    actions.create_source("from-harbour", codec="json", actor=viewers.outsider)
    key = people_actions.make_key("harbour reports", permissions=["lake.event.add", "lake.source.add"], actor=viewers.outsider)
    return {"address": live_server.url, "key_id": key.id, "secret": key.secret, "source": "from-harbour"}


def fields(there, **more):
    return {"name": "Centre", "authority": "", "events": "on", "level": "2", "tlp": "green", **there, **more}


@pytest.fixture
def centre(there, browser):
    """The destination, as an administrator sets it on its page."""
    answer = browser("member").post("/lake/destinations/add/", fields(there, captures="on"))
    assert answer.status_code == 302, answer.content.decode()
    return models.Destination.objects.get(name="Centre")


@pytest.fixture
def click(centre, browser):
    """``click()``: the button on the search page; gives the report that came of it."""

    def click(asked="span=24h&f=source:is:edr"):
        answer = browser("member").post("/lake/search/report/", {"asked": asked, "to": str(centre.pk)})
        assert answer.status_code == 302, answer.content.decode()
        return models.Report.objects.order_by("-created").first()

    return click


@pytest.fixture
def arrived(all_events):
    """What the other side stored of the reports."""

    def arrived():
        receiving.seal()
        actions.drain()
        return [one for one in all_events() if one["source"] == "from-harbour"]

    return arrived


def worked(row, *, again=False):
    """The worker comes by (``again``: also to what waits for its next attempt); the report as it then is."""
    if again:
        job_models.Job.objects.filter(state__in=("waiting", "running")).update(due=clock.now())
    jobs.work(once=True)
    row.refresh_from_db()
    return row


@pytest.mark.covers("Q10")
def test_one_click_on_a_search_reports_it_desensitised_and_the_other_side_has_it(put, centre, browser, viewers, click, arrived):
    put(sysmon(1), sysmon(2), sysmon(3, Computer="pc-09.harbour.example"))
    actions.create_mask({"name": "persons", "enabled": True, "way": "out", "to": "all", "columns": "user", "verb": "pseudonym", "form": "name", "below": 3}, actor=viewers.member)
    client = browser("member")
    assert "Report to Centre" in client.get("/lake/search/").content.decode()
    row = click("span=24h&f=host:is_not:pc-09.harbour.example")
    assert "whoami /all" not in database(), "what waits to be sent lies sealed"
    worked(row)
    assert (row.state, row.rows, row.accepted, row.refused, row.sent, row.parts) == ("done", 2, 2, 0, 1, 1)
    events = arrived()
    assert {one["host"] for one in events} == {"pc-01.harbour.example", "pc-02.harbour.example"}
    assert {(one["class_uid"], one["activity_id"], one["process"]) for one in events} == {(1007, 1, r"C:\Windows\System32\whoami.exe")}, "an event stays what it was"
    assert all(one["user"].startswith("u_") for one in events)
    assert not any("HARBOUR" in one["raw"] and '"li"' in one["raw"] for one in events)
    page = client.get(f"/lake/reports/{row.pk}/").content.decode()
    assert "taken by the other side" in page
    assert "Centre" in client.get("/lake/reports/").content.decode()
    told = {one.verb: json.loads(one.detail) for one in Record.objects.all()}
    assert told["lake.report_done"] == {"rows": 2, "accepted": 2, "refused": 0, "parts": "1/1"}
    assert told["lake.report_asked"]["sha256"] == row.sha256
    assert Record.objects.filter(verb="lake.stored", label__contains="from-harbour").exists() or "lake.stored" in told, "the other side has it on its ledger too"
    assert bytes(models.ReportPart.objects.get().content) == b"", "what arrived is not kept twice"


@pytest.mark.covers("Q10")
def test_a_crash_anywhere_doubles_and_loses_nothing(put, click, arrived, monkeypatch):
    """The worker dies after the other side took a piece and before it could note that; and again, before it sent one."""
    monkeypatch.setattr(reporting, "ROWS", 2)
    put(*(sysmon(n) for n in range(1, 8)))
    row = click()
    assert (row.rows, row.parts) == (7, 4)
    real, calls = reporting._note, []

    def dying(*given):
        calls.append(len(calls))
        if calls[-1] in (0, 3):
            raise SystemExit  # as a killed process: nothing behind this runs
        real(*given)

    monkeypatch.setattr(reporting, "_note", dying)
    for _ in range(3):
        try:
            worked(row, again=True)
        except SystemExit:
            job_models.Job.objects.filter(state="running").update(due=clock.now())
    row.refresh_from_db()
    assert (row.state, row.accepted, row.sent) == ("done", 7, 4)
    assert len(calls) == 6, "two pieces were sent twice"
    assert sorted(one["host"] for one in arrived()) == [f"pc-{n:02d}.harbour.example" for n in range(1, 8)]


def test_what_passes_is_tried_again_and_what_does_not_waits_for_a_person(put, centre, click, browser, arrived, monkeypatch):
    put(sysmon(1))
    address = centre.address
    models.Destination.objects.update(address="http://127.0.0.1:9")
    row = worked(click())
    assert (row.state, "does not answer" in row.trouble) == ("waiting", True)
    assert job_models.Job.objects.get(name="lake.report").due > clock.now(), "with a pause"
    models.Destination.objects.update(address=address, key_id="wrong")
    worked(row, again=True)
    assert (row.state, "does not know the key" in row.trouble) == ("failed", True)
    client = browser("member")
    assert "does not know the key" in client.get(f"/lake/reports/{row.pk}/").content.decode()
    models.Destination.objects.update(key_id=centre.key_id)
    client.post("/lake/reports/", {"do": f"resume:{row.pk}"})
    worked(row, again=True)
    assert (row.state, row.trouble, len(arrived())) == ("done", "", 1)
    assert Record.objects.filter(verb="lake.report_failed").count() == 1


def test_refused_rows_are_told_with_the_reason_of_the_other_side(put, click, browser, monkeypatch):
    put(sysmon(1), sysmon(2))
    row = click()
    real = report.Door.events
    monkeypatch.setattr(report.Door, "events", lambda self, source, lines, *, key: real(self, source, lines.replace(b"{", b"{broken", 1), key=key))
    worked(row)
    assert (row.state, row.accepted, row.refused) == ("done", 1, 1)
    page = browser("member").get(f"/lake/reports/{row.pk}/").content.decode()
    assert "What the other side says" in page
    assert "malformed" in page.lower()


def test_what_lies_above_the_level_stays_and_a_second_person_approves_what_needs_it(put, centre, click, browser, users, arrived):
    put(sysmon(1), sysmon(2, CommandLine="net use x: /user:admin password=Hunter-22"))
    cleared(users.member)
    cleared(users.colleague)
    client = browser("member")
    client.post("/lake/protection/", {"level": 4, "hours": 24, "reads": 0, "exports": 0, "approve": "on"})
    row = worked(click())
    assert (row.rows, row.kept_back) == (1, 1)
    models.Destination.objects.update(level=4)
    asked = {"asked": "span=24h&f=source:is:edr", "to": str(centre.pk)}
    page = client.post("/lake/search/report/", asked)
    assert (page.status_code, b"Ask for approval" in page.content, models.Report.objects.count()) == (403, True, 1)
    assert client.post("/lake/export-ask/", {"kind": "report", "asked": asked["asked"], "form": "ndjson", "towards": asked["to"], "reason": "the centre asked for it"}).status_code == 302
    request = models.ExportRequest.objects.get()
    assert (request.level, request.rows) == (4, 2)
    assert client.post(f"/lake/export-requests/{request.pk}/report/").status_code == 409, "not before it is approved"
    browser("colleague").post(f"/lake/export-requests/{request.pk}/decide/", {"do": "approve"})
    client = browser("member")
    assert "Send it now" in client.get(f"/lake/export-requests/{request.pk}/").content.decode()
    assert client.post(f"/lake/export-requests/{request.pk}/report/").status_code == 302
    assert worked(models.Report.objects.order_by("-created").first()).accepted == 2
    assert any("Hunter-22" in (one["process_cmd"] or "") for one in arrived())


def test_the_limit_of_rows_that_one_person_takes_away_holds_for_reports(put, centre, browser, users):
    put(sysmon(1), sysmon(2))
    client = browser("member")
    client.post("/lake/protection/", {"level": 2, "hours": 24, "reads": 0, "exports": 1})
    page = client.post("/lake/search/report/", {"asked": "span=24h&f=source:is:edr", "to": str(centre.pk)})
    assert (page.status_code, models.Report.objects.count()) == (403, 0)


def test_the_connection_is_tried_by_a_button_and_the_secret_never_shown(there, centre, browser, monkeypatch):
    client = browser("member")
    client.post("/lake/destinations/", {"do": f"try:{centre.pk}"})
    centre.refresh_from_db()
    assert (centre.tried_well, centre.tried_said) == (True, "The other side answers and lets the key in: 2 doors are open.")
    assert not models.Source.objects.filter(name="from-harbour-captures").exists(), "a try leaves nothing behind"
    page = client.get(f"/lake/destinations/{centre.pk}/").content.decode() + client.get(f"/lake/destinations/{centre.pk}/change/").content.decode()
    assert "The try went well" in page
    assert there["secret"] not in page
    assert there["secret"] not in database()
    changed = client.post(f"/lake/destinations/{centre.pk}/change/", fields(there, address="https://elsewhere.example", secret=""))
    assert (changed.status_code, "type it again" in changed.content.decode()) == (422, True), "nobody sends the secret elsewhere unseen"
    models.Destination.objects.update(source="nowhere")
    client.post("/lake/destinations/", {"do": f"try:{centre.pk}"})
    centre.refresh_from_db()
    assert (centre.tried_well, "no such door" in centre.tried_said) == (False, True)
    monkeypatch.delenv("LIANFANG_POLL_NETWORKS")
    client.post("/lake/destinations/", {"do": f"try:{centre.pk}"})
    centre.refresh_from_db()
    assert "private network" in centre.tried_said
    for wrong in ({"address": "http://centre.example"}, {"address": "https://u:p@centre.example"}, {"secret": ""}, {"source": ""}):
        assert client.post("/lake/destinations/add/", fields(there, name="Other", **wrong)).status_code == 422


def test_an_outsider_finds_neither_the_destination_nor_the_reports(put, centre, click, browser):
    put(sysmon(1))
    row = click()
    client = browser("outsider")
    assert client.get(f"/lake/destinations/{centre.pk}/").status_code == 404
    assert client.get(f"/lake/reports/{row.pk}/going/").status_code == 404
    assert client.post("/lake/search/report/", {"asked": "span=24h", "to": str(centre.pk)}).status_code == 404
    assert "Centre" not in client.get("/lake/search/").content.decode()


@pytest.mark.covers("Q10")
@pytest.mark.skipif("tshark" not in captures.installed(), reason="tshark is not installed (python tools/real_parts.py install)")
def test_a_capture_is_reported_as_its_desensitised_copy(centre, browser, arrived, all_events):
    file = BytesIO(packets.pcap(packets.office(1795161600.5)))
    file.name = "case.pcap"
    client = browser("member")
    assert "Report to Centre" in client.get("/lake/capture/").content.decode()
    answer = client.post("/lake/capture/report/", {"file": file, "rule": "address-pseudonyms", "to": str(centre.pk)})
    row = models.Report.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/lake/reports/{row.pk}/")
    worked(row)
    worked(row)  # the other side's own job
    assert (row.state, row.rows, row.accepted) == ("done", len(packets.office(0)), len(packets.office(0)))
    source = models.Source.objects.get(name="from-harbour-captures")
    receiving.seal()
    actions.drain()
    source.refresh_from_db()
    assert source.events > 0
    assert not any(one["src_ip"] == "10.0.0.9" for one in all_events())
