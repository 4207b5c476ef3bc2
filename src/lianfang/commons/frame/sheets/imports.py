"""A table becomes rows of a sheet: brought, checked cell by cell, shown, accepted, taken over in steps that a browser drives.

In: a file. Out: an ``Import`` that can be left and found again. Nothing is written to the sheet before the person accepts;
then each line is taken over by the same form and verb as one typed by hand. A column ``ID`` changes rows that exist.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cached_property
from typing import Any

from django import forms as fields
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import journal, models, pages
from lianfang.commons.frame.pages.answers import is_fragment
from lianfang.commons.frame.scoped import whose
from lianfang.commons.frame.sheets import forms, moves, tables
from lianfang.commons.frame.sheets.declare import Sheet
from lianfang.commons.frame.sheets.views import address, partial_view
from lianfang.kernel import clock
from lianfang.kernel.errors import Fault, Invalid, sentences
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import Viewer

STEP = 250
"""Lines of one step: about a second of work, so that progress is seen."""
KEPT = timedelta(days=7)
"""How long an import that nobody finished is kept."""

YES, NO = {"1", "yes", "true", "y", "on", "是", "真", "√"}, {"0", "no", "false", "n", "off", "否", "假", "×", ""}


def open_pages(sheet: Sheet) -> None:
    """Declare the import pages of a sheet."""
    if not (sheet.creates and sheet.importable):
        return
    common: dict[str, Any] = {"permission": sheet.permission("add"), "title": _("Import"), "room": sheet.room}
    pages.page(f"{sheet.path}/import/", name=f"{sheet.kind}_import", parent=f"{sheet.kind}_list", **common)(partial_view(bring, sheet))
    pages.page(f"{sheet.path}/import/<uuid:run>/", name=f"{sheet.kind}_import_run", parent=f"{sheet.kind}_import", **common)(partial_view(follow, sheet))


# -- pages -------------------------------------------------------------------------------------------------------


def bring(request: HttpRequest, sheet: Sheet) -> HttpResponse | StreamingHttpResponse:
    """Upload a table, or download the template for one."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    if request.GET.get("template"):
        return template(sheet)
    if request.method == "POST":
        upload = request.FILES.get("file")
        if upload is None:
            raise Invalid("No file was chosen", todo="Choose a .csv or .xlsx file.")
        run = begin(sheet, upload.name or "", upload.read(tables.BYTES + 1), actor=viewer)
        return HttpResponseRedirect(address(sheet, "{kind}_import_run", run=run.pk))
    open_runs = models.Import.objects.filter(owner=viewer.id, sheet=sheet.name)[:5]
    context = {"sheet": sheet, "headings": [(capfirst(str(field.label)), field.required, field.help_text) for field in Reader(sheet, viewer).form.values()], "runs": [(run, address(sheet, "{kind}_import_run", run=run.pk)) for run in open_runs], "rows": tables.ROWS, "megabytes": tables.BYTES >> 20, "back": address(sheet)}
    return pages.show(request, "frame/sheet/import.html", context, title=gettext("Import: %s") % sheet.title, crumbs=[(sheet.title, address(sheet))])


def follow(request: HttpRequest, sheet: Sheet, run: Any) -> HttpResponse:
    """One import: how far it is, what is wrong, the decision."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    brought = own(sheet, run, viewer)
    if request.method == "POST":
        do = request.POST.get("do")
        if do == "accept":
            accept(sheet, brought, actor=viewer)
        elif do == "drop":
            drop(brought)
            messages.success(request, gettext("The import was dropped; nothing was written"))
            return HttpResponseRedirect(address(sheet, "{kind}_import"))
        elif do == "step":
            step(sheet, brought, actor=viewer)
        if not is_fragment(request):
            return HttpResponseRedirect(request.path)
    return pages.show(request, "frame/sheet/import_part.html" if is_fragment(request) else "frame/sheet/import_run.html", _shown(sheet, brought), title=brought.name, crumbs=[(sheet.title, address(sheet)), (gettext("Import"), address(sheet, "{kind}_import"))])


def own(sheet: Sheet, run: Any, viewer: Viewer) -> models.Import:
    """The viewer's own import, or ``Missing``."""
    found = models.Import.objects.filter(owner=viewer.id, sheet=sheet.name, pk=run).first()
    return found or models.Import.objects.none().fetch(run, viewer)


