"""A stranger's input: what it is read from, how much of it we accept, and what we say when it is more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of decoding. Sizes in bytes after decompression.

    ``ratio`` guards against bombs: a file may not grow by more than this factor once it has grown by ``free`` bytes.
    Real logs reach 83 (measured on 201,000 Windows events under zstd); deflate cannot exceed 1,032.
    """

    frame_bytes: int = 1 << 20
    sample_bytes: int = 4096
    depth: int = 32
    fields: int = 2048
    rows_per_frame: int = 100_000
    file_bytes: int = 1 << 40
    ratio: int = 1000
    free: int = 256 << 20
    members: int = 100_000
    levels: int = 4
    spool_bytes: int = 4 << 30
    mail_bytes: int = 32 << 20


@dataclass(frozen=True, slots=True)
class Reject:
    """What could not be read: number of the frame or record, its bytes (or their beginning), why, and what to do."""

    index: int
    raw: bytes
    reason: str
    todo: str


class Unreadable(Exception):
    """Inside the codecs: this frame cannot be read. Becomes a ``Reject``."""

    def __init__(self, reason: str, todo: str):
        super().__init__(reason)
        self.reason, self.todo = reason, todo

    def reject(self, index: int, raw: bytes, limits: Limits) -> Reject:
        """The frame is kept whole while it is within the limit, else its beginning."""
        return Reject(index, raw if len(raw) <= limits.frame_bytes else raw[: limits.sample_bytes], self.reason, self.todo)


def too_large(size: int | None, limits: Limits) -> Unreadable:
    """The one sentence for a frame over the limit; ``size`` is None when nobody read to its end."""
    seen = f"{size:,} bytes" if size is not None else "a record"
    return Unreadable(f"Too large: {seen}, the limit is {limits.frame_bytes:,}", "Check that records are separated by line feeds; raise the frame limit of the source if they are really this large.")
