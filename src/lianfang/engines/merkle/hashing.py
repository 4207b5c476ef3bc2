"""How leaves and nodes are hashed: RFC 6962 §2.1 with SHA-256.

A leaf is ``H(0x00 ‖ leaf)``, a node ``H(0x01 ‖ left ‖ right)``, so that a node can never pass for a leaf. A *complete*
node at level *k* covers 2ᵏ leaves; complete nodes never change again.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Protocol

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(leaf: bytes) -> bytes:
    """``H(0x00 ‖ leaf)``."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """``H(0x01 ‖ left ‖ right)``."""
    return sha256(b"\x01" + left + right).digest()


class Nodes(Protocol):
    """Wherever complete nodes can be read from."""

    def node(self, level: int, index: int) -> bytes:
        """The hash of the ``index``-th complete node at ``level`` (0: leaves)."""
        ...
