"""Where one JSON value ends and the next begins, in a stream that need not fit into memory.

For JSON arrays, pretty-printed and concatenated objects. Nothing is parsed: strings are skipped, brackets counted.
Every pattern is possessive, so each byte is looked at once whatever it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from lianfang.engines.connect.limits import Limits, Reject, Unreadable, too_large

_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+("?)|[{}\[\]]', re.DOTALL)
_REST_OF_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+("?)', re.DOTALL)
_BETWEEN = b" \t\r\n,\x00\x1e"
_CUT = Unreadable("The JSON text ends in the middle of a value", "The file was cut off: send it again, complete.")
_LOOSE = Unreadable("Text between JSON objects", "Write objects, one after the other or as one array.")


@dataclass(slots=True)
class Scanner:
    """Feed chunks, take whole top-level objects. A leading ``[`` is taken for the array around them."""

    limits: Limits
    held: bytearray = field(default_factory=bytearray)
    depth: int = 0
    in_string: bool = False
    skipping: bool = False
    wrapped: bool = False
    begun: bool = False
    count: int = 0
    carry: bytes = b""

    def feed(self, chunk: bytes) -> Iterator[bytes | Reject]:
        """The values that this chunk completes, in order."""
        chunk, self.carry = self.carry + chunk, b""
        position, start, end = 0, 0, len(chunk)
        while position < end:
            position, kind = self._next(chunk, position, end)
            if kind == b"":
                if self.in_string:  # the chunk ends here, or one byte later: an escape was cut in two
                    end, self.carry = position, chunk[position:]
                continue
            if kind in b"{[" and self.depth == 0 and not self._wraps(kind):
                yield from self._loose(chunk[start : position - 1])
                start, self.depth = position - 1, 1
            elif kind in b"{[":
                if self.depth:
                    self.depth += 1
                else:
                    yield from self._loose(chunk[start : position - 1])
                    start = position
            elif self.depth:
                self.depth -= 1
                if self.depth == 0:
                    yield self._take(chunk[start:position])
                    start = position
            elif kind == b"]":
                yield from self._loose(chunk[start : position - 1])
                start, self.wrapped = position, False
        yield from self._hold(chunk[start:end])

    def _next(self, chunk: bytes, position: int, end: int) -> tuple[int, bytes]:
        """The next bracket outside strings: (position after it, bracket); ``b""`` when there is none, or a string passed."""
        if self.in_string:
            rest = _REST_OF_STRING.match(chunk, position, end)
            assert rest is not None  # noqa: S101 - the pattern matches everything
            self.in_string = not rest[1]
            return rest.end(), b""
        token = _TOKEN.search(chunk, position, end)
        if token is None:
            return end, b""
        if token[0][:1] == b'"':
            self.in_string = not token[1]
            return token.end(), b""
        return token.end(), token[0]

    def _wraps(self, kind: bytes) -> bool:
        """Whether this bracket opens the array around everything."""
        first, self.begun = not self.begun, True
        self.wrapped = self.wrapped or (kind == b"[" and first)
        return kind == b"[" and first

    def _loose(self, gap: bytes) -> Iterator[Reject]:
        """Anything but separators between two values is said, not swallowed."""
        gap = (bytes(self.held) + gap).strip(_BETWEEN)
        self.held.clear()
        if gap:
            yield _LOOSE.reject(self.count, gap, self.limits)

    def _take(self, tail: bytes) -> bytes | Reject:
        """One whole value, or the reject of one that was too large."""
        self.count += 1
        size = len(self.held) + len(tail)
        value = bytes(self.held) + tail
        self.held.clear()
        if self.skipping or size > self.limits.frame_bytes:
            self.skipping = False
            return too_large(None, self.limits).reject(self.count - 1, value[: self.limits.sample_bytes], self.limits)
        return value

    def _hold(self, tail: bytes) -> Iterator[Reject]:
        """Keep the unfinished value; forget all but its beginning once it is too large."""
        if self.skipping:
            return
        self.held += tail
        if len(self.held) <= self.limits.frame_bytes:
            return
        if self.depth or self.in_string:
            self.skipping = True
            del self.held[self.limits.sample_bytes :]
        else:
            yield from self._loose(b"")

    def close(self) -> Iterator[Reject]:
        """What is left when the stream ends."""
        rest = (bytes(self.held) + self.carry).strip(_BETWEEN)
        if self.depth or self.in_string:
            yield _CUT.reject(self.count, rest, self.limits)
        elif rest:
            yield _LOOSE.reject(self.count, rest, self.limits)


def values(chunks: Iterable[bytes], *, limits: Limits) -> Iterator[bytes | Reject]:
    """Chunks of text → its top-level JSON objects, each as bytes.

    >>> list(values([b'[{"a":"]}', b'"}, {"b":1}]'], limits=Limits()))
    [b'{"a":"]}"}', b'{"b":1}']
    """
    scanner = Scanner(limits)
    for chunk in chunks:
        yield from scanner.feed(chunk)
    yield from scanner.close()
