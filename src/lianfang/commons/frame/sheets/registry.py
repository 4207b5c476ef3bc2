"""Every sheet of the open rooms, by ``room.kind``."""

from __future__ import annotations

from lianfang.commons.frame.sheets.declare import Sheet
from lianfang.kernel.errors import Conflict, Missing

_known: dict[str, Sheet] = {}


def add(sheet: Sheet) -> None:
    """Remember a sheet; two of one name are a mistake of the room."""
    if sheet.name in _known:
        raise Conflict(f"Two sheets are called {sheet.name}", todo="Give one of them another kind.")
    _known[sheet.name] = sheet


def of(name: str) -> Sheet:
    """The sheet called ``room.kind``."""
    if name not in _known:
        raise Missing(f"No sheet is called {name}", why="No open room declares it.")
    return _known[name]


def registered() -> tuple[Sheet, ...]:
    """Every sheet, in the order of declaration."""
    return tuple(_known.values())


def forget(sheet: Sheet) -> None:
    """Take a sheet back (tests)."""
    _known.pop(sheet.name, None)
