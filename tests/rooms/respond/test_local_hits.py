"""Local intelligence at work: what an analyst wrote down is met in the logs, and every hit is stored, listed, counted and taken away."""

import csv
import io
import json

import pytest
from tests.rooms.respond.test_whole_path import feed

from lianfang.commons.people.queries import viewer_of
from lianfang.rooms.intel import models as intel
from lianfang.rooms.lake import actions as lake

pytestmark = pytest.mark.django_db(transaction=True)
BAD = "203.0.113.66"


@pytest.fixture
def node(make_person, organisations, users, tree):
    """A source of the harbour, and a member who is analyst and intelligence officer; gives the source's keeper."""
    from lianfang.commons.people import actions as people
    from lianfang.kernel.viewer import SYSTEM

    keeper = make_person("keeper", organisations.harbour, "administrator")
    for role in ("intelligence_officer", "operator"):
        people.grant(users.member.pk, role=role, over=tree.harbour, actor=SYSTEM)
    users.keeper = keeper
    lake.ensure_source("harbour-edge", kind="http", actor=viewer_of(keeper))
    return viewer_of(keeper)


def connection(host, **more):
    return {"EventID": 3, "Computer": host, "Image": r"C:\\tools\\agent.exe", "DestinationIp": BAD, "DestinationPort": "443", "SourceIp": "10.0.0.5", "CommandLine": "", **more}


@pytest.mark.covers("Q05")
def test_hits_of_what_was_written_down_here_are_stored_listed_counted_and_exported(node, client_of):
    client = client_of("member")
    client.cookies["django_language"] = "en"
    made = client.post("/api/intel/indicator/", json.dumps({"value": "203[.]0[.]113[.]66", "source": "own work", "note": "seen in case 7"}), content_type="application/json")
    assert made.status_code == 201, made.content
    assert [one["value"] for one in client.get("/api/intel/indicator/?source=own+work").json()["items"]] == [BAD], "what was produced here is listed by its source"
    row = intel.Indicator.objects.get()
    assert "It was not met yet." in client.get(f"/intel/indicator/{row.pk}/").content.decode()
    for host, times in (("pc-1.harbour.example", 2), ("pc-2.harbour.example", 1)):
        for _ in range(times):
            feed(node, "harbour-edge", **connection(host))
    (hit,) = client.get("/api/detect/hits/").json()
    assert (hit["kind"], hit["value"], hit["events"], hit["hosts"], hit["rule"]) == ("ip", BAD, 3, 2, f"ioc:ip:{BAD}")
    page = client.get(f"/intel/indicator/{row.pk}/").content.decode()
    assert "3 events hit it on 2 hosts." in page
    assert "pc-2.harbour.example" in page
    listed = client.get("/detect/hits/").content.decode()
    assert BAD in listed
    findings = client.get("/api/detect/findings/?kind=ioc").json()["items"]
    assert {one["host"] for one in findings} == {"pc-1.harbour.example", "pc-2.harbour.example"}
    exported = b"".join(client.get("/detect/findings/export/?kind=ioc&format=csv")).decode("utf-8-sig")
    assert {line["Host"] for line in csv.DictReader(io.StringIO(exported))} == {"pc-1.harbour.example", "pc-2.harbour.example"}
    assert BAD in exported
    out = b"".join(client.get("/intel/indicator/export/?source=own+work&format=csv")).decode("utf-8-sig")
    assert [line["Value"] for line in csv.DictReader(io.StringIO(out))] == [BAD], "and what was produced here is taken along"


def test_hits_are_seen_by_those_whose_logs_they_are_in(node, client_of):
    client_of("member").post("/api/intel/indicator/", json.dumps({"value": BAD, "source": "own work"}), content_type="application/json")
    feed(node, "harbour-edge", **connection("pc-1.harbour.example"))
    assert len(client_of("colleague").get("/api/detect/hits/").json()) == 1, "the unit above"
    assert client_of("outsider").get("/api/detect/hits/").json() == []
    assert BAD not in client_of("outsider").get("/detect/hits/?span=all").content.decode()
