"""A value as a cell of a page, as text of an export, as JSON of the API: one source, three voices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext

from lianfang.commons.frame.pages import parts
from lianfang.commons.frame.sheets.declare import Column, Row

NOTHING: SafeString = mark_safe('<span class="nothing">–</span>')
TONES = {"open": "warn", "new": "warn", "active": "good", "enabled": "good", "running": "busy", "failed": "bad", "closed": "quiet", "disabled": "quiet", "done": "good"}


def value_of(column: Column, row: Row) -> Any:
    """The raw value: by ``column.value``, or along the path of its name; ``None`` where the path ends early."""
    if column.value is not None:
        return column.value(row)
    found: Any = row
    for part in column.name.split("__"):
        try:
            found = getattr(found, part, None)
        except ObjectDoesNotExist:
            return None
    return found() if callable(found) and not hasattr(found, "_meta") else found


def text_of(column: Column, row: Row) -> str | int | float:
    """What an export writes: what the page shows, without its looks. Numbers stay numbers."""
    value = value_of(column, row)
    if value is None:
        return ""
    if value in column.choices if isinstance(value, str | int) else False:
        return str(column.choices[value])
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if column.cell == "severity":
        return str(parts.SEVERITIES.get(int(value), ("", value))[1])
    if isinstance(value, int | float):
        return value
    if isinstance(value, datetime):
        return timezone.localtime(value).strftime("%Y-%m-%d %H:%M:%S%z")
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(map(str, value))
    return str(value)


def plain_of(column: Column, row: Row) -> Any:
    """What the API gives: plain JSON values."""
    value = column.plain(row) if column.plain else value_of(column, row)
    if value is None or isinstance(value, bool | int | float | str | list | dict | datetime | date):
        return value
    return str(value)


def html_of(column: Column, row: Row) -> SafeString | str:
    """What the page shows."""
    value = value_of(column, row)
    if value is None or value == "" or value == []:
        return NOTHING
    if isinstance(value, SafeString):
        return value
    return _SHAPES.get(column.cell, _text)(column, value)


def _text(column: Column, value: Any) -> SafeString | str:
    if isinstance(value, str | int) and value in column.choices:
        return str(column.choices[value])
    return _time(column, value) if isinstance(value, datetime) else str(value)


def _time(column: Column, value: Any) -> SafeString:
    return parts.local_time(value)


def _day(column: Column, value: Any) -> SafeString | str:
    return parts.local_time(value, "day")


def _number(column: Column, value: Any) -> SafeString:
    shown = column.choices.get(value) or (number_format(value, decimal_pos=_places(value), force_grouping=True) if isinstance(value, int | float) else value)
    return format_html('<span class="number">{}</span>', shown)


def _places(value: float) -> int:
    """Decimals that say something, at most two."""
    return next((places for places in (0, 1) if round(value, 2) == round(value, places)), 2)


def _yesno(column: Column, value: Any) -> SafeString:
    return format_html('<span class="yes">{} {}</span>', parts.icon("check"), gettext("yes")) if value else format_html('<span class="quiet">{}</span>', gettext("no"))


def _badge(column: Column, value: Any) -> SafeString:
    return parts.badge(column.choices.get(value, value), column.tones.get(value) or ("quiet" if column.tones else TONES.get(str(value), "quiet")))


def _code(column: Column, value: Any) -> SafeString:
    return format_html("<code>{}</code>", value)


def _list(column: Column, value: Any) -> SafeString:
    items: Iterable[Any] = value if isinstance(value, list | tuple | set | frozenset) else [value]
    return format_html('<span class="tags">{}</span>', format_html_join("", '<span class="tag">{}</span>', ((item,) for item in items)))


def _bytes(column: Column, value: Any) -> SafeString:
    return format_html('<span class="number">{}</span>', filesizeformat(value))


def _severity(column: Column, value: Any) -> SafeString:
    return parts.badge_severity(value)


_SHAPES: dict[str, Callable[[Column, Any], SafeString | str]] = {
    "time": _time, "day": _day, "number": _number, "yesno": _yesno, "badge": _badge, "code": _code, "list": _list, "bytes": _bytes, "severity": _severity,
}  # fmt: skip
