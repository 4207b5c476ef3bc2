"""Who is asking: the frozen answer to "may they, and how far do they see?".

Only the room ``people`` builds viewers for persons and keys; everyone else receives one and asks it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

from lianfang.kernel.errors import Refused
from lianfang.kernel.labels import DataLevel

WIDTH = 5
"""Digits per level of an organisation path. Digits only, so that every database sorts paths alike."""


def after(path: str) -> str:
    """The first path that no longer lies below ``path``: rows with ``path <= p < after(path)`` are the subtree.

    >>> after("0000100002")
    '0000100003'
    >>> after("")
    ':'
    """
    return f"{int(path) + 1:0{len(path)}d}" if path else ":"


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person, an API key or the node itself, as seen by queries and actions.

    ``territory`` and ``industry`` hold the organisation paths whose subtrees are visible (两轴：条块结合);
    ``permissions`` holds ``room.kind.verb`` strings, ``*`` meaning all of a part (``detect.*``, ``detect.*.view``, ``*``).
    ``clearance`` is the highest data level shown unmasked.
    """

    id: str
    name: str
    organisation: str = ""
    path: str = ""
    industry_path: str = ""
    territory: tuple[str, ...] = ()
    industry: tuple[str, ...] = ()
    permissions: frozenset[str] = field(default_factory=frozenset)
    clearance: DataLevel = DataLevel.L2
    kind: str = "user"
    language: str = "zh-hans"

    def may(self, permission: str) -> bool:
        """Whether ``room.kind.verb`` is granted, exactly, by a ``*`` prefix, or with ``*`` for a part (``detect.*.view``)."""
        granted = self.permissions
        if permission in granted or "*" in granted:
            return True
        parts = permission.split(".")
        if any(".".join(parts[:n]) + ".*" in granted for n in range(1, len(parts))):
            return True
        return any(".".join(choice) in granted for choice in product(*((part, "*") for part in parts)))

    def must(self, permission: str) -> None:
        """Raise ``Refused`` unless ``permission`` is granted."""
        if not self.may(permission):
            raise Refused(f"{self.name} may not do this", why=f"The permission {permission} is not granted.", todo="Ask an administrator of your organisation for it.", details={"permission": permission})

    @property
    def sees_node(self) -> bool:
        """Whether the node as a whole lies in scope: its root, and with it what belongs to no organisation (jobs, the node's own deeds)."""
        return any(len(top) <= WIDTH for top in self.territory)

    def sees(self, territory: str, industry: str = "") -> bool:
        """Whether a row with these paths lies in the viewer's scope."""
        return any(territory.startswith(top) for top in self.territory) or (bool(industry) and any(industry.startswith(top) for top in self.industry))


SYSTEM = Viewer(id="system", name="node", territory=("",), permissions=frozenset({"*"}), clearance=DataLevel.L4, kind="system")
"""The node acting by itself (schedules, handlers). Sees everything; its actions are recorded under its own name."""

NOBODY = Viewer(id="", name="nobody", kind="anonymous")
"""A stranger: no permission, no scope."""
