"""The distinct-value kernel of mapping: each function is computed once per distinct value, within a bound of bytes.

Real streams repeat: a million Windows events hold 1.5 % distinct cells. All memos of a mapper share one pool, so that a
field with many values (times, hashes) has the room that others leave. Two generations: when the young one is full it
becomes the old one, and what is still used climbs back. Endless unique values cost speed, never memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

LONG = 4096
"""Values longer than this are computed each time."""

_OVERHEAD = 200


@dataclass(slots=True)
class Pool:
    """The bytes that the young generations of its memos may hold together; the old ones hold as many again."""

    limit: int
    used: int = 0
    memos: list[Memo] = field(default_factory=list)

    def add(self, cost: int) -> None:
        """Make room for one more value."""
        self.used += cost
        if self.used > self.limit:
            for memo in self.memos:
                memo.age()
            self.used = cost

    def forget(self, gone: Iterable[Memo]) -> None:
        """Leave out memos that are no longer asked; their bytes are free when the pool ages."""
        numbers = set(map(id, gone))
        self.memos = [memo for memo in self.memos if id(memo) not in numbers]


class Memo(dict[str | None, Any]):
    """``memo[value]`` is ``function(value)``; ``None`` (the field is absent) stays ``None`` unless ``absent`` says otherwise.

    >>> calls = []
    >>> memo = Memo(lambda value: calls.append(value) or value.upper())
    >>> memo["a"], memo["a"], memo[None], calls
    ('A', 'A', None, ['a'])
    """

    def __init__(self, function: Callable[[str], Any], *, pool: Pool | None = None, absent: Any = None):
        super().__init__()
        self.function, self.pool, self.absent = function, pool or Pool(4 << 20), absent
        self.pool.memos.append(self)
        self.old: dict[str | None, Any] = {}
        self[None] = absent

    def __missing__(self, value: str) -> Any:
        result = self.old.get(value, self)
        if result is self:
            result = self.function(value)
        if len(value) <= LONG:
            self.pool.add(len(value) + _OVERHEAD)
            self[value] = result
        return result

    def age(self) -> None:
        """The young generation becomes the old one."""
        self.old = dict(self)
        self.clear()
        self[None] = self.absent

    def of(self, values: Iterable[str | None]) -> list[Any]:
        """All results, in order."""
        return list(map(self.__getitem__, values))
