"""What this room keeps sealed: versions of data sets whose rows lie sealed as in the event tables. A version never changes; it goes with its time, and its seals with it."""

from __future__ import annotations

from collections import Counter

from django.utils.translation import gettext_lazy as _

from lianfang.commons.people import declare
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.learning import models, queries
from lianfang.rooms.learning.types import Made, Origin


def kinds() -> list[declare.Kind]:
    """For ``declare.sealed``."""
    loss = _("Their content stays hidden for good; have other versions made.")
    return [declare.Kind("learning.version", _("sealed rows in versions of data sets"), loss, _count, lambda _progress: None, lambda _generation: 0, drains=True)]


def _count() -> declare.Counts:
    found = Counter[int]()
    for version in models.Version.objects.filter(state=Made.READY, dataset__origin=Origin.EVENTS):
        path = queries.folder(version) / queries.ROWS
        if path.is_file():
            found.update(lake.copy_by_generation(str(version.pk), path))
    return dict(found)
