"""The form of a sheet: Django's ``ModelForm`` in our dress, its choices narrowed to what the viewer sees."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from django import forms
from django.db import models

from lianfang.commons.frame.pages import invalid
from lianfang.commons.frame.sheets.declare import Row, Sheet
from lianfang.kernel.viewer import Viewer

WHEN = "%Y-%m-%dT%H:%M"


class SheetForm(forms.ModelForm):
    """Base of generated forms; a room's own form (``Sheet(form=…)``) inherits it."""

    required_css_class = "required"

    def __init__(self, *args: Any, viewer: Viewer | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.viewer = viewer
        for name, field in self.fields.items():
            _dress(field, name)
            narrow = getattr(getattr(field, "queryset", None), "seen_by", None)
            if narrow and viewer is not None:
                field.queryset = narrow(viewer)


def _dress(field: forms.Field, name: str) -> None:
    """Tabler's classes, and the browser's own pickers."""
    widget = field.widget
    if isinstance(widget, forms.CheckboxInput):
        widget.attrs.setdefault("class", "form-check-input")
    elif isinstance(widget, forms.Select):
        widget.attrs.setdefault("class", "form-select")
    elif not isinstance(widget, forms.CheckboxSelectMultiple | forms.RadioSelect):
        widget.attrs.setdefault("class", "form-control")
    if field.help_text:
        widget.attrs.setdefault("aria-describedby", f"id_{name}_help")


def _formfield(field: models.Field, **kwargs: Any) -> forms.Field | None:
    if isinstance(field, models.DateTimeField):
        return field.formfield(widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=WHEN), **kwargs)
    if isinstance(field, models.DateField):
        return field.formfield(widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"), **kwargs)
    if isinstance(field, models.TextField):
        return field.formfield(widget=forms.Textarea(attrs={"rows": 5}), **kwargs)
    return field.formfield(**kwargs)


def form_class(sheet: Sheet) -> type[forms.ModelForm]:
    """The form of a sheet, made once."""
    if sheet.form is not None:
        return sheet.form
    made = forms.modelform_factory(sheet.model, form=SheetForm, fields=tuple(sheet.fields), formfield_callback=_formfield)
    sheet.form = made
    return made


def _twin(row: Row) -> Row:
    """A copy that shares nothing that can be written."""
    twin = type(row)()
    twin.__dict__.update(row.__dict__)
    twin._state = copy.copy(row._state)
    twin._state.fields_cache = dict(row._state.fields_cache)
    return twin


def bound(sheet: Sheet, viewer: Viewer, *, row: Row = None, data: Any = None, files: Any = None, initial: Mapping[str, Any] | None = None) -> Any:
    """A form for a new row, or for a copy of ``row``: what the form writes into its instance never leaks into the row."""
    made, kwargs = form_class(sheet), {}
    if issubclass(made, SheetForm):
        kwargs["viewer"] = viewer
    return made(data=data, files=files, instance=_twin(row) if row is not None else None, initial=initial, **kwargs)


def checked(sheet: Sheet, viewer: Viewer, data: Mapping[str, Any], *, row: Row = None) -> dict[str, Any]:
    """Plain values (of the API, of an import) as the form accepts them; ``Invalid`` with reasons per field."""
    known = dict(data)
    if row is not None:
        known = forms.model_to_dict(row, fields=list(sheet.fields)) | known
    else:
        known = _defaults(sheet) | known
    form = bound(sheet, viewer, row=row, data=known)
    if not form.is_valid():
        raise invalid({name: [str(one) for one in errors] for name, errors in form.errors.items()})
    return {name: value for name, value in form.cleaned_data.items() if row is None or name in data}


def _defaults(sheet: Sheet) -> dict[str, Any]:
    """What the model gives a field that nobody mentions."""
    found = {name: sheet.model_field(name) for name in sheet.fields}
    return {name: field.get_default() for name, field in found.items() if field is not None and field.has_default() and not field.many_to_many}
