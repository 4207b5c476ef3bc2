"""The JSON API of a sheet: list by cursor, get, create, change, remove; the same questions, forms and guards as the pages.

In: HTTP under ``/api/<room>/<kind>/``. Out: JSON; the list as ``{"items": […], "next": cursor or null}``.
"""

from typing import Any, Optional

from django import forms as widgets
from django.db import models
from django.http import HttpRequest, HttpResponse
from ninja import Schema, Status
from pydantic import ConfigDict, Field, create_model

from lianfang.commons.frame.pages import api
from lianfang.commons.frame.sheets import cells, forms, moves
from lianfang.commons.frame.sheets.declare import Column, Row, Sheet, Verb
from lianfang.commons.frame.sheets.question import MOST, PAGE, Question

TYPES: tuple[tuple[type[models.Field], Any], ...] = (
    (models.BooleanField, bool), (models.IntegerField, int), (models.FloatField, float), (models.JSONField, Any), (models.CharField, str), (models.TextField, str),
)  # fmt: skip


class Strict(Schema):
    """Unknown names are an error: a misspelt field never passes in silence."""

    model_config = ConfigDict(extra="forbid")


def open_api(sheet: Sheet) -> None:
    """Add the operations of a sheet to its room's router."""
    router, base, tags = api(sheet.room), f"/{sheet.path}/", [sheet.name]
    item, listed = _item(sheet), None
    listed = create_model(f"{_camel(sheet)}List", __base__=Schema, items=(list[item], ...), next=(Optional[str], None))  # type: ignore[valid-type]  # noqa: UP045
    named = {"tags": tags, "by_alias": True}

    @router.get(base, response=listed, summary=f"List {sheet.kind}", operation_id=f"{sheet.room}_{sheet.kind}_list", openapi_extra={"parameters": _parameters(sheet)}, **named)
    def list_rows(request: HttpRequest) -> HttpResponse | dict[str, Any]:
        request.viewer.must(sheet.permission("view"))  # type: ignore[attr-defined]
        question = Question.of(sheet, request.GET, request.viewer)  # type: ignore[attr-defined]
        found = question.page()
        return {"items": [row_of(sheet, row) for row in found.rows], "next": found.next or None}

    @router.get(base + "{pk}/", response=item, summary=f"Get one {sheet.kind}", operation_id=f"{sheet.room}_{sheet.kind}_get", **named)
    def get_row(request: HttpRequest, pk: str) -> dict[str, Any]:
        request.viewer.must(sheet.permission("view"))  # type: ignore[attr-defined]
        return row_of(sheet, moves.fetch(sheet, pk, request.viewer))  # type: ignore[attr-defined]

    if sheet.creates:
        given = _given(sheet, "New", required=True)

        @router.post(base, response={201: item}, summary=f"Create one {sheet.kind}", operation_id=f"{sheet.room}_{sheet.kind}_create", **named)
        def create_row(request: HttpRequest, data: given) -> Any:  # type: ignore[valid-type]
            request.viewer.must(sheet.permission("add"))  # type: ignore[attr-defined]
            values = forms.checked(sheet, request.viewer, data.dict(exclude_unset=True, by_alias=True))  # type: ignore[attr-defined]
            return Status(201, row_of(sheet, moves.create(sheet, values, actor=request.viewer)))  # type: ignore[attr-defined]

    if sheet.changes:
        changed = _given(sheet, "Change", required=False)

        @router.patch(base + "{pk}/", response=item, summary=f"Change one {sheet.kind}", operation_id=f"{sheet.room}_{sheet.kind}_change", **named)
        def change_row(request: HttpRequest, pk: str, data: changed) -> dict[str, Any]:  # type: ignore[valid-type]
            request.viewer.must(sheet.permission("change"))  # type: ignore[attr-defined]
            row = moves.fetch(sheet, pk, request.viewer)  # type: ignore[attr-defined]
            values = forms.checked(sheet, request.viewer, data.dict(exclude_unset=True, by_alias=True), row=row)  # type: ignore[attr-defined]
            moves.change(sheet, row, values, actor=request.viewer)  # type: ignore[attr-defined]
            return row_of(sheet, moves.fetch(sheet, pk, request.viewer))  # type: ignore[attr-defined]

    for verb in sheet.verbs:
        _open_verb(sheet, verb, router, item, named)

    if sheet.removes:

        @router.delete(base + "{pk}/", response={204: None}, summary=f"Delete one {sheet.kind}", operation_id=f"{sheet.room}_{sheet.kind}_delete", **named)
        def delete_row(request: HttpRequest, pk: str) -> Any:
            request.viewer.must(sheet.permission("delete"))  # type: ignore[attr-defined]
            moves.remove(sheet, moves.fetch(sheet, pk, request.viewer), actor=request.viewer)  # type: ignore[attr-defined]
            return Status(204, None)


