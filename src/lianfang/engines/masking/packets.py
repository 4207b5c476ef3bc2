"""A capture (pcap, pcapng) for sharing: addresses are replaced, and everything behind the transport header is cut off.

In: the capture as a stream, and what stands in for an address. Out: the same capture, packet for packet, with the times, lengths,
ports, flags and sequence numbers that flows are read from. Whatever is not understood is cut, never passed on: unknown protocols,
options, comments, resolved names, secrets of sessions. Formats: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng; RFC 791, 8200, 9293, 826.
"""

from __future__ import annotations

import hmac
import ipaddress
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from lianfang.kernel.errors import Invalid

Hide = Callable[[str], str]
LONGEST = 1 << 20
"""Bytes of one packet or block; real ones have at most 256 KiB."""
REMEMBERED = 200_000
"""Addresses whose stand-ins are kept at hand."""
_ORDERS = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\xa1\xb2\x3c\x4d": ">"}
_SECTION = b"\x0a\x0d\x0d\x0a"
_IP4, _IP6, _ARP, _VLAN = 0x0800, 0x86DD, 0x0806, (0x8100, 0x88A8)
_ETHERNET, _RAW, _COOKED, _COOKED2, _NULL = 1, (12, 14, 101), 113, 276, (0, 108)
LINKS = (_ETHERNET, *_RAW, _COOKED, _COOKED2, *_NULL)
"""Link types (tcpdump.org/linktypes.html) that are understood."""
_KEPT_TCP = (2, 3, 4, 5, 8)
"""TCP options that name nobody: segment size, window scale, selective acknowledgement, timestamps (RFC 9293, 2018, 7323)."""


