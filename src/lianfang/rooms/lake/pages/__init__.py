"""Pages of the lake: search, one event, SQL, sources, rejects, upload, catalogue."""

from lianfang.rooms.lake.pages import catalogue, grading, one, rejects, search, sources, taking, upload

__all__ = ["catalogue", "grading", "one", "rejects", "search", "sources", "taking", "upload"]
