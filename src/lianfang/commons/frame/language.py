"""The reader's language, for what is kept in two: names, titles, definitions."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import get_language


def chinese() -> bool:
    """Whether the reader reads Chinese; so does whoever has no language, a job for instance."""
    return (get_language() or "zh").startswith("zh")


def either(zh: str, en: str) -> str:
    """What stands in the reader's language; where nothing does, what stands in the other."""
    return (zh or en) if chinese() else (en or zh)


def listed(parts: Iterable[object]) -> str:
    """Several things in a row, parted as the reader's language does."""
    return ("、" if chinese() else ", ").join(map(str, parts))


def headed(head: object, rest: object) -> str:
    """``head: rest``, with the colon of the reader's language."""
    return f"{head}{'：' if chinese() else ': '}{rest}"
