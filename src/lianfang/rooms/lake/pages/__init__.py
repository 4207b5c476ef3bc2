"""Pages of the lake: search, one event, SQL, sources, rejects, upload, a source by sample, mappings, catalogue."""

from lianfang.rooms.lake.pages import catalogue, grading, mappings, masking, one, protection, rejects, search, sentences, sources, taking, upload, wizard

__all__ = ["catalogue", "grading", "mappings", "masking", "one", "protection", "rejects", "search", "sentences", "sources", "taking", "upload", "wizard"]
