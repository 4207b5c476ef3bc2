"""The two trees of organisations, level by level."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, QuerySet
from django.db.models.functions import Length
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import pages
from lianfang.commons.people import models
from lianfang.commons.people.types import Axis
from lianfang.kernel.viewer import WIDTH, Viewer, after

SHOWN = 400
"""Organisations drawn at once; below them the tree is opened level by level."""


@pages.page("tree/", name="tree", permission="people.organisation.view", title=_("Organisation tree"), nav=pages.Nav("administration", _("Organisation tree"), order=12, icon="binary-tree"))
def tree(request: HttpRequest) -> HttpResponse:
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    axis = Axis.INDUSTRY if request.GET.get("axis") == Axis.INDUSTRY else Axis.TERRITORY
    top = models.Organisation.objects.fetch(request.GET["under"], viewer) if request.GET.get("under") else None
    rows = _rows(viewer, axis, top)
    above = _above(top, axis, viewer) if top else []
    return pages.show(request, "people/tree.html", {"axis": axis, "axes": list(Axis), "top": top, "above": above, "branches": branches(rows, axis), "cut": len(rows) == SHOWN})


def branches(rows: list[models.Organisation], axis: str) -> list[dict[str, Any]]:
    """Rows in path order → nested ``{"row", "below"}``; a row whose parent is not among them begins a branch of its own."""
    roots: list[dict[str, Any]] = []
    open_path: list[dict[str, Any]] = []
    for row in rows:
        path = getattr(row, axis)
        while open_path and not path.startswith(getattr(open_path[-1]["row"], axis)):
            open_path.pop()
        branch: dict[str, Any] = {"row": row, "below": []}
        (open_path[-1]["below"] if open_path else roots).append(branch)
        open_path.append(branch)
    return roots


def _rows(viewer: Viewer, axis: Axis, top: models.Organisation | None) -> list[models.Organisation]:
    """What is drawn: the subtree in scope, as deep as ``SHOWN`` rows allow."""
    found: QuerySet[models.Organisation] = models.Organisation.objects.seen_by(viewer).exclude(**{axis.value: ""})
    if top is not None:
        path = getattr(top, axis)
        found = found.filter(**{f"{axis}__gte": path, f"{axis}__lt": after(path)})
    rows = list(found.order_by(axis.value)[: SHOWN + 1])
    if len(rows) > SHOWN:
        rows = list(found.alias(depth=Length(axis.value)).filter(depth__lte=len(getattr(rows[0], axis)) + WIDTH).order_by(axis.value)[:SHOWN])
    users = dict(models.User.objects.filter(organisation__in=[row.pk for row in rows]).values_list("organisation").annotate(Count("pk")))
    for row in rows:
        row.people = users.get(row.pk, 0)  # type: ignore[attr-defined]
    return rows


def _above(row: models.Organisation, axis: Axis, viewer: Viewer) -> list[models.Organisation]:
    path = getattr(row, axis)
    paths = [path[:end] for end in range(WIDTH, len(path), WIDTH)]
    return list(models.Organisation.objects.seen_by(viewer).filter(**{f"{axis}__in": paths}).order_by(axis.value))
