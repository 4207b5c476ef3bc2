"""Importing: candidates are merged into what is known, part by part, each part in one transaction.

A value that its source said before is renewed: its validity is what the source says now, its tags grow. What a person
revoked stays revoked. Taking the same delivery in twice changes nothing the second time but validity.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection, transaction
from django.utils import timezone

from lianfang.commons.ledger import actions as ledger
from lianfang.engines.schema.knowledge import Entry
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid
from lianfang.kernel.ids import new_ids
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.intel import models
from lianfang.rooms.intel.actions import knowing, writing
from lianfang.rooms.intel.actions.keeping import move_on, owner, tell
from lianfang.rooms.intel.queries import bundles, reading
from lianfang.rooms.intel.queries.candidates import Candidate
from lianfang.rooms.intel.types import Form, Rejected, Report, Terms

PART = 2_500
"""Items of one transaction: few enough that other writers of a small node wait for a fifth of a second, not longer."""
KEPT = 10_000
"""Rejects of one import that are kept; the rest are only counted."""
TURNS = 5
"""How often one part is tried where others write the same at once."""

Step = Callable[[Report], Any]
Said = tuple[Candidate, str, str]
"""A candidate, its source, its digest."""


def import_list(content: bytes | str, *, source: str, actor: Viewer, **terms: Any) -> Report:
    """A plain list, one value per line, defanged or not, with comments."""
    return take_in(content, form=Form.LIST, terms=Terms(source, **terms), actor=actor)


def import_csv(content: bytes | str, *, source: str, actor: Viewer, columns: dict[str, str] | None = None, **terms: Any) -> Report:
    """A table with a header; ``columns`` (header → role) where the names are not ours."""
    return take_in(content, form=Form.CSV, terms=Terms(source, **terms), actor=actor, columns=columns)


def import_stix(content: bytes | str, *, source: str, actor: Viewer, **terms: Any) -> Report:
    """A STIX 2.1 bundle; each object is kept as received."""
    return take_in(content, form=Form.STIX, terms=Terms(source, **terms), actor=actor)


def take_in(content: bytes | str, *, form: str, terms: Terms, actor: Viewer, columns: dict[str, str] | None = None, name: str = "", ref: Ref | None = None, step: Step = lambda report: None) -> Report:
    """Take a whole delivery in, here and now; one record in the ledger. ``step`` is told the report after each part."""
    actor.must("intel.indicator.add")
    if not terms.source.strip():
        raise Invalid("The source is missing", why="An indicator without a source cannot be weighed.", todo="Say who says so.", details={"source": ["missing"]})
    data, mine = content.encode() if isinstance(content, str) else content, owner(actor)
    report, seen = Report(), set[bytes]()
    items = reading.read(data, form=form, terms=terms, columns=columns)
    while part := list(islice(items, PART)):
        report = _part(report, part, terms, mine, seen)
        step(report)
    with transaction.atomic():
        report = replace(report, renewed=report.renewed + _withdrawn(data, form, mine))
        _told(report, terms, actor, mine, ref or Ref("intel", "intake", hashlib.sha256(data).hexdigest()[:32]), name or terms.source)
        tell()
    return report


def _part(report: Report, part: Sequence[reading.Item], terms: Terms, mine: dict[str, str], seen: set[bytes]) -> Report:
    """One part: what is new is written, what is known is renewed, in one transaction."""
    rejects = [item for item in part if isinstance(item, Rejected)]
    fresh = list(_once((item for item in part if isinstance(item, Candidate)), terms, seen))
    entries = knowing.once((item for item in part if isinstance(item, Entry)), seen)
    merged = [_in_turn(_merged, fresh, terms, mine) if fresh else (0, 0), _in_turn(knowing.merged, entries, terms, mine) if entries else (0, 0)]
    added, renewed = sum(one for one, _ in merged), sum(one for _, one in merged)
    taken = len(fresh) + len(entries)
    doubled = len(part) - len(rejects) - taken
    return Report(
        report.read + len(part), report.added + added, report.renewed + renewed, report.same + taken - added - renewed, report.doubled + doubled,
        report.rejected + len(rejects), (*report.rejects, *rejects[: max(0, KEPT - len(report.rejects))]),
    )  # fmt: skip


def _withdrawn(data: bytes, form: str, mine: dict[str, str]) -> int:
    """Indicators whose author has revoked them are revoked here too; returns how many."""
    ids = bundles.withdrawn(data) if Form.STIX in (form, reading.form_of(data) if form == Form.AUTO else form) else []
    rows = models.Indicator.objects.filter(organisation=mine["organisation"], revoked=False)
    standing = [start for start in range(0, len(ids), PART) if rows.filter(stix_id__in=ids[start : start + PART]).exists()]
    edition = move_on() if standing else 0
    return sum(rows.filter(stix_id__in=ids[start : start + PART]).update(revoked=True, changed=clock.now(), edition=edition) for start in standing)


def _once(items: Iterable[Candidate], terms: Terms, seen: set[bytes]) -> Iterator[Said]:
    """Each value of each source once in a delivery, the first time it stands there.

    Half of a digest is remembered of each (128 bits), so that two million lines stay within the memory of a small node.
    """
    own = terms.source.strip()
    for item in items:
        source, digest = item.source or own, models.digest_of(item.kind, item.value)
        key = bytes.fromhex(digest[:32]) + (b"" if source == own else source.encode())
        if key not in seen:
            seen.add(key)
            yield item, source, digest


def _in_turn(merge: Callable[..., tuple[int, int]], *given: Any) -> tuple[int, int]:
    """One transaction. Of two that wait for each other the database gives one up, to be done again (MariaDB's error 1213, PostgreSQL's 40P01)."""
    for _ in range(TURNS - 1):
        try:
            return merge(*given)
        except OperationalError:
            if connection.in_atomic_block:  # the transaction around this one is lost with it
                raise
    return merge(*given)


@transaction.atomic
def _merged(items: Sequence[Said], terms: Terms, mine: dict[str, str]) -> tuple[int, int]:
    """Write candidates; returns how many are new and how many were renewed."""
    now, objects = clock.now(), _received([item for item, _, _ in items])
    end = _end(terms, now)
    known = {(row.source, row.digest): row for row in models.Indicator.objects.filter(organisation=mine["organisation"], digest__in=[digest for _, _, digest in items])}
    new, changed = list[dict[str, Any]](), list[dict[str, Any]]()
    for item, source, digest in items:
        row = known.get((source, digest))
        if row is None:
            new.append(_row(item, source, digest, terms, objects, now, end))
        elif differs := _renewed(row, item, terms, objects, end):
            changed.append(differs)
    if not new and not changed:
        return 0, 0
    stamp = {"changed": now, "edition": move_on()}
    added = writing.insert([{**row, **mine, **stamp, "id": id} for row, id in zip(new, new_ids(len(new)))])
    return added, writing.renew([{**row, **stamp} for row in changed]) and len(changed)


def _end(terms: Terms, now: datetime) -> datetime | None:
    """Until when, where the delivery does not say it: to the end of a day, so that two imports of a day agree."""
    if terms.until is not None or not terms.days:
        return terms.until
    return (timezone.localtime(now) + timedelta(days=terms.days)).replace(hour=23, minute=59, second=59, microsecond=0)


def _row(item: Candidate, source: str, digest: str, terms: Terms, objects: dict[bytes, UUID], now: datetime, end: datetime | None) -> dict[str, Any]:
    return {
        "kind": item.kind, "value": item.value, "digest": digest, "source": source, "tlp": item.tlp or terms.tlp, "confidence": terms.confidence if item.confidence is None else item.confidence,
        "valid_from": item.valid_from or now, "valid_until": item.valid_until or end, "tags": list(dict.fromkeys((*item.tags, *terms.tags))), "note": item.note[:4000], "revoked": False,
        "stix_id": item.stix_id, "received_id": objects.get(item.object), "created": now,
    }  # fmt: skip


def _renewed(row: models.Indicator, item: Candidate, terms: Terms, objects: dict[bytes, UUID], end: datetime | None) -> dict[str, Any]:
    """A known indicator as its source says it now; empty when nothing differs."""
    said = {
        "tlp": item.tlp or row.tlp,
        "confidence": row.confidence if item.confidence is None else item.confidence,
        "valid_from": item.valid_from or row.valid_from,
        "valid_until": item.valid_until or end,
        "tags": list(dict.fromkeys((*row.tags, *item.tags, *terms.tags))),
        "note": item.note[:4000] or row.note,
        "stix_id": item.stix_id or row.stix_id,
        "received_id": objects.get(item.object, row.received_id),
    }
    return {**said, "id": row.pk} if any(getattr(row, name) != value for name, value in said.items()) else {}


def _received(items: Sequence[Candidate]) -> dict[bytes, UUID]:
    """The objects of these candidates → the identifiers of their rows, each kept once, by its bytes."""
    wanted = {hashlib.sha256(item.object).hexdigest(): item for item in items if item.object}
    if not wanted:
        return {}
    models.Received.objects.bulk_create([models.Received(digest=digest, stix_id=item.stix_id, content=item.object) for digest, item in sorted(wanted.items())], ignore_conflicts=True)
    return {wanted[digest].object: pk for pk, digest in models.Received.objects.filter(digest__in=list(wanted)).values_list("pk", "digest")}


def _told(report: Report, terms: Terms, actor: Viewer, mine: dict[str, str], ref: Ref, name: str) -> None:
    detail = {"source": terms.source, "read": report.read, "added": report.added, "renewed": report.renewed, "same": report.same, "doubled": report.doubled, "rejected": report.rejected}
    ledger.record("intel.imported", ref, actor=actor, label=name, detail=detail, territory=mine["territory"], industry=mine["industry"])
