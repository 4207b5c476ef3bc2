"""The map, read once: which rooms exist, which of them this node opens, and in which order.

In: ``rooms.toml`` and the profile (names of rooms). Out: the closure of the profile, lowest room first.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from lianfang.kernel.errors import Invalid

ROOMS: dict[str, dict[str, Any]] = tomllib.loads((Path(__file__).parents[1] / "rooms.toml").read_text("utf-8"))
"""The map. Its order is the order in which rooms come up."""


def closure(*rooms: str) -> frozenset[str]:
    """All rooms that ``rooms`` lean on, directly or not, without themselves.

    >>> sorted(closure("ledger"))
    ['frame', 'jobs']
    """
    strange = [room for room in rooms if room not in ROOMS]
    if strange:
        raise Invalid(f"No room is called {strange[0]}", why="rooms.toml does not list it.", todo=f"Choose among {', '.join(ROOMS)}.")
    below = {need for room in rooms for need in ROOMS[room]["needs"]}
    return frozenset(below | closure(*below)) if below else frozenset()


def opened(profile: str) -> tuple[str, ...]:
    """The rooms of a node: ``"all"``, or names parted by commas with everything below them; lowest first.

    >>> opened("ledger")
    ('frame', 'jobs', 'ledger')
    """
    if profile == "all":
        return tuple(ROOMS)
    chosen = [room.strip() for room in profile.split(",") if room.strip()]
    wanted = closure(*chosen) | set(chosen)
    return tuple(room for room in ROOMS if room in wanted)


def package(room: str) -> str:
    """``"lake"`` → ``"lianfang.rooms.lake"``."""
    return f"lianfang.{ROOMS[room]['floor']}.{room}"
