"""Logs over HTTP: what is acknowledged is kept, what is hostile is refused, and who may."""

import gzip
import json
import zlib
from datetime import datetime, timedelta

import pytest
import zstandard
from tests.rooms.lake.conftest import sysmon

from lianfang.commons.people import actions as people
from lianfang.commons.people import models as people_models
from lianfang.commons.people import queries as people_queries
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid
from lianfang.rooms.lake import actions, models, queries
from lianfang.rooms.lake.actions import receiving

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/api/lake/ingest/edr"


@pytest.fixture
def key(users, source):
    """``key("member")``: the header of an API key of that person that may send and search."""

    def make(name, *permissions, **more):
        user = people_models.User.objects.get(username=name)
        made = people.make_key(f"{name}'s key", permissions=permissions or ("lake.event.add", "lake.event.view", "lake.reject.view"), actor=people_queries.viewer_of(user), user=user.pk, **more)
        return {"Authorization": made.header}

    return make


@pytest.fixture
def send(client, key):
    header = key("member")

    def post(body, url=URL, headers=header, content_type="application/x-ndjson", **more):
        return client.post(url, data=body, content_type=content_type, headers={**headers, **more})

    return post


def lines(*rows) -> bytes:
    return b"\n".join(row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode() for row in rows)


@pytest.mark.covers("D05", "Q01", "XA12")
def test_a_device_sends_its_log_and_another_system_reads_it_through_the_same_door(send, client, key):
    firewall = b"<134>1 2026-11-20T08:00:00Z fw-01 fw - - - action=deny src=203.0.113.9 dst=10.0.0.8"
    models.Source.objects.update(codec="auto")
    answer = send(lines(sysmon(1), {"event": "login", "ip": "203.0.113.9"}, firewall))
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 3
    actions.drain()
    found = client.get("/api/lake/events/?since=2026-11-20T00:00:00Z&filter=source:is:edr", headers=key("member")).json()
    assert len(found["events"]) == 3
    (one,) = client.get("/api/lake/events/?since=2026-11-20T00:00:00Z&q=fw-01", headers=key("member")).json()["events"]
    whole = client.get(f"/api/lake/events/{one['event_id']}/", headers=key("member")).json()
    assert whole["raw"].encode() == firewall
    assert client.get("/api/lake/events/?since=2026-11-20T00:00:00Z", headers=key("outsider")).json()["events"] == []
    assert client.get(f"/api/lake/events/{one['event_id']}/", headers=key("outsider")).status_code == 404
    assert client.get("/api/lake/events/").status_code == 401


@pytest.mark.covers("D05")
def test_devices_of_many_makers_are_read_by_one_source_without_a_setting(send, client, key):
    """A firewall in CEF and one in pairs, a web server, an intrusion detector, the audit of a Linux host."""
    models.Source.objects.update(codec="auto")
    now = clock.now().replace(microsecond=0) - timedelta(minutes=5)
    sent = lines(
        f"<134>1 {now:%Y-%m-%dT%H:%M:%SZ} fw1 fw - - - CEF:0|ACME|Wall|2.1|100|connection denied|7|src=192.0.2.7 spt=40000 dst=10.0.0.8 dpt=22 proto=TCP act=deny".encode(),
        f'date={now:%Y-%m-%d} time={now:%H:%M:%S} tz="+0000" devname="fgt-01" devid="FGT60X" logid="0000000013" type="traffic" subtype="forward" srcip=192.0.2.8 srcport=51514 dstip=10.0.0.9 dstport=443 proto=6 action="deny"'.encode(),
        f'192.0.2.9 - - [{now:%d/%b/%Y:%H:%M:%S} +0000] "GET /login HTTP/1.1" 404 162 "-" "curl/8.0"'.encode(),
        {"timestamp": f"{now:%Y-%m-%dT%H:%M:%S.000000+0000}", "event_type": "alert", "src_ip": "192.0.2.10", "src_port": 4444, "dest_ip": "10.0.0.10", "dest_port": 80, "proto": "TCP", "alert": {"signature": "Test", "signature_id": 1, "severity": 2, "action": "allowed"}},
    )
    answer = send(sent, content_type="text/plain")
    assert answer.status_code == 202, answer.content
    actions.drain()
    found = client.get(f"/api/lake/events/?since={now - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}&filter=source:is:edr", headers=key("member")).json()["events"]
    assert {event["src_ip"]: event["class_uid"] for event in found} == {"192.0.2.7": 4001, "192.0.2.8": 4001, "192.0.2.9": 4002, "192.0.2.10": 2004}


