"""The verbs of respond: raise alerts, decide about them, group them into incidents, mark what recovered, forget them with their source."""

from lianfang.rooms.respond.actions.deciding import acknowledge, assign, by_name, close, comment, reopen, start
from lianfang.rooms.respond.actions.erasing import forget_source
from lianfang.rooms.respond.actions.grouping import group_alerts
from lianfang.rooms.respond.actions.incidents import acknowledge_incident, assign_incident, close_incident, comment_incident, incident_by_name, merge_incident, rename_incident, split_incident
from lianfang.rooms.respond.actions.raising import raise_alerts
from lianfang.rooms.respond.actions.recovering import mark_recovered
from lianfang.rooms.respond.actions.weighing import change_importance, create_importance, plain, rank_anew, remove_importance

__all__ = [
    "acknowledge", "acknowledge_incident", "assign", "assign_incident", "by_name", "change_importance", "close", "close_incident", "comment", "comment_incident", "create_importance", "forget_source", "group_alerts", "incident_by_name", "mark_recovered", "merge_incident", "plain", "raise_alerts", "rank_anew", "remove_importance", "rename_incident", "reopen", "split_incident", "start",
]  # fmt: skip
