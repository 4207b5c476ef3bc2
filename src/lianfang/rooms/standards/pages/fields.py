"""Form fields of this room: lists that people write line by line."""

from __future__ import annotations

import re
from typing import Any

from django import forms


class Lines(forms.CharField):
    """Values, one on each line (in a cell of a table: parted by semicolons)."""

    widget = forms.Textarea(attrs={"rows": 5, "class": "form-control mono"})

    def clean(self, value: Any) -> list[Any]:
        text = "\n".join(map(str, value)) if isinstance(value, list) else value
        return [line.strip() for line in re.split(r"[\n;；]", str(super().clean(text))) if line.strip()]

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value


class Codes(Lines):
    """A code list: ``value = meaning`` on each line → pairs."""

    def clean(self, value: Any) -> list[list[str]]:
        lines = super().clean(self.prepare_value(value))
        return [[part.strip() for part in (*line.split("=", 1), "")[:2]] for line in lines]

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(" = ".join(map(str, pair)) if isinstance(pair, list | tuple) else str(pair) for pair in value) if isinstance(value, list) else value


class Names(forms.CharField):
    """Short names, parted by commas."""

    widget = forms.TextInput(attrs={"class": "form-control"})

    def clean(self, value: Any) -> list[str]:
        text = ",".join(map(str, value)) if isinstance(value, list) else value
        return list(dict.fromkeys(part.strip()[:80] for part in re.split(r"[,，\n]", str(super().clean(text))) if part.strip()))

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value


class Clauses(Lines):
    """Clauses: ``number | text | controls`` on each line → mappings."""

    widget = forms.Textarea(attrs={"rows": 12, "class": "form-control mono"})

    def clean(self, value: Any) -> list[dict[str, Any]]:
        text = forms.CharField.clean(self, self.prepare_value(value))
        parts = [[part.strip() for part in line.split("|")] for line in str(text).splitlines() if line.strip()]
        return [{"number": number, "text": said, "controls": [key.strip() for key in controls.replace("，", ",").split(",") if key.strip()]} for number, said, controls, *_rest in ((*part, "", "") for part in parts)]

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(f"{one['number']} | {one['text']} | {', '.join(one['controls'])}" for one in value) if isinstance(value, list) else value
