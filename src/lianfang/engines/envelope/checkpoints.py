"""Checkpoints (C2SP tlog-checkpoint) and proof files (C2SP tlog-proof): a log's head, and one entry's way to it."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from lianfang.engines.envelope.keys import SigningKey, VerifyKey
from lianfang.engines.envelope.notes import open_note, sign_note
from lianfang.kernel.errors import Invalid

_PROOF = "c2sp.org/tlog-proof@v1"


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or (text != "0" and text.startswith("0")):
        raise Invalid(f"“{text[:30]}” is not a size or index", why="It is written as a decimal without leading zeroes.", todo="Ask the sender for the whole text.")
    return int(text)


def _base64(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid(f"“{text[:60]}” is not base64", why=str(error), todo="Ask the sender for the whole text.") from error


def _hash(text: str) -> bytes:
    raw = _base64(text)
    if len(raw) != 32:
        raise Invalid(f"“{text[:60]}” is not a hash", why="A SHA-256 hash has 32 bytes.", todo="Ask the sender for the whole text.")
    return raw


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log: its name, how many leaves it has, the root over them.

    >>> print(Checkpoint("example.org/ledger", 0, bytes(32)).text, end="")
    example.org/ledger
    0
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The body that is signed."""
        return "".join(f"{line}\n" for line in (self.origin, self.size, b64encode(self.root).decode(), *self.extensions))

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """The body → checkpoint; raises ``Invalid``."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
            raise Invalid("This is not a checkpoint", why="It needs a name, a size and a root, each on a line.", todo="Ask the log for a fresh one.")
        return cls(lines[0], _decimal(lines[1]), _hash(lines[2]), tuple(lines[3:-1]))

    def sign(self, *keys: SigningKey) -> str:
        """The signed note."""
        return sign_note(self.text, *keys)

    @classmethod
    def open(cls, note: str, trusted: Sequence[VerifyKey], *, origin: str = "") -> Checkpoint:
        """A signed checkpoint → checked; raises as ``open_note`` does, and ``Invalid`` when it speaks of another log than ``origin``."""
        checkpoint = cls.parse(open_note(note, trusted).text)
        if origin and checkpoint.origin != origin:
            raise Invalid(f"This checkpoint speaks of {checkpoint.origin}", why=f"Expected was {origin}.", todo="Ask the right log.")
        return checkpoint


@dataclass(frozen=True, slots=True)
class ProofFile:
    """All that is needed to check offline that an entry is in a log: index, inclusion path, signed checkpoint. ``extra`` is not authenticated."""

    index: int
    path: tuple[bytes, ...]
    note: str
    extra: bytes = b""

    @property
    def text(self) -> str:
        """What goes into a ``.tlog-proof`` file."""
        extra = [f"extra {b64encode(self.extra).decode()}"] if self.extra else []
        return "\n".join([_PROOF, *extra, f"index {self.index}", *(b64encode(hashed).decode() for hashed in self.path), "", self.note])

    @classmethod
    def parse(cls, text: str) -> ProofFile:
        """The file → its parts, unchecked; raises ``Invalid``."""
        head, gap, note = text.partition("\n\n")
        magic, *lines = head.split("\n")
        extra = _base64(lines.pop(0).removeprefix("extra ")) if lines and lines[0].startswith("extra ") else b""
        if magic != _PROOF or not gap or not lines or not lines[0].startswith("index "):
            raise Invalid("This is not a proof file", why=f"It begins with {_PROOF} and names an index.", todo="Export the proof again.")
        return cls(_decimal(lines[0].removeprefix("index ")), tuple(map(_hash, lines[1:])), note, extra)
