"""Questions to the lake. Every one carries its viewer; rows outside the viewer's scope do not exist for it."""

from lianfang.rooms.lake.queries.cataloguing import table_story
from lianfang.rooms.lake.queries.elsewhere import sql_on
from lianfang.rooms.lake.queries.figures import backlog, catalogue, certificate, gauges, has_sample, lag, last_hour, overview, owners, rate_now, source_names, zones
from lianfang.rooms.lake.queries.matching import seen
from lianfang.rooms.lake.queries.rejects import reject_groups, reject_ref, rejects, whole_rejects
from lianfang.rooms.lake.queries.scope import Veil, masked, veil
from lianfang.rooms.lake.queries.searching import LISTED, OPERATORS, event, events, histogram, search, sql, sql_table, top

__all__ = [
    "LISTED", "OPERATORS", "Veil", "backlog", "catalogue", "certificate", "event", "events", "gauges", "has_sample", "histogram", "lag", "last_hour", "masked", "overview", "owners", "rate_now",
    "reject_groups", "reject_ref", "rejects", "search", "seen", "source_names", "sql", "sql_on", "sql_table", "table_story", "top", "veil", "whole_rejects", "zones",
]  # fmt: skip
