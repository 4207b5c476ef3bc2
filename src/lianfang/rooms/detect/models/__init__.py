"""Tables of detect: packs and rules; exceptions from rules; findings; hunts; keyword alarms, log anomaly alarms; what correlations look at, what baselines know; and the counter by which examiners learn of changes."""

from lianfang.rooms.detect.models.anomalies import AnomalyAlarm
from lianfang.rooms.detect.models.baselines import Baseline, BaselinePart
from lianfang.rooms.detect.models.correlations import Correlating, CorrelatingPart, Matches
from lianfang.rooms.detect.models.exemptions import Exemption, ExemptionState
from lianfang.rooms.detect.models.findings import Finding
from lianfang.rooms.detect.models.hunts import Hunt, HuntSplit
from lianfang.rooms.detect.models.monitors import Calendar, Episode, Monitor, Signal
from lianfang.rooms.detect.models.ownrules import OwnRule, Preview
from lianfang.rooms.detect.models.rules import Edition, EventKind, Examination, Level, Pack, Reach, Rule, RuleMark, RuleSwitch, Status, Survey
from lianfang.rooms.detect.models.scenarios import OwnScenario

__all__ = ["AnomalyAlarm", "Baseline", "BaselinePart", "Calendar", "Correlating", "CorrelatingPart", "Edition", "Episode", "EventKind", "Examination", "Exemption", "ExemptionState", "Finding", "Hunt", "HuntSplit", "Level", "Matches", "Monitor", "OwnRule", "OwnScenario", "Pack", "Preview", "Reach", "Rule", "RuleMark", "RuleSwitch", "Signal", "Status", "Survey"]
