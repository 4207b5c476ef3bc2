"""Sealing of short secrets at rest: AES-256-GCM (NIST SP 800-38D) under a key that lies in a file beside the data.

A sealed text is said ``sealed1.hash.base64``: the first four bytes of a hash over the key, then nonce, cipher text and
tag. The hash tells a wrong key from a changed text. Nonces are random, which bounds a key to 2³² texts.
"""

from __future__ import annotations

import binascii
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lianfang.engines.envelope.keys import save_new
from lianfang.kernel.errors import Conflict, Invalid, Missing

SEALED = "sealed1."
_SECRET = "SECRET+KEY+"  # noqa: S105  (how the file begins)
_NONCE = 12


@dataclass(frozen=True, slots=True)
class SealingKey:
    """A secret key of 32 bytes. ``save`` writes it readable by its owner only.

    >>> key = SealingKey(bytes(32))
    >>> key.open(key.seal("JBSWY3DP", purpose="second factor"), purpose="second factor")
    'JBSWY3DP'
    """

    secret: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> SealingKey:
        """A fresh key from the system's random source."""
        return cls(os.urandom(32))

    @property
    def id(self) -> str:
        """Which key this is, in eight hex digits; says nothing of its secret."""
        return sha256(b"lianfang sealing key\n" + self.secret).hexdigest()[:8]

    def seal(self, text: str, *, purpose: str) -> str:
        """The text, readable only with this key and for the same ``purpose``; another result each time."""
        nonce = os.urandom(_NONCE)
        return f"{SEALED}{self.id}.{urlsafe_b64encode(nonce + AESGCM(self.secret).encrypt(nonce, text.encode(), purpose.encode())).decode()}"

    def open(self, sealed: str, *, purpose: str) -> str:
        """The text again. Raises ``Conflict`` when another key sealed it, ``Invalid`` when it was changed, sealed for another purpose, or never sealed."""
        if not is_sealed(sealed):
            raise Invalid("This is not a sealed text", why=f"A sealed text begins with {SEALED}", todo="Seal it first.")
        identity, _, encoded = sealed.removeprefix(SEALED).partition(".")
        if identity != self.id:
            raise Conflict("This was sealed under another key", why=f"It wants the key {identity[:8]}; the key here is {self.id}.", todo="Restore the key file from a backup.")
        try:
            raw = urlsafe_b64decode(encoded)
            return AESGCM(self.secret).decrypt(raw[:_NONCE], raw[_NONCE:], purpose.encode()).decode()
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise Invalid("This sealed text was changed", why="Its tag does not fit.", todo="Restore it from a backup.") from error

    def seal_bytes(self, data: bytes, *, purpose: str) -> bytes:
        """The same for bytes, without the words around it: nonce, cipher text and tag."""
        nonce = os.urandom(_NONCE)
        return nonce + AESGCM(self.secret).encrypt(nonce, data, purpose.encode())

    def open_bytes(self, sealed: bytes, *, purpose: str) -> bytes:
        """What ``seal_bytes`` sealed. Raises ``Invalid`` when another key did, for another purpose, or when it was changed."""
        try:
            return AESGCM(self.secret).decrypt(sealed[:_NONCE], sealed[_NONCE:], purpose.encode())
        except (InvalidTag, ValueError) as error:
            raise Invalid("These sealed bytes cannot be opened", why="Another key sealed them, or they were changed.", todo="Restore the key file from a backup.") from error

    def save(self, path: Path) -> None:
        """Write a new key file (mode 0600). Raises ``Conflict`` rather than overwrite one; two writers cannot both win."""
        save_new(path, f"{_SECRET}{self.id}+{urlsafe_b64encode(self.secret).decode()}\n")

    @classmethod
    def load(cls, path: Path) -> SealingKey:
        """Read a key file. Raises ``Missing`` when there is none, ``Invalid`` when it is not one or contradicts itself."""
        try:
            identity, _, encoded = path.read_text("ascii").strip().removeprefix(_SECRET).partition("+")
            key = cls(urlsafe_b64decode(encoded))
        except FileNotFoundError as error:
            raise Missing(f"There is no key file {path.name}", why=str(path), todo="Restore it from a backup.") from error
        except ValueError as error:
            raise Invalid(f"{path.name} is not a key file", why=str(error), todo="Restore it from a backup.") from error
        if len(key.secret) != 32 or key.id != identity:
            raise Invalid(f"{path.name} is not a key file", why="Its hash belongs to another key.", todo="Restore it from a backup.")
        return key


def is_sealed(text: str) -> bool:
    """Whether the text looks like the work of ``SealingKey.seal``."""
    return text.startswith(SEALED)


def identity_of(sealed: str) -> str:
    """Which key sealed a text: its eight hex digits."""
    return sealed.removeprefix(SEALED).partition(".")[0]
