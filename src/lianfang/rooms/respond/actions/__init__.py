"""The verbs of respond: raise alerts, decide about them, forget them with their source."""

from lianfang.rooms.respond.actions.deciding import acknowledge, assign, by_name, close, comment, reopen, start
from lianfang.rooms.respond.actions.erasing import forget_source
from lianfang.rooms.respond.actions.raising import raise_alerts

__all__ = ["acknowledge", "assign", "by_name", "close", "comment", "forget_source", "raise_alerts", "reopen", "start"]
