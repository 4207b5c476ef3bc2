"""Packets as tshark prints them (``-T ek``) → flows, DNS, HTTP and TLS facts, as a stream.

In: one object of named fields for each packet, in the order of the capture. Out: JSON objects with the names that Sigma
rules use; ``tshark.record`` says what each is. Memory is that of the open conversations: a conversation ends when it is
closed and its ports are used anew, when it was quiet for long in the capture's own time, or when too many others are newer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lianfang.engines.schema.observables import is_inside

Fields = Mapping[str, Sequence[str]]
Record = dict[str, Any]
Key = tuple[str, str, str, str, str]

NEEDED = (
    "frame.time_epoch", "frame.len", "frame.protocols", "ip.src", "ip.dst", "ip.proto", "ipv6.src", "ipv6.dst", "tcp.srcport", "tcp.dstport", "tcp.flags", "udp.srcport", "udp.dstport",
    "dns.id", "dns.flags.response", "dns.flags.rcode", "dns.qry.name", "dns.qry.type", "dns.resp.name", "dns.a", "dns.aaaa", "dns.cname",
    "http.request.method", "http.request.uri", "http.host", "http.user_agent", "http.referer", "http.response.code",
    "tls.handshake.type", "tls.handshake.extensions_server_name", "tls.handshake.extensions_alpn_str", "tls.handshake.version", "tls.handshake.extensions.supported_version",
)  # fmt: skip
"""Fields that every release of tshark since 3.0 knows."""
WELCOME = ("tls.handshake.ja3", "tls.handshake.ja3s", "tls.handshake.ja4")
"""Fields that newer releases know."""
MOST = 100_000
"""Conversations that are open at once."""
QUIET = 600.0
"""Seconds of the capture's own time after which a quiet conversation is told."""
WAITING = 64
"""Questions or requests of one conversation that may wait for their answers."""
_LONGEST = 8_192
_TYPES = {"1": "A", "2": "NS", "5": "CNAME", "6": "SOA", "12": "PTR", "15": "MX", "16": "TXT", "28": "AAAA", "33": "SRV", "64": "SVCB", "65": "HTTPS", "255": "ANY"}
_RCODES = {"0": "NOERROR", "1": "FORMERR", "2": "SERVFAIL", "3": "NXDOMAIN", "4": "NOTIMP", "5": "REFUSED"}
_VERSIONS = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}
_PROTOCOLS = {"1": "icmp", "2": "igmp", "6": "tcp", "17": "udp", "47": "gre", "50": "esp", "58": "icmp6", "89": "ospf", "132": "sctp"}
_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16
_CLOSED, _REFUSED = "closed", "refused"


@dataclass(slots=True)
class _Talk:
    """One conversation. Index 0 of what is counted is the client's side."""

    client: tuple[str, str]
    server: tuple[str, str]
    protocol: str
    first: str
    last: str = ""
    service: str = ""
    packets: list[int] = field(default_factory=lambda: [0, 0])
    bytes: list[int] = field(default_factory=lambda: [0, 0])
    flags: list[int] = field(default_factory=lambda: [0, 0])
    asked: dict[tuple[str, str], Record] = field(default_factory=dict)
    requests: deque[Record] = field(default_factory=deque)
    hello: Record | None = None

    def ends(self) -> Record:
        """Who speaks with whom, in the names of Sigma's ``firewall`` rules."""
        ports = {"src_port": self.client[1], "dst_port": self.server[1]} if self.client[1] else {}
        return {"src_ip": self.client[0], "dst_ip": self.server[0], "protocol": self.protocol, **ports}

    def state(self) -> str:
        """How it went, as far as the capture shows."""
        ours, theirs = self.flags
        if self.protocol != "tcp":
            return "answered" if self.packets[1] else "unanswered"
        if (ours | theirs) & _RST:
            return _REFUSED if ours & _SYN and not theirs & _SYN and theirs & _RST else "reset"
        if ours & theirs & _FIN:
            return _CLOSED
        return "unanswered" if not self.packets[1] else "open"


