"""Lines as tshark 4.0 prints them (recorded from captures of our own, tests/engines/connect/packets.py) → flows and what was said in them."""

import json

from lianfang.engines.connect.flows import Flows

ASKED = '{"timestamp":"1795161600500","layers":{"frame_time_epoch":["1795161600.500000000"],"frame_len":["75"],"frame_protocols":["eth:ethertype:ip:udp:dns"],"ip_src":["10.0.0.9"],"ip_dst":["10.0.0.53"],"ip_proto":["17"],"udp_srcport":["40000"],"udp_dstport":["53"],"dns_id":["0x0007"],"dns_flags_response":["0"],"dns_qry_name":["www.bad.example"],"dns_qry_type":["1"]}}'
ANSWERED = '{"timestamp":"1795161600600","layers":{"frame_time_epoch":["1795161600.600000000"],"frame_len":["91"],"frame_protocols":["eth:ethertype:ip:udp:dns"],"ip_src":["10.0.0.53"],"ip_dst":["10.0.0.9"],"ip_proto":["17"],"udp_srcport":["53"],"udp_dstport":["40000"],"dns_id":["0x0007"],"dns_flags_response":["1"],"dns_flags_rcode":["0"],"dns_qry_name":["www.bad.example"],"dns_qry_type":["1"],"dns_a":["198.51.100.1"]}}'
UNREACHABLE = '{"timestamp":"1795161600600","layers":{"frame_time_epoch":["1795161600.600000000"],"frame_len":["70"],"frame_protocols":["eth:ethertype:ip:icmp:ip:udp"],"ip_src":["198.51.100.1","10.0.0.9"],"ip_dst":["10.0.0.9","198.51.100.1"],"ip_proto":["1","17"],"udp_srcport":["40000"],"udp_dstport":["9"]}}'
TUNNEL = '{"timestamp":"1795161600600","layers":{"frame_time_epoch":["1795161600.600000000"],"frame_len":["120"],"frame_protocols":["eth:ethertype:ip:gre:ip:tcp"],"ip_src":["192.0.2.1","10.0.0.9"],"ip_dst":["192.0.2.2","10.1.0.9"],"ip_proto":["47","6"],"tcp_srcport":["40000"],"tcp_dstport":["22"],"tcp_flags":["0x0002"]}}'


def layers(line, **more):
    return {**json.loads(line)["layers"], **{name: value if isinstance(value, list) else [value] for name, value in more.items()}}


def tcp(at, flags, src="10.0.0.9:40001", dst="198.51.100.1:80", **more):
    (a, ap), (b, bp) = src.split(":"), dst.split(":")
    fields = {"frame_time_epoch": str(at), "frame_len": "60", "frame_protocols": "eth:ethertype:ip:tcp", "ip_src": a, "ip_dst": b, "ip_proto": "6", "tcp_srcport": ap, "tcp_dstport": bp, "tcp_flags": f"0x{flags:04x}", **more}
    return {name: value if isinstance(value, list) else [value] for name, value in fields.items()}


def back(at, flags, **more):
    return tcp(at, flags, "198.51.100.1:80", "10.0.0.9:40001", **more)


def told(packets, **more):
    flows = Flows(**more)
    return [record for packet in packets for record in flows.take(packet)] + list(flows.end())


def test_a_question_waits_for_its_answer_and_is_told_once():
    dns, flow = told([layers(ASKED), layers(ANSWERED)])
    assert (dns["tshark"], dns["query"], dns["answer"], dns["record_type"]) == ({"record": "dns", "time": "1795161600.500000000", "rcode": "NOERROR"}, "www.bad.example", ["198.51.100.1"], "A")
    assert (dns["src_ip"], dns["dst_ip"], dns["dst_port"]) == ("10.0.0.9", "10.0.0.53", "53")
    assert flow["tshark"] == {"record": "flow", "time": "1795161600.500000000", "last": "1795161600.600000000", "seconds": "0.100", "state": "answered", "packets_out": 1, "packets_in": 1, "bytes_out": 75, "bytes_in": 91}
    assert flow["service"] == "dns"


def test_a_name_that_nobody_answers_is_told_all_the_same():
    dns, flow = told([layers(ASKED)])
    assert (dns["query"], "rcode" in dns["tshark"], "answer" in dns) == ("www.bad.example", False, False)
    assert flow["tshark"]["state"] == "unanswered"


