"""Captures for tests, byte by byte: Ethernet, IPv4 and IPv6, TCP and UDP with right checksums, DNS, HTTP, TLS; as pcap or pcapng.

Addresses and names are those of documentation (RFC 5737, 3849, 2606).
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence

Timed = tuple[float, bytes]
SYN, ACK, FIN, RST, PSH = 0x02, 0x10, 0x01, 0x04, 0x08


def checksum(data: bytes) -> int:
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(src: str, dst: str, protocol: int, segment: bytes) -> bytes:
    """An Ethernet frame with one IP packet; the checksum of TCP, UDP and ICMPv6 is put where it belongs."""
    a, b = ipaddress.ip_address(src).packed, ipaddress.ip_address(dst).packed
    place = {6: 16, 17: 6, 58: 2}.get(protocol)
    if place is not None:
        pseudo = a + b + (struct.pack("!BBH", 0, protocol, len(segment)) if len(a) == 4 else struct.pack("!IHBB", len(segment), 0, 0, protocol))
        segment = segment[:place] + struct.pack("!H", checksum(pseudo + segment[:place] + b"\0\0" + segment[place + 2 :]) or 0xFFFF) + segment[place + 2 :]
    ethernet = bytes.fromhex("020000000001020000000002")
    if len(a) == 16:
        return ethernet + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(segment), protocol, 64) + a + b + segment
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0x4000, 64, protocol, 0) + a + b
    return ethernet + b"\x08\x00" + head[:10] + struct.pack("!H", checksum(head)) + head[12:] + segment


def tcp(sport: int, dport: int, seq: int, ack: int, flags: int, data: bytes = b"") -> bytes:
    return struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 0x50, flags, 64240, 0, 0) + data


def udp(sport: int, dport: int, data: bytes) -> bytes:
    return struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data


def name(text: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in text.split(".")) + b"\0"


def dns(number: int, asked: str, answers: Sequence[str] = (), *, response: bool = False, rcode: int = 0) -> bytes:
    """A question for an A record, or its answer."""
    made = struct.pack("!HHHHHH", number, (0x8180 if response else 0x0100) | rcode, 1, len(answers), 0, 0) + name(asked) + struct.pack("!HH", 1, 1)
    return made + b"".join(b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + ipaddress.ip_address(one).packed for one in answers)


def client_hello(server: str) -> bytes:
    sni = server.encode()
    extension = struct.pack("!HHHBH", 0, len(sni) + 5, len(sni) + 3, 0, len(sni)) + sni
    versions = struct.pack("!HHB", 43, 5, 4) + b"\x03\x04\x03\x03"
    body = b"\x03\x03" + bytes(range(32)) + b"\0" + struct.pack("!H", 4) + b"\x13\x01\xc0\x2f" + b"\x01\x00" + struct.pack("!H", len(extension + versions)) + extension + versions
    return b"\x16\x03\x01" + struct.pack("!H", len(body) + 4) + b"\x01" + struct.pack("!I", len(body))[1:] + body


def conversation(at: float, client: tuple[str, int], server: tuple[str, int], said: Sequence[bytes], *, closed: bool = True) -> list[Timed]:
    """A whole TCP conversation; what is ``said`` comes from the client and the server in turn."""
    ends, seq, found = (client, server), [1000, 5000], []

    def send(who: int, flags: int, data: bytes = b"") -> None:
        (a, ap), (b, bp) = ends[who], ends[1 - who]
        found.append((at + len(found) / 100, packet(a, b, 6, tcp(ap, bp, seq[who], seq[1 - who] if flags & ACK else 0, flags, data))))
        seq[who] += len(data) + (1 if flags & (SYN | FIN) else 0)

    send(0, SYN)
    send(1, SYN | ACK)
    send(0, ACK)
    for number, data in enumerate(said):
        send(number % 2, PSH | ACK, data)
    if closed:
        send(0, FIN | ACK)
        send(1, FIN | ACK)
        send(0, ACK)
    return found


def datagram(at: float, src: tuple[str, int], dst: tuple[str, int], data: bytes) -> Timed:
    return at, packet(src[0], dst[0], 17, udp(src[1], dst[1], data))


def pcap(packets: Sequence[Timed], *, order: str = "<", nano: bool = False) -> bytes:
    """The format of libpcap (draft-ietf-opsawg-pcap)."""
    parts = [struct.pack(order + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)]
    for at, data in packets:
        parts.append(struct.pack(order + "IIII", int(at), int(at % 1 * (1e9 if nano else 1e6)), len(data), len(data)) + data)
    return b"".join(parts)


def pcapng(packets: Sequence[Timed], *, order: str = "<") -> bytes:
    """draft-ietf-opsawg-pcapng: one section, one interface, enhanced packet blocks, times in microseconds."""

    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)

    parts = [block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)), block(1, struct.pack(order + "HHI", 1, 0, 65535))]
    for at, data in packets:
        ticks = int(at * 1e6)
        parts.append(block(6, struct.pack(order + "IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data)) + data))
    return b"".join(parts)


def office(at: float) -> list[Timed]:
    """A minute of a small network: a name asked and answered, a page fetched over HTTP, a TLS hello, a name without an answer."""
    client, resolver, server = "10.0.0.9", "10.0.0.53", "198.51.100.1"
    page = b"GET /gate.php?id=7 HTTP/1.1\r\nHost: www.bad.example\r\nUser-Agent: curl/8.0\r\n\r\n"
    return [
        datagram(at, (client, 40000), (resolver, 53), dns(7, "www.bad.example")),
        datagram(at + 0.1, (resolver, 53), (client, 40000), dns(7, "www.bad.example", [server], response=True)),
        *conversation(at + 1, (client, 40001), (server, 80), [page, b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope"]),
        *conversation(at + 2, (client, 40002), (server, 443), [client_hello("login.bad.example")], closed=False),
        datagram(at + 3, (client, 40003), (resolver, 53), dns(8, "lost.bad.example")),
    ]
