"""Refuse in migrations what one of our databases cannot do: SQLite, PostgreSQL, MariaDB, TiDB.

    python tools/migration_linter.py [ROOM …]      prints each finding, exits 1 if there is one

Most rules come from TiDB (a primary key is for ever, one thing per ALTER, no CHECK that guards, no partial or functional
unique index); MariaDB adds that long text cannot be indexed, PostgreSQL that its own field types stay home. A migration
that slips through would work on the author's SQLite and fail at the first customer with a large database.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import migrations, models
from django.db.migrations.operations.base import Operation

KEY_BYTES = 3072
"""The longest index key of InnoDB and TiDB; a character of utf8mb4 takes up to four bytes."""

LONG = (models.TextField, models.JSONField, models.BinaryField)
PLAIN_MODULES = ("django.db.models.", "lianfang.")


@dataclass(frozen=True)
class Finding:
    """One thing a database cannot do, where it was asked for, and what to do instead."""

    migration: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.migration}: {self.where}: {self.what}"


def lint(name: str, operations: list[Operation]) -> list[Finding]:
    """The findings of one migration's operations, in order."""
    return [Finding(name, where, what) for operation in operations for where, what in _examine(operation)]


def _examine(operation: Operation) -> Iterator[tuple[str, str]]:
    rule = RULES.get(type(operation))
    if rule:
        yield from rule(operation)


def _create(operation: migrations.CreateModel) -> Iterator[tuple[str, str]]:
    fields = dict(operation.fields)
    for name, field in fields.items():
        yield from _field(f"{operation.name}.{name}", field)
    for constraint in operation.options.get("constraints", ()):
        yield from _constraint(operation.name, constraint, fields)
    for index in operation.options.get("indexes", ()):
        yield from _index(operation.name, index, fields)
    yield from _ordering(operation.name, operation.options, fields)


def _ordering(model: str, options: dict, fields: dict[str, models.Field]) -> Iterator[tuple[str, str]]:
    key = next((name for name, field in fields.items() if field.primary_key), "id")
    if [str(name).lstrip("-") for name in options.get("ordering") or ()] in (["pk"], [key]) and isinstance(fields.get(key), models.AutoField):
        yield model, "it is ordered by a counted id alone: several TiDB servers hand out ids in blocks, so a later row may have a smaller one. Order by a time first"


def _add_field(operation: migrations.AddField) -> Iterator[tuple[str, str]]:
    where = f"{operation.model_name}.{operation.name}"
    yield from _field(where, operation.field)
    if operation.field.primary_key:
        yield where, "a primary key cannot be added later. Fix ids when the table is made"
    elif operation.field.unique:
        yield where, "column and unique key cannot come in one ALTER. Add the field, then a UniqueConstraint in an operation of its own"


def _alter_field(operation: migrations.AlterField) -> Iterator[tuple[str, str]]:
    where = f"{operation.model_name}.{operation.name}"
    yield from _field(where, operation.field)
    if operation.field.primary_key:
        yield where, "a primary key cannot be altered. Make a new table and copy"


def _field(where: str, field: models.Field) -> Iterator[tuple[str, str]]:
    module = f"{type(field).__module__}."
    if not module.startswith(PLAIN_MODULES):
        yield where, f"{type(field).__name__} exists on one database only. Use a plain field, or a table of its own"
    if isinstance(field, LONG) and (field.unique or field.db_index):
        yield where, "long text cannot be indexed everywhere. Index a short column beside it (a hash, a first part)"
    elif (field.unique or field.db_index) and _width(field) > KEY_BYTES:
        yield where, f"its index is up to {_width(field)} bytes wide, {KEY_BYTES} are allowed. Shorten the column"
    if getattr(field, "db_comment", None) or getattr(field, "db_collation", None):
        yield where, "collations and comments are not the same everywhere. Leave them to the database"


