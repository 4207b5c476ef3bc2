"""Boolean trees over interned atoms: what a rule becomes, and the three questions the kernel asks of it.

A tree is an atom's number, or ``(operator, branches)`` with the operators ``&``, ``|`` and ``!``. Atoms are shared by all
rules, so that ``Image endswith \\cmd.exe`` is looked for once however many rules ask. Partial evaluation (``settle``) is the
classic one: put in what is known, keep the residue.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Set
from typing import NamedTuple

Tree = int | tuple[str, tuple["Tree", ...]]

AND, OR, NOT = "&", "|", "!"

KEYWORDS = ""
"""The field name of atoms that look at every value of an event."""

LOGSOURCE = "@logsource"
"""The field name of gates: atoms that ask which product, category and service an event comes from."""


class Atom(NamedTuple):
    """One question about one field.

    ``op``: eq, contains, startswith, endswith, like (wildcards), re, cidr, lt, lte, gt, gte, any (present), null (absent),
    ref, ref_start, ref_end (compared with the field named by ``pattern``), gate. ``cased`` makes text comparisons exact;
    otherwise they ignore the case of ASCII letters only.
    """

    field: str
    op: str
    pattern: str
    cased: bool = False


REFERENCES = frozenset({"ref", "ref_start", "ref_end"})


def join(op: str, branches: tuple[Tree, ...]) -> Tree:
    """A node over branches; a node over one branch is the branch."""
    return branches[0] if len(branches) == 1 and op != NOT else (op, branches)


def atoms_of(tree: Tree) -> set[int]:
    """All atoms of a tree.

    >>> sorted(atoms_of(("&", (1, ("!", (2,)), 1))))
    [1, 2]
    """
    found: set[int] = set()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, int):
            found.add(node)
        else:
            found.update([branch for branch in node[1] if isinstance(branch, int)])
            waiting += [branch for branch in node[1] if not isinstance(branch, int)]
    return found


def holds(tree: Tree, true: Container[int]) -> bool:
    """The value of a tree when exactly the atoms in ``true`` are true.

    >>> holds(("&", (1, ("!", (2,)))), {1})
    True
    """
    if isinstance(tree, int):
        return tree in true
    op, branches = tree
    if op == AND:
        return all(holds(branch, true) for branch in branches)
    if op == OR:
        return any(holds(branch, true) for branch in branches)
    return not holds(branches[0], true)


def settle(tree: Tree, known: Mapping[int, bool]) -> Tree | bool:
    """Partial evaluation: the truth, or what is left to find out. Returns the same object where nothing was known.

    >>> settle(("&", (1, ("|", (2, 3)))), {1: True, 2: False})
    3
    """
    if isinstance(tree, int):
        return known.get(tree, tree) if tree in known else tree
    op, branches = tree
    if op == NOT:
        return _settle_not(tree, settle(branches[0], known))
    return _settle_many(tree, [settle(branch, known) for branch in branches])


def _settle_not(tree: Tree, inner: Tree | bool) -> Tree | bool:
    if inner is True or inner is False:
        return not inner
    return tree if not isinstance(tree, int) and inner is tree[1][0] else (NOT, (inner,))


def _settle_many(tree: tuple[str, tuple[Tree, ...]], settled: list[Tree | bool]) -> Tree | bool:
    op, branches = tree
    decisive = op == OR
    if any(branch is decisive for branch in settled):
        return decisive
    left = tuple(branch for branch in settled if branch is not True and branch is not False)
    if not left:
        return not decisive
    if len(left) == len(branches) and all(new is old for new, old in zip(left, branches)):
        return tree
    return join(op, left)


UNKNOWN = -1
"""Stands in a shaded tree for everything that is not known yet."""


def shade(tree: Tree, known: Container[int]) -> Tree:
    """The tree with all that is not known folded into ``UNKNOWN``: what a glance can see of it.

    >>> shade(("&", (1, ("|", (2, 3)), ("!", (4,)))), {1})
    ('&', (1, -1))
    """
    if isinstance(tree, int):
        return tree if tree in known else UNKNOWN
    op, branches = tree
    shaded = [shade(branch, known) for branch in branches]
    seen = tuple(branch for branch in shaded if branch != UNKNOWN)
    if not seen:
        return UNKNOWN
    return (op, seen) if len(seen) == len(shaded) else (op, (*seen, UNKNOWN))


class Test(NamedTuple):
    """A tree made ready to be put to the test many times: the atoms among the branches of a node as one set, the other branches, and whether ``UNKNOWN`` is among them."""

    op: str
    leaves: frozenset[int]
    rest: tuple[Test, ...]
    open: bool = False


def test_of(tree: Tree) -> Test:
    """Make a tree, shaded or not, ready."""
    if isinstance(tree, int):
        return Test(OR, frozenset((tree,)) - {UNKNOWN}, (), tree == UNKNOWN)
    op, branches = tree
    if op == NOT:
        return Test(NOT, frozenset(), (test_of(branches[0]),))
    leaves = frozenset(branch for branch in branches if isinstance(branch, int))
    return Test(op, leaves - {UNKNOWN}, tuple(test_of(branch) for branch in branches if not isinstance(branch, int)), UNKNOWN in leaves)


def outcome(test: Test, true: Set[int]) -> bool | None:
    """Three-valued (Kleene): whether the tree holds when exactly the atoms in ``true`` do; ``None`` if the unknown decides.

    >>> seen = test_of(("&", (1, UNKNOWN)))
    >>> outcome(seen, frozenset({1})), outcome(seen, frozenset())
    (None, False)
    """
    op, leaves, rest, open_ = test
    if op == NOT:
        inner = outcome(rest[0], true)
        return None if inner is None else not inner
    decisive = op == OR
    if (not leaves.isdisjoint(true)) if decisive else (not leaves <= true):
        return decisive
    for branch in rest:
        value = outcome(branch, true)
        if value is decisive:
            return decisive
        open_ = open_ or value is None
    return None if open_ else not decisive


class Clue(NamedTuple):
    """Atoms of which at least one must be true, and how common they are thought to be (smaller is rarer)."""

    weight: float
    atoms: tuple[int, ...]


def necessary(tree: Tree, weigh: Callable[[int], float | None]) -> Clue | None:
    """The rarest set of atoms of which one must hold for the tree to hold; ``None`` if the tree may hold without any.

    ``weigh`` gives an atom's weight, or ``None`` for an atom that may not serve.
    """
    if isinstance(tree, int):
        weight = weigh(tree)
        return None if weight is None else Clue(weight, (tree,))
    op, branches = tree
    if op == AND:
        return _rarest(branches, weigh)
    return _all_together(branches, weigh) if op == OR else None


def _rarest(branches: tuple[Tree, ...], weigh: Callable[[int], float | None]) -> Clue | None:
    best: Clue | None = None
    for branch in branches:
        clue = necessary(branch, weigh)
        if clue is not None and (best is None or clue.weight < best.weight):
            best = clue
    return best


def _all_together(branches: tuple[Tree, ...], weigh: Callable[[int], float | None]) -> Clue | None:
    total, atoms = 0.0, []
    for branch in branches:
        if isinstance(branch, int):  # by far the most: a list of values
            weight = weigh(branch)
            if weight is None:
                return None
            atoms.append(branch)
            total += weight
        else:
            clue = necessary(branch, weigh)
            if clue is None:
                return None
            atoms.extend(clue.atoms)
            total += clue.weight
    return Clue(total, tuple(dict.fromkeys(atoms)))
