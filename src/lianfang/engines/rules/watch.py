"""Indicators of compromise, found in the same pass as the rules: a distinct value is looked at once.

A value is cut into words, and the words are looked up: addresses (also in networks), host names and their parents, hashes,
and URLs. Nothing grows with the number of indicators but the sets themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from lianfang.engines.rules.matchers import Networks, addresses
from lianfang.engines.rules.types import WatchSets

PREFIX = "ioc:"

_URL_END = bytes(byte if byte > 0x20 and byte not in b"\"'<>|`{}\\^" else 0x20 for byte in range(256))
_NAME = bytes(byte if chr(byte).isalnum() or byte in b"._-" or byte >= 0x80 else 0x20 for byte in range(256))
_ADDRESS6 = bytes(byte if byte in b"0123456789abcdef:." else 0x20 for byte in range(256))
_SHORTEST = 4
_IDLE_ENDINGS = ("guid", "time", "timestamp", "pid", "port", "version", "task", "opcode", "level", "keywords", "recordid", "recordnumber", "calltrace", "processid", "threadid", "logonid")
_IDLE = frozenset({"channel", "eventid", "provider", "providername", "eventtype", "grantedaccess", "systemtime", "severity", "severityvalue", "ruleid", "rulename"})


def worth(name: str) -> bool:
    """Whether a field may hold an indicator: identifiers, times and counters are passed over.

    >>> worth("DestinationIp"), worth("ProcessGuid")
    (True, False)
    """
    plain = "".join(char for char in name.lower() if char.isalnum())
    return plain not in _IDLE and not plain.endswith(_IDLE_ENDINGS)


class Watch:
    """``find(raw)`` → uids of the indicators in a value."""

    def __init__(self, sets: WatchSets) -> None:
        self.words: dict[bytes, str] = {}
        self._add("hash", sets.hashes)
        self._add("ip", sets.ips)
        self.numbers = {address: f"{PREFIX}ip:{ip}" for ip in sets.ips for address in addresses(ip)}
        self.domains = {_plain(domain).strip(b"."): f"{PREFIX}domain:{domain}" for domain in sets.domains}
        self.urls = {_canonical(_encode(url)): f"{PREFIX}url:{url}" for url in sets.urls}
        self.networks = Networks([(cidr, f"{PREFIX}cidr:{cidr}") for cidr in sets.cidrs])

    def _add(self, kind: str, values: Iterable[str]) -> None:
        self.words.update((_plain(value), f"{PREFIX}{kind}:{value}") for value in values)

    def find(self, raw: bytes) -> list[str]:
        """Uids of all indicators in ``raw`` (UTF-8), each once, in order of appearance."""
        found: dict[str, None] = {}
        for uid in self._all(raw):
            found.setdefault(uid)
        return list(found)

    def _all(self, raw: bytes) -> Iterator[str]:
        low = raw.lower()
        for word in low.translate(_NAME).split():
            if len(word) >= _SHORTEST:
                yield from self._word(word.strip(b"."))
        if low.count(b":") >= 2:
            yield from self._addresses6(low)
        if self.urls and b"://" in raw:
            yield from self._urls(raw)

    def _word(self, word: bytes) -> Iterator[str]:
        if word in self.words:
            yield self.words[word]
        if b"." not in word:
            return
        if self.networks.lengths and word.replace(b".", b"").isdigit():
            yield from self.networks.holding(word.decode())
        while self.domains and word:
            if word in self.domains:
                yield self.domains[word]
            word = word.partition(b".")[2]

    def _addresses6(self, low: bytes) -> Iterator[str]:
        for word in low.translate(_ADDRESS6).split():
            if word.count(b":") >= 2:
                text = word.strip(b".").decode()
                yield from (self.numbers[address] for address in addresses(text) if address in self.numbers)
                yield from self.networks.holding(text)

    def _urls(self, raw: bytes) -> Iterator[str]:
        for word in raw.translate(_URL_END).split():
            start = word.find(b"://")
            if start > 0:
                url = _canonical(word[_scheme_start(word, start) :])
                for form in (url, url.rstrip(b".,;:!?)]"), url.rstrip(b".,;:!?)]").rstrip(b"/")):
                    if form in self.urls:
                        yield self.urls[form]


def _encode(text: str) -> bytes:
    return text.strip().encode("utf-8", "replace")


def _plain(text: str) -> bytes:
    return _encode(text).lower()


def _scheme_start(word: bytes, end: int) -> int:
    start = end
    while start and (word[start - 1 : start].isalnum()):
        start -= 1
    return start


def _canonical(url: bytes) -> bytes:
    """Scheme and host in lower case, the path as it is, no final slash on a bare host.

    >>> _canonical(b"HTTP://Evil.example/A")
    b'http://evil.example/A'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    head = parts.scheme + b"://" + parts.netloc.lower()
    tail = url[len(head) :]
    return head if tail == b"/" else head + tail