def _open_verb(sheet: Sheet, verb: Verb, router: Any, item: Any, named: dict[str, Any]) -> None:
    """A verb of the sheet as ``POST …/{pk}/<verb>/``."""

    @router.post(f"/{sheet.path}/{{pk}}/{verb.name}/", response=item, summary=f"{verb.name.replace('_', ' ').capitalize()} one {sheet.kind}", operation_id=f"{sheet.room}_{sheet.kind}_do_{verb.name}", **named)
    def do(request: HttpRequest, pk: str) -> dict[str, Any]:
        request.viewer.must(verb.permission or sheet.permission(verb.name))  # type: ignore[attr-defined]
        moves.apply(sheet, verb, moves.fetch(sheet, pk, request.viewer), actor=request.viewer)  # type: ignore[attr-defined]
        return row_of(sheet, moves.fetch(sheet, pk, request.viewer))  # type: ignore[attr-defined]


def row_of(sheet: Sheet, row: Row) -> dict[str, Any]:
    """A row as the API gives it: id, label, every column, every field of the form. A column called ``label`` is given as it is."""
    given = {column.name: cells.plain_of(column, row) for column in sheet.columns}  # type: ignore[union-attr]
    for name in sheet.fields:
        if name not in given:
            given[name] = cells.plain_of(Column(name), row)
    return {"label": str(row), **{name: _plain(value) for name, value in given.items()}, "id": str(row.pk)}


def _plain(value: Any) -> Any:
    return [str(one) for one in value.all()] if hasattr(value, "all") else value


def _camel(sheet: Sheet) -> str:
    return "".join(part.capitalize() for part in (sheet.room, *sheet.kind.split("_")))


def _item(sheet: Sheet) -> Any:
    """The schema of a row. Loose in values (they come from our own tables), exact in names."""
    names = {column.name: str(column.label) for column in sheet.columns}  # type: ignore[union-attr]
    names |= {name: str(getattr(sheet.model_field(name), "verbose_name", name)) for name in sheet.fields if name not in names}
    names = {"label": "label", **names}
    shape = {name: (Optional[_type(sheet.model_field(name))], {"default": None, "title": title}) for name, title in names.items() if name != "id"}  # noqa: UP045
    return create_model(f"{_camel(sheet)}", __base__=Schema, id=(str, ...), **_named(shape))


def _named(shape: dict[str, tuple[Any, dict[str, Any]]]) -> dict[str, Any]:
    """Fields under names of our own, the real ones as aliases: a column may be called what a schema calls its own parts."""
    return {f"field_{place}": (kind, Field(alias=name, **said)) for place, (name, (kind, said)) in enumerate(shape.items())}


def _type(found: models.Field | None) -> Any:
    if found is None or found.is_relation:
        return Any
    if isinstance(found, models.DateTimeField):
        from datetime import datetime

        return datetime
    return next((kind for field, kind in TYPES if isinstance(found, field)), Any)


def _given(sheet: Sheet, suffix: str, *, required: bool) -> Any:
    """The schema of what may be sent; the form decides whether it is right."""
    shape: dict[str, tuple[Any, dict[str, Any]]] = {}
    for name, field in forms.form_class(sheet).base_fields.items():
        known = sheet.model_field(name)
        must = required and field.required and not (known is not None and known.has_default())
        about = str(field.help_text or "") or None
        kind = bool if isinstance(field, widgets.BooleanField) and not isinstance(field, widgets.NullBooleanField) else Any
        shape[name] = (kind, {"default": ... if must else None, "title": str(field.label or name), "description": about})
    return create_model(f"{_camel(sheet)}{suffix}", __base__=Strict, **_named(shape))


def _parameters(sheet: Sheet) -> list[dict[str, Any]]:
    """What the list can be asked, for OpenAPI."""
    sorts = sorted({str(column.sort) for column in sheet.columns if column.sort})  # type: ignore[union-attr]
    found = [_parameter("after", "cursor: the value of next"), _parameter("limit", f"rows, at most {MOST} ({PAGE})", "integer"), _parameter("sort", f"{', '.join(sorts)}; with - downwards ({sheet.order})")]
    if sheet.search:
        found.append(_parameter("q", "words to search"))
    for one in sheet.filters:
        about = str(one.label)  # type: ignore[union-attr]
        found.append(_parameter(one.name, about))  # type: ignore[union-attr]
        if one.kind in ("time", "number"):  # type: ignore[union-attr]
            found += [_parameter(f"{one.name}_from", f"{about} ≥"), _parameter(f"{one.name}_to", f"{about} ≤")]  # type: ignore[union-attr]
    return found


def _parameter(name: str, about: str, kind: str = "string") -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": about, "schema": {"type": kind}}


__all__ = ["open_api", "row_of"]
