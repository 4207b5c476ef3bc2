"""Pages of standards: the quality of data, rules with what fails them, data elements, and the columns that follow them; the life of data; the bell."""

from lianfang.rooms.standards.pages import bell, columns, elements, life, overview, policies, rules

__all__ = ["bell", "columns", "elements", "life", "overview", "policies", "rules"]
