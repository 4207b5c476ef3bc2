"""Graphs: things that share entities, joined where what they share is rare enough and near enough in time.

In: sights (what was seen, when, with which entities) and how far in time each kind of entity reaches; or one thing that happened and
a way to ask what an entity was met in; or courses of earlier things. Out: groups, each sight with the link by which it hangs in its group; or what is linked with the
one thing, each with its path and weight; or what may follow, with what speaks for it. Pure: the answer depends on the set of sights alone, never on their order.
"""

from lianfang.engines.graphs.following import After, Course, Expected, Following
from lianfang.engines.graphs.grouping import SAID, Edge, Entity, Group, Rules, Sight, groups, hubs
from lianfang.engines.graphs.linking import Around, Line, Link, Reach, Web, linked

__all__ = ["SAID", "After", "Around", "Course", "Edge", "Entity", "Expected", "Following", "Group", "Line", "Link", "Reach", "Rules", "Sight", "Web", "groups", "hubs", "linked"]
