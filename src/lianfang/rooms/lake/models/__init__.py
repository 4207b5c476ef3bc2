"""Tables of the lake beside the event tables: sources and their receiving, mappings of the node, what columns hold, what is hidden of them."""

from lianfang.rooms.lake.models.drifts import Course, Drift, Heard, Notice, Usual
from lianfang.rooms.lake.models.grading import EVENTS, Grade, GradingModel, GradingRun, Review
from lianfang.rooms.lake.models.mappings import Mapping, MappingVersion, Trial
from lianfang.rooms.lake.models.masking import LISTS, MaskEdition, MaskRule, Pseudonym
from lianfang.rooms.lake.models.mining import LogTemplate, Mined, MinedTo
from lianfang.rooms.lake.models.protection import ExportRequest, Measure, SealedFile, Touch
from lianfang.rooms.lake.models.reports import Destination, Report, ReportPart
from lianfang.rooms.lake.models.runs import Run, RunState
from lianfang.rooms.lake.models.sources import NAME, Chore, Concluded, Position, Reading, Receipt, Replay, Source, WatchedFile, default_zone, valid_zone

__all__ = [
    "EVENTS", "LISTS", "NAME", "Chore", "Concluded", "Course", "Destination", "Drift", "ExportRequest", "Grade", "GradingModel", "GradingRun", "Heard", "LogTemplate", "Mapping", "MappingVersion", "MaskEdition", "MaskRule", "Measure",
    "Mined", "MinedTo", "Notice", "Position", "Pseudonym", "Reading", "Receipt", "Replay", "Report", "ReportPart", "Review", "Run", "RunState", "SealedFile", "Source", "Touch", "Trial", "Usual", "WatchedFile", "default_zone", "valid_zone",
]  # fmt: skip
