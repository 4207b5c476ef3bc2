"""Indicators of compromise, found in the same pass as the rules: a distinct value is looked at once.

A value is cut into words, and the words are looked up: addresses (also in networks), host names and their parents, hashes,
and URLs. Nothing grows with the number of indicators but the sets themselves.

A list that differs little from the last one made in this process takes over its indexes and changes what differs: one new
indicator among a hundred thousand costs milliseconds, not the whole again.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
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


class Index:
    """Spelling → uid of all values of some kinds. ``keys`` gives the spellings by which a value is found.

    ``before``: the one to take over, which stays as it is, where less than a quarter differs.

    >>> first = Index(lambda value: [value.lower()], {"hash": ["AB", "CD"]})
    >>> sorted(Index(lambda value: [value.lower()], {"hash": ["AB", "EF"]}, first).uids.items())
    [('ab', 'ioc:hash:AB'), ('ef', 'ioc:hash:EF')]
    """

    parts: dict[str, frozenset[str]]
    uids: dict[Hashable, str]
    bijective: bool
    """Whether each value has a spelling of its own: else, what goes could take with it what stays."""

    def __init__(self, keys: Callable[[str], Iterable[Hashable]], parts: Mapping[str, Collection[str]], before: Index | None = None) -> None:
        self.parts = {kind: frozenset(values) for kind, values in parts.items()}
        taken = {kind: before.parts[kind] if before is not None and before.bijective else frozenset() for kind in self.parts}
        differ = sum(len(values ^ taken[kind]) for kind, values in self.parts.items())
        if before is None or 4 * differ > len(self):
            taken = dict.fromkeys(self.parts, frozenset())
        self.uids = dict(before.uids) if before is not None and any(taken.values()) else {}
        for kind, values in self.parts.items():
            for value in taken[kind] - values:
                for key in keys(value):
                    self.uids.pop(key, None)
        for kind, values in self.parts.items():
            self.uids.update((key, f"{PREFIX}{kind}:{value}") for value in values - taken[kind] for key in keys(value))
        self.bijective = len(self.uids) == len(self)

    def __len__(self) -> int:
        return sum(map(len, self.parts.values()))


class Watch:
    """``find(raw)`` → uids of the indicators in a value."""

    indexes: dict[str, Index]

    def __init__(self, sets: WatchSets) -> None:
        before = _last_made()
        kinds: dict[str, tuple[Callable[[str], Iterable[Hashable]], Mapping[str, Collection[str]]]] = {
            "words": (lambda value: (_plain(value),), {"hash": sets.hashes, "ip": sets.ips}),
            "numbers": (addresses, {"ip": sets.ips}),
            "domains": (lambda value: (_plain(value).strip(b"."),), {"domain": sets.domains}),
            "urls": (lambda value: (_canonical(_encode(value)),), {"url": sets.urls}),
        }
        self.indexes = {name: Index(keys, parts, before.indexes[name] if before is not None else None) for name, (keys, parts) in kinds.items()}
        self.words, self.numbers, self.domains, self.urls = (index.uids for index in self.indexes.values())
        self.networks = Networks([(cidr, f"{PREFIX}cidr:{cidr}") for cidr in sets.cidrs])
        if sum(map(len, self.indexes.values())) >= _WORTH_KEEPING:
            _made[:] = [weakref.ref(self)]

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


_WORTH_KEEPING = 1_000
_made: list[weakref.ref[Watch]] = []
"""The last large one, as long as somebody uses it."""


def _last_made() -> Watch | None:
    return _made[0]() if _made else None


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