class Flows:
    """``take`` the packets one by one, then ``end``; both give records as they become whole."""

    def __init__(self, *, most: int = MOST, quiet: float = QUIET):
        self.most, self.quiet = most, quiet
        self.open: dict[Key, _Talk] = {}
        """Least recently heard first."""
        self.packets = 0

    def take(self, fields: Fields) -> Iterator[Record]:
        """The records that this packet completes; a packet without an IP address only counts."""
        self.packets += 1
        at = _one(fields, "frame_time_epoch")
        ends = _ends(fields)
        if ends is None or not at:
            return
        protocol, src, dst = ends
        flags = int(_one(fields, "tcp_flags") or "0", 16) if protocol == "tcp" else 0
        key = _key(protocol, src, dst)
        talk = self.open.pop(key, None)
        if talk is not None and flags & _SYN and not flags & _ACK and talk.state() in (_CLOSED, _REFUSED, "reset"):
            yield from _told(talk)
            talk = None
        if talk is None:
            client, server = (dst, src) if _is_answer(src[1], dst[1], flags) else (src, dst)
            talk = _Talk(client, server, protocol, at)
        self.open[key] = talk
        side = 0 if src == talk.client else 1
        talk.last = at
        talk.packets[side] += 1
        talk.bytes[side] += int(_one(fields, "frame_len") or 0)
        talk.flags[side] |= flags
        talk.service = _service(_one(fields, "frame_protocols"), protocol) or talk.service
        yield from _said(talk, at, fields)
        yield from self._old(at)

    def end(self) -> Iterator[Record]:
        """What is still open when the capture ends."""
        for talk in self.open.values():
            yield from _told(talk)
        self.open.clear()

    def _old(self, now: str) -> Iterator[Record]:
        """Conversations that are quiet for long, or too many."""
        before = float(now) - self.quiet
        while self.open:
            key = next(iter(self.open))
            if len(self.open) <= self.most and float(self.open[key].last) >= before:
                return
            yield from _told(self.open.pop(key))


# ---- one packet ------------------------------------------------------------------------------------------------


def _one(fields: Fields, name: str) -> str:
    found = fields.get(name)
    return found[0] if found else ""


def _ends(fields: Fields) -> tuple[str, tuple[str, str], tuple[str, str]] | None:
    """Protocol, and address and port of sender and receiver; of tunnels the innermost, of ICMP errors the outermost."""
    layers = _one(fields, "frame_protocols").split(":")
    icmp = next((layer for layer in layers if layer in ("icmp", "icmpv6")), "")
    which = 0 if icmp else -1
    found = [layer for layer in layers if layer in ("ip", "ipv6")]
    if not found or not (src := fields.get(found[which] + "_src")) or not (dst := fields.get(found[which] + "_dst")):
        return None
    if not icmp:
        for transport in reversed([layer for layer in layers if layer in ("tcp", "udp")]):
            if (sport := fields.get(transport + "_srcport")) and (dport := fields.get(transport + "_dstport")):
                return transport, (src[-1], sport[-1]), (dst[-1], dport[-1])
    number = fields.get("ip_proto") or ()
    protocol = icmp.replace("v", "") or (_PROTOCOLS.get(number[which], number[which]) if number and found[which] == "ip" else layers[-1])
    return protocol, (src[which], ""), (dst[which], "")


def _key(protocol: str, a: tuple[str, str], b: tuple[str, str]) -> Key:
    """The same for both directions."""
    (one, two) = (a, b) if a <= b else (b, a)
    return protocol, *one, *two


def _is_answer(sport: str, dport: str, flags: int) -> bool:
    """Whether the first packet that the capture holds comes from the server: it accepts, or has the well-known port."""
    if flags & _SYN:
        return bool(flags & _ACK)
    return bool(sport and int(sport) < 1024 <= int(dport))


def _service(layers: str, transport: str) -> str:
    """What is spoken above the transport."""
    above = layers.rpartition(f":{transport}:")[2].split(":")[0] if f":{transport}:" in layers else ""
    return "" if above in ("data", "tcp", "udp") else above


def _said(talk: _Talk, at: str, fields: Fields) -> Iterator[Record]:
    """DNS, HTTP and TLS of this packet; a question waits for its answer."""
    if "dns_id" in fields:
        yield from _dns(talk, at, fields)
    if "http_request_method" in fields:
        yield from _requests(talk, at, fields)
    for code in fields.get("http_response_code", ()):
        if talk.requests and not code.startswith("1"):
            yield {**talk.requests.popleft(), "sc-status": code}
    if "tls_handshake_type" in fields:
        yield from _tls(talk, at, fields)


def _record(kind: str, talk: _Talk, at: str, *, toward: str = "", **more: Any) -> Record:
    return {"tshark": {"record": kind, "time": at, **({"toward": toward} if toward else {})}, **talk.ends(), **{name: _cut(value) for name, value in more.items() if value}}


def _cut(value: Any) -> Any:
    return value[:_LONGEST] if isinstance(value, str) else [one[:_LONGEST] for one in value[:500]]


