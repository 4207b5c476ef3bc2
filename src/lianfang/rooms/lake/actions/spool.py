"""The spool: what was received and not yet stored, on disk before it is acknowledged.

In: groups of frames. Out: sealed segments, oldest first. Each writing process owns one slot (``w000``, ``w001`` …) by a
file lock; its segments are numbered by the clock in milliseconds and never twice. A group is one record, ``length crc32
payload``; a torn record at the end of a segment was never acknowledged and is cut off. One ``fdatasync`` serves all
threads that wrote before it (group commit). A group of a source that is desensitised is sealed before it is written: what
came in lies nowhere in the clear.
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import msgspec

from lianfang.rooms.lake.types import BatchRef, Busy, segment_name

log = logging.getLogger(__name__)

HEAD = struct.Struct(">II")
SEGMENT_BYTES = 3 << 20
SEGMENT_FRAMES = 8_000
SEGMENT_AGE = 0.2
"""Seconds after which a segment with anything in it is sealed, however small."""
LIMIT = 2 << 30
SPARE = 512 << 20
"""Bytes of the disk that the spool leaves free."""


class Group(msgspec.Struct, array_like=True, frozen=True):
    """Frames that came together: their source, when (milliseconds of the epoch), the client's own number or "", the frames.

    ``faults`` are what a file reader could not even cut into frames: (bytes, reason, what to do). They count after the frames.
    """

    source: str
    received: int
    key: str
    frames: list[bytes]
    faults: list[tuple[bytes, str, str]] = []

    def __len__(self) -> int:
        return len(self.frames) + len(self.faults)


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """A sealed segment, waiting."""

    sequence: int
    worker: str
    path: Path
    size: int

    @property
    def name(self) -> str:
        """What all its events' identifiers begin with."""
        return segment_name(self.worker, self.sequence)


SEALED = b"\xc1"
"""How a sealed payload begins: a byte that begins no MessagePack."""
Seal = Callable[[bytes], bytes]
Unseal = Callable[[bytes], bytes | None]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Group).decode


class _Open:
    """The segment being written."""

    def __init__(self, path: Path, sequence: int):
        self.path, self.sequence = path, sequence
        self.born, self.size, self.frames, self._synced = time.monotonic(), 0, 0, 0
        self.fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        self._sync = threading.Lock()

    def write(self, record: bytes, frames: int) -> None:
        """Append one record; a disk that fills half-way leaves no half record behind."""
        try:
            view = memoryview(record)
            while view:
                view = view[os.write(self.fd, view) :]
        except OSError as error:
            os.ftruncate(self.fd, self.size)
            raise Busy("The spool cannot be written", why=str(error), todo="Free space on the node's disk.", retry=True) from error
        self.size += len(record)
        self.frames += frames

    def sync(self, mark: int) -> None:
        """Return when everything up to ``mark`` is on the disk; one thread's call serves all who wrote before it."""
        with self._sync:
            if self._synced < mark:
                reached = self.size
                os.fdatasync(self.fd)
                self._synced = reached

    def seal(self) -> None:
        """Close it and hand it on."""
        self.sync(self.size)
        os.close(self.fd)
        self.path.rename(self.path.with_suffix(".ready"))

    @property
    def full(self) -> bool:
        return self.size >= SEGMENT_BYTES or self.frames >= SEGMENT_FRAMES

    @property
    def due(self) -> bool:
        return time.monotonic() - self.born >= SEGMENT_AGE


