"""A capture for sharing shows who spoke with whom as flows do, and neither real addresses nor a byte of what was said."""

import io
import ipaddress
import struct
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engines.connect import packets as made

from lianfang.engines.masking import Keyed
from lianfang.engines.masking.packets import Rewriter
from lianfang.kernel.errors import Invalid

KEYED = Keyed(bytes(32))
AT = 1795161600.5


def rewriter():
    return Rewriter(lambda address: KEYED.addresses([address])[0], bytes(32))


def rewritten(content):
    done = rewriter()
    return b"".join(done.run(io.BytesIO(content))), done


def records(content, order="<") -> Iterator[tuple[int, bytes]]:
    at = 24
    while at < len(content):
        _, _, kept, size = struct.unpack_from(order + "IIII", content, at)
        yield size, content[at + 16 : at + 16 + kept]
        at += 16 + kept


def test_flows_stay_what_they_were_under_other_addresses():
    content = made.pcap(made.office(AT))
    fresh, done = rewritten(content)
    before, after = list(records(content)), list(records(fresh))
    assert (len(after), done.packets, done.whole) == (len(before), len(before), True)
    for (size, old), (wire, new) in zip(before, after):
        assert wire == size, "the length on the wire stays"
        assert new[34:38] == old[34:38], "and so do the ports"
        assert new[26:34] != old[26:34]
        assert new[:6] != old[:6]
    ends = {ipaddress.ip_address(new[26:30]) for _, new in after} | {ipaddress.ip_address(new[30:34]) for _, new in after}
    assert ends == {ipaddress.ip_address(one) for one in KEYED.addresses(["10.0.0.9", "10.0.0.53", "198.51.100.1"])}, "the same stand-ins as in the logs"


@pytest.mark.parametrize("content", [made.pcap(made.office(AT)), made.pcap(made.office(AT), order=">", nano=True), made.pcapng(made.office(AT)), made.pcapng(made.office(AT), order=">")], ids=["pcap", "big end first", "pcapng", "pcapng, big end first"])
def test_nothing_that_was_said_and_no_address_is_left(content):
    fresh, done = rewritten(content)
    for secret in (b"bad", b"gate.php", b"curl", b"GET", b"nope", ipaddress.ip_address("10.0.0.9").packed, ipaddress.ip_address("198.51.100.1").packed, bytes.fromhex("020000000001")):
        assert secret in content
        assert secret not in fresh
    assert done.packets == len(made.office(AT))
    assert fresh[:4] == content[:4]


def test_checksums_are_right_for_a_payload_of_zeros():
    content = made.pcap([made.datagram(AT, ("10.0.0.9", 40000), ("10.0.0.53", 53), b"secret!"), *made.conversation(AT, ("2001:db8::9", 40000), ("2001:db8::1", 80), [b"secret"])])
    for size, packet in records(rewritten(content)[0]):
        zeros = bytes(size - len(packet))
        if packet[12:14] == b"\x08\x00":
            assert made.checksum(packet[14:34]) == 0
            assert made.checksum(packet[26:34] + struct.pack("!BBH", 0, 17, size - 34) + packet[34:] + zeros) == 0
        else:
            assert made.checksum(packet[22:54] + struct.pack("!IHBB", size - 54, 0, 0, 6) + packet[54:] + zeros) == 0


