"""Ciphers that other engines build on: AES over whole blocks, and a steady sealing that gives the same text the same seal.

In: keys and bytes. Out: bytes. ``block_cipher`` is the permutation that constructions such as FF1 and Crypto-PAn ask for; by itself it
hides nothing that repeats. ``Steady`` is AES-SIV (RFC 5297): equal texts can be told to be equal without the key, nothing else.
"""

from __future__ import annotations

import binascii
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from lianfang.kernel.errors import Invalid

BLOCK = 16
STEADY = "steady"
"""How a text that lies sealed steadily begins; then comes the generation of its key, and a dot."""
STEADILY = r"^steady([1-9][0-9]{0,5})\."
"""The same as a pattern, for those who look with RE2."""
_SEALED = re.compile(STEADILY)


def block_cipher(key: bytes) -> Callable[[bytes], bytes]:
    """AES of every block of 16 bytes by itself, set up once for many calls. Keys have 16 or 32 bytes.

    >>> block_cipher(bytes(16))(bytes(16)).hex()
    '66e94bd4ef8a2c3b884cfa59ca342b2e'
    """
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update  # noqa: S305  (single blocks, as the constructions above it define)


def derived(secret: bytes, purpose: str) -> bytes:
    """A key of 32 bytes for one purpose; keys of different purposes tell nothing of each other (HMAC-SHA-256).

    >>> derived(bytes(32), "users") == derived(bytes(32), "hosts")
    False
    """
    return hmac.digest(secret, purpose.encode(), "sha256")


@dataclass(frozen=True, slots=True)
class Steady:
    """Seals texts of one purpose so that the same text always has the same seal.

    >>> steady = Steady.of(bytes(32), "user")
    >>> steady.seal("li") == steady.seal("li"), steady.open(steady.seal("li"))
    (True, 'li')
    """

    secret: bytes = field(repr=False)
    generation: int = 1

    @classmethod
    def of(cls, secret: bytes, purpose: str, *, generation: int = 1) -> Steady:
        """With the key of a purpose out of the one secret of 32 bytes, which is that of a generation."""
        return cls(derived(secret, f"{purpose} (steady, authentication)") + derived(secret, f"{purpose} (steady, encryption)"), generation)

    def seal(self, text: str, *, anyway: bool = False) -> str:
        """The sealed text; texts that are sealed, or look so, stay as they are unless ``anyway``."""
        if steady_generation(text) and not anyway:
            return text
        return f"{STEADY}{self.generation}." + urlsafe_b64encode(AESSIV(self.secret).encrypt(text.encode("utf-8", "surrogatepass") + b"\0", None)).decode()

    def open(self, sealed: str) -> str:
        """The text again; what was never sealed stays as it is. Raises ``Invalid`` when another key sealed it or it was changed."""
        if not steady_generation(sealed):
            return sealed
        try:
            return AESSIV(self.secret).decrypt(urlsafe_b64decode(sealed.partition(".")[2]), None)[:-1].decode("utf-8", "surrogatepass")
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise Invalid("This sealed text cannot be opened", why="Another key sealed it, or it was changed.", todo="Restore the key file from a backup.") from error


def steady_generation(text: str) -> int:
    """The generation of the key that sealed a text steadily; 0 for a text that lies open.

    >>> steady_generation("steady12.AAAA"), steady_generation("steady state")
    (12, 0)
    """
    found = _SEALED.match(text)
    return int(found[1]) if found else 0
