"""Pages of detect: rules, their coverage, baselines, exceptions from them, packs, findings, hunts, log anomaly alarms, trying rules on a log, and what it adds to the page of an event."""

from lianfang.rooms.detect.pages import anomalies, baselines, covering, events, exemptions, findings, hits, hunting, library, monitors, ownrules, ownscenarios, packs, rules, scenarios, trying

__all__ = ["anomalies", "baselines", "covering", "events", "exemptions", "findings", "hits", "hunting", "library", "monitors", "ownrules", "ownscenarios", "packs", "rules", "scenarios", "trying"]
