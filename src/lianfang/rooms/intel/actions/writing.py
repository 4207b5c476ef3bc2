"""Indicators straight into the table, many at once: a model instance for each costs more than writing it.

In: rows as dictionaries of columns, values as Python has them. Out: how many were written. The caller holds the transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection
from django.db.models.constants import OnConflict

from lianfang.rooms.intel.models import Indicator

COLUMNS = (
    "id", "organisation", "territory", "industry", "kind", "value", "digest", "source", "tlp", "confidence", "valid_from", "valid_until", "tags", "note", "revoked", "stix_id", "received_id", "created",
    "changed", "edition",
)  # fmt: skip
RENEWED = ("tlp", "confidence", "valid_from", "valid_until", "tags", "note", "stix_id", "received_id", "changed", "edition")
_UUIDS = ("id", "received_id")
_TIMES = ("valid_from", "valid_until", "created", "changed")

Row = Mapping[str, Any]


def insert(rows: Sequence[Row]) -> int:
    """Write new rows; returns how many. One that another import wrote a moment ago is left as it is."""
    if not rows:
        return 0
    fields, quote = [Indicator._meta.get_field(name) for name in COLUMNS], connection.ops.quote_name
    head = connection.ops.insert_statement(on_conflict=OnConflict.IGNORE)
    tail = connection.ops.on_conflict_suffix_sql(fields, OnConflict.IGNORE, (), ())
    sql = f"{head} {quote(Indicator._meta.db_table)} ({', '.join(map(quote, COLUMNS))}) VALUES ({', '.join(['%s'] * len(COLUMNS))}) {tail}"  # (names of our own columns)
    return _many(sql, COLUMNS, rows)


def renew(rows: Sequence[Row]) -> int:
    """Write what changed of rows that are there; each names its ``id`` and all of ``RENEWED``. Returns how many were met."""
    quote = connection.ops.quote_name
    sql = f"UPDATE {quote(Indicator._meta.db_table)} SET {', '.join(f'{quote(name)} = %s' for name in RENEWED)} WHERE {quote('id')} = %s"  # noqa: S608  (names of our own columns)
    return _many(sql, (*RENEWED, "id"), rows) if rows else 0


def _many(sql: str, names: Sequence[str], rows: Sequence[Row]) -> int:
    adapted = list(map(_adapter, names))
    with connection.cursor() as cursor:
        cursor.executemany(sql, [tuple(adapt(row[name]) for name, adapt in zip(names, adapted)) for row in rows])
        return cursor.rowcount


def _adapter(name: str) -> Any:
    """How a column's values are handed to this database."""
    if name in _UUIDS and not connection.features.has_native_uuid_field:
        return lambda value: value.hex if value is not None else None
    if name in _TIMES:
        return _kept(connection.ops.adapt_datetimefield_value)
    return (lambda value: connection.ops.adapt_json_value(value, None)) if name == "tags" else lambda value: value


def _kept(adapt: Any) -> Any:
    """The same, remembering the last value: the rows of a part share most of their times."""
    last: list[Any] = [None, None]

    def remembered(value: Any) -> Any:
        if value is not last[0]:
            last[:] = value, adapt(value)
        return last[1]

    return remembered
