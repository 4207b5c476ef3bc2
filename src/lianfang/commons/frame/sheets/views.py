"""The pages of a sheet: list, detail, form, removal, saved views. Translators: read, one call, answer.

In: requests. Out: pages named ``<room>:<kind>_list``, ``<kind>``, ``<kind>_add``, ``<kind>_change``, ``<kind>_remove``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import messages
from django.db import models as orm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import models, pages
from lianfang.commons.frame.pages.answers import is_fragment
from lianfang.commons.frame.scoped import whose
from lianfang.commons.frame.sheets import cells, forms, moves
from lianfang.commons.frame.sheets.declare import Row, Sheet
from lianfang.commons.frame.sheets.many import REMOVE, bulk_verbs, many
from lianfang.commons.frame.sheets.question import Question, counted
from lianfang.kernel.errors import Invalid
from lianfang.kernel.viewer import Viewer


def open_pages(sheet: Sheet) -> None:
    """Declare the pages of a sheet."""
    kind, base, pk = sheet.kind, sheet.path, _converter(sheet)
    declare = partial(pages.page, room=sheet.room)
    if sheet.creates:
        declare(f"{base}/add/", name=f"{kind}_add", permission=sheet.permission("add"), title=_("New entry"), parent=f"{kind}_list")(partial_view(add, sheet))
    declare(f"{base}/views/", name=f"{kind}_views", permission=sheet.permission("view"), parent=f"{kind}_list")(partial_view(save_view, sheet))
    declare(f"{base}/", name=f"{kind}_list", permission=sheet.permission("view"), nav=sheet.nav, title=sheet.title, parent=sheet.parent)(partial_view(listing, sheet))
    declare(f"{base}/<{pk}:pk>/", name=kind, permission=sheet.permission("view"), title=sheet.singular, parent=f"{kind}_list")(partial_view(detail, sheet))
    if sheet.changes:
        declare(f"{base}/<{pk}:pk>/change/", name=f"{kind}_change", permission=sheet.permission("change"), title=_("Edit"), parent=kind)(partial_view(change, sheet))
    if sheet.removes:
        declare(f"{base}/<{pk}:pk>/remove/", name=f"{kind}_remove", permission=sheet.permission("delete"), title=_("Delete"), parent=kind)(partial_view(remove, sheet))
    if sheet.found and sheet.search:
        pages.finder(partial(find, sheet))


def _converter(sheet: Sheet) -> str:
    pk = sheet.model._meta.pk
    return "uuid" if isinstance(pk, orm.UUIDField) else "int" if isinstance(pk, orm.IntegerField) else "str"


def partial_view(view: Callable[..., HttpResponse], sheet: Sheet) -> Callable[..., HttpResponse]:
    """A view that knows its sheet."""

    def bound(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return view(request, sheet, **kwargs)

    bound.__name__, bound.__doc__, bound.__module__ = f"{sheet.kind}_{view.__name__}", view.__doc__, view.__module__
    return bound


def address(sheet: Sheet, page: str = "{kind}_list", **kwargs: Any) -> str:
    """The address of one of a sheet's pages."""
    return reverse(f"{sheet.room}:{page.format(kind=sheet.kind)}", kwargs=kwargs)


def address_of(sheet: Sheet, row: Row) -> str:
    """Where a row is shown."""
    return sheet.link(row) if sheet.link else address(sheet, "{kind}", pk=row.pk)


# -- list --------------------------------------------------------------------------------------------------------


