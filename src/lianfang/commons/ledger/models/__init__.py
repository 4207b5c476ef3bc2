"""Tables of the ledger, the node's identity, and the exact bytes that are committed to."""

from lianfang.commons.ledger.models.tables import Checkpoint, Head, Record, Tile, load_tile

__all__ = ["Checkpoint", "Head", "Record", "Tile", "load_tile"]
