"""Questions to the room of learning. Every one carries its viewer."""

from lianfang.rooms.learning.queries.reading import LEFT_OUT, ROWS, counted, described, folder, levels, place, rows
from lianfang.rooms.learning.queries.registry import artefact, artefact_place, history, in_use, limit

__all__ = ["LEFT_OUT", "ROWS", "artefact", "artefact_place", "counted", "described", "folder", "history", "in_use", "levels", "limit", "place", "rows"]
