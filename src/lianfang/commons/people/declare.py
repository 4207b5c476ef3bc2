"""What rooms declare to people: the kinds of things that they keep sealed under the node's key.

In: one ``Kind`` for each, once, when the room's app is ready. Out: for whoever makes, turns, retires or gives up a key, all of them: no key is
made anew or taken away without asking every kind what hangs on it.

    declare.sealed("intel", _kinds)        # _kinds() -> [Kind(…)], asked for when first needed
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Progress = Callable[[int, int], object]
"""``progress(done, all)``; raises to end the work."""
Counts = Mapping[int, int]
"""Generation → how many. 0: a key that this node never had."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of sealed things. ``reseal`` moves what can be opened to the newest generation, may be ended anywhere and begun again;
    ``forget`` gives up what hangs on a generation whose key is lost, and says how many. ``drains``: they go by themselves."""

    name: str
    title: Any
    loss: Any
    count: Callable[[], Counts]
    reseal: Callable[[Progress], object]
    forget: Callable[[int], int]
    drains: bool = False


_kinds: dict[str, Callable[[], Sequence[Kind]]] = {}


def sealed(room: str, kinds: Callable[[], Sequence[Kind]]) -> None:
    """Declare what a room keeps sealed."""
    _kinds[room] = kinds


def kinds() -> list[Kind]:
    """Everything that anybody keeps sealed."""
    return [kind for each in _kinds.values() for kind in each()]
