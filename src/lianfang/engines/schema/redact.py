"""What must not travel is taken out before it leaves, and what was taken out is said.

In: plain data (dictionaries, lists, values) and paths. Out: a copy without them. Paths are dotted; ``*`` is any name or
number at one level, ``**`` any depth: ``actor.user.name``, ``objects.*.created_by_ref``, ``**.password``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Redacted:
    """The copy, and the paths of what was taken out or replaced."""

    value: Any
    removed: tuple[str, ...]


def redact(value: Any, paths: Iterable[str], *, replace: Callable[[Any], Any] | None = None) -> Redacted:
    """Take out everything at ``paths``, or put ``replace(it)`` in its place. The value given is never changed.

    >>> redact({"user": {"name": "lin", "uid": "1"}, "ips": ["a"]}, ["user.name", "ips.*"])
    Redacted(value={'user': {'uid': '1'}, 'ips': []}, removed=('user.name', 'ips.0'))
    """
    patterns = tuple(tuple(path.split(".")) for path in paths)
    removed: list[str] = []
    return Redacted(_walk(value, patterns, (), removed, replace), tuple(removed))


def _walk(value: Any, patterns: tuple[Path, ...], place: Path, removed: list[str], replace: Callable[[Any], Any] | None) -> Any:
    """``patterns`` are what is left of each path below this place."""
    if not patterns or not isinstance(value, dict | list):
        return value
    kept: list[tuple[Any, Any]] = []
    for name, item in value.items() if isinstance(value, dict) else enumerate(value):
        below = tuple(step for pattern in patterns for step in _step(pattern, str(name)))
        if () not in below:
            kept.append((name, _walk(item, below, (*place, str(name)), removed, replace)))
            continue
        removed.append(".".join((*place, str(name))))
        if replace is not None:
            kept.append((name, replace(item)))
    return dict(kept) if isinstance(value, dict) else [item for _, item in kept]


def _step(pattern: Path, name: str) -> tuple[Path, ...]:
    """What remains of a path after going down by ``name``; ``()`` inside means: this is it."""
    if not pattern:
        return ()
    if pattern[0] == "**":
        return (pattern, *_step(pattern[1:], name))
    return (pattern[1:],) if pattern[0] in ("*", name) else ()
