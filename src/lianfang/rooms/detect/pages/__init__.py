"""Pages of detect: rules, exceptions from them, packs, findings, trying rules on a log, and what it adds to the page of an event."""

from lianfang.rooms.detect.pages import events, exemptions, findings, hits, library, monitors, packs, rules, trying

__all__ = ["events", "exemptions", "findings", "hits", "library", "monitors", "packs", "rules", "trying"]
