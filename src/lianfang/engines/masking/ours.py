"""What is ours in any text: people, hosts, addresses of our own networks, personal numbers; hidden, while what is others' stays.

In: domains of our own, values that are to be covered, keys. Out: texts without them. Links keep their host unless it is ours; an address of
our network stays one of a private network, so that nobody takes its stand-in for an attacker's.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from lianfang.engines.masking.keyed import Keyed
from lianfang.engines.masking.methods import Form, Method, Verb
from lianfang.engines.masking.texts import Cover, cleared, covered
from lianfang.engines.schema.observables import PRIVATE

NUMBERS = {"phone": Form.PHONE, "resident_id": Form.RESIDENT_ID, "bank_card": Form.BANK_CARD, "credit_code": Form.TEXT, "credential": Form.TEXT}
"""What is looked for inside subject and text, and how it is masked."""
INSIDE = ("local", "lan", "internal", "intranet", "corp", "home", "localdomain")
"""Ends of names that lead nowhere outside."""
_LINK = re.compile(r"(?:https?|ftp)://[^\s<>\"']{1,4000}", re.IGNORECASE)
_PARTS = re.compile(r"(\w+://)([^/?#\\]*)(.*)", re.DOTALL)
_TAG = re.compile(r"<[^<>]{0,8000}>")
_MAIL = re.compile(r"[A-Za-z0-9.!#$%&*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}")
_NUMBER = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])|(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
Secret = Callable[[str], bytes]


class Ours:
    """What is ours, and its stand-ins.

    >>> ours = Ours(["harbour.example"], lambda domain: bytes(32), words=["Li Na"])
    >>> ours.text("Li Na on pc-1.harbour.example (10.1.2.3) called http://harbour.example.evil.test/ and 203.0.113.9").split()[4:]
    ['called', 'http://harbour.example.evil.test/', 'and', '203.0.113.9']
    """

    def __init__(self, domains: Iterable[str], secret: Secret, *, words: Iterable[str] = (), kinds: Iterable[str] = tuple(NUMBERS)):
        self.domains = frozenset(domain.lower().strip(" .@") for domain in domains if domain.strip(" .@"))
        self.people, self.places, self.numbers, self.kinds = Keyed(secret("users")), Keyed(secret("hosts")), Keyed(secret("addresses")), tuple(kinds)
        names = "|".join(re.escape(domain) for domain in sorted(self.domains, key=len, reverse=True))
        self._below = re.compile(rf"(?<![\w-])(?:[\w-]{{1,63}}\.){{0,10}}(?:{names or '(?!)'})(?![\w-]|\.[\w-])", re.IGNORECASE)
        self._covers: list[Cover] = []
        self.cover({word.strip(): self.people.word(word.strip(), prefix="x") for word in words if len(word.strip()) >= 2})

    def cover(self, values: Mapping[str, str]) -> None:
        """Cover these values from now on, value → stand-in; the longest first."""
        self._covers = sorted([*self._covers, *(Cover(value, hidden) for value, hidden in values.items())], key=lambda one: -len(one.value))

    def holds(self, host: str) -> bool:
        """Whether a host is below our domains, or has a name that leads nowhere outside."""
        low = host.lower().strip(".")
        return any(low == domain or low.endswith("." + domain) for domain in self.domains) or low.rpartition(".")[2] in INSIDE

    def host(self, host: str) -> str:
        """The stand-in of a host of ours: below the stand-in of its domain."""
        domain = next((one for one in sorted(self.domains, key=len, reverse=True) if f".{host.lower()}".endswith(f".{one}")), "")
        own = host[: len(host) - len(domain)].strip(".") if domain else host
        parts = [self.places.word(own, prefix="h").replace("_", "-")] if own else []
        return ".".join([*parts, self.people.word(domain, prefix="d").replace("_", "-"), "invalid"] if domain else parts)

    def text(self, text: str, *, links: bool = True, markup: bool = False) -> str:
        """A text without what is ours; of links only the names of people and hosts of ours are covered."""
        pieces, at = list[str](), 0
        for hit in _LINK.finditer(text) if links else ():
            pieces += [self._plain(text[at : hit.start()]), self._link(hit[0])]
            at = hit.end()
        new = "".join([*pieces, self._plain(text[at:])])
        return self._cleared(new, links, markup) if self.kinds else new

    def _plain(self, text: str) -> str:
        """Text without people, hosts and addresses of ours."""
        text = covered(text, [one for one in self._covers if "@" in one.value])
        text = _MAIL.sub(lambda found: self.people.mail(found[0]) if self.holds(found[0].rpartition("@")[2]) else found[0], text)
        text = covered(self._below.sub(lambda found: self.host(found[0]), text), [one for one in self._covers if "@" not in one.value])  # names after hosts: “harbour” must not tear harbour.example
        return _NUMBER.sub(lambda found: self.address(found[0]), text)

    def _link(self, link: str) -> str:
        """A link: its host stays unless it is ours, whatever it looks like; behind it our people and hosts are covered."""
        scheme, host, rest = _PARTS.fullmatch(link).groups()  # type: ignore[union-attr]
        name = host.rpartition("@")[2].partition(":")[0]
        return scheme + (self._plain(host) if self.holds(name) or _NUMBER.fullmatch(name.strip("[]")) else host) + self._plain(rest)

    def address(self, said: str) -> str:
        """An address of our own network stays one of a private network; others stay."""
        try:
            address = ipaddress.ip_address(said)
        except ValueError:
            return said
        if not any(address in network for network in PRIVATE if network.version == address.version):
            return said
        new = ipaddress.ip_address(self.numbers.addresses([said])[0])
        packed = new.packed
        return str(ipaddress.IPv4Address(b"\x0a" + packed[1:])) if address.version == 4 else str(ipaddress.IPv6Address(b"\xfd" + packed[1:]))

    def _cleared(self, text: str, links: bool, markup: bool) -> str:
        """Personal numbers and passwords masked; nothing inside a link or a tag is torn."""
        spared = re.compile("|".join(part.pattern for part, wanted in ((_LINK, links), (_TAG, markup)) if wanted) or r"(?!)", re.IGNORECASE)
        pieces, at = list[tuple[bool, str]](), 0
        for hit in spared.finditer(text):
            pieces += [(True, text[at : hit.start()]), (False, hit[0])]
            at = hit.end()
        pieces.append((True, text[at:]))
        own = [piece for wanted, piece in pieces if wanted]
        told = iter(cleared(own, self.kinds, self._masked)[0])
        return "".join(next(told) if wanted else piece for wanted, piece in pieces)

    def _masked(self, kind: str, values: Sequence[str]) -> list[str | None]:
        return Method(Verb.MASK, NUMBERS[kind]).hide(values, self.people)
