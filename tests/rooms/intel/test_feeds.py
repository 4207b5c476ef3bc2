"""Outside APIs asked by the clock, as an intelligence officer sets them up: a file, MISP's JSON, a TAXII collection; each whole or not at all."""


import pytest
from tests.rooms.kept import database
from tests.rooms.lake.test_polls import Api

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger.models import Record
from lianfang.rooms.intel import actions, models

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "a-token-that-nobody-sees"


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setenv("LIANFANG_POLL_NETWORKS", "127.0.0.0/8")
    made = Api()
    yield made
    made.close()


@pytest.fixture
def client(browser):
    return browser("member")


@pytest.fixture
def feed(api, client):
    """``feed(**fields)``: set up on its page."""

    def make(path="/list", **more):
        fields = {"name": "partner", "address": f"{api.url}{path}", "way": "file", "items": "", "value": "value", "note": "", "since": "", "login": "bearer", "user": "", "secret": SECRET, "every": "60", "tlp": "green", "confidence": "70", "days": "30", "enabled": "on"}
        answer = client.post("/intel/feeds/add/", {**fields, **more})
        assert answer.status_code == 302, answer.content.decode()
        return models.Feed.objects.get(name=more.get("name", "partner"))

    return make


def looked(row, client=None):
    """Its time has come, or “Ask now” was pressed; the API as it then is."""
    if client:
        client.post("/intel/feeds/", {"do": f"look:{row.pk}"})
    else:
        actions.ask_feeds()
    jobs.work(once=True)
    row.refresh_from_db()
    return row


def values():
    return {one.value: (one.source, one.tlp, one.confidence) for one in models.Indicator.objects.all()}


def test_a_file_is_asked_by_the_clock_and_taken_once(api, feed, client):
    api.answer = lambda path, query, headers: (304, {}, b"") if headers.get("If-None-Match") == '"1"' else (200, {"ETag": '"1"'}, b"198.51.100.7\nbad.example # c2\nnot a value\n")
    row = looked(feed())
    assert (row.trouble, row.brought) == ("", 2)
    assert values() == {"198.51.100.7": ("partner", "green", 70), "bad.example": ("partner", "green", 70)}
    assert api.asked[0][2]["Authorization"] == f"Bearer {SECRET}"
    assert models.Intake.objects.get().rejected == 1, "what is none is told among the imports"
    assert actions.ask_feeds() == 0, "not before its time"
    looked(row, client)
    assert (len(api.asked), models.Intake.objects.count()) == (2, 1), "what did not change is not taken again"
    page = client.get(f"/intel/feeds/{row.pk}/").content.decode()
    assert SECRET not in page + database()
    assert {"intel.feed_added", "intel.feed_asked", "intel.imported"} <= set(Record.objects.values_list("verb", flat=True))


def test_the_json_of_misp_and_otx_is_read_by_keys_with_a_watermark(api, feed, client):
    misp = {"response": {"Attribute": [{"type": "ip-dst", "value": "198.51.100.8", "comment": "beacon"}, {"type": "domain", "value": "misp.example", "comment": ""}]}}
    otx = {"results": [{"name": "pulse", "indicators": [{"indicator": "otx.example"}]}, {"indicators": [{"indicator": "203.0.113.5"}]}]}
    api.answer = lambda path, query, headers: (200, {}, misp if path == "/misp" else otx)
    row = looked(feed("/misp", way="json", items="response.Attribute", note="comment", since="timestamp", login="header", user="Authorization"))
    assert api.asked[0][2]["Authorization"] == SECRET
    assert models.Indicator.objects.get(value="198.51.100.8").note == "beacon"
    looked(row, client)
    assert "timestamp" not in api.asked[0][1]
    assert api.asked[1][1]["timestamp"].endswith("Z"), "what came since the last good look"
    looked(feed("/otx?limit=5", name="pulses", way="json", items="results.indicators", value="indicator"))
    assert {"otx.example", "203.0.113.5", "misp.example"} <= set(values())


def test_a_collection_of_taxii_is_read_page_by_page_behind_its_watermark(api, feed, client):
    def indicator(number):
        stamp = "2026-11-20T08:00:00.000Z"
        return {"type": "indicator", "spec_version": "2.1", "id": f"indicator--00000000-0000-4000-8000-{number:012d}", "created": stamp, "modified": stamp, "valid_from": stamp, "pattern_type": "stix", "pattern": f"[domain-name:value = 't{number}.example']"}

    def answer(path, query, headers):
        assert (path, headers["Accept"]) == ("/api1/collections/c/objects/", "application/taxii+json;version=2.1")
        if query.get("added_after"):
            return 200, {}, {}
        more = {"more": True, "next": "2"} if "next" not in query else {}
        return 200, {"X-TAXII-Date-Added-Last": f"2026-11-20T09:0{1 if more else 2}:00Z"}, {"objects": [indicator(1 if more else 2)], **more}

    api.answer = answer
    row = looked(feed("/api1/collections/c/", way="taxii"))
    assert (row.trouble, row.position["added_after"]) == ("", "2026-11-20T09:02:00Z")
    assert {"t1.example", "t2.example"} == set(values())
    looked(row, client)
    assert api.asked[-1][1]["added_after"] == "2026-11-20T09:02:00Z"
    assert models.Intake.objects.count() == 1


def test_what_goes_wrong_is_told_and_nothing_is_half_taken(api, feed, client, monkeypatch):
    api.answer = lambda path, query, headers: (200, {}, {"response": {"Attributes": [{"value": "x.example"}]}})
    row = looked(feed(way="json", items="response.Attribute"))
    assert "holds no values" in row.trouble and not values()
    assert "holds no values" in client.get("/intel/feeds/").content.decode()
    api.answer = lambda path, query, headers: (503, {"Retry-After": "5"}, b"")
    assert "503" in looked(row, client).trouble
    api.answer = lambda path, query, headers: (200, {}, {"response": {"Attribute": [{"value": "late.example"}]}})
    assert looked(row, client).trouble == "" and set(values()) == {"late.example"}
    api.answer = lambda path, query, headers: (302, {"Location": "http://127.0.0.2/elsewhere"}, b"")
    assert "leads elsewhere" in looked(row, client).trouble
    monkeypatch.delenv("LIANFANG_POLL_NETWORKS")
    assert "private network" in looked(row, client).trouble
    assert client.post(f"/intel/feeds/{row.pk}/change/", {"name": "partner", "address": "https://elsewhere.example/", "way": "json", "items": "x", "value": "v", "login": "bearer", "every": "60", "tlp": "green", "confidence": "1", "days": "1"}).status_code == 422, "the secret is not sent elsewhere unseen"


def test_an_outsider_finds_no_outside_api(feed, browser):
    row = feed()
    other = browser("outsider")
    assert other.get(f"/intel/feeds/{row.pk}/").status_code == 404
    assert "partner" not in other.get("/intel/feeds/").content.decode()
