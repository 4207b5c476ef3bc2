"""Tables of the lake beside the event tables: sources and their receiving."""

from lianfang.rooms.lake.models.sources import NAME, Chore, Concluded, Position, Reading, Receipt, Replay, Source, WatchedFile, default_zone, valid_zone

__all__ = ["NAME", "Chore", "Concluded", "Position", "Reading", "Receipt", "Replay", "Source", "WatchedFile", "default_zone", "valid_zone"]