def _shown(sheet: Sheet, run: models.Import) -> dict[str, Any]:
    faulty = list(models.ImportRow.objects.filter(run=run, faulty=True)[:100]) if run.state != models.Import.State.CHECKING else []
    sample = faulty or list(models.ImportRow.objects.filter(run=run)[:10])
    known = Reader(sheet, None).names
    lines = [{"line": row.line, "cells": [(row.cells.get(heading, ""), row.errors.get(heading, ())) for heading in run.headings], "rest": row.errors.get("", ())} for row in sample]
    running = run.state in (models.Import.State.CHECKING, models.Import.State.RUNNING)
    right = run.total - run.faulty
    return {
        "sheet": sheet, "run": run, "lines": lines, "headings": [(heading, heading.casefold() in known) for heading in run.headings], "running": running, "right": right, "faulty_shown": bool(faulty),
        "done": run.checked if run.state == models.Import.State.CHECKING else run.taken, "of": run.total if run.state == models.Import.State.CHECKING else right, "list_url": address(sheet),
    }  # fmt: skip


def template(sheet: Sheet) -> HttpResponse:
    """An empty table with the headings that the import understands."""
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{sheet.kind}-template.csv"'
    answer.write("\ufeff")
    csv.writer(answer).writerow([capfirst(str(field.label)) for field in Reader(sheet, None).form.values()])
    return answer


# -- verbs -------------------------------------------------------------------------------------------------------


def begin(sheet: Sheet, name: str, content: bytes, *, actor: Viewer) -> models.Import:
    """Keep the lines of a file, unchecked."""
    actor.must(sheet.permission("add"))
    headings, lines = tables.read(name, content)
    reader = Reader(sheet, actor)
    if not any(heading.casefold() in reader.names for heading in headings):
        raise Invalid("None of the headings is known", why=", ".join(headings)[:200], todo="Download the template, and use its headings.")
    double = reader.double(headings, lines)
    with transaction.atomic():
        models.Import.objects.filter(owner=actor.id, created__lt=clock.now() - KEPT).delete()
        run = models.Import.objects.create(owner=actor.id, sheet=sheet.name, name=name[:200], headings=[heading for heading in headings if heading], total=len(lines), **whose(actor))
        models.ImportRow.objects.bulk_create((_row(run, number, headings, line, double.get(number, {})) for number, line in enumerate(lines, 2)), batch_size=500)
    return run


def _row(run: models.Import, number: int, headings: list[str], line: list[str], errors: dict[str, list[str]]) -> models.ImportRow:
    return models.ImportRow(run=run, line=number, cells={heading: cell[:4000] for heading, cell in zip(headings, line) if heading}, errors=errors)


def step(sheet: Sheet, run: models.Import, *, actor: Viewer) -> None:
    """Do the next few lines of what is under way: checking, or taking over."""
    with transaction.atomic():
        locked = models.Import.objects.select_for_update().get(pk=run.pk)
        if locked.state == models.Import.State.CHECKING:
            _check(sheet, locked, actor)
        elif locked.state == models.Import.State.RUNNING:
            _take(sheet, locked, actor)
        locked.save()
    run.refresh_from_db()


def accept(sheet: Sheet, run: models.Import, *, actor: Viewer) -> None:
    """The person has seen the lines and wants the right ones."""
    with transaction.atomic():
        locked = models.Import.objects.select_for_update().get(pk=run.pk)
        if locked.state != models.Import.State.READY:
            return
        locked.state = models.Import.State.RUNNING
        locked.save()
        journal.tell(f"{sheet.room}.{sheet.kind}_imported", Ref("frame", "import", str(run.pk)), actor=actor, label=run.name, detail={"lines": locked.total - locked.faulty, "left_out": locked.faulty}, territory=run.territory, industry=run.industry)
    run.refresh_from_db()


def drop(run: models.Import) -> None:
    """Forget an import and its lines."""
    run.delete()


def _check(sheet: Sheet, run: models.Import, actor: Viewer) -> None:
    reader = Reader(sheet, actor)
    rows = list(models.ImportRow.objects.filter(run=run, line__gt=run.checked + 1)[:STEP])
    for row in rows:
        row.errors = {**reader.errors(row.cells), **row.errors}
        row.faulty = bool(row.errors)
    models.ImportRow.objects.bulk_update(rows, ["errors", "faulty"], batch_size=100)
    run.checked += len(rows)
    run.faulty += sum(row.faulty for row in rows)
    if run.checked >= run.total or not rows:
        run.state = models.Import.State.READY


def _take(sheet: Sheet, run: models.Import, actor: Viewer) -> None:
    reader = Reader(sheet, actor)
    rows = list(models.ImportRow.objects.filter(run=run, faulty=False)[:STEP])
    for row in rows:
        try:
            with transaction.atomic():
                reader.take(row.cells)
            row.delete()
            run.taken += 1
        except Fault as fault:
            row.errors, row.faulty = reader.blame(fault), True
            row.save()
            run.faulty += 1
    if not rows or not models.ImportRow.objects.filter(run=run, faulty=False).exists():
        run.state = models.Import.State.DONE


