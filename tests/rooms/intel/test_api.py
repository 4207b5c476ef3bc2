"""A delivery through the API: a key, its scope, counts and reasons; and whatever else may come as a body."""

import gzip
import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import models as ledger
from lianfang.commons.people import actions as people
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.intel import models
from lianfang.rooms.intel.actions import intake
from lianfang.rooms.intel.queries import reading

URL = "/api/intel/import"


@pytest.fixture
def key(users):
    """``key("member")``: the header of an API key of that person that may bring in and look."""

    def make(name, *permissions):
        made = people.make_key(f"{name}'s key", permissions=permissions or ("intel.indicator.add", "intel.intake.view"), actor=SYSTEM, user=getattr(users, name).pk)
        return {"Authorization": made.header}

    return make


@pytest.fixture
def send(client, key):
    header = key("member")

    def post(body, headers=header, content_type="text/plain", **query):
        return client.post(URL, data=body, content_type=content_type, headers=headers, query_params={"source": "partner", **query})

    return post


def test_a_list_is_answered_with_counts_and_reasons(send, viewers):
    answer = send(b"203.0.113.9\nbad.example # at night\n203.0.113.9\nnonsense\n10.0.0.1\n", tlp="TLP:GREEN", confidence=80, valid_until="2027-01-01T00:00:00Z", tags=["scan", "night"])
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert [told[name] for name in ("stage", "form", "read", "added", "doubled", "rejected")] == ["done", "list", 5, 2, 1, 2]
    assert [(one["line"], one["content"], one["code"]) for one in told["rejects"]] == [(4, "nonsense", "unknown"), (5, "10.0.0.1", "private")]
    assert all(one["reason"] and one["todo"] for one in told["rejects"])
    one = models.Indicator.objects.get(value="bad.example")
    assert (one.source, one.tlp, one.confidence, one.tags, one.note, one.valid_until) == ("partner", "green", 80, ["scan", "night"], "at night", datetime(2027, 1, 1, tzinfo=UTC))
    assert (one.organisation, one.territory) == (viewers.member.organisation, viewers.member.path)
    assert ledger.Record.objects.filter(verb="intel.imported", actor=viewers.member.id, ref=f"intel:intake:{told['id']}").count() == 1


def test_a_table_and_a_bundle_are_found_by_themselves(send):
    table = send("指标,类型,来源,共享级别\nbad.example,域名,伙伴甲,红\nworse.example,IP,,\n".encode("gb18030"), content_type="text/csv").json()
    assert [table[name] for name in ("form", "added", "rejected")] == ["csv", 1, 1]
    assert models.Indicator.objects.values_list("source", "tlp").get(value="bad.example") == ("伙伴甲", "red")
    shape = {"type": "indicator", "id": "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f", "pattern": "[ipv4-addr:value = '203.0.113.9']", "pattern_type": "stix", "valid_from": "2026-11-01T00:00:00Z"}
    bundle = send(json.dumps({"type": "bundle", "objects": [shape, {**shape, "id": "indicator--2", "pattern": "[file:name = 'x']"}]}), content_type="application/stix+json").json()
    assert [bundle[name] for name in ("form", "added", "rejected")] == ["stix", 1, 1]
    assert [(one["line"], one["code"]) for one in bundle["rejects"]] == [(2, "object")]


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "application/json", "multipart/form-data; boundary=x"])
def test_what_the_sender_calls_it_does_not_matter(send, content_type):
    assert send(b"bad.example\n", content_type=content_type).json()["added"] == 1


def test_a_large_delivery_goes_to_a_worker(send, client, key, monkeypatch):
    monkeypatch.setattr(intake, "SMALL", 40)
    answer = send("\n".join(f"host-{n}.bad.example" for n in range(30)) + "\nnonsense" * 3)
    assert answer.status_code == 202
    told = answer.json()
    assert (told["stage"], told["added"]) == ("waiting", 0)
    jobs.work(once=True)
    url = f"{URL}/{told['id']}"
    done = client.get(url, {"skip": 1}, headers=key("member")).json()
    assert (done["stage"], done["percent"], done["added"], done["rejected"]) == ("done", 100, 30, 3)
    assert [one["line"] for one in done["rejects"]] == [32, 33]
    assert client.get(url, headers=key("colleague")).status_code == 200
    assert client.get(url, headers=key("outsider")).status_code == 404


def test_who_may_not_is_refused(send, client, key):
    assert send(b"bad.example", headers={}).status_code == 401
    assert send(b"bad.example", headers={"Authorization": "Lianfang nobody:wrong"}).status_code == 401
    assert send(b"bad.example", headers=key("member", "intel.indicator.view")).status_code == 403
    assert client.post(URL + "?source=x", data=b"bad.example", content_type="text/plain").status_code == 401
    assert models.Indicator.objects.count() == models.Intake.objects.count() == 0


def test_what_is_brought_in_belongs_to_the_sender(send, key):
    for name in ("member", "outsider"):
        assert send(b"bad.example", headers=key(name)).json()["added"] == 1
    assert models.Indicator.objects.values("organisation").distinct().count() == 2


@pytest.mark.parametrize(
    "wrong",
    [{"source": " "}, {"source": "x" * 121}, {"source": "a\0b"}, {"tlp": "purple"}, {"confidence": 101}, {"days": -1}, {"valid_until": "2026-11-20T08:00:00"}, {"form": "xml"}, {"tags": ["a\0"]}, {"tags": ["a"] * 51}],
)
def test_wrong_terms_are_said(send, wrong):
    answer = send(b"bad.example", **wrong)
    assert answer.status_code == 422
    assert next(iter(wrong)) in json.dumps(answer.json())
    assert models.Intake.objects.count() == 0


