"""What correlations look at: the matches of each batch until they are taken in, and how far the one correlator has come."""

from __future__ import annotations

from django.db import models

from lianfang.commons.frame.parted import Part
from lianfang.kernel import clock
from lianfang.kernel.ids import new_id


class Matches(models.Model):
    """Matches of one batch as columns (an Arrow stream), once, however often the batch is brought; very many in several rows, of which the first bears its name.

    ``step``: the advance that took them in; ``at``: what the clock said then. The content goes when a state holds it; the row stays a while, so that a replay is known.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    batch = models.CharField(max_length=120, unique=True)
    source = models.CharField(max_length=80)
    place = models.CharField(max_length=200)
    content = models.BinaryField()
    step = models.PositiveBigIntegerField(null=True, db_index=True)
    at = models.DateTimeField(null=True)
    moment = models.DateTimeField(default=clock.now, db_index=True)

    def __str__(self) -> str:
        return self.batch


class Correlating(models.Model):
    """The one correlator: its last ``step``, up to which step all findings are stored (``said``), after which step its state was kept in parts (``kept``), and a ``token`` that says whether a process still holds it as it is."""

    name = models.CharField(max_length=20, primary_key=True)
    step = models.PositiveBigIntegerField(default=0)
    said = models.PositiveBigIntegerField(default=0)
    token = models.UUIDField(default=new_id)
    kept = models.PositiveBigIntegerField(default=0)
    kept_at = models.DateTimeField(default=clock.now)
    told = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.name} {self.step}"


class CorrelatingPart(Part):
    """A piece of the state of the correlator (``engines.rules.Correlator.snapshot``)."""

    owner = models.ForeignKey(Correlating, models.CASCADE, related_name="+")

    class Meta:
        constraints = (models.UniqueConstraint(fields=["owner", "number"], name="detect_correlatingpart_once"),)

    def __str__(self) -> str:
        return f"{self.number}"