def test_local_times_are_read_in_the_zone_of_their_source(send, client, key, viewers, tree):
    """RFC 3164 names no zone: the same line from a sender in Shanghai and from one set to UTC is eight hours apart."""
    now = clock.now().replace(microsecond=0) - timedelta(hours=1)
    line = f"<38>{now:%b} {now.day:2d} {now:%H:%M:%S} app-01 sshd[812]: Failed password for root from 203.0.113.77 port 40221 ssh2".encode()
    for name, zone in (("shanghai", "Asia/Shanghai"), ("greenwich", "UTC"), ("unsaid", "")):
        actions.create_source(name, codec="syslog", zone=zone, actor=viewers.member)
        assert send(line, url=f"/api/lake/ingest/{name}").status_code == 202
    actions.drain()
    since = f"{now - timedelta(hours=12):%Y-%m-%dT%H:%M:%SZ}"
    found = client.get(f"/api/lake/events/?since={since}&q=40221", headers=key("member")).json()["events"]
    times = {event["source"]: datetime.fromisoformat(event["time"]) for event in found}
    assert times == {"greenwich": now, "shanghai": now - timedelta(hours=8), "unsaid": now - timedelta(hours=8)}, "the node's own zone stands where none is said"


def test_a_zone_that_a_machine_no_longer_knows_stops_nothing(send, all_events, caplog):
    models.Source.objects.update(zone="Mars/Olympus")
    assert send(lines({"message": "still taken"})).status_code == 202
    actions.drain()
    assert len(all_events()) == 1
    assert "Mars/Olympus" in caplog.text


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Asia", "+08:00", "x" * 41])
def test_what_is_no_zone_is_refused_in_words(viewers, zone):
    with pytest.raises(Invalid, match="时区") as error:
        actions.create_source("fw-2", zone=zone, actor=viewers.member)
    assert error.value.details["zone"]
    assert not models.Source.objects.filter(name="fw-2").exists()


@pytest.mark.covers("XA12")
def test_columns_above_the_clearance_are_masked_for_the_reader(send, client, key, users):
    send(lines(sysmon(1, CommandLine="net use x: /user:li password=Harbour!9")))
    actions.drain()
    mine = client.get("/api/lake/events/", headers=key("member")).json()["events"]
    assert mine[0]["masked"] is True
    assert mine[0]["level"] == 4
    assert "Harbour!9" not in json.dumps(mine)
    assert client.get("/api/lake/events/?q=Harbour!9", headers=key("member")).json()["events"] == [], "nor can it be guessed by searching"
    assert client.get("/api/lake/events/?filter=process_cmd:contains:password", headers=key("member")).json()["events"] == []
    answer = client.post("/api/lake/query", data={"sql": "SELECT process_cmd, raw, host FROM events"}, content_type="application/json", headers=key("member")).json()
    assert answer["rows"] == [[None, None, "pc-01.harbour.example"]]


def test_bodies_may_be_packed(send, all_events):
    body = lines(sysmon(1))
    assert send(gzip.compress(body), **{"Content-Encoding": "gzip"}).status_code == 202
    assert send(gzip.compress(body) + gzip.compress(b"\n" + body), **{"Content-Encoding": "gzip"}).json()["received"] == 2
    assert send(zstandard.compress(body), **{"Content-Encoding": "zstd"}).status_code == 202
    assert send(json.dumps([sysmon(1), sysmon(2)]).encode(), content_type="application/json").json()["received"] == 2
    actions.drain()
    assert len(all_events()) == 6


