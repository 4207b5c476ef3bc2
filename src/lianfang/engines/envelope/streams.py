"""Files sealed in pieces: written in one go, read from any place, each piece checked before a byte of it is given away. Memory is bounded by one piece.

The form (STREAM of Hoang, Reyhanitabar, Rogaway and Vizár, 2015, as age and Tink have it; multi-byte numbers are big-endian)::

    file   = "lianfang-stream1" newline, salt (32 bytes), piece 0, piece 1, … piece n
    piece  = AES-256-GCM of 65,536 bytes (the last: 1 to 65,536; of an empty file: none), tag (16 bytes)
    key    = HKDF-SHA-256 over the secret, with that salt and the info "lianfang stream" newline purpose
    nonce  = number of the piece (11 bytes), 1 for the last and 0 for all others (1 byte)

Every file has a key of its own, so that pieces of two files cannot be exchanged; the number forbids another order, and the mark of the
last piece a file that was cut or lengthened. The last piece is looked at when a file is opened.
"""

from __future__ import annotations

import io
import os
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from lianfang.kernel.errors import Invalid

MAGIC = b"lianfang-stream1\n"
SALT, PIECE, TAG = 32, 65_536, 16
HEAD = len(MAGIC) + SALT


class SealedWriter(io.RawIOBase):
    """Seals what is written to it into ``file``, which stays open. Only a closed writer has written a whole file.

    >>> kept = io.BytesIO()
    >>> with SealedWriter(kept, bytes(32), purpose="doctest") as file:
    ...     _ = file.write(b"whoami")
    >>> SealedReader(kept, bytes(32), purpose="doctest").read()
    b'whoami'
    """

    def __init__(self, file: BinaryIO, secret: bytes, *, purpose: str):
        salt = os.urandom(SALT)
        self._file, self._key, self._held, self._number, self._size = file, _key(secret, salt, purpose), bytearray(), 0, 0
        file.write(MAGIC + salt)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """All of it; what does not fill a piece yet waits."""
        with memoryview(data).cast("B") as view:
            self._held += view
            length = len(view)
        self._size += length
        while len(self._held) > PIECE:  # a full piece may be the last: it waits for a further byte
            self._put(bytes(self._held[:PIECE]), last=False)
            del self._held[:PIECE]
        return length

    def tell(self) -> int:
        return self._size

    def close(self) -> None:
        """Write the last piece."""
        if not self.closed:
            self._put(bytes(self._held), last=True)
            super().close()

    def __exit__(self, kind: object, *_rest: object) -> None:
        if kind is None:
            self.close()
        else:
            super().close()  # what was broken off is no whole file

    def _put(self, piece: bytes, *, last: bool) -> None:
        self._file.write(self._key.encrypt(_nonce(self._number, last=last), piece, None))
        self._number += 1


class SealedReader(io.RawIOBase):
    """What a ``SealedWriter`` sealed, to be read from any place. Raises ``Invalid`` at once for a file that is none, was cut, or is sealed under another
    secret or for another purpose; while reading for a piece that was changed."""

    def __init__(self, file: BinaryIO, secret: bytes, *, purpose: str):
        self._file, self._at, self._known = file, 0, (-1, b"")
        body = file.seek(0, io.SEEK_END) - HEAD
        file.seek(0)
        head = file.read(HEAD)
        if not head.startswith(MAGIC) or body < TAG:
            raise Invalid("This is not a sealed file", why="It does not begin as one, or it was cut.", todo="Take it from the backup.")
        self._key, self._last = _key(secret, head[len(MAGIC) :], purpose), (body - 1) // (PIECE + TAG)
        self._size = body - (self._last + 1) * TAG
        self._piece(self._last)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        with memoryview(buffer).cast("B") as view:
            if self._at >= self._size or not len(view):
                return 0
            number, start = divmod(self._at, PIECE)
            part = self._piece(number)[start : start + len(view)]
            view[: len(part)] = part
        self._at += len(part)
        return len(part)

    def read(self, size: int | None = -1) -> bytes:
        """All that is asked for, as far as there is any."""
        left = self._size - self._at if size is None or size < 0 else min(size, self._size - self._at)
        found = bytearray()
        while left > 0:
            number, start = divmod(self._at, PIECE)
            part = self._piece(number)[start : start + left]
            found += part
            self._at += len(part)
            left -= len(part)
        return bytes(found)

    def _piece(self, number: int) -> bytes:
        if self._known[0] != number:
            self._file.seek(HEAD + number * (PIECE + TAG))
            try:
                self._known = number, self._key.decrypt(_nonce(number, last=number == self._last), self._file.read(PIECE + TAG), None)
            except InvalidTag as error:
                raise Invalid("This sealed file cannot be opened", why="It was changed or cut, or another key sealed it.", todo="Take it from the backup, or restore the folder keys/.") from error
        return self._known[1]


def _key(secret: bytes, salt: bytes, purpose: str) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, salt, b"lianfang stream\n" + purpose.encode()).derive(secret))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
