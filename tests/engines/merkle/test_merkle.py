"""Trees against the published vectors, against a definition written out naively, and against those who cheat."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianfang.engines.merkle import EMPTY_ROOT, Frontier, Tiles, Tree, consistency, grow, inclusion, leaf_hash, root, verify_consistency, verify_inclusion

# The leaves and roots by which implementations of RFC 6962 are compared (Certificate Transparency's test data).
LEAVES = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 8): ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7", "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e", "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"],
    (5, 8): ["bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b", "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
}
CONSISTENCY = {
    (1, 8): ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7", "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e", "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"],
    (6, 8): ["0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a", "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"],
}

SIZES = st.integers(0, 700)
HASH = st.binary(min_size=32, max_size=32)


def hashes(count: int) -> list[bytes]:
    return [sha256(n.to_bytes(4, "big")).digest() for n in range(count)]


def tree_of(count: int) -> Tree:
    tree = Tree()
    tree.extend_hashes(hashes(count))
    return tree


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


BIG = tree_of(800)
NAIVE = {size: naive_root(hashes(size)) for size in (0, 1, 2, 3, 5, 8, 31, 255, 256, 257, 511, 700)}


@pytest.mark.parametrize(("size", "expected"), list(enumerate(ROOTS)))
def test_roots_are_the_published_ones(size, expected):
    assert Tree(LEAVES).root(size).hex() == expected
    assert Tree(LEAVES[:size]).root().hex() == expected


@pytest.mark.parametrize(("place", "expected"), list(INCLUSION.items()))
def test_inclusion_proofs_are_the_published_ones(place, expected):
    index, size = place
    path = Tree(LEAVES).inclusion(index, size)
    assert [hashed.hex() for hashed in path] == expected
    assert verify_inclusion(index, size, leaf_hash(LEAVES[index]), path, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("sizes", "expected"), list(CONSISTENCY.items()))
def test_consistency_proofs_are_the_published_ones(sizes, expected):
    old, new = sizes
    path = Tree(LEAVES).consistency(old, new)
    assert [hashed.hex() for hashed in path] == expected
    assert verify_consistency(old, new, bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new]), path)


@pytest.mark.parametrize(("size", "expected"), list(NAIVE.items()))
def test_roots_are_what_the_definition_gives(size, expected):
    assert BIG.root(size) == expected


@given(st.lists(st.integers(0, 40), max_size=20))
def test_growing_in_any_steps_gives_the_same_tree(steps):
    tree, frontier, tiles, size = Tree(), Frontier(), {}, 0
    for step in steps:
        fresh = hashes(size + step)[size:]
        assert tree.extend_hashes(fresh) == size
        for hashed in fresh:
            frontier.append(hashed)
        tiles.update(grow(size, fresh, lambda level, index: tiles[level, index]))
        size += step
    read = Tiles(lambda level, index: tiles.get((level, index), b""))
    assert len(tree) == frontier.size == size
    assert tree.root() == frontier.root() == root(read, size) == BIG.root(size)


@given(SIZES.filter(bool), st.data())
def test_every_leaf_can_be_proved(size, data):
    index = data.draw(st.integers(0, size - 1))
    path = BIG.inclusion(index, size)
    assert len(path) <= size.bit_length()
    assert verify_inclusion(index, size, hashes(size)[index], path, BIG.root(size))


@given(SIZES, SIZES)
def test_every_growth_can_be_proved(one, other):
    old, new = sorted((one, other))
    assert verify_consistency(old, new, BIG.root(old), BIG.root(new), BIG.consistency(old, new))


@given(SIZES.filter(bool), st.data())
def test_tiles_prove_what_the_tree_proves(size, data):
    blobs = grow(0, hashes(size), lambda level, index: b"")
    tiles = Tiles(lambda level, index: blobs[level, index])
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    assert inclusion(tiles, index, size) == BIG.inclusion(index, size)
    assert consistency(tiles, old, size) == BIG.consistency(old, size)


@given(SIZES.filter(lambda size: size > 1), st.data())
def test_no_changed_inclusion_proof_is_believed(size, data):
    index = data.draw(st.integers(0, size - 1))
    path, leaf, top = BIG.inclusion(index, size), hashes(size)[index], BIG.root(size)
    lie = data.draw(st.sampled_from(["leaf", "root", "hash", "longer", "shorter", "index"]))
    place = data.draw(st.integers(0, len(path) - 1))
    strange = data.draw(HASH.filter(lambda hashed: hashed not in (leaf, top, path[place])))
    changed = {
        "leaf": (index, size, strange, path, top),
        "root": (index, size, leaf, path, strange),
        "hash": (index, size, leaf, [*path[:place], strange, *path[place + 1 :]], top),
        "longer": (index, size, leaf, [*path, strange], top),
        "shorter": (index, size, leaf, path[:-1], top),
        "index": ((index + 1) % size, size, leaf, path, top),
    }[lie]
    assert not verify_inclusion(*changed)


@given(SIZES.filter(lambda size: size > 2), st.data())
def test_no_changed_consistency_proof_is_believed(size, data):
    old = data.draw(st.integers(1, size - 1))
    path, before, after = BIG.consistency(old, size), BIG.root(old), BIG.root(size)
    place = data.draw(st.integers(0, len(path) - 1))
    strange = data.draw(HASH.filter(lambda hashed: hashed not in (before, after, path[place])))
    assert not verify_consistency(old, size, strange, after, path)
    assert not verify_consistency(old, size, before, strange, path)
    assert not verify_consistency(old, size, before, after, [*path[:place], strange, *path[place + 1 :]])
    assert not verify_consistency(old, size, before, after, path[:-1])
    assert not verify_consistency(old, size, before, after, [*path, strange])
    assert not verify_consistency(size, old, after, before, path)


def test_nonsense_is_refused_and_nothing_crashes():
    assert not verify_inclusion(0, 0, bytes(32), [], EMPTY_ROOT)
    assert not verify_inclusion(-1, 3, bytes(32), [], bytes(32))
    assert not verify_inclusion(0, 1, b"short", [], b"short")
    assert not verify_inclusion(0, 2, bytes(32), [b"short"], bytes(32))
    assert not verify_consistency(0, 5, bytes(32), bytes(32), [])
    assert not verify_consistency(3, 3, bytes(32), bytes(32), [bytes(32)])
    assert verify_consistency(0, 5, EMPTY_ROOT, bytes(32), [])
    for call in (lambda: BIG.inclusion(5, 5), lambda: BIG.consistency(6, 5), lambda: BIG.node(0, 9999), lambda: Tiles(lambda level, index: b"").node(0, 0)):
        with pytest.raises(IndexError):
            call()


def test_a_leaf_cannot_pass_for_a_node():
    pair = Tree([b"a", b"b"])
    forged = leaf_hash(b"a") + leaf_hash(b"b")
    assert Tree([forged]).root() != pair.root()
