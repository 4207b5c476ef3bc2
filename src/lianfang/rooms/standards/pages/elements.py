"""Data elements: the list with who uses them, one with its versions and columns, the starter set."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import sheets
from lianfang.commons.frame.pages import Nav, page, panel, show
from lianfang.commons.frame.sheets import Column, Filter, Sheet, SheetForm, linked
from lianfang.engines.schema.events import BY_NAME
from lianfang.kernel.errors import Invalid
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.standards import actions, models, queries
from lianfang.rooms.standards.pages.fields import Codes, Names
from lianfang.rooms.standards.pages.overview import percent
from lianfang.rooms.standards.pages.versions import TONES, panel_of_versions, steps
from lianfang.rooms.standards.queries.elements import conformity
from lianfang.rooms.standards.types import Use

SECTION = "governance"
LEVEL_TONES = {1: "quiet", 2: "quiet", 3: "warn", 4: "bad"}


class ElementForm(SheetForm):
    """The code list as lines, the usual names by commas."""

    codes = Codes(label=_("code list"), required=False, help_text=_("One code on each line: value = meaning."))
    names = Names(label=_("usual names of columns"), required=False, help_text=_("Parted by commas; columns are suggested by them."))

    class Meta:
        model = models.Element
        fields = models.Element.WRITTEN


def rows_of(viewer: Viewer) -> QuerySet[models.Element]:
    """Elements with the number of columns that follow them."""
    uses = models.ElementUse.objects.filter(element=OuterRef("pk"), state=Use.CONFIRMED).order_by().values("element").annotate(n=Count("pk")).values("n")
    return queries.elements_for(viewer).annotate(used=Coalesce(Subquery(uses, output_field=IntegerField()), 0))


def _by_use(rows: QuerySet, chosen: list[str]) -> QuerySet:
    found = rows.none()
    for one in chosen:
        found |= rows.filter(used__gt=0) if one == "used" else rows.filter(used=0) if one == "unused" else rows.none()
    return found


def format_of(row: models.Element) -> str:
    """Format, bounds and unit in one line."""
    bounds = "–".join("" if bound is None else f"{bound:g}" for bound in (row.least, row.greatest)) if row.least is not None or row.greatest is not None else ""
    return " ".join(part for part in (row.format, f"[{bounds}]" if bounds else "", row.unit) if part)


def codes_of(row: models.Element) -> str:
    """The code list as an import reads it."""
    return "; ".join(f"{value} = {meaning}" for value, meaning in row.codes)


ELEMENTS = sheets.register(
    Sheet(
        model=models.Element,
        title=_("Data elements"),
        about=linked(_("What a column means, whatever it is called. An element is in force when a second person has approved it; a change is a new version."), "standards:starter", _("Look at the starter set")),
        columns=(
            Column("code", cell="code"), Column("said", _("Name"), sort="name"), Column("meaning", _("Definition"), sort=False), "type", Column("level", cell="badge", tones=LEVEL_TONES), Column("used", _("Columns that use it"), cell="number", sort=False), "version",
            Column("state", tones=TONES), Column("name", shown=False), Column("name_en", shown=False), Column("definition", shown=False), Column("definition_en", shown=False), Column("format", cell="code", shown=False),
            Column("least", shown=False), Column("greatest", shown=False), Column("unit", shown=False), Column("codes", value=codes_of, cell="text", sort=False, shown=False, plain=lambda row: row.codes),
            Column("required", shown=False), Column("names", shown=False), Column("owner", shown=False), Column("note", shown=False), Column("submitted_by", shown=False), Column("approved_by", shown=False), Column("approved", shown=False),
        ),
        facts=(
            Column("code", cell="code"), "version", Column("state", tones=TONES), "name", "name_en", Column("meaning", _("Definition")), "type", Column("format_of", _("Format"), value=format_of, cell="code"), "required", "names", "owner",
            Column("level", cell="badge", tones=LEVEL_TONES), "submitted_by", "submitted", "approved_by", "approved", "retired", "note",
        ),
        filters=("state", "type", "level", Filter("use", _("Use"), kind="choice", choices=(("used", _("used")), ("unused", _("used by no column"))), apply=_by_use), "approved"),
        search=("code", "name", "name_en", "definition", "definition_en"),
        fields=models.Element.WRITTEN,
        form=ElementForm,
        rows=rows_of,
        order="code",
        nav=Nav(SECTION, _("Data elements"), order=32, icon="tags", group="quality"),
        create=actions.ELEMENTS.create,
        change=actions.ELEMENTS.change,
        remove=actions.ELEMENTS.remove,
        verbs=steps(actions.ELEMENTS, retire=_("No column will follow it any more, and its rules go. Retire it?")),
        template="standards/version.html",
        empty=(_("There is no data element yet"), _("Take over the starter set of the node, import a table, or write one."), reverse_lazy("standards:starter"), _("Look at the starter set")),
    )
)  # fmt: skip


@panel("standards.element.main", title=_("Columns that follow it"), order=10)
def used_by(request: HttpRequest, row: models.Element) -> str:
    """Where it is used, and what of real values conforms."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    uses = list(models.ElementUse.objects.seen_by(viewer).filter(element=row).exclude(state=Use.REFUSED).select_related("element"))
    figures = conformity(uses, viewer=viewer)
    lines = [{"use": use, "title": queries.title(BY_NAME[use.column]) if use.column in BY_NAME else "", "figure": figures.get(use.column), "share": percent(figures.get(use.column))} for use in uses]
    return render_to_string("standards/part_uses.html", {"row": row, "lines": lines, "codes": row.codes}, request=request)


panel_of_versions("element", queries.elements_for)


@page("starter/", name="starter", permission="standards.element.view", title=_("Starter set of data elements"), parent="element_list")
def starter(request: HttpRequest) -> HttpResponse:
    """What ships with the node; one button takes over what is not there yet."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    if request.method == "POST":
        taken = actions.take_starter(actor=viewer)
        messages.success(request, ngettext("%d element was submitted; a second person approves it", "%d elements were submitted; a second person approves them", taken) % taken)
        return HttpResponseRedirect(reverse("standards:element_list") + "?state=submitted")
    known = set(models.Element.objects.filter(organisation=viewer.organisation).values_list("code", flat=True))
    lines: list[dict[str, Any]] = [{"row": models.Element(**values), "known": values["code"] in known} for values in queries.starter()]
    fresh = sum(not line["known"] for line in lines)
    if not lines:
        raise Invalid("The starter set is empty", todo=gettext("Import a table instead."))
    return show(request, "standards/starter.html", {"lines": lines, "fresh": fresh, "may_add": viewer.may("standards.element.add")})
