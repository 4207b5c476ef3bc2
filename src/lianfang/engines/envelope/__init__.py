"""Signed messages that other people's tools can check (canonical JSON, Ed25519 keys, signed notes, checkpoints, proof files), and secrets sealed at rest; certificates that sign themselves.

In: plain values, texts and keys. Out: bytes and texts in the published formats (RFC 8785; C2SP signed-note,
tlog-checkpoint, tlog-proof), and the verdict on such texts from others.
"""

from lianfang.engines.envelope.canonical import canonical, canonical_plain
from lianfang.engines.envelope.certificates import self_signed
from lianfang.engines.envelope.checkpoints import Checkpoint, ProofFile
from lianfang.engines.envelope.ciphers import STEADILY, STEADY, Steady, block_cipher, derived, steady_generation
from lianfang.engines.envelope.keyring import Keyring, generations, key_file, mark_of
from lianfang.engines.envelope.keys import SigningKey, VerifyKey, key_name
from lianfang.engines.envelope.notes import open_note, sign_note
from lianfang.engines.envelope.sealing import SealingKey, is_sealed
from lianfang.engines.envelope.streams import SealedReader, SealedWriter

__all__ = [
    "STEADILY", "STEADY", "Checkpoint", "Keyring", "ProofFile", "SealedReader", "SealedWriter", "SealingKey", "SigningKey", "Steady", "VerifyKey", "block_cipher", "canonical", "canonical_plain", "derived", "generations", "is_sealed", "key_file", "key_name",
    "mark_of", "open_note", "self_signed", "sign_note", "steady_generation",
]  # fmt: skip
