"""Records that span several lines put together: stack traces under their first line, the records of one audit event.

In: frames that are lines. Out: groups of frames that are one event, bounded in bytes and lines; nothing is dropped.
A group that is full is closed and its rest begins another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import re2

from lianfang.engines.connect import verbs
from lianfang.engines.connect.limits import Limits

Group = list[tuple[int, bytes]]
"""Numbers and bytes of the frames of one event."""

LINES = 2000
OPEN = 128
"""Audit events that may be open at once: the kernel interleaves those of several processors."""

_START = re2.compile(
    rb"^(?:<\d{1,3}>|[\[(*]?\d{4}[-/.]\d\d[-/.]\d\d[ T]|[\[(]?\d\d?[-/ ][A-Z][a-z]{2}[-/ ]\d{2,4}|[A-Z][a-z]{2} [ \d]\d (?:\d{4} )?\d\d:\d\d:\d\d|\[?[A-Z][a-z]{2},? |"
    rb"[\[(]?\d\d:\d\d:\d\d|\d{2}[-/]\d{2} \d\d:\d\d:\d\d|\[?(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|SEVERE|CRITICAL|FATAL)\b)"
)
_AUDIT = re.compile(rb"msg=audit\((\d{1,12}\.\d{1,9}:\d{1,20})\)")


def starting(pattern: str = "") -> Callable[[bytes], bool]:
    """Whether a line begins a record: by a RE2 pattern, else by a time, a priority or a level; raises ``Invalid``.

    >>> begins = starting()
    >>> begins(b"2026-11-20 08:00:01 ERROR x"), begins(b"    at a.b(C.java:1)"), begins(b"Caused by: x"), begins(b"ERROR:root:x")
    (True, False, False, True)
    """
    compiled = verbs.pattern(pattern) if pattern else _START
    return lambda line: compiled.search(line[:4096]) is not None


def by_start(frames: Iterable[tuple[int, bytes]], begins: Callable[[bytes], bool], *, limits: Limits) -> Iterator[Group]:
    """Lines under the line that begins their record. Lines before the first such line are a record of their own."""
    held: Group = []
    size = 0
    for index, frame in frames:
        if held and (begins(frame) or size + len(frame) >= limits.frame_bytes or len(held) >= LINES):
            yield held
            held, size = [], 0
        held.append((index, frame))
        size += len(frame) + 1
    if held:
        yield held


def by_audit(frames: Iterable[tuple[int, bytes]], *, limits: Limits) -> Iterator[Group]:
    """Audit records of one time and serial number, in the order of their first; at most ``OPEN`` wait for more."""
    waiting: dict[bytes, Group] = {}
    sizes: dict[bytes, int] = {}
    for index, frame in frames:
        found = _AUDIT.search(frame[:512])
        key = found[1] if found else b"#%d" % index
        if key in waiting and (sizes[key] + len(frame) >= limits.frame_bytes or len(waiting[key]) >= LINES):
            yield waiting.pop(key)
        waiting.setdefault(key, []).append((index, frame))
        sizes[key] = sum(len(one) + 1 for _, one in waiting[key]) if len(waiting[key]) == 1 else sizes[key] + len(frame) + 1
        if len(waiting) > OPEN:
            oldest = next(iter(waiting))
            sizes.pop(oldest, None)
            yield waiting.pop(oldest)
    yield from waiting.values()


def groups(codec: str, frames: Iterable[tuple[int, bytes]], *, start: str = "", limits: Limits) -> Iterator[Group]:
    """What one event is under this codec; for all other codecs each frame."""
    if codec == "auditd":
        yield from by_audit(frames, limits=limits)
    elif codec == "lines":
        yield from by_start(frames, starting(start), limits=limits)
    elif codec == "winxml":
        yield from by_start(frames, _begins_event, limits=limits)
    else:
        yield from ([each] for each in frames)


def open_from(codec: str, lines: Sequence[bytes], *, start: str = "") -> int:
    """The place of the first line whose event may still go on in lines to come; all of them where each line is an event.

    >>> open_from("lines", [b"2026-11-20 08:00:01 ERROR x", b"  at a", b"2026-11-20 08:00:02 INFO y"]), open_from("json", [b"{}"])
    (2, 1)
    """
    if not lines or codec not in ("lines", "auditd", "winxml"):
        return len(lines)
    if codec == "auditd":
        key = _audit_key(lines[-1])
        return next((at for at, line in enumerate(lines) if _audit_key(line) == key), len(lines))
    begins = starting(start) if codec == "lines" else _begins_event
    return next((at for at in range(len(lines) - 1, -1, -1) if begins(lines[at])), 0)


def _audit_key(line: bytes) -> bytes:
    found = _AUDIT.search(line[:512])
    return found[1] if found else b""


def _begins_event(line: bytes) -> bool:
    return line.lstrip().startswith((b"<Event>", b"<Event "))
