"""The node's identity on disk: its name, its signing key, and the last checkpoint it signed, kept outside the database.

The files lie in ``keys/`` of the node's home, readable by their owner only. Whoever rolls back the database alone is
found out by the checkpoint that lies here.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from django.conf import settings

from lianfang.engines.envelope import SigningKey, VerifyKey
from lianfang.kernel.errors import Conflict, Missing


def folder() -> Path:
    """Where the keys lie."""
    return Path(settings.HOME) / "keys"


def _read(name: str) -> str:
    try:
        return (folder() / name).read_text("utf-8")
    except FileNotFoundError:
        return ""


def write(name: str, text: str) -> None:
    """Replace a file at once or not at all, readable by its owner only."""
    folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = folder() / f".{name}.{os.getpid()}.{os.urandom(4).hex()}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, folder() / name)


def node_name() -> str:
    """The name that was given to the node, or a random one that it keeps."""
    if not _read("node.name"):
        write("node.name", f"node-{sha256(os.urandom(16)).hexdigest()[:8]}\n")
    return _read("node.name").strip()


def has_key() -> bool:
    """Whether the node has signed, or could have."""
    return (folder() / "ledger.key").exists()


def signing_key() -> SigningKey:
    """The node's key; made on first use. Its name is the log's origin: ``<node>/ledger``."""
    path = folder() / "ledger.key"
    try:
        return SigningKey.load(path)
    except Missing:
        pass
    with suppress(Conflict):  # another process was first: its key is the node's key
        SigningKey.generate(f"{node_name()}/ledger").save(path)
    return SigningKey.load(path)


def trusted() -> list[VerifyKey]:
    """The key by which this node's own checkpoints are checked; none on a node that never signed. Makes nothing."""
    return [SigningKey.load(folder() / "ledger.key").verify_key] if has_key() else []


def last_checkpoint() -> str:
    """The note of the last checkpoint this node signed, or nothing."""
    return _read("ledger.checkpoint")


def keep_checkpoint(note: str) -> None:
    """Remember outside the database what was signed."""
    write("ledger.checkpoint", note)
