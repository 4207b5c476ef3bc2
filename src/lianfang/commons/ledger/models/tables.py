"""Tables of the ledger: records, the head of the log, tiles of the tree, signed checkpoints.

A record is written in the transaction of the action it tells of, without a place in the log: no action waits for
another one's place. The sequencer gives places a second later, gapless and in batches, as transparency logs do.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.scoped import Scoped
from lianfang.commons.ledger.models.wording import words
from lianfang.kernel.ids import new_id
from lianfang.kernel.ref import Ref

LEVEL_SHIFT = 56


class Record(Scoped):
    """What was done: by whom, to what, when, and how it looked before and after. Never changed, but for receiving its place."""

    territory = models.CharField(_("organisation path"), max_length=60, editable=False, default="")
    industry = models.CharField(_("industry path"), max_length=60, editable=False, default="")
    seq = models.BigIntegerField(_("number"), null=True, unique=True, editable=False)
    time = models.DateTimeField(_("time"), editable=False)
    verb = models.CharField(_("action"), max_length=120, editable=False)
    ref = models.CharField(_("object"), max_length=190, editable=False)
    label = models.CharField(_("name"), max_length=200, editable=False, default="")
    actor = models.CharField(_("actor ID"), max_length=60, editable=False)
    actor_name = models.CharField(_("who"), max_length=120, editable=False)
    actor_kind = models.CharField(_("kind of actor"), max_length=20, editable=False)
    detail = models.TextField(_("detail"), null=True, editable=False)  # noqa: DJ001  (NULL: forgotten; "" cannot be told from it otherwise)
    salt = models.BinaryField(null=True, editable=False)
    commitment = models.BinaryField(editable=False)

    class Meta:
        verbose_name = _("record")
        verbose_name_plural = _("audit records")
        ordering = ("-time", "-id")
        indexes = (
            models.Index(fields=["time"], name="ledger_record_time"),
            models.Index(fields=["ref", "time"], name="ledger_record_ref"),
            models.Index(fields=["territory", "time"], name="ledger_record_territory"),
        )

    def __str__(self) -> str:
        return f"{words(self.verb)} · {self.label or self.ref}"

    @property
    def reference(self) -> Ref:
        return Ref("ledger", "record", str(self.pk))


class Head(models.Model):
    """The one row that says how long the log is. Whoever gives places holds its lock."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    node = models.CharField(max_length=120)
    size = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.node}: {self.size}"


class Tile(models.Model):
    """Up to 256 hashes of one level of the tree. The key is ``level << 56 | index``."""

    id = models.BigIntegerField(primary_key=True)
    hashes = models.BinaryField()

    def __str__(self) -> str:
        return f"{self.id >> LEVEL_SHIFT}/{self.id & (1 << LEVEL_SHIFT) - 1}"


def load_tile(level: int, index: int) -> bytes:
    """The stored tile, empty where there is none."""
    found = Tile.objects.filter(pk=level << LEVEL_SHIFT | index).values_list("hashes", flat=True).first()
    return bytes(found or b"")


class Checkpoint(models.Model):
    """The log's root at a size, signed: what is handed to witnesses, and what a verification is measured against."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    size = models.BigIntegerField(_("records"), unique=True)
    root = models.CharField(_("root"), max_length=64)
    note = models.TextField(_("signed checkpoint"))
    time = models.DateTimeField(_("time"))

    class Meta:
        verbose_name = _("checkpoint")
        verbose_name_plural = _("checkpoints")
        ordering = ("-size",)

    def __str__(self) -> str:
        return f"{self.size} · {self.root[:12]}"
