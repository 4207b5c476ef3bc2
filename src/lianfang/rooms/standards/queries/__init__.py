"""Questions to the room of standards. Every one carries its viewer."""

from lianfang.rooms.standards.queries.elements import elements_for, starter, title, uses_for, uses_of
from lianfang.rooms.standards.queries.life import absent, deeds, life
from lianfang.rooms.standards.queries.quality import AHEAD, BASIC, basic_left, begin_of, last_measuring, overview, trend_of_rule, trends

__all__ = ["AHEAD", "BASIC", "absent", "basic_left", "begin_of", "deeds", "elements_for", "last_measuring", "life", "overview", "starter", "title", "trend_of_rule", "trends", "uses_for", "uses_of"]
