"""Questions to the lake. Every one carries its viewer; rows outside the viewer's scope do not exist for it."""

from lianfang.rooms.lake.queries.elsewhere import sql_on
from lianfang.rooms.lake.queries.figures import backlog, catalogue, certificate, gauges, has_sample, lag, overview, owners, rate_now, source_names, zones
from lianfang.rooms.lake.queries.matching import seen
from lianfang.rooms.lake.queries.rejects import reject_groups, reject_ref, rejects, whole_rejects
from lianfang.rooms.lake.queries.searching import OPERATORS, event, events, histogram, search, sql, top

__all__ = [
    "OPERATORS", "backlog", "catalogue", "certificate", "event", "events", "gauges", "has_sample", "histogram", "lag", "overview", "owners", "rate_now",
    "reject_groups", "reject_ref", "rejects", "search", "seen", "source_names", "sql", "sql_on", "top", "whole_rejects", "zones",
]  # fmt: skip
