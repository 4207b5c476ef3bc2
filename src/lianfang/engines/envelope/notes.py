"""Signed notes (C2SP signed-note): a text, a blank line, and one line per signature."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from lianfang.engines.envelope.keys import SigningKey, VerifyKey
from lianfang.kernel.errors import Invalid, Refused

DASH = "\u2014 "
_MOST_SIGNATURES = 100


@dataclass(frozen=True, slots=True)
class Note:
    """An opened note: its text, and the trusted keys whose signatures hold."""

    text: str
    signed_by: tuple[VerifyKey, ...]


def sign_note(text: str, *keys: SigningKey) -> str:
    """The text with one signature per key. Raises ``Invalid`` unless it ends in a newline and holds no other control character."""
    if not text.endswith("\n") or any(char < " " and char != "\n" for char in text):
        raise Invalid("This text cannot be signed as a note", why="It must end in a newline and hold no other control characters.", todo="Mend the text.")
    message = text.encode()
    lines = [f"{DASH}{key.name} {b64encode(key.verify_key.id + key.sign(message)).decode()}\n" for key in keys]
    return f"{text}\n{''.join(lines)}"


def open_note(note: str, trusted: Sequence[VerifyKey]) -> Note:
    """Check a note against trusted keys. Raises ``Invalid`` for a malformed note, ``Refused`` when no trusted key signed it or a trusted key's signature is wrong."""
    text, gap, tail = note.rpartition("\n\n")
    lines = tail.split("\n")
    if not gap or lines[-1] or not 1 <= len(lines) - 1 <= _MOST_SIGNATURES:
        raise Invalid("This is not a signed note", why="It needs a text, a blank line and signature lines.", todo="Ask the sender for the whole note.")
    text += "\n"
    known = {(key.name, key.id): key for key in trusted}
    signed = [(known.get((name, raw[:4])), raw[4:]) for name, raw in map(_signature, lines[:-1])]
    good = tuple(key for key, signature in signed if key and _holds(key, signature, text))
    if not good:
        raise Refused("No trusted key signed this note", why="All its signatures are by keys that are unknown here.", todo="Add the signer's verification key, or do not trust the note.")
    return Note(text, good)


def _signature(line: str) -> tuple[str, bytes]:
    name, _, encoded = line.removeprefix(DASH).partition(" ")
    try:
        raw = b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid("A signature line of this note is malformed", why=str(error), todo="Ask the sender for the whole note.") from error
    if not line.startswith(DASH) or not name or len(raw) < 5:
        raise Invalid("A signature line of this note is malformed", why=line[:80], todo="Ask the sender for the whole note.")
    return name, raw


def _holds(key: VerifyKey, signature: bytes, text: str) -> bool:
    if not key.verify(signature, text.encode()):
        raise Refused(f"The signature of {key.name} is wrong", why="The text was changed after it was signed, or somebody else signed it.", todo="Do not trust this note; ask how it came about.")
    return True
