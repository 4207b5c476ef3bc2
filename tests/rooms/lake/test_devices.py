"""The devices of a command centre, each by the syslog that its kind writes, through one port, without a setting for any of them."""

import socket
from datetime import timedelta

import pytest
from tests.patience import free_port, wait_for
from tests.rooms.lake.conftest import doors

from lianfang.kernel import clock
from lianfang.rooms.lake import actions, models

pytestmark = pytest.mark.django_db(transaction=True)
MOMENT = clock.now().replace(microsecond=0) - timedelta(minutes=10)
ISO, HERE = f"{MOMENT:%Y-%m-%dT%H:%M:%SZ}", f"{MOMENT:%Y-%m-%d %H:%M:%S}"

DEVICES = {
    "router": (f"<189>1 {ISO} rt-core-1 OSPF - - - OSPF neighbor 192.0.2.1 changed state from Full to Down", {"host": "rt-core-1", "log_name": "OSPF", "message": "OSPF neighbor 192.0.2.1 changed state from Full to Down"}),
    "switch": (f"<188>1 {ISO} sw-trade-2 IFNET - - - Interface GigabitEthernet1/0/7 turned into DOWN state", {"host": "sw-trade-2", "severity_id": 2, "message": "Interface GigabitEthernet1/0/7 turned into DOWN state"}),
    "gatekeeper": (f'<134>1 {ISO} gap-1 gap - - - time="{HERE}" task=file-ferry user=ferry src=10.1.0.8 dst=10.2.0.9 action=deny msg="keyword in file"', {"host": "gap-1", "user": "ferry", "ips": ["10.1.0.8", "10.2.0.9"], "message": "keyword in file"}),
    "firewall": (f"<134>1 {ISO} fw-1 fw - - - CEF:0|ACME|Wall|2.1|100|connection denied|7|src=192.0.2.7 spt=40000 dst=10.0.0.8 dpt=22 proto=TCP act=deny", {"class_uid": 4001, "host": "fw-1", "src_ip": "192.0.2.7", "dst_port": 22, "status_id": 2}),
    "ids": (f'<134>1 {ISO} ids-1 suricata - - - {{"timestamp":"{ISO}","event_type":"alert","src_ip":"192.0.2.9","src_port":4444,"dest_ip":"10.0.0.8","dest_port":80,"proto":"TCP","alert":{{"signature":"Web shell","signature_id":1,"severity":1,"action":"blocked"}}}}', {"class_uid": 2004, "src_ip": "192.0.2.9", "message": "Web shell", "severity_id": 4}),
    "unified user management": (f'<38>1 {ISO} uum-1 uum - - - {{"user":"lin","asset":"portal","account":"lin","login_from":"WEB","remote_addr":"10.0.0.9","is_success":false,"date_start":"{HERE} +0000"}}', {"class_uid": 3002, "host": "uum-1", "user": "lin", "src_ip": "10.0.0.9", "status_id": 2}),
    "vpn": (f"<28>1 {ISO} vpn-1 openvpn 7 - - 192.0.2.7:50000 TLS Auth Error: Auth Username/Password verification failed for peer", {"class_uid": 3002, "host": "vpn-1", "src_ip": "192.0.2.7", "status_id": 2}),
    "antivirus": (f"<22>1 {ISO} mail-1 clamd 7 - - /srv/up/a b.exe: Win.Test.Example-1 FOUND", {"class_uid": 2004, "host": "mail-1", "file": "/srv/up/a b.exe", "event_code": "Win.Test.Example-1"}),
}  # fmt: skip
"""Kind of device → what it writes, and what of that the columns hold."""


def connected(port):
    """A sender's connection, as soon as the port is open."""
    found = []

    def opened():
        try:
            found.append(socket.create_connection(("127.0.0.1", port), timeout=5))
        except OSError:
            return False
        return True

    wait_for(opened)
    return found[0]


@pytest.mark.covers("D05")
def test_every_kind_of_device_of_a_command_centre_is_read_and_found_again(viewers, client_of):
    """Router, switch, gatekeeper, firewall, IDS, unified user management, VPN, antivirus: one port, each whole and under its columns."""
    port = free_port()
    actions.create_source("centre", kind="syslog_tcp", host="127.0.0.1", port=port, codec="auto", actor=viewers.member)
    with doors(), connected(port) as line:
        line.sendall(b"".join(text.encode() + b"\n" for text, _columns in DEVICES.values()))
        line.shutdown(socket.SHUT_WR)
        line.recv(1)
    actions.drain()
    row = models.Source.objects.get(name="centre")
    assert (row.events, row.rejects) == (len(DEVICES), 0)
    asked = f"/api/lake/events/?filter=source:is:centre&limit=50&since={clock.text(MOMENT - timedelta(minutes=1))}"
    client = client_of("member")
    found = [client.get(f"/api/lake/events/{one['event_id']}/").json() for one in client.get(asked).json()["events"]]
    by_raw = {event["raw"]: event for event in found}
    for kind, (text, columns) in DEVICES.items():
        event = by_raw[text]
        assert {name: event[name] for name in columns} == columns, kind
        assert clock.parse(event["time"]) == MOMENT, kind
    assert client_of("outsider").get(asked).json()["events"] == []


@pytest.mark.covers("Q10")
def test_a_port_is_allotted_beforehand_and_the_form_proposes_it(viewers, client_of, monkeypatch):
    """The range that the firewalls let through is set once; each new source gets the next port of it, UDP and TCP apart."""
    monkeypatch.setenv("LIANFANG_SYSLOG_PORTS", "6514-6515")
    client = client_of("member")
    form = client.get("/lake/source/add/?kind=syslog_tcp").content.decode()
    assert 'value="6514"' in form
    for name, port in (("a", 6514), ("b", 6515)):
        actions.create_source(name, kind="syslog_tcp", actor=viewers.member)
        assert models.Source.objects.get(name=name).port == port
    actions.create_source("c", kind="syslog_udp", actor=viewers.member)
    assert models.Source.objects.get(name="c").port == 6514
    answer = client.post("/api/lake/source/", {"name": "d", "kind": "syslog_tls"}, content_type="application/json")
    assert answer.status_code == 409
    assert "All ports" in answer.json()["title"]
    assert 'name="port"' in client.get("/lake/source/add/?kind=syslog_tls").content.decode(), "by hand it can still be chosen"