def test_options_comments_names_and_secrets_are_left_out():
    def block(kind, body):
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)

    names = block(4, struct.pack("<HH", 1, 16) + bytes((10, 0, 0, 9)) + b"li-pc.corp\0\0" + bytes(4))
    keys = block(10, struct.pack("<II", 0x544C534B, 8) + b"CLIENT_R")
    comment = struct.pack("<HH", 1, 8) + b"for li!!" + bytes(4)
    at = int(AT * 1e6)
    packet = made.office(AT)[0][1]
    packet += bytes(-len(packet) % 4)
    spoken = block(6, struct.pack("<IIIII", 0, at >> 32, at & 0xFFFFFFFF, len(packet), len(packet)) + packet + comment)
    fresh, done = rewritten(made.pcapng(made.office(AT)) + names + keys + spoken)
    assert not [word for word in (b"li-pc", b"CLIENT", b"for li") if word in fresh]
    assert done.left_out == 2
    marked = made.packet("10.0.0.9", "10.0.0.8", 6, struct.pack("!HHIIBBHHH", 1, 2, 3, 4, 0x80, 2, 5, 0, 0) + bytes((2, 4, 5, 180, 34, 6)) + b"abcd" + bytes((1, 0)))
    ((_, packet),) = records(rewritten(made.pcap([(AT, marked)]))[0])
    assert packet[54:] == bytes((2, 4, 5, 180)) + b"\x01" * 8, "a cookie that knows the client again is gone, the segment size is not"


def test_arp_icmp_errors_fragments_and_unknown_protocols():
    mac, one, two = bytes.fromhex("021122334455"), bytes((10, 0, 0, 9)), bytes((10, 0, 0, 8))
    arp = b"\xff" * 6 + mac + b"\x08\x06" + b"\0\x01\x08\0\x06\x04\0\x01" + mac + one + bytes(6) + two
    error = made.packet("10.0.0.8", "10.0.0.9", 1, b"\x03\x01\0\0" + bytes(4) + made.packet("10.0.0.9", "192.0.2.77", 17, made.udp(1, 2, b"secret"))[14:])
    fragment = bytearray(made.packet("10.0.0.9", "10.0.0.8", 17, b"secret of a fragment"))
    fragment[20:22] = b"\0\x10"
    other = mac + mac + b"\x88\xb5" + b"secret of a protocol"
    tunnel = made.packet("10.0.0.9", "10.0.0.8", 47, b"\0\0\x08\0" + made.packet("192.0.2.77", "10.0.0.8", 17, b"secret")[14:])
    fresh, done = rewritten(made.pcap([(AT, one_) for one_ in (arp, error, bytes(fragment), other, tunnel)]))
    assert not [word for word in (b"secret", mac, one, two, bytes((192, 0, 2, 77))) if word in fresh]
    assert [len(packet) for _, packet in records(fresh)] == [42, 42, 34, 14, 34]
    assert done.packets == 5


def test_groups_and_nobody_stay():
    fresh, _ = rewritten(made.pcap([made.datagram(AT, ("10.0.0.9", 5353), ("224.0.0.251", 5353), b"x"), made.datagram(AT, ("0.0.0.0", 68), ("255.255.255.255", 67), b"x")]))
    first, second = (packet for _, packet in records(fresh))
    assert (first[30:34], second[26:34]) == (bytes((224, 0, 0, 251)), bytes(4) + b"\xff" * 4)


def test_of_a_capture_that_is_cut_off_the_packets_before_are_rewritten():
    content = made.pcap(made.office(AT))
    fresh, done = rewritten(content[:700])
    assert (done.whole, done.packets) == (False, len(list(records(fresh))))
    assert done.packets > 3
    assert not rewritten(made.pcapng(made.office(AT))[:500])[1].whole


@pytest.mark.parametrize(("content", "said"), [(b"PK\x03\x04", "no capture"), (b"", "no capture"), (b"\xd4\xc3\xb2\xa1", "no header"), (made.pcap([])[:20] + struct.pack("<I", 147), "not understood"), (b"\x0a\x0d\x0d\x0a" + bytes(20), "no capture")])
def test_what_is_no_capture_is_refused_before_anything_is_written(content, said):
    with pytest.raises(Invalid, match=said):
        rewritten(content)


@given(st.binary(max_size=120), st.sampled_from([1, 101, 0, 113, 276]))
def test_no_packet_breaks_it_or_grows(data, link):
    assert len(rewriter().packet(data, link)) <= max(len(data), 0)


@given(st.binary(max_size=400))
def test_no_file_breaks_it(data):
    for head in (made.pcap([]), made.pcapng([])):
        done = rewriter()
        with suppress(Invalid):
            b"".join(done.run(io.BytesIO(head + data)))