def listing(request: HttpRequest, sheet: Sheet) -> HttpResponse:
    """The list: a page of rows, or the rows alone when htmx asks to go on or whether something changed."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    if request.method == "POST":
        return many(request, sheet, viewer)
    question = Question.of(sheet, request.GET, viewer)
    found = question.page()
    part = request.htmx.target if is_fragment(request) else ""  # type: ignore[attr-defined]
    if part == "rows":
        state = [[cells.plain_of(column, row) for column in question.columns] for row in found.rows]
        if answer := pages.unchanged(request, state, bool(found.next)):
            return answer
    lines = [line(sheet, question, row, viewer, first=address_of(sheet, row)) for row in found.rows]
    context = {"sheet": sheet, "question": question, "lines": lines, "next": question.address(after=found.next) if found.next else "", "bulk": bulk_verbs(sheet, viewer)}
    if part in ("rows", "more"):
        return pages.show(request, "frame/sheet/rows.html", context)
    return pages.show(request, "frame/sheet/list.html", context | around(request, sheet, question, viewer))


def line(sheet: Sheet, question: Question, row: Row, viewer: Viewer, *, first: str) -> dict[str, Any]:
    """One row of the list: cells, address, what can be done."""
    shown = [{"column": column, "html": cells.html_of(column, row), "link": column.link(row) if column.link else first if place == 0 else ""} for place, column in enumerate(question.columns)]
    return {"pk": str(row.pk), "label": str(row), "cells": shown, "url": first, "verbs": sheet.verbs_of(viewer, row=row), "change": address(sheet, "{kind}_change", pk=row.pk) if sheet.may(viewer, "change") else ""}


def around(request: HttpRequest, sheet: Sheet, question: Question, viewer: Viewer) -> dict[str, Any]:
    """What stands around the rows: headings, filter sentence, saved views, what can be done."""
    number, capped = question.count()
    chosen = {column.name for column in question.columns}
    return {
        "count": counted(number, capped),
        "headings": [heading(question, column) for column in question.columns],
        "choice": [{"column": column, "on": column.name in chosen} for column in sheet.columns],
        "chips": [{"condition": condition, "without": question.address(*condition.names), "others": hidden(question, *condition.names)} for condition in sorted(question.conditions, key=lambda one: not one.on)],
        "hidden": hidden(question, "q"), "views": views_of(sheet, question, viewer), "plain": question.plain, "asked": question.address()[1:],
        "onward": [{"label": one.label, "icon": one.icon, "url": reverse(one.page)} for one in sheet.onward if not one.permission or viewer.may(one.permission)],
        "can": {verb: sheet.may(viewer, verb) for verb in ("add", "import", "export", "delete")},
        "add_url": address(sheet, "{kind}_add") if sheet.creates else "", "import_url": address(sheet, "{kind}_import") if sheet.may(viewer, "import") else "",
        "export_url": address(sheet, "{kind}_export"), "views_url": address(sheet, "{kind}_views"), "clear": question.address("q", *(name for c in question.conditions for name in c.names)),
    }  # fmt: skip


def heading(question: Question, column: Any) -> dict[str, Any]:
    """A column's heading: sorts by it, then the other way."""
    on = bool(column.sort) and column.sort == question.sort
    return {"column": column, "on": on, "down": question.down, "url": question.address(sort=("" if question.down else "-") + column.sort if on else column.sort) if column.sort else ""}


def hidden(question: Question, *without: str) -> list[tuple[str, str]]:
    """The rest of the question, as hidden fields of a form that asks for one part."""
    asked = {*without, "after", "limit", "view"}
    return [(name, value) for name in question.asked for value in question.asked.getlist(name) if name not in asked and value]


# -- one row -----------------------------------------------------------------------------------------------------


def detail(request: HttpRequest, sheet: Sheet, pk: Any) -> HttpResponse:
    """One row: facts, what higher rooms say of it, what can be done."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    row = moves.fetch(sheet, pk, viewer)
    context = {
        "sheet": sheet, "row": row, "subject": row, "pairs": [(column.label, cells.html_of(column, row)) for column in sheet.facts], "verbs": sheet.verbs_of(viewer, row=row),
        "side": f"{sheet.name}.side", "main": f"{sheet.name}.main", "list_url": address(sheet),
        "change_url": address(sheet, "{kind}_change", pk=pk) if sheet.may(viewer, "change") else "", "remove_url": address(sheet, "{kind}_remove", pk=pk) if sheet.may(viewer, "delete") else "",
    }  # fmt: skip
    return pages.show(request, sheet.template, context, title=str(row), crumbs=[(sheet.title, address(sheet))])


def add(request: HttpRequest, sheet: Sheet) -> HttpResponse:
    """The form for a new row."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    form = forms.bound(sheet, viewer, data=request.POST or None, files=request.FILES or None, initial=request.GET.dict())
    if request.method == "POST" and form.is_valid():
        try:
            row = moves.create(sheet, form.cleaned_data, actor=viewer)
        except Invalid as fault:
            _blame(form, fault)
        else:
            messages.success(request, gettext("“%s” was created") % row)
            return HttpResponseRedirect(address_of(sheet, row) if isinstance(row, sheet.model) else address(sheet))
    return pages.show(request, sheet.form_template, {"sheet": sheet, "form": form, "back": address(sheet)}, title=gettext("New: %s") % sheet.singular, crumbs=[(sheet.title, address(sheet))], status=422 if form.errors else 200)


