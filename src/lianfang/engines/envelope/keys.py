"""Ed25519 keys (RFC 8032) in the text forms that signed-note tools exchange.

A verification key is said ``name+hash+base64``, a signing key ``PRIVATE+KEY+name+hash+base64``, as the tools of Go's
``sumdb/note`` write them. The four-byte key ID binds name, algorithm and key (C2SP signed-note).
"""

from __future__ import annotations

import binascii
import os
import re
import unicodedata
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lianfang.kernel.errors import Conflict, Invalid, Missing

ED25519 = b"\x01"
_NAME = re.compile(r"[^\s+]+")
_PRIVATE = "PRIVATE+KEY+"


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Invalid(f"“{name[:60]}” cannot name a key", why="A key's name may hold neither spaces nor plus signs.", todo="Use something like example.org/node.")
    return name


def key_name(text: str) -> str:
    """The nearest name that a key, and so the origin of a log, may have (C2SP signed-note): each run of spaces, plus signs and what cannot be seen becomes one hyphen. "" when nothing is left.

    >>> key_name("Sector centre 1+2"), key_name("华东　联防中心")
    ('Sector-centre-1-2', '华东-联防中心')
    """
    plain = "".join("-" if sign.isspace() or sign == "+" or unicodedata.category(sign).startswith("C") else sign for sign in unicodedata.normalize("NFC", text))
    return re.sub("-{2,}", "-", plain).strip("-")


def key_id(name: str, public: bytes, kind: bytes = ED25519) -> bytes:
    """The first four bytes of SHA-256(name ‖ newline ‖ kind ‖ public key)."""
    return sha256(name.encode() + b"\n" + kind + public).digest()[:4]


def _parse(text: str, what: str) -> tuple[str, bytes, bytes]:
    """``name+hash+base64`` → name, key ID, 32 bytes of key."""
    name, _, rest = text.strip().partition("+")
    hashed, _, encoded = rest.partition("+")
    try:
        raw = b64decode(encoded, validate=True)
        identity = bytes.fromhex(hashed)
    except (binascii.Error, ValueError) as error:
        raise Invalid(f"This is not a {what}", why=str(error), todo="Copy the whole line again.") from error
    if raw[:1] != ED25519 or len(raw) != 33 or len(identity) != 4:
        raise Invalid(f"This is not a {what}", why="It is not an Ed25519 key.", todo="Copy the whole line again.")
    return _checked(name), identity, raw[1:]


def save_new(path: Path, text: str) -> None:
    """Write a file that was not there (mode 0600), whole or not at all. Raises ``Conflict`` rather than overwrite one; two writers cannot both win."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError as error:
        raise Conflict(f"{path.name} exists already", why="A key is never overwritten.", todo="Move the old key away first.") from error
    finally:
        draft.unlink()


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A named public key."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        return key_id(self.name, self.public)

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Whether this key made the signature over the message."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{b64encode(ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> VerifyKey:
        """``name+hash+base64`` → key; raises ``Invalid`` when the parts do not belong together."""
        name, identity, public = _parse(text, "verification key")
        if key_id(name, public) != identity:
            raise Invalid("This verification key contradicts itself", why="Its hash belongs to another name or key.", todo="Copy the whole line again.")
        return cls(name, public)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A named private key. Its text form is a secret; ``save`` writes it readable by its owner only."""

    name: str
    seed: bytes = field(repr=False)

    @classmethod
    def generate(cls, name: str) -> SigningKey:
        """A fresh key from the system's random source."""
        return cls(_checked(name), os.urandom(32))

    @property
    def verify_key(self) -> VerifyKey:
        return VerifyKey(self.name, Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature."""
        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(message)

    def dump(self) -> str:
        """``PRIVATE+KEY+name+hash+base64``."""
        return f"{_PRIVATE}{self.name}+{self.verify_key.id.hex()}+{b64encode(ED25519 + self.seed).decode()}"

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """The text form → key; raises ``Invalid`` when the parts do not belong together."""
        if not text.startswith(_PRIVATE):
            raise Invalid("This is not a signing key", todo="A signing key begins with PRIVATE+KEY+.")
        name, identity, seed = _parse(text.removeprefix(_PRIVATE), "signing key")
        key = cls(name, seed)
        if key.verify_key.id != identity:
            raise Invalid("This signing key contradicts itself", why="Its hash belongs to another name or key.", todo="Restore the key file from a backup.")
        return key

    def save(self, path: Path) -> None:
        """Write a new key file (mode 0600). Raises ``Conflict`` rather than overwrite one; two writers cannot both win."""
        save_new(path, self.dump() + "\n")

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Read a key file; raises ``Missing`` when there is none."""
        try:
            return cls.parse(path.read_text("utf-8"))
        except FileNotFoundError as error:
            raise Missing(f"There is no key file {path.name}", why=str(path), todo="Restore it from a backup, or let the node make a new one.") from error
