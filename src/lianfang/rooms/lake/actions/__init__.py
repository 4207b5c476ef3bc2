"""The verbs of the lake: take logs in, store them, keep them, and let them go."""

from lianfang.rooms.lake.actions.files import ingest_path
from lianfang.rooms.lake.actions.ingesting import drain, ingest, settle
from lianfang.rooms.lake.actions.receiving import door, receive
from lianfang.rooms.lake.actions.rejects import replay_rejects
from lianfang.rooms.lake.actions.sampling import erase_sample, feed_sample, shifted
from lianfang.rooms.lake.actions.sources import carry, change_source, create_source, ensure_source, erase_source, forget_receipts, make_source, note_export, open_source, pause_source, send_test
from lianfang.rooms.lake.actions.uploading import read_upload, take_upload

__all__ = [
    "carry", "change_source", "create_source", "door", "drain", "ensure_source", "erase_sample", "erase_source", "feed_sample", "forget_receipts",
    "ingest", "ingest_path", "make_source", "note_export", "open_source", "pause_source", "read_upload", "receive", "replay_rejects", "send_test", "settle", "shifted", "take_upload",
]  # fmt: skip
