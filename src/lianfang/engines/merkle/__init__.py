"""RFC 6962 / 9162 trees: grow them, read their roots, prove what is in them and that they only grew.

In: leaves (bytes) or their hashes. Out: roots, inclusion and consistency proofs as lists of 32-byte hashes, and the
verdict on such proofs. Where the hashes lie is the caller's affair: in memory (``Tree``), in tiles of 256 (``Tiles``),
or nowhere at all when only a root is wanted (``Frontier``).
"""

from lianfang.engines.merkle.hashing import EMPTY_ROOT, HASH_SIZE, Nodes, leaf_hash, node_hash
from lianfang.engines.merkle.proofs import consistency, inclusion, root, verify_consistency, verify_inclusion
from lianfang.engines.merkle.tiles import TILE_WIDTH, Tiles, grow
from lianfang.engines.merkle.tree import Frontier, Tree

__all__ = ["EMPTY_ROOT", "HASH_SIZE", "TILE_WIDTH", "Frontier", "Nodes", "Tiles", "Tree", "consistency", "grow", "inclusion", "leaf_hash", "node_hash", "root", "verify_consistency", "verify_inclusion"]
