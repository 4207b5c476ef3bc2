"""The verbs of respond: raise alerts, decide about them, mark what recovered, forget them with their source."""

from lianfang.rooms.respond.actions.deciding import acknowledge, assign, by_name, close, comment, reopen, start
from lianfang.rooms.respond.actions.erasing import forget_source
from lianfang.rooms.respond.actions.raising import raise_alerts
from lianfang.rooms.respond.actions.recovering import mark_recovered

__all__ = ["acknowledge", "assign", "by_name", "close", "comment", "forget_source", "mark_recovered", "raise_alerts", "reopen", "start"]
