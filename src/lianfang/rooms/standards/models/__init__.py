"""Tables of standards: data elements with their versions and uses, rules of quality, when was measured, deeds at the end of life, policies."""

from lianfang.rooms.standards.models.elements import Element, ElementUse
from lianfang.rooms.standards.models.life import Disposal
from lianfang.rooms.standards.models.policy import Policy
from lianfang.rooms.standards.models.quality import Measuring, Rule
from lianfang.rooms.standards.models.versions import Versioned

__all__ = ["Disposal", "Element", "ElementUse", "Measuring", "Policy", "Rule", "Versioned"]
