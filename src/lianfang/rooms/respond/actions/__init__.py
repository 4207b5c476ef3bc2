"""The verbs of respond: raise alerts, decide about them, group them into incidents, mark what recovered, forget them with their source."""

from lianfang.rooms.respond.actions.deciding import acknowledge, assign, by_name, close, comment, reopen, start
from lianfang.rooms.respond.actions.erasing import forget_source
from lianfang.rooms.respond.actions.grouping import group_alerts
from lianfang.rooms.respond.actions.incidents import assign_incident, close_incident, incident_by_name, merge_incident, rename_incident, split_incident
from lianfang.rooms.respond.actions.raising import raise_alerts
from lianfang.rooms.respond.actions.recovering import mark_recovered

__all__ = [
    "acknowledge", "assign", "assign_incident", "by_name", "close", "close_incident", "comment", "forget_source", "group_alerts", "incident_by_name", "mark_recovered", "merge_incident", "raise_alerts", "rename_incident", "reopen", "split_incident", "start",
]  # fmt: skip
