"""Questions to the room of standards. Every one carries its viewer."""

from lianfang.rooms.standards.queries.elements import elements_for, starter, title, uses_of
from lianfang.rooms.standards.queries.quality import AHEAD, basic_left, begin_of, last_measuring, overview, trend_of_rule, trends

__all__ = ["AHEAD", "basic_left", "begin_of", "elements_for", "last_measuring", "overview", "starter", "title", "trend_of_rule", "trends", "uses_of"]
