"""Keyed pseudonyms: the same value has the same stand-in for one key and domain, and nobody without the key can go back.

In: distinct values and a key. Out: stand-ins of the form that is asked: digits stay digits of the same length (FF1, NIST SP
800-38G), addresses keep the prefixes that they share (Crypto-PAn, Xu, Fan, Ammar and Moon 2002, over IPv4 and IPv6), mail
addresses stay mail addresses, names become short words.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from base64 import b32encode
from collections.abc import Sequence
from typing import Any

import numpy as np

from lianfang.engines.envelope import block_cipher, derived

LEAST_DIGITS = 6
"""FF1 is defined from a million values on; fewer digits get a keyed stand-in of their length, which several may share."""
PART = 10_000
_DIGITS = re.compile(r"\d")


class Keyed:
    """The pseudonyms of one domain. ``secret``: at least 16 bytes that no other domain has.

    >>> keyed = Keyed(bytes(32))
    >>> keyed.words(["li", "LI"]) == [keyed.word("li")] * 2
    True
    >>> len(keyed.digits("138-1234-5678")), keyed.digits("138-1234-5678")[3]
    (13, '-')
    """

    def __init__(self, secret: bytes):
        self.secret = secret
        self._ff1 = FF1(derived(secret, "digits"))
        self._address = derived(secret, "addresses")
        self._words = derived(secret, "words")

    def word(self, value: str, *, prefix: str = "u") -> str:
        """A short word, the same for upper and lower case: 50 bits, so among a million names two share one with a chance of 1 in 2,000."""
        return f"{prefix}_{b32encode(hmac.digest(self._words, value.lower().encode('utf-8', 'surrogatepass'), 'sha256'))[:10].decode().lower()}"

    def words(self, values: Sequence[str], *, prefix: str = "u") -> list[str]:
        return [self.word(value, prefix=prefix) for value in values]

    def name(self, value: str) -> str:
        r"""A user name; the domain in front (``CORP\li``) has a word of its own, a mail address stays one.

        >>> Keyed(bytes(32)).name("CORP\\li").count("\\")
        1
        """
        if "\\" in value:
            domain, _, own = value.rpartition("\\")
            return f"{self.word(domain, prefix='d')}\\{self.word(own)}"
        return self.mail(value) if 0 < value.find("@") < len(value) - 1 else self.word(value)

    def mail(self, value: str, *, keep_domain: bool = False) -> str:
        """A mail address whose two parts are hidden apart, so that people of one domain are still seen to be of one."""
        own, at, domain = value.rpartition("@")
        if not at:
            return self.word(value)
        return f"{self.word(own)}@{domain if keep_domain else self.word(domain, prefix='d').replace('_', '-') + '.invalid'}"

    def digits(self, value: str) -> str:
        """Every digit becomes a digit; what is no digit stays where it is."""
        found = _DIGITS.findall(value)
        if not found:
            return self.word(value)
        told = iter(self._ff1.encrypt("".join(found)) if len(found) >= LEAST_DIGITS else self._few("".join(found)))
        return _DIGITS.sub(lambda _digit: next(told), value)

    def digest(self, value: str) -> str:
        """A keyed digest of 128 bits. Without the key the few possible phones or identity numbers cannot be tried out."""
        return hmac.digest(self._words, b"digest\0" + value.encode("utf-8", "surrogatepass"), "sha256").hex()[:32]

    def addresses(self, values: Sequence[str]) -> list[str]:
        """IP addresses, prefix by prefix; what is no address becomes a word.

        >>> one, two = Keyed(bytes(32)).addresses(["192.0.2.17", "192.0.2.99"])
        >>> one.rpartition(".")[0] == two.rpartition(".")[0], one != two
        (True, True)
        """
        told: dict[int, str] = {}
        for width, size, made in ((32, 4, ipaddress.IPv4Address), (128, 16, ipaddress.IPv6Address)):
            known = [(at, parsed) for at, parsed in enumerate(map(_parsed, values)) if parsed is not None and len(parsed) == size]
            for start in range(0, len(known), PART):
                part = known[start : start + PART]
                hidden = _panonymised(self._address, b"".join(packed for _at, packed in part), width)
                told.update({at: str(made(bytes(row))) for (at, _packed), row in zip(part, hidden)})
        return [told[at] if at in told else self.word(value, prefix="h") for at, value in enumerate(values)]

    def _few(self, digits: str) -> str:
        number = int.from_bytes(hmac.digest(self._words, b"few\0" + digits.encode(), "sha256")[:8], "big")
        return f"{number % 10 ** len(digits):0{len(digits)}d}"


class FF1:
    """Format-preserving encryption of digits (NIST SP 800-38G, radix 10).

    >>> FF1(bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")).encrypt("0123456789")
    '2433477484'
    """

    def __init__(self, key: bytes, tweak: bytes = b""):
        self.tweak, self._aes = tweak, block_cipher(key)

    def encrypt(self, digits: str) -> str:
        """As many digits again."""
        left, length = len(digits) // 2, len(digits)
        right = length - left
        size = (int(10**right - 1).bit_length() + 7) // 8
        wanted = 4 * ((size + 3) // 4) + 4
        head = bytes((1, 2, 1, 0, 0, 10, 10, left % 256)) + length.to_bytes(4, "big") + len(self.tweak).to_bytes(4, "big")
        before = self.tweak + bytes(-(len(self.tweak) + size + 1) % 16)
        one, two = int(digits[:left] or 0), int(digits[left:])
        for turn in range(10):
            told = self._mac(head + before + bytes((turn,)) + two.to_bytes(size, "big"))
            more = (wanted + 15) // 16
            stream = told + b"".join(self._aes(_xor(told, at.to_bytes(16, "big"))) for at in range(1, more))
            one, two = two, (one + int.from_bytes(stream[:wanted], "big")) % 10 ** (right if turn % 2 else left)
        return f"{one:0{left}d}{two:0{right}d}" if left else f"{two:0{right}d}"

    def _mac(self, data: bytes) -> bytes:
        told = bytes(16)
        for at in range(0, len(data), 16):
            told = self._aes(_xor(told, data[at : at + 16]))
        return told


def _xor(one: bytes, two: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(two, "big")).to_bytes(16, "big")


def _parsed(value: str) -> bytes | None:
    try:
        return ipaddress.ip_address(value.strip()).packed
    except ValueError:
        return None


def _panonymised(key: bytes, packed: bytes, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Crypto-PAn over many addresses at once: bit ``n`` is turned by AES of the first ``n`` bits, filled up from a pad. One call of AES for all of them."""
    size = width // 8
    given = np.frombuffer(packed, np.uint8).reshape(-1, size)
    aes = block_cipher(key[:16])
    pad = np.frombuffer(aes(key[16:]), np.uint8)
    masks = np.zeros((width, 16), np.uint8)
    for bit in range(width):
        masks[bit] = np.frombuffer((((1 << bit) - 1) << (128 - bit)).to_bytes(16, "big"), np.uint8)
    wide = np.zeros((len(given), 16), np.uint8)
    wide[:, :size] = given
    asked = (wide[:, None, :] & masks) | (pad & ~masks)
    turned = np.frombuffer(aes(asked.tobytes()), np.uint8).reshape(len(given), width, 16)[:, :, 0] >> 7
    return np.asarray(given ^ np.packbits(turned, axis=1), np.uint8)
