"""The ``json`` codec: one JSON object per frame, flat or nested; arrays, NDJSON and pretty-printed text are taken apart.

The fast path is one call of a C parser for flat objects of text. Everything else (numbers, nesting, Windows dialects,
invalid UTF-8, lone surrogates, NUL) takes the slow path, which is exact: numbers keep the digits they came with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from operator import methodcaller
from typing import Any

import msgspec
import orjson

from lianfang.engines.connect import scan, web, windows, zeek
from lianfang.engines.connect.flatten import NUL, Inexact, flat
from lianfang.engines.connect.limits import Limits, Reject, Unreadable, too_large

_exact = msgspec.json.Decoder(float_hook=str).decode
_flat = msgspec.json.Decoder(dict[str, str]).decode_lines
_BRACE = methodcaller("startswith", b"{")
_ONLY_TEXT = frozenset({str})
_LONE_SURROGATE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_TODO = "Check that the sender writes one complete JSON object per line, in UTF-8."


def row_of(frame: bytes, *, limits: Limits) -> dict[str, str]:
    """One frame that holds one object → a flat row; raises ``Unreadable``.

    >>> row_of(b'{"a": 1.10, "b": {"c": true}}', limits=Limits())
    {'a': '1.10', 'b.c': 'true'}
    """
    if len(frame) > limits.frame_bytes:
        raise too_large(len(frame), limits)
    try:
        value = orjson.loads(frame)
    except ValueError:
        value = _repaired(frame)
    if type(value) is not dict:
        raise Unreadable(f"A JSON {type(value).__name__}, not an object", _TODO)
    if _ONLY_TEXT.issuperset(map(type, value.values())) and len(value) <= limits.fields:
        row: dict[str, str] = value
    else:
        row = _structured(value, frame, limits)
    if b"\\u0000" in frame:
        row = {name.replace("\0", NUL): text.replace("\0", NUL) for name, text in row.items()}
    return _native(row)


def rows_of(frames: Sequence[bytes], *, limits: Limits) -> list[dict[str, str]] | None:
    """All frames at once, where each is one flat object of text as most senders write them; ``None``: look at each by itself.

    Half the time of one call per frame. Every frame begins with a brace and no text holds a line break, so each begins an object of its own:
    as many objects as frames are one in each.

    >>> rows_of([b'{"a": "1"}', b'{"a": "2"}'], limits=Limits()), rows_of([b'{"a": 1}'], limits=Limits())
    ([{'a': '1'}, {'a': '2'}], None)
    """
    if not frames or max(map(len, frames)) > limits.frame_bytes or not all(map(_BRACE, frames)):
        return None
    whole = b"\n".join(frames)
    if b"\\u0000" in whole:
        return None
    try:
        rows = _flat(whole)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if len(rows) != len(frames) or max(map(len, rows)) > limits.fields:
        return None
    return list(map(_native, rows))


def _native(row: dict[str, str]) -> dict[str, str]:
    if "Channel" in row:
        return row if "Computer" in row else windows.native(row)
    return web.native(row)


def _structured(value: dict[str, Any], frame: bytes, limits: Limits) -> dict[str, str]:
    """Numbers, lists or objects inside: flatten; if a number might have been rounded, parse again exactly."""
    try:
        return _flattened(value, limits)
    except Inexact:
        return _flattened(_exact_object(frame), limits)


def _flattened(value: dict[str, Any], limits: Limits) -> dict[str, str]:
    if windows.is_event(value):
        return windows.from_event(value, limits=limits)
    if isinstance(value.get("winlog"), dict):
        return windows.from_beat(value, limits=limits)
    return zeek.native(flat(value, limits=limits))


def _exact_object(frame: bytes) -> dict[str, Any]:
    try:
        value = _exact(frame)
    except (ValueError, RecursionError):
        value = _exact(_visible(frame))
    return value if isinstance(value, dict) else {}


def _visible(frame: bytes) -> bytes:
    """Invalid UTF-8 and lone surrogates replaced by U+FFFD, so that they are seen and the event is not lost."""
    return _LONE_SURROGATE.sub(rb"\\ufffd", frame.decode("utf-8-sig", "replace").encode())


def _repaired(frame: bytes) -> Any:
    """What the parser refused, once more with broken characters replaced; raises ``Unreadable`` with its reason."""
    try:
        return orjson.loads(_visible(frame).strip(b"\0 \t\r\n\x1e"))
    except ValueError as error:
        reason = str(error).partition(": line")[0][:160]
        raise Unreadable(f"Not JSON: {reason}" if frame.strip() else "An empty record", _TODO) from error


def parts(frame: bytes, *, limits: Limits) -> Iterator[bytes | Reject]:
    """A frame that is not one object → the records in it: the items of an array, lines, or objects one after the other."""
    stripped = frame.strip(b"\0 \t\r\n")
    lines = [line for line in stripped.split(b"\n") if line.strip()]
    if len(lines) > 1 and any(line.startswith(b"{") and line.rstrip().endswith(b"}") for line in lines):
        yield from lines
    elif stripped.startswith((b"[", b"{")):
        yield from scan.values([stripped], limits=limits)
    else:
        yield stripped
