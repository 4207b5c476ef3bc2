"""Tables of standards: data elements with their versions and uses, rules of quality, when was measured, deeds at the end of life, policies."""

from lianfang.rooms.standards.models.elements import CODE, Element, ElementUse
from lianfang.rooms.standards.models.life import Disposal
from lianfang.rooms.standards.models.policy import Policy
from lianfang.rooms.standards.models.quality import Measuring, Rule

__all__ = ["CODE", "Disposal", "Element", "ElementUse", "Measuring", "Policy", "Rule"]
