"""Tables of standards: data elements with their versions and uses, rules of quality, when was measured."""

from lianfang.rooms.standards.models.elements import CODE, Element, ElementUse
from lianfang.rooms.standards.models.quality import Measuring, Rule

__all__ = ["CODE", "Element", "ElementUse", "Measuring", "Rule"]