def _dns(talk: _Talk, at: str, fields: Fields) -> Iterator[Record]:
    name = (_one(fields, "dns_qry_name") or _one(fields, "dns_resp_name")).rstrip(".")
    kind = _one(fields, "dns_qry_type")
    number = _one(fields, "dns_id"), name.lower()
    if _one(fields, "dns_flags_response") not in ("1", "True", "true"):
        talk.asked.pop(number, None)  # asked once more
        talk.asked[number] = _record("dns", talk, at, query=name, record_type=_TYPES.get(kind, kind))
        if len(talk.asked) > WAITING:
            yield talk.asked.pop(next(iter(talk.asked)))
        return
    asked = talk.asked.pop(number, None) or _record("dns", talk, at, query=name, record_type=_TYPES.get(kind, kind))
    rcode = _one(fields, "dns_flags_rcode")
    asked["tshark"]["rcode"] = _RCODES.get(rcode, rcode)
    answers = [one for name in ("dns_cname", "dns_a", "dns_aaaa") for one in fields.get(name, ())]
    yield {**asked, "answer": _cut(answers)} if answers else asked


def _requests(talk: _Talk, at: str, fields: Fields) -> Iterator[Record]:
    """The requests of a packet (there may be several, pipelined)."""
    methods = fields["http_request_method"]
    talk.requests.extend(_request(talk, at, fields, number, len(methods)) for number in range(len(methods)))
    while len(talk.requests) > WAITING:
        yield talk.requests.popleft()


def _request(talk: _Talk, at: str, fields: Fields, number: int, count: int) -> Record:
    def nth(name: str) -> str:
        """Of several requests a header belongs to one only where all have it."""
        found = fields.get(name, ())
        return found[number] if len(found) == count else ""

    host, target = nth("http_host"), nth("http_request_uri")
    stem, _, query = target.partition("?")
    url = f"http://{host}{target}" if host and target.startswith("/") else target
    method, agent, before = nth("http_request_method"), nth("http_user_agent"), nth("http_referer")
    if is_inside(talk.server[0]):  # a server of somebody's own network: its requests are a matter of Sigma's ``webserver`` rules, others of ``proxy``
        return _record("http", talk, at, toward="inside", **{"cs-method": method, "cs-host": host, "cs-uri": target, "cs-uri-stem": stem, "cs-uri-query": query, "cs-user-agent": agent, "cs-referer": before, "url": url})
    return _record("http", talk, at, toward="outside", **{"cs-method": method, "cs-host": host, "c-uri": url, "c-uri-stem": stem, "c-uri-query": query, "c-useragent": agent, "cs-referrer": before})


def _tls(talk: _Talk, at: str, fields: Fields) -> Iterator[Record]:
    """A client's hello waits for the server's, which says what was agreed."""
    kinds = fields["tls_handshake_type"]
    if "1" in kinds:
        if talk.hello:
            yield talk.hello
        talk.hello = _record("tls", talk, at, server_name=_one(fields, "tls_handshake_extensions_server_name"))
        talk.hello["tshark"] |= {name: value for name, value in {"alpn": ",".join(fields.get("tls_handshake_extensions_alpn_str", ())), "ja3": _one(fields, "tls_handshake_ja3"), "ja4": _one(fields, "tls_handshake_ja4")}.items() if value}
    if "2" in kinds and talk.hello:
        hello, talk.hello = talk.hello, None
        version = _version(_one(fields, "tls_handshake_extensions_supported_version") or _one(fields, "tls_handshake_version"))
        hello["tshark"] |= {name: value for name, value in {"version": version, "ja3s": _one(fields, "tls_handshake_ja3s")}.items() if value}
        yield hello


def _version(text: str) -> str:
    try:
        return _VERSIONS.get(int(text, 0), text)
    except ValueError:
        return text


def _told(talk: _Talk) -> Iterator[Record]:
    """What of a conversation nobody answered, then the conversation itself."""
    yield from talk.asked.values()
    yield from talk.requests
    if talk.hello:
        yield talk.hello
    counts = {"packets_out": talk.packets[0], "packets_in": talk.packets[1], "bytes_out": talk.bytes[0], "bytes_in": talk.bytes[1]}
    about = {"record": "flow", "time": talk.first, "last": talk.last, "seconds": f"{max(0.0, float(talk.last) - float(talk.first)):.3f}", "state": talk.state(), **counts}
    yield {"tshark": about, **talk.ends(), **({"service": talk.service} if talk.service else {})}
