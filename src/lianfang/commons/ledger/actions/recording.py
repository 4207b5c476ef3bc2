"""Recording what was done, in the transaction of the action that did it: both are kept, or neither."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from lianfang.commons.ledger.actions.sequencing import begin_log, head_locked, move_head
from lianfang.commons.ledger.models import Head, Record
from lianfang.commons.ledger.models.leaves import clean, commitment, detail_text, document, leaf
from lianfang.commons.ledger.types import Draft
from lianfang.engines.merkle import leaf_hash
from lianfang.kernel import clock
from lianfang.kernel.ids import new_id, new_ids
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import Viewer

COLUMNS = ("id", "organisation", "territory", "industry", "time", "verb", "ref", "label", "actor", "actor_name", "actor_kind", "detail", "salt", "commitment", "seq")
VERB, REF, KIND = map(COLUMNS.index, ("verb", "ref", "actor_kind"))
BATCH = 1_000
LONGEST = 300
"""Characters of one value before or after; a record does not keep a copy of everything."""


def record(verb: str, ref: Ref, *, actor: Viewer, label: str = "", detail: Mapping[str, Any] | None = None, territory: str = "", industry: str = "") -> Ref:
    """Write one record. It is visible at once and sealed into the tree within a few seconds.

    ``verb`` is ``room.what_happened``; ``territory`` and ``industry`` are the paths of whom it concerns (default: the actor's own).
    """
    id = new_id()
    _insert(_rows([Draft(verb, ref, label, detail or {}, territory, industry)], actor, [id], clock.now()))
    return Ref("ledger", "record", str(id))


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a change makes different, as the page of a record shows it; nothing when nothing differs. What is secret the caller leaves out.

    >>> differing({"name": "east", "code": "7"}, {"name": "west", "code": "7"})
    {'before': {'name': 'east'}, 'after': {'name': 'west'}}
    """
    names = [name for name in after if before.get(name) != after[name]]
    return {side: {name: _shown(values.get(name)) for name in names} for side, values in (("before", before), ("after", after))} if names else {}


def _shown(value: Any) -> Any:
    if isinstance(value, datetime):
        return clock.text(value)
    return value[:LONGEST] + "…" if isinstance(value, str) and len(value) > LONGEST else value


def record_many(drafts: Iterable[Draft], *, actor: Viewer) -> int:
    """Write many records in one transaction; returns how many. For imports and bulk verbs.

    Called outside any transaction it seals them as it writes. Inside one it leaves that to the sequencer, because the
    head's lock would otherwise be held until the caller's transaction ends.
    """
    alone, many, written = not connection.in_atomic_block, iter(drafts), 0
    begin_log()
    with transaction.atomic():
        while part := list(islice(many, BATCH)):
            _write(part, actor, sealed=alone)
            written += len(part)
    return written


def _write(drafts: Sequence[Draft], actor: Viewer, *, sealed: bool) -> None:
    now = clock.now()
    rows = _rows(drafts, actor, new_ids(len(drafts)), now)
    if not sealed:
        return _insert(rows)
    head, hashes = head_locked(), list[bytes]()
    _insert(_placed(rows, now, head, hashes))
    move_head(head, hashes)


def _placed(rows: Iterable[tuple[Any, ...]], now: datetime, head: Head, hashes: list[bytes]) -> Iterator[tuple[Any, ...]]:
    """The rows with their place in the log; their leaf hashes are collected on the way."""
    for seq, (*row, committed, _) in enumerate(rows, head.size):
        hashes.append(leaf_hash(leaf(head.node, seq, row[VERB], now, row[KIND], row[REF], committed)))
        yield (*row, committed, seq)


def _rows(drafts: Sequence[Draft], actor: Viewer, ids: Sequence[UUID], now: datetime) -> Iterator[tuple[Any, ...]]:
    """The columns of each record, ready for the database. Built by hand: a model instance per record costs more than writing it."""
    native = connection.features.has_native_uuid_field
    time, salts = connection.ops.adapt_datetimefield_value(now), os.urandom(32 * len(drafts))
    who, name, kind, organisation, path, industry_path = actor.id, clean(actor.name, 120), actor.kind, actor.organisation, actor.path, actor.industry_path
    for n, (draft, id) in enumerate(zip(drafts, ids, strict=True)):
        salt, key, label, said = salts[32 * n : 32 * n + 32], id.hex, clean(draft.label, 200), detail_text(draft.detail)
        territory, industry = draft.territory or path, draft.industry or industry_path
        committed = commitment(salt, document(key, who, name, label, organisation, territory, industry, said))
        yield (id if native else key, organisation, territory, industry, time, draft.verb, str(draft.ref), label, who, name, kind, said, salt, committed, None)


def _insert(rows: Iterable[tuple[Any, ...]]) -> None:
    quote = connection.ops.quote_name
    names, places = ", ".join(map(quote, COLUMNS)), ", ".join(["%s"] * len(COLUMNS))
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {quote(Record._meta.db_table)} ({names}) VALUES ({places})", rows)  # noqa: S608  (names of our own columns)
