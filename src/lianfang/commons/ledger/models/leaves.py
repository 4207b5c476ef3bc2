"""The exact bytes that are committed to: the document of a record, its commitment, and its leaf.

The leaf is public and can never change; so it holds no personal data, only a commitment: HMAC-SHA-256 with 32 random
bytes over the document. A bare hash over a name or a phone number could be guessed back; once salt and document are
erased, this cannot, while every proof still holds.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from lianfang.engines.envelope import canonical, canonical_plain
from lianfang.kernel.errors import Invalid

VERSION = 1
_LARGEST = 2**53 - 1


@lru_cache(maxsize=256)
def moment(time: datetime) -> str:
    """RFC 3339 in UTC with microseconds: as exact as the column.

    >>> moment(datetime(2026, 11, 20, 8, 0, tzinfo=UTC))
    '2026-11-20T08:00:00.000000Z'
    """
    return time.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


def detail_text(detail: Mapping[str, Any]) -> str:
    """Any detail → canonical JSON text; what JSON cannot say (dates, identifiers, very large numbers) is said as text.

    >>> from uuid import UUID
    >>> detail_text({"b": UUID(int=1), "a": 2**60})
    '{"a":"1152921504606846976","b":"00000000-0000-0000-0000-000000000001"}'
    """
    try:
        return canonical(detail).decode()
    except Invalid:
        return canonical(_sayable(detail)).decode()


def clean(text: str, limit: int) -> str:
    """Text that every database keeps as it is: no NUL, no lone surrogates, not longer than the column."""
    return text.replace("\x00", "").encode(errors="replace").decode()[:limit]


def _sayable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {clean(str(key), 1000): _sayable(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_sayable(each) for each in value]
    if value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) <= _LARGEST) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return clean(str(value), 1_000_000)


def document(id: str, actor: str, actor_name: str, label: str, organisation: str, territory: str, industry: str, detail: str) -> bytes:
    """What a record says beyond its leaf, as one canonical JSON object; ``id`` in hexadecimal, ``detail`` as the very text that is stored."""
    return canonical_plain({"actor": actor, "actor_name": actor_name, "detail": detail, "id": id, "industry": industry, "label": label, "organisation": organisation, "territory": territory})


def commitment(salt: bytes, said: bytes) -> bytes:
    """HMAC-SHA-256(salt, document)."""
    return hmac.digest(salt, said, "sha256")


def leaf(node: str, seq: int, verb: str, time: datetime, role: str, ref: str, committed: bytes) -> bytes:
    """The leaf of a record at its place."""
    return canonical_plain({"commitment": committed.hex(), "node": node, "refs": [ref], "role": role, "seq": seq, "time": moment(time), "v": VERSION, "verb": verb})
