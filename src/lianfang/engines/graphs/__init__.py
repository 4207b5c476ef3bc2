"""Graphs: things that share entities, joined where what they share is rare enough and near enough in time.

In: sights (what was seen, when, with which entities) and how far in time each kind of entity reaches. Out: groups, each sight
with the link by which it hangs in its group. Pure: the answer depends on the set of sights alone, never on their order.
"""

from lianfang.engines.graphs.grouping import SAID, Edge, Entity, Group, Rules, Sight, groups, hubs

__all__ = ["SAID", "Edge", "Entity", "Group", "Rules", "Sight", "groups", "hubs"]
