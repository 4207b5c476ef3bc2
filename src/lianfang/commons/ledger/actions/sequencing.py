"""Giving places: unsequenced records get consecutive numbers, their leaves go into the tree. One at a time, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db import connection, transaction

from lianfang.commons.ledger.models import Head, Record, Tile, identity
from lianfang.commons.ledger.models.leaves import leaf
from lianfang.commons.ledger.models.tables import LEVEL_SHIFT, load_tile
from lianfang.engines import merkle

BATCH = 4_000
CHUNK = 100
MOST = 100_000
"""How many waiting records are listed at a time; sorting them here keeps the database from sorting them for every batch."""


def begin_log() -> None:
    """See that there is a head to lock. Outside the transaction that locks it: on MariaDB an insert that meets the row shares its lock, and two that then want it alone would block each other."""
    if not Head.objects.filter(pk=1).exists():
        Head.objects.bulk_create([Head(node=identity.node_name())], ignore_conflicts=True)


def head_locked() -> Head:
    """The head, held until the transaction ends."""
    return Head.objects.select_for_update().get(pk=1)


def sequence(*, batch: int = BATCH) -> int:
    """Give every record that has none its place, in the order of telling; returns how many. Each batch is a transaction of its own."""
    waiting = sorted(Record.objects.filter(seq=None).order_by().values_list("id", flat=True)[:MOST])
    if waiting:
        begin_log()
    return sum(_seal(waiting[start : start + batch]) for start in range(0, len(waiting), batch))


@transaction.atomic
def _seal(ids: Sequence[UUID]) -> int:
    """Seal these records, but for those that another sequencer sealed since they were listed."""
    head = head_locked()
    rows = sorted(Record.objects.filter(pk__in=ids, seq=None).order_by().values_list("id", "verb", "time", "actor_kind", "ref", "commitment"))
    _number(head.size, [row[0] for row in rows])
    move_head(head, [merkle.leaf_hash(leaf(head.node, seq, *row[1:5], bytes(row[5]))) for seq, row in enumerate(rows, head.size)])
    return len(rows)


def _number(first: int, ids: Sequence[UUID]) -> None:
    """Write the numbers. SQLite: prepared statement per row; others: one statement per ``CHUNK`` rows, which saves the round trips."""
    field = Record._meta.pk
    keys = [field.get_db_prep_value(id, connection) for id in ids]
    table = connection.ops.quote_name(Record._meta.db_table)
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.executemany(f"UPDATE {table} SET seq = %s WHERE id = %s", list(zip(range(first, first + len(keys)), keys, strict=True)))  # noqa: S608
            return
        for start in range(0, len(keys), CHUNK):
            part = keys[start : start + CHUNK]
            pairs = [value for seq, key in enumerate(part, first + start) for value in (key, seq)]
            cases = " ".join(["WHEN %s THEN %s"] * len(part))
            cursor.execute(f"UPDATE {table} SET seq = CASE id {cases} END WHERE id IN ({', '.join(['%s'] * len(part))})", [*pairs, *part])  # noqa: S608


def move_head(head: Head, hashes: Sequence[bytes]) -> None:
    """Put leaf hashes into the tree and say how long the log is now. The caller holds the head."""
    grown = merkle.grow(head.size, hashes, load_tile)
    tiles = {level << LEVEL_SHIFT | index: blob for (level, index), blob in grown.items()}
    known = set(Tile.objects.filter(pk__in=list(tiles)).values_list("pk", flat=True))
    for key in known:
        Tile.objects.filter(pk=key).update(hashes=tiles[key])
    Tile.objects.bulk_create([Tile(pk=key, hashes=blob) for key, blob in tiles.items() if key not in known])
    head.size += len(hashes)
    head.save(update_fields=["size"])
