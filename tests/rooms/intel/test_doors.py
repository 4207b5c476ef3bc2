"""Through the doors: the pages and the API, as a member, a colleague from above, an outsider and a stranger."""

import json
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import models as ledger
from lianfang.rooms.intel import actions, models


@pytest.fixture
def known(viewers):
    actions.import_list(b"203.0.113.9\nbad.example\n", source="feed", actor=viewers.member)
    return models.Indicator.objects.get(value="bad.example")


def test_the_watch_list_is_seen_by_those_who_may(known, client_of):
    for name, there in (("member", True), ("colleague", True), ("outsider", False)):
        page = client_of(name).get("/intel/indicator/")
        assert page.status_code == 200
        assert ("bad.example" in page.content.decode()) is there
    assert Client().get("/intel/indicator/").status_code == 302
    assert client_of("outsider").get(f"/intel/indicator/{known.pk}/").status_code == 404


def test_the_record_of_a_change_shows_what_was_before_and_after(known, client_of, viewers):
    form = {"value": "worse.example", "source": known.source, "tlp": known.tlp, "confidence": "90", "valid_from": known.valid_from.isoformat(), "valid_until": "", "tags": "", "note": "x" * 400}
    assert client_of("member").post(f"/intel/indicator/{known.pk}/change/", form).status_code == 302
    said = json.loads(ledger.Record.objects.get(verb="intel.indicator_changed").detail)
    assert (said["before"]["value"], said["after"]["value"], said["after"]["confidence"]) == ("bad.example", "worse.example", 90)
    assert len(said["after"]["note"]) == 301
    assert "tlp" not in said["after"]


def test_the_list_narrows_by_standing(known, client_of, viewers):
    actions.revoke(known, actor=viewers.member)
    page = client_of("member").get("/intel/indicator/?standing=revoked").content.decode()
    assert "bad.example" in page
    assert "203.0.113.9" not in page


def test_an_indicator_by_hand(client_of):
    member = client_of("member")
    answer = member.post("/api/intel/indicator/", json.dumps({"value": "hxxp://worse[.]example/a", "source": "own work", "tags": ["x"]}), content_type="application/json")
    assert answer.status_code == 201, answer.content
    assert answer.json()["value"] == "http://worse.example/a"
    assert models.Indicator.objects.get(value="http://worse.example/a").tags == ["x"]


def test_from_upload_to_the_list(client_of, tree):
    member = client_of("member")
    assert member.get("/intel/import/").status_code == 200
    sent = {"file": SimpleUploadedFile("iocs.csv", "指标,谁说的\nbad.example,伙伴甲\n坏,x\n".encode()), "form": "auto", "source": "feed", "tlp": "green", "confidence": 70, "days": 30, "tags": "a, b"}
    answer = member.post("/intel/import/", sent)
    assert answer.status_code == 302
    there = answer["Location"]
    page = member.get(there).content.decode()
    assert "bad.example" in page
    assert models.Indicator.objects.count() == 0
    again = member.post(there, {"do": "look", "role-0": "value", "role-1": "source"}).content.decode()
    assert "伙伴甲" in again
    assert client_of("outsider").get(there).status_code == 404
    assert client_of("outsider").post(there, {"do": "start"}).status_code == 404
    assert member.post(there, {"do": "start", "role-0": "value", "role-1": "source"}).status_code == 302
    assert "hx-get" in member.get(there).content.decode()
    jobs.work(once=True)
    done = member.get(there).content.decode()
    assert "hx-trigger" not in re.search(r'<div id="delivery"[^>]*>', done)[0]
    row = models.Indicator.objects.get()
    assert (row.source, row.tlp, row.confidence, row.tags) == ("伙伴甲", "green", 70, ["a", "b"])
    rejects = member.get(f"{there}rejects/")
    assert "坏" in rejects.content.decode()
    assert rejects["Content-Disposition"].startswith("attachment")


def test_pasted_text_and_what_is_missing(client_of, tree):
    member = client_of("member")
    terms = {"form": "auto", "source": "feed", "tlp": "amber", "confidence": 50, "days": 0}
    assert member.post("/intel/import/", terms).status_code == 422
    there = member.post("/intel/import/", {**terms, "text": "=1+1\nbad.example"})["Location"]
    member.post(there, {"do": "start"})
    jobs.work(once=True)
    assert models.Indicator.objects.get().valid_until is None
    assert "'=1+1" in member.get(f"{there}rejects/").content.decode()


def test_who_may_only_read_brings_nothing_in(client_of):
    reader = client_of("reader")
    assert reader.get("/intel/import/").status_code == 403
    assert reader.post("/api/intel/indicator/", json.dumps({"value": "bad.example", "source": "x"}), content_type="application/json").status_code == 403


@pytest.mark.parametrize(("name", "known_there"), [("member", 1), ("colleague", 1), ("outsider", 0)])
def test_looking_up_by_api(known, client_of, name, known_there):
    client = client_of(name)
    one = client.get("/api/intel/lookup", {"value": "hxxp://www.bad[.]example/"}).json()
    assert len(one["known"]) == known_there
    many = client.post("/api/intel/lookup", json.dumps({"values": ["bad.example", "198.51.100.1"]}), content_type="application/json").json()
    assert [len(answer["known"]) for answer in many["answers"]] == [known_there, 0]
    assert Client().get("/api/intel/lookup", {"value": "bad.example"}).status_code == 401


def test_the_look_up_page(known, client_of):
    page = client_of("member").get("/intel/lookup/", {"q": "bad.example"}).content.decode()
    assert str(known.pk) in page
    many = client_of("member").post("/intel/lookup/", {"values": "bad.example\nnonsense\n203.0.113.77"})
    assert many.status_code == 200
    assert str(known.pk) not in client_of("outsider").get("/intel/lookup/", {"q": "bad.example"}).content.decode()


def test_the_search_everywhere_finds_it_however_it_is_written(known, client_of):
    assert str(known.pk) in client_of("member").get(reverse("frame:search"), {"q": "Bad[.]Example"}).content.decode()
    assert str(known.pk) not in client_of("outsider").get(reverse("frame:search"), {"q": "Bad[.]Example"}).content.decode()
