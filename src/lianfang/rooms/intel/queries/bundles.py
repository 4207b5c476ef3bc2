"""STIX 2.1 bundles → candidates, each with the bytes of the object it came in.

The bytes are cut out of the bundle as they stand: a library that writes them anew would drop ``"revoked": false`` and
the like, and signatures over them would break.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from lianfang.engines.schema import knowledge, observables
from lianfang.engines.schema import stix as engine
from lianfang.engines.schema.knowledge import Entry
from lianfang.kernel import clock
from lianfang.rooms.intel.queries.candidates import Candidate, unfit
from lianfang.rooms.intel.types import Rejected, Terms

AT_ONCE = 500
"""Objects that are decoded together: the whole of a large bundle as Python objects would be ten times its bytes."""
MARKS = 1_000
"""Markings of a bundle that are looked at."""


class _Head(msgspec.Struct):
    id: str = ""
    type: str = ""
    revoked: bool = False
    hashes: dict[str, Any] = {}


class _Bundle(msgspec.Struct):
    objects: list[msgspec.Raw] = []


def stix(content: bytes, *, terms: Terms) -> Iterator[Candidate | Entry | Rejected]:
    """Candidates, entries and rejects of a bundle, by number of the object; raises ``Invalid`` when it is no STIX."""
    parts = _objects(content)
    if not parts or (len(parts) == 1 and bytes(parts[0]) == content and not _head(parts[0]).type):
        engine.indicators(content)  # says what is wrong with it, if anything
    marks = [raw for raw in parts if b"marking-definition" in bytes(raw)[:4096] and _head(raw).type == "marking-definition"][:MARKS]
    samples = _samples(parts)
    for at, raw in enumerate(parts, 1):
        if _head(raw).type in knowledge.STIX and not _head(raw).revoked:
            yield _entry(at, raw, samples)
    for start in range(0, len(parts), AT_ONCE):
        yield from _some(parts[start : start + AT_ONCE], start, marks, terms)


def _samples(parts: Sequence[msgspec.Raw]) -> dict[str, list[str]]:
    """Identifiers of the files of a bundle → their hashes, for the malware that names them as its samples."""
    found: dict[str, list[str]] = {}
    for raw in parts:
        head = _head(raw)
        if head.type == "file" and head.id:
            found[head.id] = [seen[1] for value in head.hashes.values() if isinstance(value, str) and (seen := observables.observe(value))]
    return found


def _entry(number: int, raw: msgspec.Raw, samples: dict[str, list[str]]) -> Entry | Rejected:
    try:
        item = msgspec.json.decode(raw)
        refs = item.get("sample_refs")
        found = knowledge.stix(number, item, hashes=[one for ref in (refs if isinstance(refs, list) else ()) for one in samples.get(str(ref), ())])
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        return Rejected(number, _kept(bytes(raw)[:500].decode("utf-8", "replace")), "entry", _kept(str(error)[:200]))
    return Rejected(number, _kept(found.raw[:500]), "entry", found.reason) if isinstance(found, knowledge.Unread) else found


def _some(parts: Sequence[msgspec.Raw], start: int, marks: Sequence[msgspec.Raw], terms: Terms) -> Iterator[Candidate | Rejected]:
    """Some objects of a bundle, with the markings of the whole in front of them."""
    try:
        found = engine.indicators(b"[" + b",".join(map(bytes, (*marks, *parts))) + b"]")
    except (OverflowError, RecursionError) as error:  # one of them names a time beyond the calendar, say: the others are innocent
        if len(parts) == 1:
            yield Rejected(start + 1, _kept(bytes(parts[0])[:500].decode("utf-8", "replace")), "object", str(error)[:200])
            return
        for at, raw in enumerate(parts, start):
            yield from _some([raw], at, marks, terms)
        return
    heads = [_head(raw) for raw in parts]
    places = {head.id: at for at, head in enumerate(heads)}
    for seen in found.observables:
        at = places.get(seen.stix_id, -1)
        yield _candidate(seen, start + at + 1 if at >= 0 else 0, bytes(parts[at]) if at >= 0 else b"", terms)
    for reject in found.rejects:
        at = reject.index - len(marks)
        if at >= 0 and not heads[at].revoked:
            yield Rejected(start + at + 1, _kept(bytes(parts[at])[:500].decode("utf-8", "replace")), "object", _kept(reject.reason[:200]))


def _kept(text: str) -> str:
    """Text that every database keeps: without NUL."""
    return text.replace("\0", "\ufffd")


def withdrawn(content: bytes) -> list[str]:
    """Identifiers of the indicators that a bundle says are revoked."""
    heads = (_head(raw) for raw in _objects(content) if b"revoked" in bytes(raw))
    return [_kept(head.id)[:120] for head in heads if head.type == "indicator" and head.revoked and head.id]


def _candidate(seen: engine.Observable, number: int, raw: bytes, terms: Terms) -> Candidate | Rejected:
    code, detail = unfit(seen.kind, seen.value, internal=terms.internal)
    if not code and seen.valid_from and seen.valid_until and seen.valid_until <= seen.valid_from:
        code = "span"
    if not code and any(moment and moment.year < 1970 for moment in (seen.valid_from, seen.valid_until)):
        code, detail = "time", clock.text(seen.valid_from or seen.valid_until)
    if code:
        return Rejected(number, _kept(f"{seen.stix_id} {seen.value}"[:500]), code, detail)
    return Candidate(
        number, seen.kind, seen.value, tlp=str(seen.tlp) if seen.tlp else None, confidence=seen.confidence, valid_from=seen.valid_from, valid_until=seen.valid_until,
        tags=tuple(_kept(label[:60]) for label in seen.labels), note=_kept(seen.name), stix_id=_kept(seen.stix_id[:120]), object=raw,
    )  # fmt: skip


def _objects(content: bytes) -> list[msgspec.Raw]:
    """Every object of a bundle (or list, or the one), in order, byte for byte; none when it cannot be read."""
    try:
        return msgspec.json.decode(content, type=list[msgspec.Raw]) if content.lstrip()[:1] == b"[" else msgspec.json.decode(content, type=_Bundle).objects or [msgspec.Raw(content)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


def _head(raw: msgspec.Raw) -> _Head:
    try:
        return msgspec.json.decode(raw, type=_Head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Head()
