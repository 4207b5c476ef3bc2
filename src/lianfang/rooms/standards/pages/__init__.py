"""Pages of standards: the quality of data, rules with what fails them, data elements, and the columns that follow them."""

from lianfang.rooms.standards.pages import columns, elements, overview, rules

__all__ = ["columns", "elements", "overview", "rules"]