def change(request: HttpRequest, sheet: Sheet, pk: Any) -> HttpResponse:
    """The form for a row that exists."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    row = moves.fetch(sheet, pk, viewer)
    form = forms.bound(sheet, viewer, row=row, data=request.POST or None, files=request.FILES or None)
    if request.method == "POST" and form.is_valid():
        try:
            moves.change(sheet, row, form.cleaned_data, actor=viewer)
        except Invalid as fault:
            _blame(form, fault)
        else:
            messages.success(request, gettext("“%s” was saved") % row)
            return HttpResponseRedirect(address_of(sheet, row))
    crumbs = [(sheet.title, address(sheet)), (str(row), address_of(sheet, row))]
    return pages.show(request, sheet.form_template, {"sheet": sheet, "form": form, "row": row, "back": address_of(sheet, row)}, title=gettext("Edit: %s") % row, crumbs=crumbs, status=422 if form.errors else 200)


def _blame(form: Any, fault: Invalid) -> None:
    """What an action found wrong, beside the field it means."""
    known = {name: errors for name, errors in fault.details.items() if name in form.fields}
    for name, errors in known.items():
        for error in errors if isinstance(errors, list | tuple) else [errors]:
            form.add_error(name, pages.said(error))
    if not known:
        form.add_error(None, pages.told(fault))


def remove(request: HttpRequest, sheet: Sheet, pk: Any) -> HttpResponse:
    """Ask, then remove."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    row = moves.fetch(sheet, pk, viewer)
    if request.method == "POST":
        label = str(row)
        moves.remove(sheet, row, actor=viewer)
        messages.success(request, gettext("“%s” was deleted") % label)
        return HttpResponseRedirect(address(sheet))
    context = {"sheet": sheet, "verb": REMOVE, "rows": [row], "more": 0, "number": 1, "posted": [], "back": address_of(sheet, row)}
    return pages.show(request, "frame/sheet/confirm.html", context, title=gettext("Delete: %s") % row, crumbs=[(sheet.title, address(sheet)), (str(row), address_of(sheet, row))])


# -- saved views -------------------------------------------------------------------------------------------------


def views_of(sheet: Sheet, question: Question, viewer: Viewer) -> list[dict[str, Any]]:
    """The views that this viewer saved, or whose organisation shares them."""
    mine = orm.Q(owner=viewer.id) | orm.Q(shared=True, organisation=viewer.organisation)
    asked = question.address()[1:]
    return [{"view": view, "url": f"?{view.question}", "on": view.question == asked, "mine": view.owner == viewer.id} for view in models.SavedView.objects.filter(mine, sheet=sheet.name)[:30]]


def save_view(request: HttpRequest, sheet: Sheet) -> HttpResponse:
    """Keep a question under a name, or forget one of one's own."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    gone = request.POST.get("forget")
    if gone:
        models.SavedView.objects.filter(owner=viewer.id, sheet=sheet.name, pk=gone).delete()
        return HttpResponseRedirect(address(sheet))
    name, asked = request.POST.get("name", "").strip()[:60], request.POST.get("question", "")[:2000]
    if not name:
        raise Invalid("A view needs a name", todo="Write one, in your own words.")
    models.SavedView.objects.update_or_create(owner=viewer.id, sheet=sheet.name, name=name, defaults={"question": asked, "shared": bool(request.POST.get("shared")), **whose(viewer)})
    messages.success(request, gettext("The view “%s” is saved") % name)
    return HttpResponseRedirect(f"{address(sheet)}?{asked}")


# -- search everywhere -------------------------------------------------------------------------------------------


def find(sheet: Sheet, words: str, viewer: Viewer) -> list[pages.Found]:
    """The first few rows of this sheet that the words mean."""
    if not viewer.may(sheet.permission("view")):
        return []
    question = Question(sheet, viewer, words=words, sort=sheet.order.lstrip("-"), down=sheet.order.startswith("-"), columns=tuple(sheet.columns[:1]), limit=5)  # type: ignore[arg-type]
    return [pages.Found(str(row), address_of(sheet, row), kind=sheet.singular, icon=sheet.nav.icon if sheet.nav else "") for row in question.page().rows]


