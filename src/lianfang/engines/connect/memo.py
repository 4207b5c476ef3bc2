"""The distinct-value kernel of mapping: each function is computed once per distinct value, within a bound of bytes.

Real streams repeat: a million Windows events hold 1.5 % distinct cells. Two generations: when the young one is full it
becomes the old one, and what is still used climbs back. Endless unique values cost speed, never memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

LONG = 4096
"""Values longer than this are computed each time."""

_OVERHEAD = 200


class Memo(dict[str | None, Any]):
    """``memo[value]`` is ``function(value)``; ``None`` (the field is absent) stays ``None`` unless ``absent`` says otherwise.

    >>> calls = []
    >>> memo = Memo(lambda value: calls.append(value) or value.upper())
    >>> memo["a"], memo["a"], memo[None], calls
    ('A', 'A', None, ['a'])
    """

    def __init__(self, function: Callable[[str], Any], *, budget: int = 4 << 20, absent: Any = None):
        super().__init__()
        self.function, self.budget, self.absent = function, budget, absent
        self.old: dict[str | None, Any] = {}
        self.used = 0
        self[None] = absent

    def __missing__(self, value: str) -> Any:
        result = self.old.get(value, self)
        if result is self:
            result = self.function(value)
        if len(value) <= LONG:
            self._keep(value, result)
        return result

    def _keep(self, value: str, result: Any) -> None:
        self.used += len(value) + _OVERHEAD
        if self.used > self.budget:
            self.old = dict(self)
            self.clear()
            self[None] = self.absent
            self.used = len(value) + _OVERHEAD
        self[value] = result

    def of(self, values: Iterable[str | None]) -> list[Any]:
        """All results, in order."""
        return list(map(self.__getitem__, values))
