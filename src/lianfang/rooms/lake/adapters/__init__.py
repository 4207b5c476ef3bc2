"""One folder per outside system that logs come from. Those that are asked give pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any


@dataclass(frozen=True, slots=True)
class Page:
    """What a reader found: frames, each with a name by which it is known again.

    ``after`` is where to go on, as plain values; ``more``: there is another page right now; ``known``: how many more were read and left out, because they came before.
    """

    frames: Sequence[bytes]
    after: dict[str, Any]
    more: bool = False
    names: Sequence[str] = ()
    known: int = 0


def names_of(frames: Sequence[bytes]) -> list[str]:
    """A short fingerprint of each frame.

    >>> names_of([b"a", b"b", b"a"])
    ['40f89e395b66422f', '8472c2e34d854f75', '40f89e395b66422f']
    """
    return [blake2b(frame, digest_size=8).hexdigest() for frame in frames]
