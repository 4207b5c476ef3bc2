"""The ``winxml`` codec: Windows events as XML (``wevtutil``, the event viewer, WEF collectors) → the names that Sigma rules use.

Expat of the standard library, with nothing that XML can hurt by: a document type (and so every entity) is refused at
once, depth and number of elements are bounded, nothing outside the text is ever fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

from lianfang.engines.connect import windows
from lianfang.engines.connect.flatten import NUL
from lianfang.engines.connect.limits import Limits, Unreadable
from lianfang.engines.connect.text import text_of

_TODO = "Send each event as one complete <Event>…</Event> element."


NO_EVENT = Unreadable("No <Event> element", _TODO)
_BEGIN = re.compile(r"<(?:\w{1,20}:)?Event[\s>]")
_END = re.compile(r"</(?:\w{1,20}:)?Event>")


def pieces(text: str) -> Iterator[str]:
    """The events of one text; what stands around them (``<Events>``, a declaration) is nothing.

    >>> list(pieces("<?xml?><Events><Event>a</Event>\\n<Event>b</Event></Events>")), list(pieces("<Events>"))
    (['<Event>a</Event>', '<Event>b</Event>'], [])
    """
    position = 0
    while (begin := _BEGIN.search(text, position)) is not None:
        end = _END.search(text, begin.end())
        position = end.end() if end else len(text)
        yield text[begin.start() : position]


class _Tree:
    """Elements → dictionaries: attributes with ``@``, text under ``#text``, elements of one name as a list."""

    def __init__(self, limits: Limits):
        self.limits, self.count = limits, 0
        self.stack: list[tuple[str, dict[str, Any], list[str]]] = [("", {}, [])]

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.count += 1
        if len(self.stack) > self.limits.depth or self.count > self.limits.fields * 2:
            raise Unreadable(f"Nested deeper than {self.limits.depth} levels, or more than {self.limits.fields * 2:,} elements", "No Windows event looks like this: check the sender.")
        self.stack.append((name.rpartition(":")[2], {f"@{each}": value for each, value in attributes.items() if not each.startswith("xmlns")}, []))

    def text(self, data: str) -> None:
        self.stack[-1][2].append(data)

    def end(self, _name: str) -> None:
        name, found, parts = self.stack.pop()
        text = "".join(parts)
        text = text if not found or text.strip() else text.strip()
        plain = not any(each for each in found if each[0] != "@")
        value: Any = text if not found else ({**found, "#text": text} if plain and text else found)
        parent = self.stack[-1][1]
        if name not in parent:
            parent[name] = value
        elif isinstance(parent[name], list):
            parent[name].append(value)
        else:
            parent[name] = [parent[name], value]


def _forbidden(*_: Any) -> None:
    raise Unreadable("The XML declares a document type or entities", "Windows events never do: check the sender.")


def rows_of(frame: bytes, *, limits: Limits, encoding: str) -> Iterator[dict[str, str] | Unreadable]:
    """The events of one frame as flat rows; raises ``Unreadable`` when there is none.

    >>> xml = b"<Event xmlns='http://x'><System><Channel>Security</Channel><EventID>4624</EventID></System><EventData><Data Name='TargetUserName'>lin</Data></EventData></Event>"
    >>> list(rows_of(xml, limits=Limits(), encoding="utf-8"))
    [{'Channel': 'Security', 'EventID': '4624', 'TargetUserName': 'lin'}]
    """
    text = text_of(frame, limits=limits, encoding=encoding)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        _forbidden()
    for piece in pieces(text):
        try:
            yield _row(piece, limits)
        except Unreadable as fault:
            yield fault


def only_around(frame: bytes) -> bool:
    """Whether a line is what stands around events: a declaration, ``<Events>`` or its end.

    >>> only_around(b" </Events>"), only_around(b"<Event>")
    (True, False)
    """
    line = frame.strip()
    return line.endswith(b">") and line.startswith((b"<?xml", b"<Events", b"</Events")) and _BEGIN.search(line[:4096].decode("utf-8", "replace")) is None


def _row(text: str, limits: Limits) -> dict[str, str]:
    tree = _Tree(limits)
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = tree.start, tree.end, tree.text
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = _forbidden
    try:
        parser.Parse(text.encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        raise Unreadable(f"Not XML: {expat.errors.messages.get(error.code, 'broken')}", _TODO) from error
    event = tree.stack[0][1]
    if not windows.is_event(event):
        raise Unreadable("An <Event> without <System>", _TODO)
    row = windows.from_event(event, limits=limits)
    return {name.replace("\0", NUL): value.replace("\0", NUL) for name, value in row.items()}
