"""Pages of intel: the watch list, imports and outside APIs; the door for those who submit, and what becomes of it inside; the bell."""

from lianfang.rooms.intel.pages import bell, door, figures, indicators, submissions

__all__ = ["bell", "door", "figures", "indicators", "submissions"]