def test_an_answer_whose_question_is_not_in_the_capture_is_told_from_the_asking_side():
    dns, _ = told([layers(ANSWERED)])
    assert (dns["src_ip"], dns["dst_ip"], dns["query"]) == ("10.0.0.9", "10.0.0.53", "www.bad.example")


def test_requests_of_one_packet_meet_their_answers_in_order():
    asked = tcp(2, 0x18, http_request_method=["GET", "POST"], http_request_uri=["/1?a=b", "/2"], http_host=["one.example", "two.example"], http_user_agent="only one of them says")
    answers = [back(3, 0x18, http_response_code="100"), back(4, 0x18, http_response_code="200"), back(5, 0x18, http_response_code="404")]
    one, two, _ = told([tcp(1, 2), asked, *answers])
    assert (one["c-uri"], one["c-uri-stem"], one["c-uri-query"], one["cs-method"], one["sc-status"]) == ("http://one.example/1?a=b", "/1", "a=b", "GET", "200")
    assert (two["c-uri"], two["cs-method"], two["sc-status"], "c-useragent" in two) == ("http://two.example/2", "POST", "404", False)


def test_a_hello_and_what_the_server_agreed_to():
    hello = tcp(2, 0x18, tls_handshake_type="1", tls_handshake_extensions_server_name="login.bad.example", tls_handshake_ja3="a" * 32, tls_handshake_extensions_alpn_str=["h2", "http/1.1"])
    agreed = back(3, 0x18, tls_handshake_type=["2", "11"], tls_handshake_version="0x0303", tls_handshake_extensions_supported_version="0x0304", tls_handshake_ja3s="b" * 32)
    tls, _ = told([tcp(1, 2), hello, agreed])
    assert (tls["server_name"], tls["tshark"]) == ("login.bad.example", {"record": "tls", "time": "2", "alpn": "h2,http/1.1", "ja3": "a" * 32, "version": "TLS 1.3", "ja3s": "b" * 32})


def test_how_a_conversation_went():
    def state(*packets):
        return told(packets)[-1]["tshark"]["state"]

    assert state(tcp(1, 0x02), back(2, 0x14)) == "refused"
    assert state(tcp(1, 0x02)) == "unanswered"
    assert state(tcp(1, 0x02), back(2, 0x12), tcp(3, 0x11), back(4, 0x11)) == "closed"
    assert state(tcp(1, 0x02), back(2, 0x12), tcp(3, 0x14)) == "reset"
    assert state(tcp(1, 0x02), back(2, 0x12), tcp(3, 0x10)) == "open"


def test_the_server_is_known_where_the_beginning_is_missing():
    assert told([back(1, 0x12)])[0]["src_ip"] == "10.0.0.9", "it accepts a connection"
    assert told([back(1, 0x18)])[0]["src_ip"] == "10.0.0.9", "it has the well-known port"


def test_ports_that_are_used_anew_are_another_conversation():
    closed = [tcp(1, 0x02), back(2, 0x12), tcp(3, 0x11), back(4, 0x11), tcp(4.1, 0x10)]
    assert [record["tshark"]["packets_out"] for record in told([*closed, tcp(5, 0x02)])] == [3, 1]


def test_a_conversation_is_told_when_it_is_quiet_or_too_many_are_newer():
    flows = Flows(quiet=60)
    assert list(flows.take(tcp(1, 0x02))) == []
    assert [one["src_port"] for one in flows.take(tcp(100, 0x02, "10.0.0.9:40002"))] == ["40001"]
    many = Flows(most=2)
    assert [one["src_port"] for port in (1, 2, 3) for one in many.take(tcp(port, 0x02, f"10.0.0.9:4000{port}"))] == ["40001"]
    assert len(many.open) == 2


def test_of_tunnels_the_inside_counts_and_of_icmp_errors_the_outside():
    (inner,) = told([layers(TUNNEL)])
    assert (inner["src_ip"], inner["dst_ip"], inner["dst_port"], inner["protocol"]) == ("10.0.0.9", "10.1.0.9", "22", "tcp")
    (error,) = told([layers(UNREACHABLE)])
    assert (error["src_ip"], error["dst_ip"], error["protocol"], "src_port" in error) == ("198.51.100.1", "10.0.0.9", "icmp", False)


def test_what_is_no_packet_of_ip_is_no_flow():
    flows = Flows()
    assert list(flows.take({"frame_time_epoch": ["1"], "frame_protocols": ["eth:ethertype:arp"]})) == list(flows.take({})) == list(flows.end()) == []
    assert flows.packets == 2
