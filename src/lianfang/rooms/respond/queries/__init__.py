"""Questions about alerts: which there are, what the situation is, and the story around one of them."""

from lianfang.rooms.respond.queries.asking import alert, alerts, line_of, newest_since, of_batch, seen, took_part, version
from lianfang.rooms.respond.queries.courses import Diamond, Outlook, analysis, diamond, outlook
from lianfang.rooms.respond.queries.incidents import Step, incident_of, incident_whole, incidents, picture, steps
from lianfang.rooms.respond.queries.judged import judged
from lianfang.rooms.respond.queries.linked import linked_events
from lianfang.rooms.respond.queries.matrix import matrix
from lianfang.rooms.respond.queries.situation import SPANS, situation
from lianfang.rooms.respond.queries.story import Story, colleagues, neighbours, story
from lianfang.rooms.respond.queries.without import without

__all__ = ["SPANS", "Diamond", "Outlook", "Step", "Story", "alert", "alerts", "analysis", "colleagues", "diamond", "incident_of", "incident_whole", "incidents", "judged", "line_of", "linked_events", "matrix", "neighbours", "newest_since", "of_batch", "outlook", "picture", "seen", "situation", "steps", "story", "took_part", "version", "without"]