class Readable(Protocol):
    """What a capture is read from."""

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass
class Rewriter:
    """``run`` gives the new capture in pieces; afterwards the counts are those of the whole. ``hide``: address → the address that stands in for it."""

    hide: Hide
    secret: bytes
    packets: int = 0
    whole: bool = True
    """Whether the capture was read to its end."""
    left_out: int = 0
    """Blocks of pcapng that were not passed on."""
    _known: dict[bytes, bytes] = field(default_factory=dict)

    def run(self, stream: Readable) -> Iterator[bytes]:
        """The capture anew. Raises ``Invalid`` before the first piece for what is no capture, or of a link that is not understood."""
        magic = stream.read(4)
        if magic in _ORDERS:
            yield from self._pcap(stream, magic)
        elif magic == _SECTION:
            yield from self._pcapng(stream)
        else:
            raise Invalid("This is no capture of packets", why="It begins like neither pcap nor pcapng.", todo="Send the file that tcpdump or Wireshark wrote, unpacked.")

    # ---- files ---------------------------------------------------------------------------------------------------

    def _pcap(self, stream: Readable, magic: bytes) -> Iterator[bytes]:
        order, head = _ORDERS[magic], stream.read(20)
        if len(head) < 20:
            raise Invalid("The capture has no header", todo="Send the whole file.")
        major, minor, _, _, snap, link = struct.unpack(order + "HHiIII", head)
        _must_know(link & 0xFFFF)
        yield magic + struct.pack(order + "HHiIII", major, minor, 0, 0, snap, link)
        while header := stream.read(16):
            seconds, part, kept, size = struct.unpack(order + "IIII", header) if len(header) == 16 else (0, 0, LONGEST + 1, 0)
            packet = stream.read(kept) if kept <= LONGEST else b""
            if len(packet) < kept:
                self.whole = False
                return
            fresh = self.packet(packet, link & 0xFFFF)
            yield struct.pack(order + "IIII", seconds, part, len(fresh), max(size, len(fresh))) + fresh

    def _pcapng(self, stream: Readable) -> Iterator[bytes]:
        """Sections, interfaces and packets; names, secrets, statistics, comments and blocks of others are left out."""
        order, links, first, kind = "<", list[int](), True, _SECTION
        while kind:
            rest = stream.read(4)
            if kind == _SECTION:
                mark = stream.read(4)
                order, links = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(mark, ""), []
                if not order:
                    if first:
                        raise Invalid("This is no capture of packets", why="Its first block names no byte order.", todo="Send the file that Wireshark wrote, unpacked.")
                    self.whole = False
                    return
            size = struct.unpack(order + "I", rest)[0] if len(rest) == 4 else 0
            have = 12 if kind == _SECTION else 8
            body = stream.read(size - have) if have + 4 <= size <= LONGEST + 64 and not size % 4 else b""
            if not body or len(body) < size - have:
                self.whole = False
                return
            yield from self._block(struct.unpack(order + "I", kind)[0], body[:-4], order, links)
            first, kind = False, stream.read(4)
            if kind and len(kind) < 4:
                self.whole = False
                return

    def _block(self, kind: int, body: bytes, order: str, links: list[int]) -> Iterator[bytes]:
        if kind == 0x0A0D0D0A:
            yield _block(kind, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)
        elif kind == 1 and len(body) >= 8:
            link, _, snap = struct.unpack_from(order + "HHI", body)
            _must_know(link)
            links.append(link)
            yield _block(kind, struct.pack(order + "HHI", link, 0, snap) + _clock(body[8:], order), order)
        elif kind == 6 and len(body) >= 20:
            interface, high, low, kept, size = struct.unpack_from(order + "IIIII", body)
            if interface >= len(links) or kept > len(body) - 20:
                self.left_out += 1
                return
            fresh = self.packet(body[20 : 20 + kept], links[interface])
            yield _block(kind, struct.pack(order + "IIIII", interface, high, low, len(fresh), max(size, len(fresh))) + fresh, order)
        elif kind == 3 and len(body) >= 4 and links:
            (size,) = struct.unpack_from(order + "I", body)
            fresh = self.packet(body[4 : 4 + size], links[0])
            yield _block(kind, struct.pack(order + "I", max(size, len(fresh))) + fresh, order) if size == len(fresh) else _block(6, struct.pack(order + "IIIII", 0, 0, 0, len(fresh), size) + fresh, order)
        else:
            self.left_out += 1

    # ---- packets -------------------------------------------------------------------------------------------------

    def packet(self, packet: bytes, link: int) -> bytes:
        """One packet anew, from its link header on."""
        self.packets += 1
        if link == _ETHERNET:
            return self._ethernet(packet)
        if link in _RAW:
            return self._ip(packet)
        if link in _NULL:
            return packet[:4] + self._ip(packet[4:])
        if link == _COOKED:
            kind = int.from_bytes(packet[14:16], "big")
            return packet[:4] + self._cooked(packet[4:6], packet[6:14]) + packet[14:16] + self._network(kind, packet[16:]) if len(packet) >= 16 else b""
        kind = int.from_bytes(packet[:2], "big")
        return packet[:11] + self._cooked(b"\0" + packet[11:12], packet[12:20]) + self._network(kind, packet[20:]) if len(packet) >= 20 else b""

    def _cooked(self, length: bytes, address: bytes) -> bytes:
        """The link address of a cooked header: kept as long as it was, replaced where it is a hardware address."""
        fresh = self._hardware(address[:6]) + b"\0\0" if length[-1] == 6 else bytes(8)
        return (length + fresh) if len(length) == 2 and length[0] == 0 and len(address) == 8 and length != b"\0\0" else length + bytes(8)

    def _ethernet(self, packet: bytes) -> bytes:
        if len(packet) < 14:
            return b""
        at, kind = 14, int.from_bytes(packet[12:14], "big")
        while kind in _VLAN and len(packet) >= at + 4:
            kind, at = int.from_bytes(packet[at + 2 : at + 4], "big"), at + 4
        return self._hardware(packet[:6]) + self._hardware(packet[6:12]) + packet[12:at] + self._network(kind, packet[at:])

    def _network(self, kind: int, data: bytes) -> bytes:
        if kind == _ARP:
            return self._arp(data)
        return self._ip(data) if kind in (_IP4, _IP6) else b""

    def _ip(self, data: bytes) -> bytes:
        version = data[0] >> 4 if data else 0
        return self._ip4(data) if version == 4 else self._ip6(data) if version == 6 else b""

    def _arp(self, data: bytes) -> bytes:
        """RFC 826 over Ethernet and IPv4; anything else is cut."""
        if len(data) < 28 or data[:6] != b"\0\x01\x08\0\x06\x04":
            return b""
        return data[:8] + self._hardware(data[8:14]) + self._address(data[14:18]) + self._hardware(data[18:24]) + self._address(data[24:28])

    def _ip4(self, data: bytes) -> bytes:
        length = (data[0] & 15) * 4
        if length < 20 or len(data) < length:
            return b""
        src, dst = self._address(data[12:16]), self._address(data[16:20])
        head = data[:10] + b"\0\0" + src + dst + b"\x01" * (length - 20)  # options may hold addresses: they become “no operation”
        head = head[:10] + struct.pack("!H", _checksum(head)) + head[12:]
        total, later = int.from_bytes(data[2:4], "big"), int.from_bytes(data[6:8], "big") & 0x1FFF
        return head if later else head + self._transport(data[9], data[length:], src + dst, max(0, total - length))

    def _ip6(self, data: bytes) -> bytes:
        if len(data) < 40:
            return b""
        src, dst = self._address(data[8:24]), self._address(data[24:40])
        found, kind, at, size = data[:1] + bytes((data[1] & 0xF0, 0, 0)) + data[4:8] + src + dst, data[6], 40, int.from_bytes(data[4:6], "big")
        while kind in (0, 43, 60, 44) and len(data) >= at + 8:
            length = 8 if kind == 44 else (data[at + 1] + 1) * 8
            part = data[at : at + length]
            if len(part) < length:
                return found
            found += part if kind == 44 else part[:4] + bytes(length - 4) if kind == 43 else part[:2] + bytes(length - 2)  # zeros are padding; routes name addresses
            later = kind == 44 and int.from_bytes(part[2:4], "big") >> 3
            kind, at = part[0], at + length
            if later:
                return found
        return found + self._transport(kind, data[at:], src + dst, max(0, size - (at - 40)))

    def _transport(self, kind: int, data: bytes, ends: bytes, size: int) -> bytes:
        """The header of TCP, UDP or ICMP. Its checksum is right for a payload of zeros, as long as the one that was cut off."""
        if kind == 6 and len(data) >= 20:
            length = (data[12] >> 4) * 4
            if length < 20 or len(data) < length:
                return b""
            return _summed(data[:20] + _options(data[20:length]), 16, kind, ends, size)
        if kind == 17 and len(data) >= 8:
            return _summed(data[:8], 6, kind, ends, size)
        if kind in (1, 58) and len(data) >= 8:
            kept = data[:8] if data[0] in ((0, 8) if kind == 1 else (128, 129)) else data[:4] + bytes(4)  # what is said of other packets is cut, gateways too
            return _summed(kept, 2, kind, ends, size)
        return b""

    # ---- addresses -----------------------------------------------------------------------------------------------

    def _address(self, packed: bytes) -> bytes:
        """What stands in for an IP address. Groups, broadcast, loopback and “none” name nobody and stay."""
        if packed not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            address = ipaddress.ip_address(packed)
            stays = address.is_multicast or address.is_loopback or address.is_unspecified or packed == b"\xff" * 4
            fresh = packed if stays else ipaddress.ip_address(self.hide(str(address))).packed
            if len(fresh) != len(packed):
                raise Invalid("The rule makes another kind of address", why=f"An address of {len(packed)} bytes became one of {len(fresh)}.", todo="Choose a rule that gives addresses pseudonyms, or cuts them to their network.")
            self._known[packed] = fresh
        return self._known[packed]

    def _hardware(self, address: bytes) -> bytes:
        """A hardware address that is locally administered; groups stay."""
        if address[0] & 1 or not any(address):
            return address
        told = hmac.digest(self.secret, b"hardware\0" + address, "sha256")[:6]
        return bytes(((told[0] & 0xFC) | 2,)) + told[1:]


