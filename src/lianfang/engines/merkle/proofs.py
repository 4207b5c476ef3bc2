"""Proofs: making them from stored nodes, and checking them with nothing but hashes.

Making follows the recursive definitions of RFC 6962 §2.1; checking follows the iterative algorithms of RFC 9162
§2.1.3.2 and §2.1.4.2. The two are written from different texts on purpose: each is the other's test.
"""

from __future__ import annotations

from collections.abc import Sequence

from lianfang.engines.merkle.hashing import EMPTY_ROOT, HASH_SIZE, Nodes, node_hash


def _split(count: int) -> int:
    """The largest power of two below ``count`` (≥ 2)."""
    return 1 << (count - 1).bit_length() - 1


def _span(nodes: Nodes, low: int, high: int) -> bytes:
    """The root over leaves ``low`` … ``high`` − 1, where ``low`` is a multiple of the span's next power of two."""
    count = high - low
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return nodes.node(level, low >> level)
    middle = low + _split(count)
    return node_hash(_span(nodes, low, middle), _span(nodes, middle, high))


def root(nodes: Nodes, size: int) -> bytes:
    """The root over the first ``size`` leaves; the empty tree's is ``H("")``."""
    return _span(nodes, 0, size) if size else EMPTY_ROOT


def inclusion(nodes: Nodes, index: int, size: int) -> list[bytes]:
    """The sibling hashes from leaf ``index`` up to the root of ``size`` leaves. Raises ``IndexError`` outside the tree."""
    if not 0 <= index < size:
        raise IndexError(f"leaf {index} is not in a tree of {size}")
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_span(nodes, middle, high))
            high = middle
        else:
            path.append(_span(nodes, low, middle))
            low = middle
    return path[::-1]


def consistency(nodes: Nodes, old: int, size: int) -> list[bytes]:
    """The hashes that lead from the root of ``old`` leaves to the root of ``size``. Raises ``IndexError`` when ``old`` is larger."""
    if not 0 <= old <= size:
        raise IndexError(f"a tree of {size} cannot begin with one of {old}")
    if old in (0, size):
        return []
    path: list[bytes] = []
    low, high, whole = 0, size, True
    while old < high:
        middle = low + _split(high - low)
        if old <= middle:
            path.append(_span(nodes, middle, high))
            high = middle
        else:
            path.append(_span(nodes, low, middle))
            low, whole = middle, False
    return path[::-1] if whole else [_span(nodes, low, high), *path[::-1]]


def verify_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes], expected_root: bytes) -> bool:
    """Whether ``path`` proves that the leaf hash ``leaf`` stands at ``index`` in the tree of ``size`` with this root.

    >>> from lianfang.engines.merkle import Tree, leaf_hash
    >>> tree = Tree([b"a", b"b", b"c"])
    >>> verify_inclusion(1, 3, leaf_hash(b"b"), tree.inclusion(1), tree.root())
    True
    """
    if not 0 <= index < size or any(len(hashed) != HASH_SIZE for hashed in (leaf, *path)):
        return False
    place, last, result = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if place & 1 or place == last:
            result = node_hash(sibling, result)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and result == expected_root


def verify_consistency(old: int, size: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether ``path`` proves that the tree (``size``, ``new_root``) only added to the tree (``old``, ``old_root``)."""
    if not 0 <= old <= size or any(len(hashed) != HASH_SIZE for hashed in path):
        return False
    if old == size:
        return not path and old_root == new_root
    if old == 0:
        return not path and old_root == EMPTY_ROOT
    if not path:
        return False
    steps = [old_root, *path] if old & (old - 1) == 0 else list(path)
    place, last = old - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    before = after = steps[0]
    for hashed in steps[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            before, after = node_hash(hashed, before), node_hash(hashed, after)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            after = node_hash(after, hashed)
        place, last = place >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root