HOSTILE = {
    "a gzip bomb": (gzip.compress(bytes(200 << 20)), "gzip", 422),
    "a zstd bomb": (zstandard.compress(bytes(200 << 20)), "zstd", 422),
    "a gzip cut short": (gzip.compress(b'{"a": "b"}\n' * 1000)[:-20], "gzip", 422),
    "raw deflate": (zlib.compress(b"{}"), "gzip", 422),
    "noise called zstd": (b"\x00\xff" * 100, "zstd", 422),
    "an unknown packing": (b"{}", "br", 422),
    "nothing": (b"", "", 422),
    "empty lines": (b"\n\r\n  \n\0\n", "", 422),
    "too many lines": (b"{}\n" * 60_000, "", 422),
    "a thousand levels": (b'{"a":' * 1000 + b"1" + b"}" * 1000, "", 202),
    "a hundred thousand levels": (b"[" * 100_000, "", 202),
    "invalid UTF-8": (b'{"a": "\xff\xfe"}', "", 202),
    "a line of three megabytes": (b'{"a": "' + b"x" * (3 << 20) + b'"}', "", 202),
    "NUL and control bytes": (b'{"a": "\x00\x01\x1b"}', "", 202),
    "a lone surrogate": (b'{"a": "\\ud800"}', "", 202),
    "a number of ten thousand digits": (b'{"a": ' + b"9" * 10_000 + b"}", "", 202),
    "the same key twice": (b'{"a": 1, "a": 2}', "", 202),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_are_refused_or_kept_and_never_break_what_follows(name, send, all_events, viewers):
    body, packing, status = HOSTILE[name]
    assert send(body, **({"Content-Encoding": packing} if packing else {})).status_code == status
    assert send(lines(sysmon(1))).status_code == 202
    actions.drain()
    kept = len(all_events()) + sum(group.count for group in queries.reject_groups(viewer=viewers.member))
    assert kept == (2 if status == 202 else 1)
    assert any(event["host"] == "pc-01.harbour.example" for event in all_events())


def test_broken_lines_are_told_and_kept(send, viewers):
    answer = send(lines(sysmon(1), b"{oops", sysmon(2), b"oops}")).json()
    assert (answer["accepted"], answer["rejected"]) == (2, 2)
    assert [one["line"] for one in answer["rejects"]] == [2, 4]
    actions.drain()
    assert sum(group.count for group in queries.reject_groups(viewer=viewers.member)) == 2


def test_who_may_send(client, key, send):
    body = lines(sysmon(1))
    assert client.post(URL, data=body, content_type="text/plain").status_code == 401
    assert client.post(URL, data=body, content_type="text/plain", headers={"Authorization": "Lianfang nobody:wrong"}).status_code == 401
    assert send(body, headers=key("outsider")).status_code == 404
    assert send(body, headers=key("member", "lake.event.view")).status_code == 403
    assert send(body, headers=key("colleague")).status_code == 202, "the unit above sees the source"
    assert send(body, url="/api/lake/ingest/nowhere").status_code == 404


def test_a_number_sent_twice_is_stored_once(send, all_events):
    for _ in range(3):
        assert send(lines(sysmon(1)), **{"Idempotency-Key": "42"}).status_code == 202
    actions.drain()
    assert len(all_events()) == 1


def test_a_full_spool_answers_429_and_takes_nothing(send, monkeypatch, all_events):
    monkeypatch.setattr(receiving.spool(), "limit", 10_000)
    answers = [send(lines(*(sysmon(n) for n in range(10)))) for _ in range(6)]
    codes = [answer.status_code for answer in answers]
    assert codes[0] == 202
    assert codes[-1] == 429
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert answers[-1].json()["retry"] is True
    receiving.seal()
    actions.drain()
    assert len(all_events()) == 10 * codes.count(202)
    assert send(lines(sysmon(1))).status_code == 202, "room again"
