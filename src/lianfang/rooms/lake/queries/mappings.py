"""Mapping templates: those that ship, those of the node, and what a text compiles to.

In: names, texts, a viewer. Out: compiled templates, choices. The templates that ship are read once per process.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings

from lianfang.commons.frame.language import chinese
from lianfang.engines.connect import explain
from lianfang.engines.connect import template as templates_
from lianfang.engines.connect.mapping import Templates, tables_of
from lianfang.engines.connect.template import Template
from lianfang.engines.schema.events import COLUMNS
from lianfang.kernel.errors import Invalid, Missing
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models

OWN = "own mapping"
"""What an own mapping is called in the sentences of its compiler."""


@lru_cache(maxsize=2)
def _shipped(folder: Path) -> tuple[Templates, dict[str, Any], dict[str, str]]:
    found = Templates.load(folder, cache_bytes=8 << 20)
    titles = {explain.plain_name(said): column.name for column in COLUMNS if column.name not in templates_.NOT_OURS for said in (column.zh, column.en, column.name)}
    return found, tables_of([folder]), titles | explain.suggestions(found.templates)


def shipped() -> tuple[Template, ...]:
    """The templates that ship."""
    return _shipped(settings.CONTENT / "mappings")[0].templates


def in_use(viewer: Viewer | None = None) -> tuple[Template, ...]:
    """Every template by which a source of this node may be mapped, as far as a viewer sees them: those that ship, and the node's own that still compile."""
    rows = models.Mapping.objects.seen_by(viewer) if viewer else models.Mapping.objects.all()
    return (*shipped(), *filter(None, map(_own, rows.order_by("name").values_list("text", flat=True))))


@lru_cache(maxsize=256)
def _own(text: str) -> Template | None:
    try:
        return compiled(text)
    except Invalid:
        return None  # whoever opens it on its page is told what is wrong


def suggestions() -> Mapping[str, str]:
    """Plain name of a field → the column where the templates that ship put it, or that is called so."""
    return _shipped(settings.CONTENT / "mappings")[2]


def compiled(text: str) -> Template:
    """The text of a mapping as a template, with the tables that ship; raises ``Invalid`` with the line."""
    return templates_.parse(text, path=OWN, tables=_shipped(settings.CONTENT / "mappings")[1])


def mapping_text(name: str, *, viewer: Viewer) -> str:
    """The text of a mapping of the node; ``Missing`` when it is elsewhere or nowhere."""
    row = models.Mapping.objects.seen_by(viewer).filter(name=name).first()
    if row is None:
        raise Missing("There is no such mapping", why="It does not exist, or it lies outside your scope.", todo="Choose one of the list.")
    return row.text


def may_read_samples(viewer: Viewer) -> bool:
    """Samples hold raw logs: whoever works on mappings reads them, and whoever is cleared for names of people."""
    return viewer.may("lake.mapping.change") or viewer.clearance >= DataLevel.L3


def template_choices(*, viewer: Viewer) -> list[tuple[str, str]]:
    """Name and title of every template that a source of this viewer may name: the node's own first."""
    language = "zh" if chinese() else "en"
    own = [(row.name, row.title or row.name) for row in models.Mapping.objects.seen_by(viewer)]
    return own + [(one.name, str(one.title.get(language) or one.name)) for one in sorted(shipped(), key=lambda one: one.name)]


def knows_template(name: str, *, viewer: Viewer) -> bool:
    """Whether a source of this viewer may name it."""
    return any(one.name == name for one in shipped()) or models.Mapping.objects.seen_by(viewer).filter(name=name).exists()
