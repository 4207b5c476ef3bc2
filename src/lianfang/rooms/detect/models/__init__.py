"""Tables of detect: packs and rules; findings; and the counter by which examiners learn of changes."""

from lianfang.rooms.detect.models.findings import Finding
from lianfang.rooms.detect.models.rules import Edition, Examination, Level, Pack, Rule, RuleMark, RuleSwitch, Status

__all__ = ["Edition", "Examination", "Finding", "Level", "Pack", "Rule", "RuleMark", "RuleSwitch", "Status"]
