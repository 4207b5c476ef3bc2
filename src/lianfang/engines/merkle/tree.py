"""Two ways to hold a tree in memory: with every complete node, or with nothing but its right edge."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from lianfang.engines.merkle import proofs
from lianfang.engines.merkle.hashing import EMPTY_ROOT, node_hash


class Tree:
    """A tree in memory that keeps every complete node by level: appending costs one hash on average, a proof O(log n) look-ups.

    >>> from lianfang.engines.merkle import leaf_hash
    >>> tree = Tree([b"a", b"b", b"c"])
    >>> len(tree), tree.root() == node_hash(node_hash(leaf_hash(b"a"), leaf_hash(b"b")), leaf_hash(b"c"))
    (3, True)
    """

    def __init__(self, leaves: Iterable[bytes] = ()):
        self._levels: list[list[bytes]] = [[]]
        self.extend(leaves)

    def __len__(self) -> int:
        return len(self._levels[0])

    def append(self, leaf: bytes) -> int:
        """Add one leaf; returns its index."""
        return self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> int:
        """Add leaves in order; returns the index of the first."""
        return self.extend_hashes([sha256(b"\x00" + leaf).digest() for leaf in leaves])

    def extend_hashes(self, hashes: Iterable[bytes]) -> int:
        """Add leaves of which only the hashes are known; returns the index of the first."""
        first = len(self)
        self._levels[0].extend(hashes)
        level = 0
        while len(below := self._levels[level]) > 1:
            if level + 1 == len(self._levels):
                self._levels.append([])
            above = self._levels[level + 1]
            fresh = below[2 * len(above) : len(below) // 2 * 2]
            above.extend(sha256(b"\x01" + fresh[i] + fresh[i + 1]).digest() for i in range(0, len(fresh), 2))
            level += 1
        return first

    def node(self, level: int, index: int) -> bytes:
        """The complete node; raises ``IndexError`` where none is (yet)."""
        return self._levels[level][index]

    def root(self, size: int | None = None) -> bytes:
        """The root over the first ``size`` leaves (default: all)."""
        return proofs.root(self, len(self) if size is None else size)

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """The proof that leaf ``index`` is in the tree of ``size`` leaves."""
        return proofs.inclusion(self, index, len(self) if size is None else size)

    def consistency(self, old: int, size: int | None = None) -> list[bytes]:
        """The proof that the tree of ``size`` leaves begins with the tree of ``old`` leaves."""
        return proofs.consistency(self, old, len(self) if size is None else size)


class Frontier:
    """Only what is needed to go on and to know the root: the complete sub-trees from left to right, largest first.

    >>> from lianfang.engines.merkle import leaf_hash
    >>> frontier = Frontier()
    >>> for leaf in (b"a", b"b", b"c"):
    ...     frontier.append(leaf_hash(leaf))
    >>> frontier.root() == Tree([b"a", b"b", b"c"]).root()
    True
    """

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def append(self, hashed: bytes) -> None:
        """Add one leaf hash."""
        rest = self.size
        while rest & 1:
            hashed = sha256(b"\x01" + self._peaks.pop() + hashed).digest()
            rest >>= 1
        self._peaks.append(hashed)
        self.size += 1

    def root(self) -> bytes:
        """The root over everything appended so far."""
        if not self._peaks:
            return EMPTY_ROOT
        result = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            result = node_hash(peak, result)
        return result
