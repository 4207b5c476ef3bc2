"""Pages of standards: the quality of data, rules with what fails them, data elements, and the columns that follow them; the life of data."""

from lianfang.rooms.standards.pages import columns, elements, life, overview, policies, rules

__all__ = ["columns", "elements", "life", "overview", "policies", "rules"]
