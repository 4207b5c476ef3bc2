"""Questions to the lake. Every one carries its viewer; rows outside the viewer's scope do not exist for it."""

from lianfang.rooms.lake.queries.arriving import Arrivals, Piece, Tally, behind, last_events, pieces, stored_before, tallied
from lianfang.rooms.lake.queries.cataloguing import table_story
from lianfang.rooms.lake.queries.copies import ALWAYS, check_question, columns_of, copied, copy_levels, days_kept, graded_levels, lessons, seen_copy
from lianfang.rooms.lake.queries.devices import devices
from lianfang.rooms.lake.queries.drifting import drifts
from lianfang.rooms.lake.queries.elsewhere import spread, sql_on
from lianfang.rooms.lake.queries.feeding import fed, hours
from lianfang.rooms.lake.queries.figures import (
    CAPTURES,
    belongs,
    capture_reader,
    catalogue,
    certificate,
    gauges,
    has_sample,
    lag,
    last_hour,
    layers,
    overview,
    owner_choices,
    owners,
    rate_now,
    source_choices,
    source_names,
    zones,
)
from lianfang.rooms.lake.queries.generations import copy_by_generation
from lianfang.rooms.lake.queries.grading import class_name, model_in_use
from lianfang.rooms.lake.queries.leaving import left, left_counts
from lianfang.rooms.lake.queries.linking import met, took_part
from lianfang.rooms.lake.queries.mappings import OWN, compiled, in_use, knows_template, mapping_text, may_read_samples, shipped, suggestions, template_choices
from lianfang.rooms.lake.queries.masking import address_rule, address_rules, preview, tried
from lianfang.rooms.lake.queries.matching import seen
from lianfang.rooms.lake.queries.measuring import coverage, freshness, measured
from lianfang.rooms.lake.queries.mining import log_template, mined_to, template_sources, template_tree, templates_alike
from lianfang.rooms.lake.queries.parts import fingerprints, held, seen_hours, still_there, way_in, ways_in
from lianfang.rooms.lake.queries.places import raced
from lianfang.rooms.lake.queries.ports import next_port
from lianfang.rooms.lake.queries.protection import approving, ever_sealed, levels_of, measures, readers
from lianfang.rooms.lake.queries.rejects import reject_groups, reject_ref, rejects, whole_rejects
from lianfang.rooms.lake.queries.reporting import Outgoing, destination, destinations, outgoing
from lianfang.rooms.lake.queries.rereading import WHOLE, manners, reread
from lianfang.rooms.lake.queries.running import History, history
from lianfang.rooms.lake.queries.scope import OPEN, masked, veil
from lianfang.rooms.lake.queries.searching import LISTED, OPERATORS, event, events, histogram, search, sql, sql_level, sql_table, top
from lianfang.rooms.lake.queries.shielding import MARK as SEALED
from lianfang.rooms.lake.queries.shielding import secret as pseudonym_secret
from lianfang.rooms.lake.queries.straying import odd_templates, template_spans

__all__ = [
    "ALWAYS", "CAPTURES", "LISTED", "OPEN", "OPERATORS", "OWN", "SEALED", "WHOLE", "Arrivals", "History", "Outgoing", "Piece", "Tally", "address_rule", "address_rules", "approving", "behind", "belongs", "capture_reader", "catalogue", "certificate", "check_question", "class_name",
    "columns_of", "compiled", "copied", "copy_by_generation", "copy_levels", "coverage", "days_kept", "destination", "destinations", "devices", "drifts", "event", "events", "ever_sealed", "fed", "fingerprints", "freshness", "gauges", "graded_levels", "has_sample", "held",
    "histogram", "history", "hours", "in_use", "knows_template", "lag", "last_events", "last_hour", "layers", "left", "left_counts", "lessons", "levels_of", "log_template", "manners", "mapping_text", "masked", "may_read_samples", "measured", "measures", "met", "mined_to", "model_in_use", "next_port",
    "odd_templates", "outgoing", "overview", "owner_choices", "owners", "pieces", "preview", "pseudonym_secret", "raced", "rate_now", "readers", "reject_groups", "reject_ref", "rejects", "reread", "search", "seen", "seen_copy", "seen_hours", "shipped", "source_choices", "source_names",
    "spread", "sql", "sql_level", "sql_on", "sql_table", "still_there", "stored_before", "suggestions", "table_story", "tallied", "template_choices", "template_sources", "template_spans", "template_tree", "templates_alike", "took_part", "top",
    "tried", "veil", "way_in", "ways_in", "whole_rejects", "zones",
]  # fmt: skip
