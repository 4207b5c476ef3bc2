"""Tables of intel: indicators with the deliveries that brought them, and what outsiders submit."""

from lianfang.rooms.intel.models.indicators import LONGEST, Edition, Entry, Feed, Indicator, Intake, IntakePart, Received, Reject, digest_of
from lianfang.rooms.intel.models.submissions import Centre, Remark, Submission

__all__ = ["LONGEST", "Centre", "Edition", "Entry", "Feed", "Indicator", "Intake", "IntakePart", "Received", "Reject", "Remark", "Submission", "digest_of"]