class Spool:
    """The writing end, one per process, shared by its threads."""

    def __init__(self, root: Path, *, limit: int = LIMIT, spare: int = SPARE):
        self.root, self.limit, self.spare = root, limit, spare
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.worker, self._lock_fd = _slot(root)
        self.folder = root / self.worker
        recover(self.folder)
        self._lock, self._sealing = threading.Lock(), threading.Lock()
        self._open: _Open | None = None
        self._full: list[_Open] = []
        self._last = _last(self.folder)
        self._load = Load(root)
        self._stop, self._wake = threading.Event(), threading.Event()
        self._roller = threading.Thread(target=self._roll, name="spool", daemon=True)
        self._roller.start()

    def append(self, source: str, frames: Sequence[bytes], *, key: str = "", faults: Sequence[tuple[bytes, str, str]] = (), seal: Seal | None = None) -> BatchRef:
        """Put frames on the disk, sealed where ``seal`` is given, and return when they are safe there. Raises ``Busy`` when the spool is full."""
        group = Group(source, time.time_ns() // 1_000_000, key, list(frames), list(faults))
        payload = _encode(group)
        if seal:
            payload = SEALED + seal(payload)
        record = HEAD.pack(len(payload), crc32(payload)) + payload
        self._admit(len(record))
        with self._lock:
            segment = self._open = self._open or self._begin()
            first = segment.frames
            segment.write(record, len(group))
            mark = segment.size
            if segment.full:
                self._full.append(segment)
                self._open = None
                self._wake.set()
        segment.sync(mark)
        return BatchRef(self.worker, segment.sequence, first, len(frames))

    def close(self) -> None:
        """Seal what is open and give the slot back."""
        self._stop.set()
        self._wake.set()
        self._roller.join()
        self._hand_on()
        os.close(self._lock_fd)

    def _admit(self, size: int) -> None:
        if self._load.bytes() + size > self.limit or self._load.free() < self.spare:
            raise Busy("The node cannot take more at the moment", why="Logs arrive faster than they are stored, and the spool is full.", todo="Send the same again in a few seconds.", retry=True)
        self._load.add(size)

    def _begin(self) -> _Open:
        sequence = self._last = max(self._last + 1, time.time_ns() // 1_000_000)
        _note(self.folder, sequence)
        segment = _Open(self.folder / f"{sequence:016d}.open", sequence)
        _sync_folder(self.folder)
        return segment

    def _roll(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(SEGMENT_AGE / 3)
            self._wake.clear()
            self._hand_on(lambda segment: segment.due)

    def _hand_on(self, is_due: Callable[[_Open], bool] = lambda _segment: True) -> None:
        """Seal what is full and what is due, in the order in which it was begun: the reading end counts on it."""
        with self._sealing:
            with self._lock:
                segments, self._full = self._full, []
                if self._open and is_due(self._open):
                    segments.append(self._open)
                    self._open = None
            for segment in segments:
                segment.seal()


class Load:
    """How many bytes wait in all slots together; looked up a few times a second, counted in between."""

    def __init__(self, root: Path):
        self.root = root
        self._look()

    def bytes(self) -> int:
        if time.monotonic() >= self._due:
            self._look()
        return self._bytes

    def _look(self) -> None:
        self._due = time.monotonic() + 0.25
        self._bytes = backlog(self.root)
        state = os.statvfs(self.root)
        self._free = state.f_bavail * state.f_frsize

    def free(self) -> int:
        return self._free

    def add(self, size: int) -> None:
        self._bytes += size


# ---- the reading end -------------------------------------------------------------------------------------------


def sealed(root: Path) -> list[Segment]:
    """Segments that wait, in the order in which they were begun."""
    return sorted(Segment(int(path.name[:16]), path.parent.name, path, size) for path, size in _files(root, ".ready"))


def read(path: Path, *, unseal: Unseal | None = None) -> tuple[list[Group], int]:
    """The whole groups of a segment, and how many bytes of it they fill; sealed ones raise what ``unseal`` raises, and are left out where it gives ``None``."""
    payloads, good = _payloads(path)
    opened = (unseal(payload[1:]) if payload[:1] == SEALED and unseal else payload for payload in payloads)
    return [_decode(payload) for payload in opened if payload is not None], good


def sealed_heads(root: Path, length: int) -> Iterator[bytes]:
    """How each sealed group begins that waits anywhere: its first bytes after the mark."""
    for path, _size in _files(root, ".open", ".ready"):
        with suppress(FileNotFoundError), path.open("rb") as file:  # stored this very moment
            while len(head := file.read(HEAD.size)) == HEAD.size:
                begin, size = file.read(1 + length), HEAD.unpack(head)[0]
                if begin[:1] == SEALED:
                    yield begin[1:]
                file.seek(size - len(begin), 1)


def _payloads(path: Path) -> tuple[list[bytes], int]:
    data, payloads, at = path.read_bytes(), [], 0
    while at + HEAD.size <= len(data):
        length, check = HEAD.unpack_from(data, at)
        payload = data[at + HEAD.size : at + HEAD.size + length]
        if len(payload) < length or crc32(payload) != check:
            break
        payloads.append(payload)
        at += HEAD.size + length
    return payloads, at


def backlog(root: Path) -> int:
    """Bytes that wait, sealed or not."""
    return sum(size for _, size in _files(root, ".open", ".ready"))


def _files(root: Path, *endings: str) -> Iterator[tuple[Path, int]]:
    for slot in _slots(root):
        for entry in os.scandir(slot):
            if entry.name.endswith(endings):
                with suppress(FileNotFoundError):  # sealed or stored this very moment
                    yield Path(entry.path), entry.stat().st_size


def recover_all(root: Path) -> int:
    """Seal the open segments of writers that are dead; returns how many."""
    count = 0
    for slot in _slots(root):
        fd = os.open(slot / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            count += recover(slot)
        except BlockingIOError:
            pass  # its writer lives
        finally:
            os.close(fd)
    return count


def recover(folder: Path) -> int:
    """Cut torn ends and seal what a dead writer left open; the caller holds the slot's lock. Returns how many segments."""
    left = sorted(folder.glob("*.open"))
    for path in left:
        groups, good = _payloads(path)
        torn = path.stat().st_size - good
        if torn:
            log.warning("spool %s: cut %d torn bytes that were never acknowledged", path.name, torn)
            os.truncate(path, good)
        path.rename(path.with_suffix(".ready")) if groups else path.unlink()
    return len(left)


def _slots(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("w[0-9][0-9][0-9]") if path.is_dir())


def _slot(root: Path) -> tuple[str, int]:
    """The first slot that no living process holds, and the lock that holds it."""
    for number in range(1000):
        folder = root / f"w{number:03d}"
        folder.mkdir(mode=0o700, exist_ok=True)
        fd = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return folder.name, fd
        except BlockingIOError:
            os.close(fd)
    raise Busy("A thousand processes write to the spool already", todo="Stop some of them.")


def _last(folder: Path) -> int:
    """The greatest number this slot has ever used, whatever the clock says now."""
    try:
        return int((folder / "last").read_text("ascii"))
    except (FileNotFoundError, ValueError):
        return max((int(path.name[:16]) for path in folder.glob("*.ready")), default=-1)


def _note(folder: Path, sequence: int) -> None:
    draft = folder / "last.draft"
    fd = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    try:
        os.write(fd, str(sequence).encode())
        os.fdatasync(fd)
    finally:
        os.close(fd)
    draft.rename(folder / "last")


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
