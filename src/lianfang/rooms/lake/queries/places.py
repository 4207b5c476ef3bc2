"""Where this node's event tables lie: in a folder of this machine, or in an object store that speaks S3.

In: the environment. Out: an ``EventStore``. Keys come from the environment or from a file that only its owner may read; they
stand in no setting, log or error.

| variable | meaning | default |
|---|---|---|
| ``LIANFANG_LAKE`` | a folder, or ``s3://bucket/prefix`` | ``lake`` in the home |
| ``LIANFANG_LAKE_ENDPOINT``, ``LIANFANG_LAKE_REGION`` | the store's address and region | Amazon's, ``us-east-1`` |
| ``LIANFANG_LAKE_KEY``, ``LIANFANG_LAKE_SECRET`` | access key | what the environment offers (``AWS_…``, the machine's role) |
| ``LIANFANG_LAKE_KEYS`` | a file with the two: ``key=…``, ``secret=…``, a line each | none |
| ``LIANFANG_LAKE_COPIES`` | bytes of copies kept on this machine | 8 GiB |
"""

from __future__ import annotations

import os
from pathlib import Path

from django.conf import settings

from lianfang.engines.columns.bucket import Bucket
from lianfang.engines.columns.store import COPIES, EventStore
from lianfang.kernel.errors import Invalid, Missing


def address() -> str:
    """The folder of the tables, or their address in an object store."""
    said = os.environ.get("LIANFANG_LAKE", "")
    return said.rstrip("/") if said else str(Path(settings.HOME) / "lake")


def root() -> Path:
    """The folder on this machine: of the tables, or of copies and of what is derived from them."""
    return Path(settings.HOME) / "copies" if "://" in address() else Path(address()).absolute()


def store() -> EventStore:
    """The event tables. Raises ``Invalid`` or ``Missing`` when they cannot be there."""
    if "://" not in address():
        return EventStore(root())
    return EventStore(root(), bucket=bucket(), copies=_bytes())


def bucket() -> Bucket | None:
    """The bucket of the tables; ``None`` where they lie in a folder."""
    if "://" not in address():
        return None
    key, secret = _keys()
    return Bucket(address(), endpoint=os.environ.get("LIANFANG_LAKE_ENDPOINT", ""), region=os.environ.get("LIANFANG_LAKE_REGION", "us-east-1"), key=key, secret=secret)


def raced() -> tuple[str, int, int]:
    """Where the tables lie; of a bucket also how many commits several writers made at once to a table that is thrown away, and how many
    of them are there: fewer mean that the store breaks its word, and the tables would lose batches."""
    there = bucket()
    return (address(), *there.race()) if there else (address(), 0, 0)


def _keys() -> tuple[str, str]:
    file = os.environ.get("LIANFANG_LAKE_KEYS", "")
    if not file:
        return os.environ.get("LIANFANG_LAKE_KEY", ""), os.environ.get("LIANFANG_LAKE_SECRET", "")
    path = Path(file)
    try:
        if path.stat().st_mode & 0o077:
            raise Invalid("The file with the keys of the object store is open to others", why=str(path), todo=f"chmod 600 {path}")
        said = dict(line.partition("=")[::2] for line in path.read_text("utf-8").splitlines() if line.strip())
    except OSError as error:
        raise Missing("The file with the keys of the object store cannot be read", why=f"{path}: {error.strerror}", todo="Mend LIANFANG_LAKE_KEYS.") from error
    found = {name.strip().lower(): value.strip() for name, value in said.items()}
    if not found.get("key") or not found.get("secret"):
        raise Invalid("The file with the keys of the object store lacks one", why=str(path), todo="Write two lines: key=… and secret=…")
    return found["key"], found["secret"]


def _bytes() -> int:
    said = os.environ.get("LIANFANG_LAKE_COPIES", str(COPIES))
    if not said.isdigit():
        raise Invalid(f"LIANFANG_LAKE_COPIES is “{said[:40]}”", todo="Write a number of bytes.")
    return int(said)