# -- reading cells -----------------------------------------------------------------------------------------------


class Reader:
    """Cells of one sheet's table → what its form takes. Headings are the fields' labels or names, in any case."""

    def __init__(self, sheet: Sheet, viewer: Viewer | None):
        self.sheet, self.viewer = sheet, viewer
        self.form: dict[str, fields.Field] = dict((forms.bound(sheet, viewer) if viewer else forms.form_class(sheet)()).fields)

    @cached_property
    def names(self) -> dict[str, str]:
        """Heading in lower case → field name; ``id`` stands for the row itself."""
        return {"id": "id", **{name.casefold(): name for name in self.form}, **{str(field.label).casefold(): name for name, field in self.form.items()}}

    @cached_property
    def labels(self) -> dict[str, dict[str, Any]]:
        """For fields with choices: what a person writes → the value."""
        return {name: {str(label).casefold(): getattr(value, "value", value) for value, label in _flat(field)} for name, field in self.form.items() if hasattr(field, "choices")}

    def data(self, cells: Mapping[str, str]) -> dict[str, Any]:
        """Field name → what the form takes. Empty cells are left to the defaults."""
        found = {self.names[heading.casefold()]: cell for heading, cell in cells.items() if heading.casefold() in self.names and cell != ""}
        return {name: self._read(name, cell) for name, cell in found.items()}

    def _read(self, name: str, cell: str) -> Any:
        field = self.form.get(name)
        if isinstance(field, fields.BooleanField):
            said = cell.casefold()
            if said not in YES | NO:
                raise Invalid(cell, details={name: [gettext("“%s” is neither yes nor no") % cell]})
            return said in YES
        if isinstance(field, fields.MultipleChoiceField | fields.ModelMultipleChoiceField):
            return [self.labels[name].get(part.strip().casefold(), part.strip()) for part in cell.replace("，", ",").replace("、", ",").split(",") if part.strip()]
        return self.labels.get(name, {}).get(cell.casefold(), cell)

    def take(self, cells: Mapping[str, str]) -> None:
        """Create, or change the row that ``ID`` names."""
        data = self.data(cells)
        viewer, key = self._viewer, data.pop("id", "")
        if key:
            row = moves.fetch(self.sheet, key, viewer)
            moves.change(self.sheet, row, forms.checked(self.sheet, viewer, data, row=row), actor=viewer)
        else:
            moves.create(self.sheet, forms.checked(self.sheet, viewer, data), actor=viewer)

    def errors(self, cells: Mapping[str, str]) -> dict[str, list[str]]:
        """What is wrong, by heading; ``""`` for what belongs to no cell."""
        try:
            data = self.data(cells)
            key = data.pop("id", "")
            if key:
                self._viewer.must(self.sheet.permission("change"))
            forms.checked(self.sheet, self._viewer, data, row=moves.fetch(self.sheet, key, self._viewer) if key else None)
        except Fault as fault:
            return self.blame(fault, cells)
        return {}

    def blame(self, fault: Fault, cells: Mapping[str, str] | None = None) -> dict[str, list[str]]:
        """A fault's reasons beside the headings they mean."""
        headings = {self.names[heading.casefold()]: heading for heading in cells or () if heading.casefold() in self.names}
        if not isinstance(fault, Invalid) or not fault.details:
            return {headings.get("id", ""): [sentences(gettext(str(fault.what)), gettext(str(fault.why)) if fault.why else "")]}
        found: dict[str, list[str]] = {}
        for name, reasons in fault.details.items():
            field = self.form.get(name)
            missing = name not in headings and field is not None
            found.setdefault(headings.get(name, ""), []).extend(f"{field.label}: {reason}" if missing and field else reason for reason in reasons)
        return found

    def double(self, headings: list[str], lines: list[list[str]]) -> dict[int, dict[str, list[str]]]:
        """Lines that repeat a value which must be unique: line number → heading → reason."""
        found: dict[int, dict[str, list[str]]] = {}
        for place, heading in enumerate(headings):
            known = self.sheet.model_field(self.names.get(heading.casefold(), ""))
            if known is None or not known.unique:
                continue
            first: dict[str, int] = {}
            for number, line in enumerate(lines, 2):
                cell = line[place] if place < len(line) else ""
                if cell and first.setdefault(cell.casefold(), number) != number:
                    found.setdefault(number, {})[heading] = [gettext("the same as in line %d") % first[cell.casefold()]]
        return found

    @property
    def _viewer(self) -> Viewer:
        if self.viewer is None:
            raise Invalid("Nobody is importing")
        return self.viewer


def _flat(field: Any) -> Iterator[tuple[Any, Any]]:
    for value, label in field.choices:
        if isinstance(label, list | tuple):
            yield from label
        elif value not in ("", None):
            yield value, label
