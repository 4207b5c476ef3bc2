"""Scores over time as a chart: one line for each word or table, in per cent."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from lianfang.rooms.lake.types import FAMILIES
from lianfang.rooms.standards.types import Trend, Word

WORDS = dict(Word.choices)


def label(name: str) -> str:
    """A word of quality or a table, as people call it."""
    return str(WORDS.get(name) or FAMILIES.get(name) or name)


def lines(trend: Trend) -> dict[str, Any] | None:
    """The option of a line chart; nothing while there is nothing to show."""
    if not trend.lines:
        return None
    form = "%m-%d" if trend.seconds >= 86_400 else "%m-%d %H:%M"
    least = min(score for line in trend.lines.values() for score in line if score is not None)
    series = [
        {"type": "line", "name": label(name), "data": [None if score is None else round(score, 2) for score in line], "showSymbol": len(line) < 30, "connectNulls": True}
        for name, line in trend.lines.items()
    ]  # fmt: skip
    return {
        "animation": False, "legend": {"top": 0}, "tooltip": {"trigger": "axis"}, "grid": {"top": 36, "left": 4, "right": 16, "bottom": 2, "containLabel": True},
        "xAxis": {"type": "category", "data": [timezone.localtime(start).strftime(form) for start in trend.starts]},
        "yAxis": {"type": "value", "min": max(0, int(least) // 10 * 10 - 10), "max": 100, "splitNumber": 3}, "series": series,
    }  # fmt: skip
