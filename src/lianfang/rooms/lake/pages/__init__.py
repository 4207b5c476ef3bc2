"""Pages of the lake: search, one event, SQL, sources, rejects, upload, catalogue."""

from lianfang.rooms.lake.pages import catalogue, one, rejects, search, sources, upload

__all__ = ["catalogue", "one", "rejects", "search", "sources", "upload"]
