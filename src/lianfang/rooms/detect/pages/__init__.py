"""Pages of detect: rules, their coverage, exceptions from them, packs, findings, trying rules on a log, and what it adds to the page of an event."""

from lianfang.rooms.detect.pages import covering, events, exemptions, findings, hits, library, monitors, ownrules, packs, rules, scenarios, trying

__all__ = ["covering", "events", "exemptions", "findings", "hits", "library", "monitors", "ownrules", "packs", "rules", "scenarios", "trying"]
