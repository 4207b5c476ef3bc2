"""A request's body → frames, whatever its encoding, with bounds that a bomb cannot pass.

In: a readable body and its headers. Out: one frame per line, and what is plainly broken. The body is read and unpacked in
pieces, so that the bound is on what is held, not on what was promised.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec
import zstandard

from lianfang.kernel.errors import Invalid
from lianfang.rooms.lake.types import Codec

PACKED, UNPACKED = 32 << 20, 64 << 20
"""Most bytes of a body as sent, and unpacked."""
PIECE = 1 << 18
MOST_LINES = 50_000
SHOWN = 20


class _AnyObject(msgspec.Struct):
    """A JSON object of which nothing is wanted: skipping its fields takes 0.4 of the time of taking them apart."""


_any_object = msgspec.json.Decoder(_AnyObject).decode
_any_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Readable(Protocol):
    """What a request offers."""

    def read(self, size: int = ..., /) -> bytes: ...


def frames(body: Readable, *, encoding: str = "", content_type: str = "") -> list[bytes]:
    """The records of a body: its lines, or the items of one JSON array. Raises ``Invalid`` when it is too large or cannot be unpacked."""
    data = whole(_pieces(body), encoding=encoding)
    if content_type.startswith("application/json") and data.lstrip()[:1] == b"[":
        found = _items(data)
    else:
        found = [line for raw in data.split(b"\n") if (line := raw.strip(b"\r\0 \t"))]
    if len(found) > MOST_LINES:
        raise Invalid(f"{len(found):,} records are too many at once", why=f"At most {MOST_LINES:,} are taken.", todo="Send them in several requests.")
    return found


def whole(pieces: Iterator[bytes], *, encoding: str = "") -> bytes:
    """A body unpacked, within bounds; raises ``Invalid``."""
    return b"".join(_bounded(_unpacked(pieces, encoding.strip().lower())))


def broken(lines: list[bytes], codec: str) -> list[tuple[int, str]]:
    """Numbers (from 1) and reasons of the lines that can be no JSON object, as far as the source expects JSON."""
    found = []
    for number, line in enumerate(lines, 1):
        if codec == Codec.JSON or (codec == Codec.AUTO and line[:1] == b"{"):
            try:
                _any_object(line)
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
                if line[:1] != b"[":
                    found.append((number, str(error)[:200]))
    return found


def _items(data: bytes) -> list[bytes]:
    try:
        return [bytes(item) for item in _any_list(data)]
    except (msgspec.DecodeError, RecursionError):
        return [data]  # kept whole among the rejects


def _pieces(body: Readable) -> Iterator[bytes]:
    size = 0
    while piece := body.read(PIECE):
        size += len(piece)
        if size > PACKED:
            raise _too_large(PACKED)
        yield piece


def _bounded(pieces: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > UNPACKED:
            raise _too_large(UNPACKED)
        yield piece


def _unpacked(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    if encoding in ("", "identity"):
        return pieces
    if encoding in ("gzip", "x-gzip"):
        return _gzip(pieces)
    if encoding == "zstd":
        return _zstd(pieces)
    raise Invalid(f"The content encoding {encoding[:20]} is not understood", todo="Use gzip, zstd, or none.")


def _gzip(pieces: Iterator[bytes]) -> Iterator[bytes]:
    unpack = zlib.decompressobj(31)
    try:
        for piece in pieces:
            while piece:
                yield unpack.decompress(piece, PIECE)
                piece = unpack.unconsumed_tail
                if unpack.eof and unpack.unused_data:
                    piece, unpack = unpack.unused_data, zlib.decompressobj(31)
    except zlib.error as error:
        raise _unreadable("gzip", error) from error
    if not unpack.eof:
        raise _unreadable("gzip", EOFError("it ends too early"))


def _zstd(pieces: Iterator[bytes]) -> Iterator[bytes]:
    try:
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(_Joined(pieces), read_across_frames=True)
        yield from iter(_reading(reader), b"")
    except zstandard.ZstdError as error:
        raise _unreadable("zstd", error) from error


def _reading(reader: zstandard.ZstdDecompressionReader) -> Callable[[], bytes]:
    return lambda: reader.read(PIECE)


class _Joined:
    """Pieces as something to read from."""

    def __init__(self, pieces: Iterator[bytes]):
        self._pieces, self._rest = pieces, b""

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; empty at the end."""
        piece = self._rest or next(self._pieces, b"")
        self._rest = piece[size:]
        return piece[:size]


def _too_large(limit: int) -> Invalid:
    return Invalid("The body is too large", why=f"It is longer than {limit >> 20} MiB.", todo="Send it in several requests.")


def _unreadable(encoding: str, error: Exception) -> Invalid:
    return Invalid(f"The body is not {encoding}", why=str(error), todo="Check Content-Encoding.")
