"""The tree at rest: tiles of 256 hashes, as in C2SP tlog-tiles, so that a proof among millions reads a handful of blobs.

A tile at level *L*, index *n* holds the hashes of the complete nodes 256·n … 256·n + 255 at tree level 8·L, one after
another. Only the last tile of each level is ever rewritten, and only to grow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

from lianfang.engines.merkle.hashing import HASH_SIZE

HEIGHT = 8
TILE_WIDTH = 1 << HEIGHT
TILE_SIZE = TILE_WIDTH * HASH_SIZE

Load = Callable[[int, int], bytes]
"""``load(level, index)`` → the tile's bytes; a partial tile holds fewer than 256 hashes."""


def _cut(blob: bytes) -> list[bytes]:
    return [blob[i : i + HASH_SIZE] for i in range(0, len(blob), HASH_SIZE)]


def _fold(hashes: list[bytes]) -> bytes:
    """The node over a power of two of hashes."""
    while len(hashes) > 1:
        hashes = [sha256(b"\x01" + hashes[i] + hashes[i + 1]).digest() for i in range(0, len(hashes), 2)]
    return hashes[0]


def grow(size: int, hashes: Sequence[bytes], load: Load) -> dict[tuple[int, int], bytes]:
    """Add leaf hashes to a tree of ``size`` leaves; returns the tiles that are new or changed, by (level, index).

    Costs one pass over the new hashes plus one read per level for its unfinished last tile.
    """
    changed: dict[tuple[int, int], bytes] = {}
    level, fresh = 0, list(hashes)
    while fresh:
        tile, inside = divmod(size >> HEIGHT * level, TILE_WIDTH)
        blob = (load(level, tile)[: inside * HASH_SIZE] if inside else b"") + b"".join(fresh)
        pieces = [blob[i : i + TILE_SIZE] for i in range(0, len(blob), TILE_SIZE)]
        changed.update({(level, tile + n): piece for n, piece in enumerate(pieces)})
        fresh = [_fold(_cut(piece)) for piece in pieces if len(piece) == TILE_SIZE]
        level += 1
    return changed


class Tiles:
    """Complete nodes read from tiles; each tile is loaded once.

    >>> blobs = grow(0, [bytes([n]) * 32 for n in range(5)], lambda level, index: b"")
    >>> Tiles(lambda level, index: blobs[level, index]).node(0, 3) == bytes([3]) * 32
    True
    """

    def __init__(self, load: Load):
        self._load = load
        self._seen: dict[tuple[int, int], bytes] = {}

    def node(self, level: int, index: int) -> bytes:
        """The complete node. Raises ``IndexError`` when the tile does not hold it."""
        height, rise = divmod(level, HEIGHT)
        first = index << rise
        blob = self._tile(height, first >> HEIGHT)
        start = (first & TILE_WIDTH - 1) * HASH_SIZE
        hashes = _cut(blob[start : start + (HASH_SIZE << rise)])
        if len(hashes) != 1 << rise:
            raise IndexError(f"node {index} at level {level} is not in the tiles")
        return _fold(hashes)

    def _tile(self, level: int, index: int) -> bytes:
        if (level, index) not in self._seen:
            self._seen[level, index] = self._load(level, index)
        return self._seen[level, index]
