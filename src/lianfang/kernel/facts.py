"""Facts: what happened, in the past tense, said upwards. A fact names things, it never carries rows.

A room declares its facts in ``types.py`` as frozen dataclasses that inherit ``Fact`` and publishes them through the
outbox of ``jobs``; higher rooms listen in ``handlers.py``. The wire name is ``room.Name``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from lianfang.kernel.errors import Invalid


@dataclass(frozen=True, slots=True)
class Fact:
    """Base of all facts. Fields are plain: str, int, float, bool, None, and lists of these."""

    known: ClassVar[dict[str, type[Fact]]] = {}

    def __init_subclass__(cls) -> None:
        Fact.known[cls.name()] = cls  # runs again for the slotted copy that dataclass makes, which then wins

    @classmethod
    def name(cls) -> str:
        """``lianfang.rooms.lake.types.BatchStored`` is said as ``lake.BatchStored``."""
        parts = cls.__module__.split(".")
        return f"{parts[-2] if len(parts) > 1 else parts[0]}.{cls.__qualname__.rsplit('.', 1)[-1]}"

    def body(self) -> dict[str, Any]:
        """The fields as plain values, ready for JSON."""
        return asdict(self)


def revive(name: str, body: dict[str, Any]) -> Fact:
    """Wire name and body → the fact. Fields added later keep their default; unknown fields are an error."""
    kind = Fact.known.get(name)
    if kind is None:
        raise Invalid(f"No fact is called {name}", why="No room on this node declares it.", todo="Check the node's profile and version.")
    strange = set(body) - {field.name for field in fields(kind)}
    if strange:
        raise Invalid(f"{name} has no field {', '.join(sorted(strange))}", why="The sender speaks a newer version.", todo="Update this node.")
    return kind(**body)
