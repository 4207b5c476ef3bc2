"""STIX 2.1 bundles → candidates, each with the bytes of the object it came in.

The bytes are cut out of the bundle as they stand: a library that writes them anew would drop ``"revoked": false`` and
the like, and signatures over them would break.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from lianfang.engines.schema import stix as engine
from lianfang.rooms.intel.queries.candidates import Candidate, unfit
from lianfang.rooms.intel.types import Rejected, Terms


class _Head(msgspec.Struct):
    id: str = ""
    type: str = ""
    revoked: bool = False


class _Bundle(msgspec.Struct):
    objects: list[msgspec.Raw] = []


def stix(content: bytes, *, terms: Terms) -> Iterator[Candidate | Rejected]:
    """Candidates and rejects of a bundle, by number of the object; raises ``Invalid`` when it is no STIX."""
    found, parts = engine.indicators(content), _objects(content)
    places = {head.id: number for number, (head, _raw) in enumerate(parts, 1)}
    for seen in found.observables:
        yield _candidate(seen, places.get(seen.stix_id, 0), parts, terms)
    for reject in found.rejects:
        head, raw = parts[reject.index] if reject.index < len(parts) else (_Head(), b"")
        if not head.revoked:
            yield Rejected(reject.index + 1, raw[:500].decode("utf-8", "replace"), "object", reject.reason[:200])


def withdrawn(content: bytes) -> list[str]:
    """Identifiers of the indicators that a bundle says are revoked."""
    return [head.id for head, _raw in _objects(content) if head.type == "indicator" and head.revoked and head.id]


def _candidate(seen: engine.Observable, number: int, parts: list[tuple[_Head, bytes]], terms: Terms) -> Candidate | Rejected:
    raw = parts[number - 1][1] if number else b""
    code, detail = unfit(seen.kind, seen.value, internal=terms.internal)
    if code:
        return Rejected(number, f"{seen.stix_id} {seen.value}"[:500], code, detail)
    if seen.valid_from and seen.valid_until and seen.valid_until <= seen.valid_from:
        return Rejected(number, f"{seen.stix_id} {seen.value}"[:500], "span")
    return Candidate(
        number, seen.kind, seen.value, tlp=str(seen.tlp) if seen.tlp else None, confidence=seen.confidence, valid_from=seen.valid_from, valid_until=seen.valid_until,
        tags=tuple(label[:60] for label in seen.labels), note=seen.name, stix_id=seen.stix_id[:120], object=raw,
    )  # fmt: skip


def _objects(content: bytes) -> list[tuple[_Head, bytes]]:
    """Every object of a bundle (or list, or the one) with the head we look at, in order, byte for byte."""
    try:
        parts = msgspec.json.decode(content, type=list[msgspec.Raw]) if content.lstrip()[:1] == b"[" else msgspec.json.decode(content, type=_Bundle).objects or [msgspec.Raw(content)]
    except msgspec.DecodeError:
        return []
    return [(_head(raw), bytes(raw)) for raw in parts]


def _head(raw: msgspec.Raw) -> _Head:
    try:
        return msgspec.json.decode(raw, type=_Head)
    except msgspec.DecodeError:
        return _Head()
