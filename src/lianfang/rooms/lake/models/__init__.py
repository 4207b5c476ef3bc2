"""Tables of the lake beside the event tables: sources and their receiving, what columns hold."""

from lianfang.rooms.lake.models.grading import EVENTS, Grade, GradingRun, Review
from lianfang.rooms.lake.models.sources import NAME, Chore, Concluded, Position, Reading, Receipt, Replay, Source, WatchedFile, default_zone, valid_zone

__all__ = ["EVENTS", "NAME", "Chore", "Concluded", "Grade", "GradingRun", "Position", "Reading", "Receipt", "Replay", "Review", "Source", "WatchedFile", "default_zone", "valid_zone"]
