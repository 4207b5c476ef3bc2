"""What rooms declare to learning: learners, each with the data it is taught with, how it is measured, and what becomes of the model in use.

In: a ``Learner``, once, when the room's app is ready. Out: the closed register that trainings choose from. A learner is code of the node;
nobody uploads one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lianfang.kernel.errors import Missing
from lianfang.rooms.learning.types import Learned, Origin, Whose

if TYPE_CHECKING:
    import pyarrow as pa

Progress = Callable[[float, str], object]


@dataclass(frozen=True, slots=True)
class Learner:
    """``train(rows, progress)`` gives a model that was measured on rows it was not taught with; it raises ``Invalid`` for rows that cannot teach.

    ``kind``: what the model is, as the registry says it. ``metric``: the one that decides, more is better (``least=True``: less is better).
    ``use(artefact, name, whose)`` puts a model to work, ``drop(whose)`` takes it back; both in the caller's transaction.
    """

    key: str
    label: Any
    about: Any
    origin: Origin
    kind: str
    metric: str
    train: Callable[[pa.Table, Progress], Learned]
    use: Callable[[bytes, str, Whose], None]
    drop: Callable[[Whose], None]
    least: bool = False


_learners: dict[str, Learner] = {}


def learner(one: Learner) -> None:
    """Declare a learner."""
    _learners[one.key] = one


def learners() -> dict[str, Learner]:
    """All declared learners by key."""
    return dict(_learners)


def learner_called(key: str) -> Learner:
    """The declared learner; raises ``Missing`` when no open room declares it."""
    found = _learners.get(key)
    if found is None:
        raise Missing(f"No learner is called {key[:40]}", why="No open room of this node declares it.", todo="Check the node's profile and version.")
    return found
