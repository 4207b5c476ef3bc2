"""Knowledge bases of others, brought in through the page and the API and found again: vulnerabilities, malware, events, groups, device fingerprints."""

import csv
import io
import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger.models import Record
from lianfang.rooms.intel import models

pytestmark = pytest.mark.django_db(transaction=True)

NVD = {
    "resultsPerPage": 2, "startIndex": 0, "totalResults": 2, "format": "NVD_CVE", "version": "2.0", "timestamp": "2026-11-20T00:00:00.000",
    "vulnerabilities": [
        {"cve": {
            "id": "CVE-2014-0160", "sourceIdentifier": "secalert@example.org", "published": "2014-04-07T22:55:03.893", "lastModified": "2024-11-21T02:01:00.000", "vulnStatus": "Modified",
            "descriptions": [{"lang": "en", "value": "Heartbleed: memory of a TLS server can be read. More follows."}],
            "metrics": {"cvssMetricV31": [{"type": "Primary", "cvssData": {"version": "3.1", "vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", "baseScore": 7.5, "baseSeverity": "HIGH"}}]},
            "weaknesses": [{"description": [{"lang": "en", "value": "CWE-125"}]}],
            "configurations": [{"nodes": [{"cpeMatch": [{"vulnerable": True, "criteria": "cpe:2.3:a:openssl:openssl:1.0.1:*:*:*:*:*:*:*"}]}]}],
            "references": [{"url": "https://heartbleed.example/"}],
        }},
        {"cve": {"id": "nonsense"}},
        {"cve": {"id": "CVE-2020-0001", "vulnStatus": "Rejected"}},
    ],
}  # fmt: skip
CNVD = """<?xml version="1.0" encoding="UTF-8"?>
<vulnerabilitys><vulnerability><number>CNVD-2021-31330</number><cves><cve><cveNumber>CVE-2021-29505</cveNumber></cve></cves><title>XStream 远程代码执行漏洞</title><serverity>高</serverity>
<products><product>XStream &lt;1.4.17</product></products><isEvent>通用软硬件漏洞</isEvent><submitTime>2021-04-29</submitTime><openTime>2021-05-14</openTime><referenceLink>https://x-stream.example/CVE-2021-29505.html</referenceLink>
<formalWay>厂商已发布新版本</formalWay><description>攻击者可利用该漏洞执行任意代码。</description></vulnerability></vulnerabilitys>"""
SHA = "a1" * 32
BUNDLE = {
    "type": "bundle", "id": "bundle--11111111-1111-4111-8111-111111111111",
    "objects": [
        {"type": "intrusion-set", "spec_version": "2.1", "id": "intrusion-set--22222222-2222-4222-8222-222222222222", "created": "2026-01-01T00:00:00Z", "modified": "2026-01-02T00:00:00Z", "name": "Harbour Cat", "aliases": ["HC-1"], "goals": ["espionage"], "description": "Goes for futures brokers."},
        {"type": "malware", "spec_version": "2.1", "id": "malware--33333333-3333-4333-8333-333333333333", "created": "2026-01-01T00:00:00Z", "modified": "2026-01-01T00:00:00Z", "name": "Quayside", "is_family": True, "malware_types": ["backdoor"], "sample_refs": ["file--44444444-4444-4444-8444-444444444444"]},
        {"type": "file", "spec_version": "2.1", "id": "file--44444444-4444-4444-8444-444444444444", "hashes": {"SHA-256": SHA}},
        {"type": "incident", "spec_version": "2.1", "id": "incident--55555555-5555-4555-8555-555555555555", "created": "2026-01-01T00:00:00Z", "modified": "2026-01-01T00:00:00Z", "name": "Order channel down"},
        {"type": "indicator", "spec_version": "2.1", "id": "indicator--66666666-6666-4666-8666-666666666666", "created": "2026-01-01T00:00:00Z", "modified": "2026-01-01T00:00:00Z", "pattern_type": "stix", "pattern": "[ipv4-addr:value = '203.0.113.9']", "valid_from": "2026-01-01T00:00:00Z"},
    ],
}  # fmt: skip
TABLE = "类型,名称,指纹,等级,WebGL,别名\n设备指纹,Grey laptop,fp-7d1c,中,ANGLE (ACME),GL-1；GL-2\n黑客组织,Dock Owl,,高,,\n天气,Rain,,,,\n"


@pytest.fixture
def browser(client_of):
    client = client_of("member")
    client.cookies["django_language"] = "en"
    return client


def brought_in(browser, name, content, **terms):
    """Upload, look at the preview, say yes, let a worker do it; gives the preview."""
    content = content if isinstance(content, bytes) else (json.dumps(content) if isinstance(content, dict) else content).encode()
    answer = browser.post("/intel/import/", {"file": SimpleUploadedFile(name, content), "form": "auto", "source": "partner", "tlp": "green", "confidence": 50, "days": 90, **terms})
    assert answer.status_code == 302, answer.content
    preview = browser.get(answer.url).content.decode()
    assert browser.post(answer.url, {"do": "start"}).status_code == 302
    jobs.work(once=True)
    return preview


def known(browser, query="", who=None):
    return (who or browser).get(f"/api/intel/knowledge/{query}").json()["items"]