def _must_know(link: int) -> None:
    if link not in LINKS:
        raise Invalid("The link of this capture is not understood", why=f"It is of type {link}; Ethernet, raw IP, Linux cooked and loopback are rewritten. Nothing is passed on that nobody has looked into.", todo="Capture on an Ethernet interface.")


def _block(kind: int, body: bytes, order: str) -> bytes:
    body += bytes(-len(body) % 4)
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def _clock(options: bytes, order: str) -> bytes:
    """Of an interface's options only how its times are written (9: resolution, 14: offset)."""
    found, at = b"", 0
    while at + 4 <= len(options):
        code, length = struct.unpack_from(order + "HH", options, at)
        end = at + 4 + length + (-length % 4)
        if code in (9, 14) and end <= len(options):
            found += options[at:end]
        at = end if code else len(options)
    return found + bytes(4) if found else b""


def _options(options: bytes) -> bytes:
    """TCP options that name nobody, the others as “no operation”."""
    found, at = bytearray(b"\x01" * len(options)), 0
    while at < len(options) and options[at]:
        if options[at] == 1:
            at += 1
            continue
        length = options[at + 1] if at + 1 < len(options) else 0
        if length < 2 or at + length > len(options):
            break
        if options[at] in _KEPT_TCP:
            found[at : at + length] = options[at : at + length]
        at += length
    return bytes(found)


def _summed(header: bytes, place: int, kind: int, ends: bytes, size: int) -> bytes:
    """The header with its checksum over the pseudo header (RFC 9293, 8200) and zeros; ICMP over IPv4 has none."""
    header = header[:place] + b"\0\0" + header[place + 2 :]
    pseudo = b"" if kind == 1 else ends + (struct.pack("!BBH", 0, kind, size & 0xFFFF) if len(ends) == 8 else struct.pack("!IHBB", size, 0, 0, kind))
    return header[:place] + struct.pack("!H", _checksum(pseudo + header) or (0xFFFF if kind == 17 else 0)) + header[place + 2 :]


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF
