"""Files that appear or grow in a folder: which part of which file is to be read next.

In: a folder, and what was read before. Out: parts that end at a record's end. Nothing is written here; who asks keeps
the positions and gives each part the same number again after a crash, so that it is stored once.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

WHOLE = re.compile(r"\.(gz|zst|zip|evtx|(pcap|pcapng|cap)\d*)$", re.IGNORECASE)
"""Files that are read once, whole, when they have stopped growing; tcpdump numbers the captures of a ring behind their ending."""
HIDDEN = (".tmp", ".part", ".swp", ".filepart", ".crdownload")
PART = 2 << 20
LONGEST = 8 << 20
HEAD = 256
HEADER = 64 << 10


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as it is now."""

    path: Path
    identity: str
    size: int
    changed: float

    @property
    def is_whole(self) -> bool:
        return bool(WHOLE.search(self.path.name))


def files(folder: Path, *, pattern: str = "*", most: int = 10_000) -> Iterator[Seen]:
    """Regular files below a folder, oldest change first; hidden and half-uploaded ones are left alone, links are not followed."""
    found = []
    for path in folder.rglob(pattern):
        if len(found) >= most:
            break
        if path.name.startswith(".") or path.suffix.lower() in HIDDEN or path.is_symlink() or not path.is_file():
            continue
        state = path.stat()
        found.append(Seen(path, f"{state.st_dev}:{state.st_ino}", state.st_size, state.st_mtime))
    yield from sorted(found, key=lambda seen: seen.changed)


def mark(path: Path) -> str:
    """A fingerprint of the first bytes, empty while there are too few of them to tell."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    return hashlib.blake2b(head, digest_size=16).hexdigest() if len(head) == HEAD else ""


def lines(path: Path, start: int, end: int | None, *, idle: bool, whole: Callable[[Sequence[bytes]], int] = len) -> tuple[list[bytes], int]:
    """Whole lines from ``start``, and where the next part starts. With ``end``: exactly that part once more.

    A line without its end waits for it, unless the file is ``idle``; a line longer than ``LONGEST`` is cut there.
    ``whole(lines)`` says how many of them belong to events that are whole: the others wait in the same way.
    """
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(PART if end is None else end - start)
        if end is None and b"\n" not in data and len(data) == PART:
            data += file.read(LONGEST - PART)
        at_end = os.fstat(file.fileno()).st_size == start + len(data)
    if end is None:
        cut = data.rfind(b"\n") + 1
        now = (idle and at_end) or (not cut and len(data) >= LONGEST)
        data = data if now else data[: _ended(data[:cut], whole)]
    return [line for raw in data.split(b"\n") if (line := raw.rstrip(b"\r"))], start + len(data)


def _ended(data: bytes, whole: Callable[[Sequence[bytes]], int]) -> int:
    """The length of what belongs to whole events; all of it when one event fills a part."""
    found = data.split(b"\n")[:-1]
    count = whole(found)
    if count >= len(found):
        return len(data)
    length = sum(len(line) + 1 for line in found[:count])
    return length or (len(data) if len(data) >= PART // 2 else 0)


def head(path: Path, codec: str, encoding: str) -> list[str]:
    """The lines at the beginning of a file that name its columns: of CSV and TSV the first, of Zeek those with ``#``; none for other codecs."""
    if codec not in ("csv", "tsv", "zeek"):
        return []
    with path.open("rb") as file:
        found = [line.rstrip(b"\r\n") for line in file.readlines(HEADER)]
    if codec == "zeek":
        found = list(takewhile(lambda line: line.startswith(b"#"), found))
    return [line.decode(encoding, "replace").removeprefix("\ufeff") for line in (found if codec == "zeek" else found[:1])]
