"""Compiled rules: what the compiler makes, what the kernel runs, and how it rests on disk between two starts.

The file is a short header, a checksum and MessagePack: nothing in it can be executed. The pattern databases of Vectorscan
lie in the same file; they fit one kind of processor and one version of the library, and are made again where they do not fit.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from sys import intern
from typing import Any

import msgspec

from lianfang.engines.rules.correlation import Correlation
from lianfang.engines.rules.trees import Atom, Tree
from lianfang.engines.rules.types import Problem, Rule
from lianfang.kernel.errors import Invalid

_MAGIC = b"LFRULES3"


@dataclass(frozen=True, slots=True)
class Databases:
    """Serialised Vectorscan databases by field; ``platform`` is the library's own description of what they run on."""

    platform: str = ""
    by_field: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Compiled:
    """Rules, and the tree of each over the shared atoms; ``problems`` name every rule that could not be compiled, with the reason;
    ``correlations`` look at the matches of the rules."""

    rules: tuple[Rule, ...]
    trees: tuple[Tree, ...]
    atoms: tuple[Atom, ...]
    problems: tuple[Problem, ...] = ()
    correlations: tuple[Correlation, ...] = ()
    databases: Databases = field(default_factory=Databases, repr=False, compare=False)

    def only(self, uids: Collection[str]) -> Compiled:
        """The same with some of the rules: a source for which others are switched off."""
        kept = [(rule, tree) for rule, tree in zip(self.rules, self.trees) if rule.uid in uids]
        return replace(self, rules=tuple(rule for rule, _ in kept), trees=tuple(tree for _, tree in kept), correlations=tuple(one for one in self.correlations if one.uid in uids))

    def save(self, path: str | Path) -> None:
        """Write to ``path`` in one step: a reader sees the old file or the new one."""
        body = msgspec.msgpack.encode(self._body())
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.{os.getpid()}.part")
        partial.write_bytes(_MAGIC + hashlib.blake2b(body, digest_size=16).digest() + body)
        partial.replace(target)

    def _body(self) -> dict[str, Any]:
        return {
            "rules": self.rules,
            "trees": self.trees,
            "atoms": [tuple(atom) for atom in self.atoms],
            "problems": self.problems,
            "correlations": self.correlations,
            "platform": self.databases.platform,
            "databases": dict(self.databases.by_field),
        }

    @classmethod
    def load(cls, path: str | Path) -> Compiled:
        """Read what ``save`` wrote. Raises ``Invalid`` for a damaged file or one of another version: compile again then."""
        content = Path(path).read_bytes()
        start = len(_MAGIC) + 16
        body = memoryview(content)[start:]
        if content[: len(_MAGIC)] != _MAGIC or hashlib.blake2b(body, digest_size=16).digest() != content[len(_MAGIC) : start]:
            raise Invalid(f"{path} does not hold compiled rules of this version", why="The file is damaged or was written by another version.", todo="Compile the rules again.")
        return _revive(msgspec.msgpack.decode(body, type=_Body))


class _Body(msgspec.Struct):
    rules: tuple[Rule, ...]
    trees: list[Any]
    atoms: list[tuple[str, str, str, bool]]
    problems: tuple[Problem, ...]
    correlations: tuple[Correlation, ...]
    platform: str
    databases: dict[str, bytes]


def _revive(body: _Body) -> Compiled:
    return Compiled(
        rules=body.rules,
        trees=tuple(_tree(tree) for tree in body.trees),
        atoms=tuple(Atom(intern(field), intern(op), pattern, cased) for field, op, pattern, cased in body.atoms),  # some hundred fields, told many thousand times
        problems=body.problems,
        correlations=body.correlations,
        databases=Databases(body.platform, body.databases),
    )


def _tree(node: Any) -> Tree:
    return node if isinstance(node, int) else (node[0], tuple(_tree(branch) for branch in node[1]))
