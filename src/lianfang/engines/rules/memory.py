"""Memory of what was already worked out, bounded by bytes.

Two generations: new entries go into the young one; when it has taken half of the budget, it becomes the old one and the old
one is forgotten; what is asked for again moves back into the young one. An attacker who sends endless unique values costs
speed, never memory.

Long values are remembered by a keyed 128-bit hash (BLAKE2b with a key of this process), not by themselves, and by themselves
only when they return; a value over 4 KB is not remembered at all until it returns.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import blake2b
from sys import getsizeof
from typing import Any

from lianfang.engines.rules import patterns

LONG = 1024
HUGE = 4096

_ENTRY = 150
_DOORS = 1 << 16
_KEY = os.urandom(16)


class Budget:
    """Bytes that all memos of a kernel share. ``turn`` is due when the young generation holds half of them."""

    def __init__(self, limit: int) -> None:
        self.limit, self.young, self.old, self.turns = limit, 0, 0, 0

    def charge(self, size: int) -> None:
        self.young += size

    @property
    def due(self) -> bool:
        return self.young * 2 >= self.limit

    def turn(self) -> None:
        self.young, self.old, self.turns = 0, self.young, self.turns + 1


def text(value: Any) -> str:
    """A JSON value as the text that rules compare: numbers as written, booleans in lower case, lists joined by newlines."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "\n".join(text(part) for part in value if part is not None)
    return str(value)


class ValueMemo(dict[Any, int]):
    """Value → number of its atom set; looked up by C code, filled by ``__missing__``. ``None`` (an absent field) is always 0."""

    __slots__ = ("budget", "digests", "doors", "learn", "old", "old_digests")

    def __init__(self, learn: Callable[[bytes], int], budget: Budget) -> None:
        super().__init__({None: 0})
        self.learn, self.budget = learn, budget
        self.old: dict[Any, int] = {}
        self.digests: dict[bytes, int] = {}
        self.old_digests: dict[bytes, int] = {}
        self.doors: bytearray | None = None

    def __missing__(self, value: Any) -> int:
        if type(value) is not str:  # never kept: 1, 1.0 and True are one key to a dictionary
            return self.learn(patterns.raw(text(value)))
        if len(value) > LONG:
            return self._long(value)
        found = self.old.get(value)
        if found is None:
            found = self.learn(patterns.raw(value))
        self[value] = found
        self.budget.charge(getsizeof(value) + _ENTRY)
        return found

    def _long(self, value: str) -> int:
        found = self.old.get(value)
        if found is not None:
            self._promote(value, found)
            return found
        raw = patterns.raw(value)
        digest = blake2b(raw, digest_size=16, key=_KEY).digest()
        found = self.digests.get(digest)
        if found is not None:
            self._promote(value, found)
            return found
        found = self.old_digests.get(digest)
        if found is None:
            found = self.learn(raw)
            if len(value) > HUGE and not self._seen(digest):
                return found
        self.digests[digest] = found
        self.budget.charge(_ENTRY)
        return found

    def _promote(self, value: str, found: int) -> None:
        """A long value that came back is kept by itself: looking it up is then one hash, not two."""
        self[value] = found
        self.budget.charge(getsizeof(value) + _ENTRY)

    def _seen(self, digest: bytes) -> bool:
        """Whether the door of this digest was last opened by it: 64 KiB, whatever comes."""
        if self.doors is None:
            self.doors = bytearray(_DOORS)
        door, mark = int.from_bytes(digest[:2], "little"), digest[2] or 1
        seen = self.doors[door] == mark
        self.doors[door] = mark
        return seen

    def turn(self) -> None:
        """The young generation grows old, the old one is forgotten."""
        self.old, self.old_digests, self.digests = self.copy(), self.digests, {}
        self.clear()
        self[None] = 0


class KeyMemo(dict[tuple[int, ...], Any]):
    """Tuple of atom-set numbers → verdict."""

    __slots__ = ("budget", "judge", "old")

    def __init__(self, judge: Callable[[tuple[int, ...]], Any], budget: Budget) -> None:
        super().__init__()
        self.judge, self.budget = judge, budget
        self.old: dict[tuple[int, ...], Any] = {}

    def __missing__(self, key: tuple[int, ...]) -> Any:
        found = self.old.get(key)
        if found is None:
            found = self.judge(key)
        self[key] = found
        self.budget.charge(_ENTRY + 8 * len(key))
        return found

    def turn(self) -> None:
        self.old = self.copy()
        self.clear()
