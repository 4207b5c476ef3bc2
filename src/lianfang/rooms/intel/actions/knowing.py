"""The knowledge base: entries of a delivery are merged into what is known; one that is no longer wanted is removed.

What a source says of a thing stands once in an organisation; said again it is renewed, and unchanged when nothing differs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import transaction

from lianfang.commons.ledger import actions as ledger
from lianfang.engines.schema.knowledge import Entry
from lianfang.kernel import clock
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.intel import models
from lianfang.rooms.intel.types import Terms

_SAME = ("about", "key", "name", "summary", "severity", "score", "aliases", "hashes", "links", "facts", "published", "modified")


def once(items: Iterable[Entry], seen: set[bytes]) -> list[Entry]:
    """Entries that did not come before in this delivery."""
    fresh = []
    for item in items:
        digest = bytes.fromhex(_digest(item))
        if digest not in seen:
            seen.add(digest)
            fresh.append(item)
    return fresh


@transaction.atomic
def merged(items: Sequence[Entry], terms: Terms, mine: dict[str, str]) -> tuple[int, int]:
    """Write entries; returns how many are new and how many were renewed."""
    now, by = clock.now(), {_digest(item): item for item in items}
    known = {row.digest: row for row in models.Entry.objects.filter(organisation=mine["organisation"], source=terms.source, digest__in=list(by))}
    new = [models.Entry(**_values(item), digest=digest, source=terms.source, tlp=terms.tlp, **mine) for digest, item in by.items() if digest not in known]
    changed = [_renewed(row, _values(by[digest])) for digest, row in known.items() if any(getattr(row, name) != value for name, value in _values(by[digest]).items())]
    for row in changed:
        row.changed = now
    models.Entry.objects.bulk_create(new, batch_size=200)
    models.Entry.objects.bulk_update(changed, [*_SAME, "words", "changed"], batch_size=100)
    return len(new), len(changed)


@transaction.atomic
def forget(row: models.Entry, *, actor: Viewer) -> None:
    """The entry is gone; the ledger keeps that it was there."""
    actor.must("intel.entry.delete")
    ledger.record("intel.entry_removed", row.ref, actor=actor, label=row.name[:200], detail={"about": row.about, "key": row.key, "source": row.source}, territory=row.territory, industry=row.industry)
    models.Entry.objects.filter(pk=row.pk).delete()


def _digest(item: Entry) -> str:
    return hashlib.sha256(f"{item.kind}\n{item.key}".encode()).hexdigest()


def _values(item: Entry) -> dict[str, Any]:
    lists = {name: [_kept(one) for one in getattr(item, name)] for name in ("aliases", "hashes", "links")}
    plain = {"about": str(item.kind), "severity": item.severity, "score": item.score, "published": item.published, "modified": item.modified, **{name: _kept(getattr(item, name)) for name in ("key", "name", "summary")}}
    facts = {_kept(name): [_kept(one) for one in value] if isinstance(value, list) else _kept(str(value)) for name, value in item.facts.items()}
    words = " ".join([plain["key"], *lists["aliases"], *lists["hashes"], *(word for value in facts.values() for word in (value if isinstance(value, list) else [value]))])
    return {**plain, **lists, "facts": facts, "words": words[:20_000]}


def _renewed(row: models.Entry, values: dict[str, Any]) -> models.Entry:
    for name, value in values.items():
        setattr(row, name, value)
    return row


def _kept(text: str) -> str:
    """Text that every database keeps: without NUL and lone surrogates."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