def _width(field: models.Field | None) -> int:
    """The most bytes a column can take in an index key."""
    if isinstance(field, models.ForeignKey):
        return 36 * 4
    if isinstance(field, models.CharField):
        return (field.max_length or 255) * 4
    return 36 * 4 if isinstance(field, models.UUIDField) else 8


def _add_constraint(operation: migrations.AddConstraint) -> Iterator[tuple[str, str]]:
    yield from _constraint(operation.model_name, operation.constraint, {})


def _constraint(model: str, constraint: models.BaseConstraint, fields: dict[str, models.Field]) -> Iterator[tuple[str, str]]:
    where = f"{model}.{constraint.name}"
    if not isinstance(constraint, models.UniqueConstraint):
        yield where, f"{type(constraint).__name__} is no guard on TiDB. Check in the action, before writing"
        return
    special = [name for name in ("condition", "deferrable", "include", "opclasses", "nulls_distinct") if getattr(constraint, name, None)]
    if constraint.expressions or special:
        yield where, f"a unique constraint with {', '.join(special) or 'expressions'} is not kept everywhere. Add a column that is NULL where the rule does not hold"
    yield from _wide(where, constraint.fields, fields)


def _add_index(operation: migrations.AddIndex) -> Iterator[tuple[str, str]]:
    yield from _index(operation.model_name, operation.index, {})


def _index(model: str, index: models.Index, fields: dict[str, models.Field]) -> Iterator[tuple[str, str]]:
    where = f"{model}.{index.name}"
    if type(index) is not models.Index or index.expressions or index.condition or index.include or index.opclasses:
        yield where, "only plain indexes on columns exist everywhere. Index columns"
    yield from _wide(where, [name.lstrip("-") for name, _ in index.fields_orders], fields)


def _wide(where: str, names: list[str] | tuple[str, ...], fields: dict[str, models.Field]) -> Iterator[tuple[str, str]]:
    known = [fields[name] for name in names if name in fields]
    if any(isinstance(field, LONG) for field in known):
        yield where, "long text cannot be indexed everywhere. Index a short column beside it (a hash, a first part)"
    elif (width := sum(map(_width, known))) > KEY_BYTES:
        yield where, f"its key is up to {width} bytes wide, {KEY_BYTES} are allowed. Leave a column out"


def _run_sql(operation: migrations.RunSQL) -> Iterator[tuple[str, str]]:
    yield "RunSQL", "SQL by hand speaks one dialect. Use operations, or RunPython with the ORM"


def _both(operation: migrations.SeparateDatabaseAndState) -> Iterator[tuple[str, str]]:
    for inner in operation.database_operations:
        yield from _examine(inner)


def _remove_field(operation: migrations.RemoveField) -> Iterator[tuple[str, str]]:
    if operation.name in ("id", "pk"):
        yield f"{operation.model_name}.{operation.name}", "a primary key cannot be removed. Make a new table and copy"


RULES = {
    migrations.CreateModel: _create,
    migrations.AddField: _add_field,
    migrations.AlterField: _alter_field,
    migrations.RemoveField: _remove_field,
    migrations.AddConstraint: _add_constraint,
    migrations.AddIndex: _add_index,
    migrations.RunSQL: _run_sql,
    migrations.SeparateDatabaseAndState: _both,
}


def lint_rooms(*rooms: str) -> list[Finding]:
    """The findings of all migrations of these rooms, as they lie on disk."""
    from django.db.migrations.loader import MigrationLoader

    found = MigrationLoader(None, ignore_no_migrations=True).disk_migrations
    return [finding for (room, name), migration in sorted(found.items()) if room in rooms for finding in lint(f"{room}/{name}", migration.operations)]


def main(arguments: list[str]) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lianfang.site.settings")
    import django

    django.setup()
    from django.conf import settings

    findings = lint_rooms(*(arguments or settings.ROOMS))
    for finding in findings:
        print(finding)
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
