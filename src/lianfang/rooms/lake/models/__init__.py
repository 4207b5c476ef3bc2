"""Tables of the lake beside the event tables: sources and their receiving, mappings of the node, what columns hold."""

from lianfang.rooms.lake.models.grading import EVENTS, Grade, GradingRun, Review
from lianfang.rooms.lake.models.mappings import Mapping, MappingVersion, Trial
from lianfang.rooms.lake.models.sources import NAME, Chore, Concluded, Position, Reading, Receipt, Replay, Source, WatchedFile, default_zone, valid_zone

__all__ = [
    "EVENTS", "NAME", "Chore", "Concluded", "Grade", "GradingRun", "Mapping", "MappingVersion", "Position", "Reading", "Receipt", "Replay", "Review", "Source", "Trial", "WatchedFile",
    "default_zone", "valid_zone",
]  # fmt: skip
