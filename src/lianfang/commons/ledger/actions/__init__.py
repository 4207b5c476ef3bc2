"""The verbs of the ledger: record what was done, give records their place, sign the head, forget on record."""

from lianfang.commons.ledger.actions.keeping import check, cut_checkpoint, forget, name_node
from lianfang.commons.ledger.actions.recording import differing, record, record_many
from lianfang.commons.ledger.actions.sequencing import sequence

__all__ = ["check", "cut_checkpoint", "differing", "forget", "name_node", "record", "record_many", "sequence"]
