"""What the journal is told of a row's values: before and after, field by field, as text.

In: rows, and values that a form has checked. Out: a detail ``{"before": {…}, "after": {…}}``; what is sensitive is
named under ``withheld`` and never shown, long texts are cut.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from typing import Any

from django.db import models

from lianfang.commons.frame.sheets import forms
from lianfang.commons.frame.sheets.declare import Row, Sheet

LONGEST = 300
"""Characters of one value; the record says what was done, it does not keep a copy of everything."""


def detail(sheet: Sheet, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The detail of one record. ``before`` is empty for a row that is new, ``after`` for one that goes."""
    hidden = secrets(sheet)
    sides = {side: {name: text(value) for name, value in values.items() if name not in hidden} for side, values in (("before", before), ("after", after)) if values}
    withheld = sorted(hidden & {*before, *after})
    return sides | ({"withheld": withheld} if withheld else {})


def values_of(sheet: Sheet, row: Row, names: Iterable[str] = ()) -> dict[str, Any]:
    """The named fields of a row (default: those of its form, or of its list where there is none), many-to-many as a list."""
    wanted = list(names) or list(sheet.fields) or [column.name for column in sheet.columns if column.value is None and "__" not in column.name and sheet.model_field(column.name)]  # type: ignore[union-attr]
    many = {field.name for field in row._meta.many_to_many}
    return {name: list(getattr(row, name).all()) if name in many else getattr(row, name, None) for name in wanted}


def secrets(sheet: Sheet) -> set[str]:
    """Fields whose values stay out of every record: those the sheet calls sensitive, and those typed unseen."""
    typed = forms.form_class(sheet).base_fields if sheet.fields else {}
    return {*sheet.sensitive, *(name for name, field in typed.items() if getattr(field.widget, "input_type", "") == "password")}


def text(value: Any) -> str:
    """A value as one text, in no language.

    >>> text(None), text(True), text([1, 2]), text({"a": 1}), len(text("x" * 1000))
    ('', 'true', '1, 2', '{"a": 1}', 301)
    """
    said = _whole(value)
    return said if len(said) <= LONGEST else said[:LONGEST] + "…"


def _whole(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, list | tuple | set | frozenset | models.QuerySet):
        return ", ".join(map(_whole, value))
    return str(value)
