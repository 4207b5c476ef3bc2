"""Pages of detect: rules, their coverage, baselines, exceptions from them, packs, findings, hunts, trying rules on a log, and what it adds to the page of an event."""

from lianfang.rooms.detect.pages import baselines, covering, events, exemptions, findings, hits, hunting, library, monitors, ownrules, ownscenarios, packs, rules, scenarios, trying

__all__ = ["baselines", "covering", "events", "exemptions", "findings", "hits", "hunting", "library", "monitors", "ownrules", "ownscenarios", "packs", "rules", "scenarios", "trying"]
