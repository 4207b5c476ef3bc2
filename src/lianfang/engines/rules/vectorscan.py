"""All text patterns of one field in one Vectorscan database: one pass over a value names every pattern in it.

Literals and wildcards are matched byte-wise (a pattern without case is then ASCII-insensitive by construction); regular
expressions in UTF-8 mode, in the portable dialect. What Vectorscan refuses, reads otherwise or compiles too slowly runs on
RE2 beside it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import accumulate
from typing import NamedTuple

import hyperscan
import msgspec
import numpy as np
import numpy.typing as npt
import re2

from lianfang.engines.rules import patterns
from lianfang.engines.rules.trees import Atom

_BASE = int(hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_ALLOWEMPTY)
_BYTES = int(_BASE | hyperscan.HS_FLAG_DOTALL)
_UTF8 = int(_BASE | hyperscan.HS_FLAG_UTF8)
_CASELESS = int(hyperscan.HS_FLAG_CASELESS)
_TOGETHER = 96
_OTHERWISE = b"(?m:^)"
"""Vectorscan, as PCRE, sees no beginning of a line after a newline that ends the text; Python and RE2 do."""
_LARGE = 2_000
"""Instructions of RE2's program. Repeats within repeats grow past it, and Vectorscan then compiles for seconds, or refuses after them."""


@cache
def platform() -> str:
    """What a serialised database needs: version, processor features, mode. Another string, another database."""
    database = hyperscan.Database()
    database.compile(expressions=[b"a"], ids=[0], elements=1, flags=[0])
    found = database.info()
    return found.decode() if isinstance(found, bytes) else str(found)


class Expression(NamedTuple):
    """One pattern as Vectorscan takes it."""

    text: bytes
    flags: int


def _expression(atom: Atom) -> Expression:
    if atom.op == "re":
        return Expression(patterns.portable(atom.pattern).encode(), _UTF8)
    flags = _BYTES if atom.cased else _BYTES | _CASELESS
    if atom.op == "like":
        return Expression(patterns.like_bytes(atom.pattern).encode(), flags)
    literal = patterns.literal_bytes(atom.pattern)
    around = {"contains": "{}", "startswith": r"\A{}", "endswith": r"{}\z", "eq": r"\A{}\z"}
    return Expression(around[atom.op].format(literal).encode(), flags)


def _compile(expressions: list[Expression]) -> hyperscan.Database | None:
    if not expressions:
        return None
    database = hyperscan.Database()
    database.compile(
        expressions=[expression.text for expression in expressions],
        ids=list(range(len(expressions))),
        elements=len(expressions),
        flags=[expression.flags for expression in expressions],
    )
    database.scratch = hyperscan.Scratch(database)
    return database


def _suits(expression: Expression) -> bool:
    """Whether Vectorscan should be asked at all; RE2 answers for what does not suit, if it can."""
    if not expression.flags & hyperscan.HS_FLAG_UTF8:
        return True
    try:
        size = re2.compile(expression.text.decode()).programsize
    except re2.error:
        return True
    return size <= _LARGE and _OTHERWISE not in expression.text


def _accepted(expression: Expression) -> bool:
    try:
        _compile([expression])
    except hyperscan.error:
        return False
    return True


def _revive(serialised: bytes) -> hyperscan.Database | None:
    database = hyperscan.loadb(serialised, hyperscan.HS_MODE_BLOCK)
    database.scratch = hyperscan.Scratch(database)
    return database


class Scanner:
    """``scan(value)`` → numbers of the atoms found. Not for two threads at once."""

    def __init__(self, atoms: Iterable[tuple[int, Atom]], *, serialised: bytes | None = None) -> None:
        listed = list(atoms)
        self.database, self.refused = self._wake(serialised) if serialised else self._build([_expression(atom) for _, atom in listed])
        self.beside = [(number, re2.compile(patterns.portable(atom.pattern))) for at, (number, atom) in enumerate(listed) if at in self.refused]
        self.numbers = [number for at, (number, _) in enumerate(listed) if at not in self.refused]
        self.found: list[int] = []
        self.heard = self._listener()

    @staticmethod
    def _wake(serialised: bytes) -> tuple[hyperscan.Database | None, frozenset[int]]:
        refused, database = msgspec.msgpack.decode(serialised, type=tuple[list[int], bytes])
        return (_revive(database) if database else None), frozenset(refused)

    @staticmethod
    def _build(expressions: list[Expression]) -> tuple[hyperscan.Database | None, frozenset[int]]:
        left = {at: expression for at, expression in enumerate(expressions) if _suits(expression)}
        try:
            database = _compile([*left.values()])
        except hyperscan.error:
            left = {at: expression for at, expression in left.items() if _accepted(expression)}
            database = _compile([*left.values()])
        return database, frozenset(range(len(expressions))) - left.keys()

    def _listener(self) -> Callable[[int, int, int, int, object], None]:
        found, numbers = self.found, self.numbers

        def heard(index: int, start: int, end: int, flags: int, context: object) -> None:
            found.append(numbers[index])

        return heard

    def scan(self, raw: bytes) -> list[int]:
        """Atoms found in a value given as UTF-8. The list is reused by the next call."""
        found = self.found
        found.clear()
        if self.database is not None:
            self.database.scan(raw, match_event_handler=self.heard)
        for number, expression in self.beside:
            if expression.search(raw.decode()):
                found.append(number)
        return found

    def serialise(self) -> bytes:
        """Bytes from which ``serialised`` starts at once, on the same platform and for the same atoms."""
        database = bytes(hyperscan.dumpb(self.database)) if self.database is not None else b""
        return msgspec.msgpack.encode((sorted(self.refused), database))


class Spotter:
    """``spot(texts)``: many texts laid end to end and scanned in one call."""

    def __init__(self, expressions: Sequence[bytes]) -> None:
        self.database = _compile([Expression(text, _CASELESS) for text in expressions])
        self.counts = [0] * len(expressions)

    def spot(self, texts: Sequence[bytes]) -> set[int]:
        """Indexes of the texts in which any expression occurs (and perhaps of one that a match only reaches into)."""
        found: set[int] = set()
        for start in range(0, len(texts), _TOGETHER):
            found.update(start + at for at in self._spot(texts[start : start + _TOGETHER]))
        return found

    def _spot(self, texts: Sequence[bytes]) -> Iterable[int]:
        ends: list[int] = []
        counts = self.counts

        def heard(index: int, start: int, end: int, flags: int, context: object) -> None:
            ends.append(end)
            counts[index] += 1

        if self.database is not None:
            self.database.scan(b"\n".join(texts), match_event_handler=heard)
        if not ends:
            return ()
        borders = list(accumulate(len(text) + 1 for text in texts))
        return (bisect_right(borders, end - 1) for end in ends)

    def spot_laid(self, data: memoryview, ends: npt.NDArray[np.int64]) -> list[int]:
        """The same for texts that lie end to end in one buffer."""
        found: list[int] = []

        def heard(index: int, start: int, end: int, flags: int, context: object) -> None:
            found.append(end)

        if self.database is not None and len(data):
            self.database.scan(data, match_event_handler=heard)  # type: ignore[type-var]  # any buffer will do
        return np.unique(np.searchsorted(ends, np.array(found, np.int64) - 1, side="right")).tolist() if found else []
