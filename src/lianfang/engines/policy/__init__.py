"""May this be seen, may this travel, and why (not): levels, masks, and the label that goes with the data.

In: columns of events, or a label and an audience. Out: a level for each row, masked text, a decision with its reasons.
"""

from lianfang.engines.policy.levels import BASELINE, LevelRule, classify, load, reasons
from lianfang.engines.policy.masks import HIDDEN, mask
from lianfang.engines.policy.travel import Audience, Decision, Label, may_travel

__all__ = ["BASELINE", "HIDDEN", "Audience", "Decision", "Label", "LevelRule", "classify", "load", "mask", "may_travel", "reasons"]
