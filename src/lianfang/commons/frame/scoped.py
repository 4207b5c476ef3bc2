"""Rows that belong to an organisation, and the one manager that filters them by path range.

The path is copied into the row and filtered by *range*, not by prefix: an index serves it on every database.
Only ``people`` decides which paths a viewer sees; this module only applies them.
"""

from __future__ import annotations

from typing import Any, Self

from django.db import models
from django.utils.translation import gettext

from lianfang.kernel.errors import Missing
from lianfang.kernel.ids import new_id
from lianfang.kernel.viewer import Viewer, after


def ranges(viewer: Viewer) -> models.Q:
    """The viewer's scope as a condition: any territorial range, or any industry range."""
    condition = models.Q(pk__in=[])
    for column, tops in (("territory", viewer.territory), ("industry", viewer.industry)):
        for top in tops:
            if top == "" and column == "territory":
                return models.Q()
            condition |= models.Q(**{f"{column}__gte": top or "0", f"{column}__lt": after(top)})
    return condition


class ScopedQuerySet(models.QuerySet):
    """A query set that knows how to narrow itself to a viewer."""

    def seen_by(self, viewer: Viewer) -> Self:
        """Only rows in the viewer's scope."""
        return self.filter(ranges(viewer))

    def fetch(self, pk: Any, viewer: Viewer) -> Any:
        """One row in the viewer's scope; ``Missing`` when it is elsewhere or nowhere (never told apart)."""
        row = self.seen_by(viewer).filter(pk=pk).first()
        if row is None:
            raise Missing(gettext("There is no such %s") % self.model._meta.verbose_name, why="It does not exist, or it lies outside your scope.", todo="Check the address, or ask its owner.")
        return row


class Scoped(models.Model):
    """Base of every row that belongs to an organisation. Make it with ``**whose(viewer)``."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.CharField(max_length=36, editable=False, default="")
    territory = models.CharField(max_length=60, editable=False, db_index=True, default="")
    industry = models.CharField(max_length=60, editable=False, db_index=True, default="")

    objects = ScopedQuerySet.as_manager()

    class Meta:
        abstract = True


def whose(viewer: Viewer) -> dict[str, str]:
    """The scope columns of a row that this viewer makes: it belongs to the viewer's own organisation."""
    return {"organisation": viewer.organisation, "territory": viewer.path, "industry": viewer.industry_path}