def test_strict_amber_may_be_written_either_way(send):
    assert send(b"bad.example", tlp="amber+strict").status_code == 200
    assert models.Indicator.objects.get().tlp == "amber+strict"


@pytest.mark.parametrize("body", [b"", b" \n", b"{}", b'{"type": "bundle", "objects": 7, "x": "type"}', b'{"type":' * 20_000, b'[{"type":' + b"[" * 100_000, b'{"type": "bundle", "objects": [\xff]}'])
def test_what_cannot_be_read_is_said(send, body):
    answer = send(body, form="stix" if body.strip() else "auto")
    assert answer.status_code == 422
    assert answer.json()["what"]
    assert answer.json()["todo"]


def test_a_body_is_bounded_by_what_comes(send, monkeypatch):
    monkeypatch.setattr(reading, "LARGEST", 1_000)
    assert send(b"a" * 1_001).json()["what"] == "The delivery is too large"


def test_a_packed_body_is_not_taken_for_text(client, key):
    answer = client.post(f"{URL}?source=x", data=gzip.compress(b"bad.example"), content_type="text/plain", headers={**key("member"), "Content-Encoding": "gzip"})
    assert answer.status_code == 422


def test_lines_without_end_cost_no_more_than_their_length(send):
    body = b"a" + b" " * 400_000 + b"b\nbad.example\n" + b"\n".join(b"a" + b" " * 16_000 + b"b" for _ in range(20))
    told = send(body, form="list").json()
    assert (told["added"], told["rejected"], told["rejects"][0]["code"]) == (1, 21, "long")
    told = send(b"value,note\n" + b"," * 300_000 + b"\nworse.example,x\n").json()
    assert (told["added"], told["rejects"][0]["code"]) == (1, "csv")


def test_one_object_beyond_the_calendar_does_not_spoil_the_others(send):
    shape = {"type": "indicator", "pattern_type": "stix"}
    objects = [{**shape, "id": f"indicator--{n}", "pattern": f"[ipv4-addr:value = '203.0.113.{n}']", "valid_from": "0001-01-01T00:00:00+14:00" if n == 2 else "2026-11-01T00:00:00Z"} for n in range(1, 4)]
    told = send(json.dumps({"type": "bundle", "objects": objects})).json()
    assert (told["added"], [(one["line"], one["code"]) for one in told["rejects"]]) == (2, [(2, "object")])
    assert send("value,valid_from\nbad.example,0001-01-01\nworse.example,9999-12-31T23:59:59-10:00\n").json()["rejected"] == 2


def test_nul_reaches_no_database(send):
    shape = {"type": "indicator", "id": "indicator--\0", "name": "a\0b", "labels": ["x\0"], "pattern": "[ipv4-addr:value = '203.0.113.9']", "valid_from": "2026-11-01T00:00:00Z"}
    assert send(json.dumps({"type": "bundle", "objects": [shape]})).json()["added"] == 1
    assert send(b"bad.example # a\0b\nwor\0se.example\n").json()["rejected"] == 1
    assert send(b"value,tags\nthird.example,a\0b\n").json()["added"] == 1
    assert not any("\0" in f"{one.note}{one.tags}{one.stix_id}" for one in models.Indicator.objects.all())


PIECES = st.sampled_from([
    b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\0", b"\n", b"\r", b"\r\n", b",", b";", b"\t", b'"', b"value", b"kind", b"valid_from", "指标".encode("gb18030"), "来源,".encode(), b"\x80", b"\xf0\x9f\x92\xa9", b" " * 200, b"a" * 300,
    b"203.0.113.9", b"hxxp://bad[.]example/x", b"198.51.100.0/24", b"0001-01-01", b"99999999999999999999", b"1e999", b"nan", b"# ", b'{"type":', b'"bundle"', b'"objects":', b'"indicator"', b'"pattern":', b"[", b"]", b"{", b"}", b":", b"[" * 3_000,
    b'{"type":"indicator","id":"indicator--1","pattern":"[domain-name:value = \'bad.example\']","valid_from":"2026-11-01T00:00:00Z"}', b'"\\u0000"', b'"\\ud800"', b"'", b"\\",
])  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.one_of(st.binary(max_size=300), st.lists(PIECES, max_size=25).map(b"".join)), form=st.sampled_from(["auto", "csv", "list", "stix"]))
def test_whatever_comes_is_counted_or_refused(send, body, form):
    answer = send(body, form=form)
    assert answer.status_code in (200, 422), answer.content
    told = answer.json()
    if answer.status_code == 200:
        assert told["read"] == sum(told[name] for name in ("added", "renewed", "same", "doubled", "rejected"))
        assert len(told["rejects"]) == min(told["rejected"], 100)
    else:
        assert told["what"]


def test_it_stands_in_the_description_of_the_api(client_of):
    paths = client_of("member").get("/api/openapi.json").json()["paths"]
    operation = paths["/api/intel/import"]["post"]
    assert "text/csv" in operation["requestBody"]["content"]
    assert {one["name"] for one in operation["parameters"]} >= {"source", "tlp", "valid_until", "form", "tags"}
    assert {"200", "202"} <= operation["responses"].keys()
    assert "/api/intel/import/{id}" in paths
