"""Values of the ledger that may leave the room: what to record, an entry, a proof, the verdict of a verification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from lianfang.kernel.ref import Ref

FORGOTTEN = "ledger.forgotten"
"""The verb that tells of an erasure; its object is the erased record."""

VERIFIED = "ledger.verified"
"""The verb that tells of a verification of the whole log, with its outcome."""

CHECK = "ledger.verify"
"""The job that verifies the whole log."""


@dataclass(frozen=True, slots=True)
class Draft:
    """One record to be, for ``record_many``."""

    verb: str
    ref: Ref
    label: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    territory: str = ""
    industry: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record as it may be shown. ``seq`` is ``None`` until it is sealed into the tree (a second or two)."""

    id: UUID
    seq: int | None
    time: datetime
    verb: str
    ref: Ref
    label: str
    actor: str
    actor_name: str
    actor_kind: str
    detail: Mapping[str, Any]
    forgotten: bool = False


@dataclass(frozen=True, slots=True)
class Proof:
    """That an entry stands in the log: its leaf, its place, the way to the root, and the signed checkpoint over that root."""

    leaf: bytes
    index: int
    size: int
    path: tuple[bytes, ...]
    root: bytes
    note: str
    file: str
    """The text of a C2SP ``.tlog-proof`` file, checkable offline with the node's verification key."""


class Kind(StrEnum):
    """What a verification found."""

    EDITED = "edited"
    MOVED = "moved"
    REMOVED = "removed"
    INSERTED = "inserted"
    TRUNCATED = "truncated"
    REWRITTEN = "rewritten"
    TREE = "tree"
    CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding; ``seq`` is the place in the log, or ``None`` where none can be named."""

    kind: Kind
    seq: int | None
    what: str

    def __str__(self) -> str:
        return f"{self.kind}{'' if self.seq is None else f' at {self.seq}'}: {self.what}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a verification. ``unsealed`` records wait for the sequencer; ``forgotten`` ones were erased on record."""

    ok: bool
    records: int
    checkpoints: int
    problems: tuple[Problem, ...] = ()
    unsealed: int = 0
    forgotten: int = 0
    root: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """Who this node is to the outside: its name in every leaf, the name of its log, its verification key."""

    name: str
    origin: str
    verify_key: str
