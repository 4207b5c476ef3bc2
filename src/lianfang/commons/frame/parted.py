"""Bytes that grow to several megabytes, kept in rows of half a one.

Databases bound what one row or one statement may take (TiDB: 6 MB an entry, MariaDB: 16 MB a packet), so what has no bound of its own is kept in parts.
"""

from __future__ import annotations

from typing import Any

from django.db import models

from lianfang.kernel.ids import new_id

PART = 512 << 10
"""Bytes of one part."""


class Part(models.Model):
    """Base of a table of parts: ``content`` number ``number`` of an ``owner``, which the table names by a foreign key."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        abstract = True

    @classmethod
    def put(cls, owner: models.Model, content: bytes) -> None:
        """Keep these bytes in the place of what was kept before; in the caller's transaction, a statement for each part."""
        rows: Any = cls._default_manager
        rows.filter(owner=owner.pk).delete()
        for number, start in enumerate(range(0, len(content), PART)):
            rows.create(owner_id=owner.pk, number=number, content=content[start : start + PART])

    @classmethod
    def whole(cls, owner: models.Model) -> bytes:
        """What was kept, asked in one question, so that it is never half of one and half of another; empty where there is nothing."""
        rows: Any = cls._default_manager
        return b"".join(bytes(one) for one in rows.filter(owner=owner.pk).order_by("number").values_list("content", flat=True))
