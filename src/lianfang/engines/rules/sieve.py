"""Which events can hold a keyword at all: one pass over many events at once.

Keyword rules ask about every value of an event, and one such rule (``mimikatz`` anywhere in a Windows event) would make
every field of every event matter. A sieve asks a cheaper question first, of whole events laid end to end: does any short
piece of any keyword occur, chosen among those that usual events lack? What is left is examined value by value. A sieve may
let too much through, never too little; JSON escapes are part of the question.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lianfang.engines.rules import patterns
from lianfang.engines.rules.trees import KEYWORDS, Atom

PIECES = (4, 5, 6)
SHORTEST_TRACE = 4
_USUAL = 24_000
_TRIAL = 2000
_TOO_MANY = 0.005

_SHORT_ESCAPES = {"\n": "n", "\t": "t", "\r": "r", "\b": "b", "\f": "f"}
_BREAKS = re.compile(r'["{}\[\],:\x00-\x1f]|\\(?=[ntrbfu"\\/]|$)')
_LETTER = re.compile("[a-df-z]")
_ODD_BACKSLASHES = r"[^\x5c](?:\x5c\x5c)*\x5cu"


class Spotter(Protocol):
    """``spot(texts)`` → indexes of the texts in which any of the expressions (byte-wise, caseless) occurs; ``counts`` says how often each did."""

    counts: list[int]

    def spot(self, texts: Sequence[bytes]) -> set[int]: ...

    def spot_laid(self, data: memoryview, ends: npt.NDArray[np.int64]) -> list[int]: ...


SpotterMaker = Callable[[Sequence[bytes]], Spotter]


def in_json(text: str) -> str:
    """Literal text as it stands inside a JSON string, as a byte-wise expression; escapes of the form ``\\u0041`` are asked for apart."""
    return "".join(_char_in_json(char) for char in text)


def _char_in_json(char: str) -> str:
    if char in _SHORT_ESCAPES:
        return r"\x5c" + _SHORT_ESCAPES[char]
    if char in '"\\':
        return r"\x5c" + patterns.literal_bytes(char)
    return (r"\x5c?" if char == "/" else "") + patterns.literal_bytes(char)


def literals(atoms: Iterable[Atom]) -> list[str] | None:
    """For each atom a text that must occur where it matches; ``None`` if one of them has none."""
    found = [_literal(atom) if atom.field == KEYWORDS else traceable(atom) for atom in atoms]
    return [text for text in found if text] if all(found) else None


def _literal(atom: Atom) -> str:
    if atom.op in ("contains", "startswith", "endswith", "eq"):
        return patterns.lower(atom.pattern)
    pieces = [text for wild, text in patterns.like_parts(atom.pattern) if not wild] if atom.op == "like" else []
    return patterns.lower(max(pieces, key=len, default=""))


def traceable(atom: Atom) -> str | None:
    """A piece of an atom's literal that must stand in the JSON text of any event that the atom is true of, if there is one worth searching.

    Numbers and nested objects may be written in other ways than they are compared: what could come from their notation,
    and a backslash that could begin an escape of theirs, breaks a literal into pieces.

    >>> traceable(Atom("Details", "contains", "\\\\classes\\\\clsid\\\\{0a29", cased=False))
    '\\\\classes\\\\clsid\\\\'
    """
    pieces = [piece for piece in _BREAKS.split(_literal(atom)) if len(piece) >= SHORTEST_TRACE and _LETTER.search(piece)]
    return max(pieces, key=len, default=None)


def cover(texts: Iterable[str], usual: bytes = b"") -> list[str]:
    """Few short pieces such that every text contains one: those that several texts share first, none that occurs in ``usual``.

    >>> cover(["kerberos::ptc", "kerberos::ptt", "kiwi"])
    ['ros::p', 'kiwi']
    """
    known = {usual[at : at + length] for length in PIECES for at in range(min(len(usual), _USUAL))}
    left = {text: _pieces(text, known) for text in sorted(set(texts))}
    chosen = []
    shared = Counter(piece for pieces in left.values() for piece in pieces)
    while left and max(shared.values()) > 1:
        best = max(shared, key=lambda piece: (shared[piece], len(piece), piece))
        chosen.append(best)
        for text in [text for text in left if best in text]:
            shared.subtract(left.pop(text))
    return chosen + [max(pieces, key=lambda piece: (sum(not char.isalnum() for char in piece), len(piece), piece)) for pieces in left.values()]


def _pieces(text: str, known: Set[bytes]) -> set[str]:
    pieces = {text[at : at + length] for length in PIECES for at in range(len(text) - length + 1)}
    return {piece for piece in pieces if piece.encode() not in known} or {text}


class Sieve:
    """``suspects(texts)``: indexes of the events that may hold a keyword. ``json`` says that texts are JSON lines; ``usual`` is what they look like."""

    def __init__(self, texts: Sequence[str], make: SpotterMaker, *, json: bool, usual: bytes = b"") -> None:
        self.make, self.write, self.texts = make, in_json if json else patterns.literal_bytes, sorted(set(texts))
        self.always = _escaped(texts) if json else []
        self._ask(cover(texts, usual.lower()))

    def _ask(self, pieces: list[str]) -> None:
        self.pieces, self.seen = pieces, 0
        self.spotter = self.make([self.write(piece).encode() for piece in pieces] + self.always)

    def suspects(self, texts: Sequence[bytes]) -> set[int]:
        """Every event with a keyword, and few others."""
        self.seen += len(texts)
        if self.seen >= _TRIAL:
            self._reconsider()
        return self.spotter.spot(texts)

    def _reconsider(self) -> None:
        """A piece that turns out to be common gives way to the whole texts it stood for."""
        common = {piece for piece, count in zip(self.pieces, self.spotter.counts) if count > _TOO_MANY * self.seen and piece not in self.texts}
        if common:
            kept = [piece for piece in self.pieces if piece not in common]
            self._ask(kept + [text for text in self.texts if not any(piece in text for piece in kept)])
        self.seen = 0
        self.spotter.counts = [0] * len(self.spotter.counts)


def _escaped(texts: Sequence[str]) -> list[bytes]:
    """Escapes of the form ``\\u0041`` that could spell a character of the texts."""
    plain = all(" " <= char <= "~" for text in texts for char in text)
    return [(_ODD_BACKSLASHES + ("00[2-7]" if plain else "[0-9a-f]")).encode()]
