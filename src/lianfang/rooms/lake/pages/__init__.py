"""Pages of the lake: search, one event, SQL, sources, rejects, upload, a source by sample, log templates, mappings, catalogue."""

from lianfang.rooms.lake.pages import catalogue, decoys, grading, mappings, masking, mining, one, protection, rejects, reporting, runs, search, sentences, sharing, sources, taking, upload, wizard

__all__ = ["catalogue", "decoys", "grading", "mappings", "masking", "mining", "one", "protection", "rejects", "reporting", "runs", "search", "sentences", "sharing", "sources", "taking", "upload", "wizard"]
