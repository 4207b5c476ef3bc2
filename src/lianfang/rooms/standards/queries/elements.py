"""Elements as a viewer may read them, the columns that follow them, and what of real values conforms.

In: the viewer. Out: rows and figures. A standard holds for whoever stands below the organisation that approved it, so approved
elements of the organisations above are read too; only who sees their organisation changes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import yaml
from django.conf import settings
from django.db.models import Q, QuerySet

from lianfang.commons.frame.language import either
from lianfang.commons.frame.scoped import ranges
from lianfang.engines.columns.measures import Check
from lianfang.engines.schema.events import BY_NAME, COLUMNS, Column, Kind
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid
from lianfang.kernel.viewer import WIDTH, Viewer
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.standards import models
from lianfang.rooms.standards.types import EVENTS, ColumnUse, Figure, State, Type, Use

LOOKED_AT = timedelta(days=7)
FITTING: Mapping[str, tuple[Kind, ...]] = {
    Type.TEXT: (Kind.TEXT, Kind.LIST), Type.CODE: (Kind.TEXT, Kind.INT, Kind.LIST), Type.INTEGER: (Kind.INT,), Type.DECIMAL: (Kind.INT,),
    Type.TIME: (Kind.TIME,), Type.DATE: (Kind.TEXT, Kind.TIME), Type.YESNO: (Kind.INT, Kind.TEXT),
}  # fmt: skip
"""Type of an element → kinds of columns that can hold it."""


def above(viewer: Viewer) -> list[str]:
    """Paths of the organisations above the viewer's own."""
    return [viewer.path[:length] for length in range(WIDTH, len(viewer.path), WIDTH)]


def elements_for(viewer: Viewer) -> QuerySet[models.Element]:
    """Every version in scope, and what is approved above."""
    return models.Element.objects.filter(ranges(viewer) | Q(territory__in=above(viewer), state=State.APPROVED))


def starter() -> list[dict[str, Any]]:
    """The elements that ship with the node, as values of ``models.Element``; raises ``Invalid``."""
    path = settings.CONTENT / "standards/elements.yaml"
    try:
        return [_shipped(one) for one in yaml.safe_load(path.read_text("utf-8"))["elements"]]
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise Invalid("The starter set cannot be read", why=str(error), todo=f"Mend {path.name}.") from error


def _shipped(one: Mapping[str, Any]) -> dict[str, Any]:
    least, greatest = one.get("bounds", (None, None))
    return {
        "code": one["code"], "name": one["zh"], "name_en": one["en"], "definition": one["def"], "definition_en": one["def_en"], "type": Type(one["kind"]), "format": one.get("format", ""), "least": least, "greatest": greatest,
        "unit": one.get("unit", ""), "codes": [[value, meaning] for value, meaning in one.get("codes", {}).items()], "required": one.get("must", False), "names": list(one.get("names", ())), "level": one["level"],
    }  # fmt: skip


# ---- what a column is asked ------------------------------------------------------------------------------------


def fits(element: models.Element, column: Column) -> bool:
    """Whether a column of this kind can hold the element."""
    return column.kind in FITTING[element.type]


def checks_of(element: models.Element, column: str) -> list[Check]:
    """What an element says of the values of a column that follows it."""
    kind = BY_NAME[column].kind
    found = [Check("filled", column)] if element.required else []
    if kind is Kind.TIME:
        return found
    if element.format:
        found.append(Check("format", column, pattern=element.format))
    if element.codes:
        found.append(Check("codes", column, codes=element.code_values))
    if element.least is not None or element.greatest is not None:
        found.append(Check("range" if kind is Kind.INT else "length", column, least=element.least, greatest=element.greatest))
    return found


# ---- suggesting ------------------------------------------------------------------------------------------------


def likeness(element: models.Element, column: Column) -> tuple[float, list[str]]:
    """How well an element fits a column, 0 to 1, and why: ``name``, ``title``, ``words``, ``kind`` with what was alike."""
    if not fits(element, column):
        return 0.0, []
    names = {str(name).lower() for name in element.names}
    if column.name.lower() in names or (column.path and column.path.rsplit(".", 1)[-1].lower() == column.name and column.name in names):
        return 1.0, [f"name {column.name}"]
    if element.name == column.zh or element.name_en.lower() == column.en.lower():
        return 0.9, [f"title {column.zh}"]
    own = _words(column.name) | _words(column.en)
    shared, share = max(((own & words, len(own & words) / len(own | words)) for words in ({*_words(name)} for name in (*names, element.name_en))), key=lambda one: one[1], default=(set(), 0.0))
    return (0.8 * share, [f"words {' '.join(sorted(shared))}"]) if share >= 0.5 else (0.0, [])


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", text.lower()))


def best(column: Column, elements: Iterable[models.Element]) -> tuple[models.Element, float, list[str]] | None:
    """The approved element that fits a column best; nothing when none is alike."""
    found = [(element, *likeness(element, column)) for element in elements]
    found = [one for one in found if one[1] > 0]
    return max(found, key=lambda one: (one[1], one[0].territory, one[0].code)) if found else None


# ---- use -------------------------------------------------------------------------------------------------------


def title(column: Column) -> str:
    """A column's title in the reader's language."""
    return either(column.zh, column.en)


def uses_for(viewer: Viewer) -> list[models.ElementUse]:
    """What holds for the viewer's organisation: its own word on a column, else that of the nearest organisation above."""
    rows = models.ElementUse.objects.filter(Q(organisation=viewer.organisation) | Q(territory__in=above(viewer)), dataset=EVENTS).select_related("element")
    return list({use.column: use for use in sorted(rows, key=lambda use: len(use.territory))}.values())


def uses_of(viewer: Viewer) -> list[ColumnUse]:
    """Every column of the event tables, the element it follows or may follow, and how its values of the last week conform."""
    viewer.must("standards.element.view")
    uses = {use.column: use for use in uses_for(viewer)}
    conforming = conformity([use for use in uses.values() if use.state != Use.REFUSED], viewer=viewer)
    return [ColumnUse(column.name, title(column), column.kind, uses.get(column.name), conforming.get(column.name)) for column in COLUMNS]


def conformity(uses: Iterable[models.ElementUse], *, viewer: Viewer) -> dict[str, Figure]:
    """Column → how its values keep what their element says; where it says several things, of the one that is kept worst."""
    if not viewer.may("lake.event.view"):
        return {}
    asked = {use.column: checks_of(use.element, use.column) for use in uses if use.dataset == EVENTS and use.column in BY_NAME}
    now = clock.now()
    counts = {one.check: one for one in _summed(lake.measured([check for checks in asked.values() for check in checks], since=now - LOOKED_AT, until=now + timedelta(days=2), viewer=viewer, seconds=0))}
    found = {}
    for column, checks in asked.items():
        parts = [Figure(counts[check.key].applied, counts[check.key].failed) for check in checks if check.key in counts]
        if parts:
            found[column] = min(parts, key=lambda part: 101.0 if part.share is None else part.share)
    return found


def _summed(tallies: Iterable[Any]) -> Iterable[Any]:
    """Tallies of all tables together."""
    sums: dict[str, Any] = {}
    for one in tallies:
        before = sums.get(one.check)
        sums[one.check] = one if before is None else type(one)("", one.check, min(one.start, before.start), one.applied + before.applied, one.failed + before.failed)
    return sums.values()