@pytest.mark.covers("Q03")
def test_vulnerabilities_of_the_nvd_and_of_cnvd_are_brought_in(browser, client_of):
    preview = brought_in(browser, "nvd.json", NVD)
    assert "CVE-2014-0160" in preview
    assert "vulnerability" in preview
    brought_in(browser, "cnvd.xml", CNVD)
    by = {one["key"]: one for one in known(browser, "?about=vulnerability")}
    assert set(by) == {"CVE-2014-0160", "CNVD-2021-31330"}
    assert (by["CVE-2014-0160"]["severity"], by["CVE-2014-0160"]["score"], by["CVE-2014-0160"]["source"]) == (4, 7.5, "partner")
    assert by["CNVD-2021-31330"]["name"] == "XStream 远程代码执行漏洞"
    heartbleed = models.Entry.objects.get(key="CVE-2014-0160")
    page = browser.get(f"/intel/knowledge/{heartbleed.pk}/").content.decode()
    for words in ("Heartbleed", "CWE-125", "cpe:2.3:a:openssl:openssl:1.0.1", "https://heartbleed.example/"):
        assert words in page
    assert [one["key"] for one in known(browser, "?q=CVE-2021-29505")] == ["CNVD-2021-31330"], "found by the other number too"
    intake = models.Intake.objects.get(name="nvd.json")
    assert (intake.added, intake.rejected) == (1, 1)
    assert "the identifier is no CVE" in browser.get(f"/intel/imports/{intake.pk}/").content.decode()
    assert known(browser, who=client_of("outsider")) == []
    assert client_of("outsider").get(f"/intel/knowledge/{heartbleed.pk}/").status_code == 404
    assert Record.objects.filter(verb="intel.imported").count() == 2


@pytest.mark.covers("Q03")
def test_groups_malware_with_hashes_and_events_come_in_a_bundle_beside_its_indicators(browser):
    brought_in(browser, "bundle.json", BUNDLE)
    assert {(one["about"], one["name"]) for one in known(browser)} == {("group", "Harbour Cat"), ("malware", "Quayside"), ("event", "Order channel down")}
    assert [one["name"] for one in known(browser, f"?q={SHA}")] == ["Quayside"]
    assert [one["name"] for one in known(browser, "?q=HC-1")] == ["Harbour Cat"]
    assert [one["value"] for one in browser.get("/api/intel/indicator/").json()["items"]] == ["203.0.113.9"]


@pytest.mark.covers("Q03")
def test_device_fingerprints_and_groups_come_in_a_table_and_go_out_as_one(browser):
    brought_in(browser, "known.csv", TABLE.encode("gb18030"))
    (print_,) = known(browser, "?about=fingerprint")
    assert (print_["key"], print_["name"], print_["severity"]) == ("fp-7d1c", "Grey laptop", 3)
    row = models.Entry.objects.get(about="fingerprint")
    assert (row.aliases, row.facts) == (["GL-1", "GL-2"], {"WebGL": "ANGLE (ACME)"})
    exported = browser.get("/intel/knowledge/export/?format=csv")
    assert {line["Name"] for line in csv.DictReader(io.StringIO(b"".join(exported).decode("utf-8-sig")))} == {"Grey laptop", "Dock Owl"}
    assert models.Intake.objects.get().rejected == 1


def test_the_same_knowledge_again_changes_nothing_and_newer_renews(browser):
    for _ in range(2):
        brought_in(browser, "nvd.json", NVD)
    assert [(row.added, row.renewed, row.same) for row in models.Intake.objects.order_by("created")] == [(1, 0, 0), (0, 0, 1)]
    newer = json.loads(json.dumps(NVD).replace('"baseScore": 7.5, "baseSeverity": "HIGH"', '"baseScore": 9.1, "baseSeverity": "CRITICAL"'))
    brought_in(browser, "nvd.json", newer)
    assert [(one["severity"], one["score"]) for one in known(browser)] == [(5, 9.1)]


def test_an_entry_is_removed_by_who_may_and_the_ledger_keeps_it(browser, client_of):
    brought_in(browser, "cnvd.xml", CNVD)
    row = models.Entry.objects.get()
    assert client_of("reader").delete(f"/api/intel/knowledge/{row.pk}/").status_code in (403, 404)
    assert browser.delete(f"/api/intel/knowledge/{row.pk}/").status_code == 204
    assert known(browser) == []
    assert "CNVD-2021-31330" in str(Record.objects.get(verb="intel.entry_removed").detail)


@pytest.mark.parametrize("hostile", ["<!DOCTYPE x [<!ENTITY a 'b'>]><vulnerabilitys/>", "<vulnerabilitys>" + "<a>" * 60, "<vulnerabilitys><vulnerability>", '{"vulnerabilities": 3}', '{"vulnerabilities": [{"cve": ' + '{"a":' * 500 + "1" + "}" * 500 + "}]}"])
def test_what_is_hostile_or_broken_is_told_and_takes_nothing(browser, hostile):
    brought_in(browser, "x", hostile.encode(), form="nvd" if hostile.startswith("{") else "cnvd")
    assert known(browser) == []
    assert (models.Intake.objects.get().stage, models.Intake.objects.get().rejected) in {("failed", 0), ("done", 1)}
