"""Questions to the ledger: what happened to a thing, an entry and its proof, and whether the whole record still holds."""

from lianfang.commons.ledger.queries.asking import LOG, entry, gauges, holds, lag, last_verification, latest, name_of, node, proof, seen, timeline, waiting
from lianfang.commons.ledger.queries.verifying import verify

__all__ = ["LOG", "entry", "gauges", "holds", "lag", "last_verification", "latest", "name_of", "node", "proof", "seen", "timeline", "verify", "waiting"]
