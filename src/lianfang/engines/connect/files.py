"""Files → frames, whatever they are wrapped in: plain lines, JSON arrays, .gz, .zst, .zip, EVTX, Zeek logs, mail, captures, reports of nmap, in any nesting.

In: a path from anybody. Out: one ``bytes`` per record, or a ``Reject``; never an exception for what the file contains,
never more memory than a few frames (archives inside archives are spooled to a bounded temporary file).
The content decides, not the name. Records that only make sense together are put together here, so that each frame can be
stored, replayed and decoded alone: a Zeek or CSV line with its header becomes a JSON object, the lines of a stack trace or
of an audit event one frame, a mail the JSON of its header, links and hashes. Formats: RFC 1952 (gzip), RFC 8878 (zstd), PKWARE APPNOTE (zip), [MS-EVEN6] EVTX.
"""

from __future__ import annotations

import codecs as text_codecs
import gzip
import io
import json
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import zstandard

from lianfang.engines.connect import captures, delimited, eventlog, joining, mails, scan, scans
from lianfang.engines.connect.limits import Limits, Readable, Reject, Unreadable, too_large
from lianfang.kernel.errors import Missing

_CHUNK = 1 << 18
_LOOK = 4096
"""How much of a file is looked at to know it."""
_GZIP, _ZSTD, _ZIP, _EVTX = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"ElfFile\x00"
_UTF16 = {text_codecs.BOM_UTF16_LE: "utf-16-le", text_codecs.BOM_UTF16_BE: "utf-16-be"}
_BAD_PACKING = (OSError, EOFError, zlib.error, zstandard.ZstdError, zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError)


class _Enough(Unreadable):
    """The whole file is left alone from here: what is left of it is not looked at."""


@dataclass(frozen=True, slots=True)
class Manner:
    """What the source says about its files: the codec, and what ``codecs.decode`` takes with it; ``reader`` is the program for captures (empty: the first that is here)."""

    codec: str = ""
    encoding: str = "utf-8"
    header: str = ""
    start: str = ""
    reader: str = ""


@dataclass(slots=True)
class _Account:
    """How much has come out of one file, against how much went in: guards against bombs."""

    limits: Limits
    size: int
    manner: Manner
    out: int = 0
    members: int = 0
    records: int = 0

    def add(self, count: int) -> None:
        """Raise ``_Enough`` once the file has grown out of all proportion."""
        self.out += count
        if self.out > self.limits.file_bytes:
            raise _Enough(f"More than {self.limits.file_bytes:,} bytes come out of this file", "Split the file, or raise the limit.")
        if self.out > self.limits.free and self.out > self.size * self.limits.ratio:
            raise _Enough(f"The file grows more than {self.limits.ratio}-fold when unpacked: this looks like a decompression bomb", "If it is genuine, unpack it first and send the content.")

    def next(self) -> int:
        """The number of the next record."""
        self.records += 1
        return self.records - 1


def frames(path: str | Path, *, limits: Limits = Limits(), manner: Manner = Manner()) -> Iterator[bytes | Reject]:  # noqa: B008 - frozen
    """All records of a file, in order. Raises ``Missing`` only when there is no such file, or no program that reads captures (``captures.NoReader``), ``Invalid`` for a wrong start pattern.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.log.gz"
    ...     _ = path.write_bytes(gzip.compress(b"one\\r\\n\\ntwo"))
    ...     list(frames(path))
    [b'one', b'two']
    """
    path = Path(path)
    if not path.is_file():
        raise Missing(f"There is no file {path}", todo="Check the path.")
    account = _Account(limits, max(1, path.stat().st_size), manner)
    with path.open("rb") as stream:
        yield from _guarded(stream, account, path.name, 1)


def stream_frames(stream: IO[bytes], *, size: int, name: str = "upload", limits: Limits = Limits(), manner: Manner = Manner()) -> Iterator[bytes | Reject]:  # noqa: B008 - frozen
    """The same for an open binary stream (an upload) of ``size`` bytes."""
    yield from _guarded(stream, _Account(limits, max(1, size), manner), name, 1)


def records(lines: Iterable[bytes], *, manner: Manner, limits: Limits = Limits()) -> Iterator[bytes | Reject]:  # noqa: B008 - frozen
    """Lines of a file that is still written → records that stand alone; ``manner.header`` names the columns where no line of these does.

    >>> list(records([b"2026-11-20,192.0.2.7"], manner=Manner("csv", header="time,src")))
    [b'{"time": "2026-11-20", "src": "192.0.2.7"}']
    """
    found = list(lines)
    yield from _records(iter(found), found[0] if found else b"", _Account(limits, 1, manner))


def _guarded(stream: Readable, account: _Account, name: str, level: int) -> Iterator[bytes | Reject]:
    """Open one layer; what goes wrong inside is a reject, and the layers around it go on."""
    try:
        yield from _open(_Head(stream), account, name, level)
    except Unreadable as fault:
        if isinstance(fault, _Enough) and level > 1:
            raise
        yield Reject(account.next(), name.encode("utf-8", "replace"), fault.reason, fault.todo)
    except _BAD_PACKING as error:
        yield Reject(account.next(), name.encode("utf-8", "replace"), f"{name} cannot be unpacked further: {_first_line(error)}", "What came before was read. The file is damaged or cut off: send it again.")


def _first_line(error: BaseException | str) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


class _Head:
    """A stream whose first bytes can be looked at before they are read."""

    def __init__(self, stream: Readable):
        self.stream = stream
        self.head = _full(stream, _LOOK)

    def read(self, size: int = -1, /) -> bytes:
        if self.head:
            size = len(self.head) if size < 0 else size
            head, self.head = self.head[:size], self.head[size:]
            return head
        return self.stream.read(size)


def _full(stream: Readable, size: int) -> bytes:
    """``size`` bytes unless the stream ends before."""
    parts = b""
    while len(parts) < size and (part := stream.read(size - len(parts))):
        parts += part
    return parts


class _Counted:
    """What comes out of a decompressor, on the account."""

    def __init__(self, stream: Readable, account: _Account):
        self.stream, self.account = stream, account

    def read(self, size: int = -1, /) -> bytes:
        chunk = self.stream.read(_CHUNK if size < 0 else size)
        self.account.add(len(chunk))
        return chunk


def _open(head: _Head, account: _Account, name: str, level: int) -> Iterator[bytes | Reject]:
    """By its first bytes: another layer, an event log, JSON, or lines."""
    start = head.head
    if start.startswith((_GZIP, _ZSTD, _ZIP)) and level > account.limits.levels:
        raise Unreadable(f"Packed {level} times over", "Unpack it, and send what is inside.")
    if start.startswith(_GZIP):
        yield from _guarded(_Counted(gzip.GzipFile(fileobj=_as_file(head)), account), account, name, level + 1)
    elif start.startswith(_ZSTD):
        yield from _guarded(_Counted(_Zstd(head), account), account, name, level + 1)
    elif start.startswith(_ZIP):
        yield from _zip(head, account, name, level)
    elif start.startswith(_EVTX):
        yield from _evtx(head, account, name)
    elif mails.looks_like(start) or account.manner.codec == "mail":
        yield from _mail(head, account)
    elif captures.looks_like(start):
        yield from _capture(head, account, name)
    elif scans.looks_like(start):
        yield from _scan(head, account)
    elif start[:2] in _UTF16:
        yield from _text(_Transcoded(head, _UTF16[start[:2]]), start.decode(_UTF16[start[:2]], "ignore").encode(), account)
    else:
        yield from _text(head, start, account)


def _as_file(head: _Head) -> IO[bytes]:
    """A buffered file object over the stream."""
    return io.BufferedReader(_Raw(head), _CHUNK)  # type: ignore[return-value,unused-ignore]


class _Raw(io.RawIOBase):
    def __init__(self, head: _Head):
        self.head, self.held = head, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        if not self.held:
            self.held = self.head.read(len(buffer))
        part, self.held = self.held[: len(buffer)], self.held[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


class _Zstd:
    """Frames of zstd one after the other; a frame that is cut off is an error, which the library's own reader keeps to itself."""

    FEED = 1 << 10  # one block may become 128 KiB and be written in 4 bytes: what comes out at once stays below 50 MB

    def __init__(self, head: _Head):
        self.head, self.source, self.inner, self.out = head, b"", self._fresh(), b""

    @staticmethod
    def _fresh() -> zstandard.ZstdDecompressionObj:
        return zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()

    def read(self, size: int = -1, /) -> bytes:
        while not self.out and self._more():
            part, self.source = self.source[: self.FEED], self.source[self.FEED :]
            if self.inner.eof:
                self.inner = self._fresh()
            self.out = self.inner.decompress(part)
            self.source = self.inner.unused_data + self.source
        size = len(self.out) if size < 0 else size
        taken, self.out = self.out[:size], self.out[size:]
        return taken

    def _more(self) -> bool:
        """Whether there is input left; raises ``EOFError`` in the middle of a frame."""
        self.source = self.source or self.head.read(1 << 16)
        if not self.source and not self.inner.eof:
            raise EOFError("Compressed file ended before the end-of-stream marker was reached")
        return bool(self.source)


class _Transcoded:
    """UTF-16 (as Windows tools write it) → UTF-8; broken pairs become U+FFFD."""

    def __init__(self, stream: Readable, encoding: str):
        self.stream, self.decoder = stream, text_codecs.getincrementaldecoder(encoding)("replace")

    def read(self, size: int = -1, /) -> bytes:
        while chunk := self.stream.read(_CHUNK):
            if text := self.decoder.decode(chunk):
                return text.encode("utf-8", "replace")
        return self.decoder.decode(b"", final=True).encode("utf-8", "replace")


# ---- lines and JSON --------------------------------------------------------------------------------------------


def _text(stream: Readable, start: bytes, account: _Account) -> Iterator[bytes | Reject]:
    """An array or pretty-printed objects are taken apart as JSON, everything else as lines."""
    begin = start.removeprefix(text_codecs.BOM_UTF8).lstrip()
    as_json = (begin.startswith(b"[") and begin[1:].lstrip()[:1] in (b"{", b"]", b"")) or (begin.startswith(b"{") and begin[1:].lstrip(b" \t")[:1] in (b"\r", b"\n"))
    if as_json:
        found = scan.values(_chunks(stream), limits=account.limits)
    else:
        found = _records(lines(_chunks(stream), limits=account.limits), start, account)
    for item in found:
        number = account.next()
        yield item if isinstance(item, bytes) else Reject(number, item.raw, item.reason, item.todo)


def _records(found: Iterator[bytes | Reject], start: bytes, account: _Account) -> Iterator[bytes | Reject]:
    """Lines → records, where a record is more than its line."""
    manner, limits = account.manner, account.limits
    if start.startswith(b"#separator \\x") or (manner.codec == "zeek" and not start.startswith(b"{")):
        yield from _described(found, delimited.Zeek(limits, manner.encoding), manner.header, limits)
    elif not manner.codec and (encoding := delimited.is_table(start)):
        yield from _described(found, delimited.Columns(limits, encoding), manner.header, limits)
    elif manner.codec in ("csv", "tsv"):
        yield from _described(found, delimited.Columns(limits, manner.encoding, "\t" if manner.codec == "tsv" else ""), manner.header, limits)
    elif manner.codec in ("lines", "auditd", "winxml"):
        yield from _together(found, manner, limits)
    else:
        yield from found


def _described(found: Iterator[bytes | Reject], reader: delimited.Columns | delimited.Zeek, header: str, limits: Limits) -> Iterator[bytes | Reject]:
    """Each line with the names above it, as a JSON object."""
    reader.begin(header)
    for line in found:
        if isinstance(line, Reject):
            yield line
            continue
        try:
            yield from (json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") for row in reader.read(line))
        except Unreadable as fault:
            yield fault.reject(0, line, limits)


def _together(found: Iterator[bytes | Reject], manner: Manner, limits: Limits) -> Iterator[bytes | Reject]:
    """The lines of one event as one frame; lines that are rejects come when they are met."""
    rejects: list[Reject] = []

    def good() -> Iterator[tuple[int, bytes]]:
        for line in found:
            if isinstance(line, Reject):
                rejects.append(line)
            else:
                yield 0, line

    for group in joining.groups(manner.codec, good(), start=manner.start, limits=limits):
        yield from rejects
        rejects.clear()
        yield b"\n".join(frame for _, frame in group)
    yield from rejects


def _mail(head: _Head, account: _Account) -> Iterator[bytes | Reject]:
    """A whole message as one JSON frame: who, to whom, links, hashes; text and attachments stay outside."""
    whole = _full(head, account.limits.mail_bytes + 1)
    number = account.next()
    try:
        yield json.dumps(mails.record_of(whole, limits=account.limits, encoding=account.manner.encoding), ensure_ascii=False).encode("utf-8", "replace")
    except Unreadable as fault:
        yield fault.reject(number, whole, account.limits)


def _scan(head: _Head, account: _Account) -> Iterator[bytes | Reject]:
    """A scanner's report as JSON frames: a host, an open port, a vulnerability each."""
    try:
        for record in scans.records(_chunks(head), limits=account.limits):
            account.next()
            yield json.dumps(record, ensure_ascii=False).encode("utf-8", "replace")
    except Unreadable as fault:
        yield fault.reject(account.next(), b"<nmaprun>", account.limits)


def _capture(head: _Head, account: _Account, name: str) -> Iterator[bytes | Reject]:
    """Flows, DNS, HTTP and TLS of a capture as JSON frames; what is wrong with it is a reject behind what could be read."""
    for found in captures.records(head, wanted=account.manner.reader, limits=account.limits):
        number = account.next()
        yield captures.fault_of(found).reject(number, name.encode("utf-8", "replace"), account.limits) if isinstance(found, str) else found


def _chunks(stream: Readable) -> Iterator[bytes]:
    """The stream without a byte order mark."""
    first = True
    while chunk := stream.read(_CHUNK):
        yield chunk.removeprefix(text_codecs.BOM_UTF8) if first else chunk
        first = False


def lines(chunks: Iterator[bytes], *, limits: Limits) -> Iterator[bytes | Reject]:
    """Chunks → lines without their ends; empty lines are no records; a line over the limit is a reject, the next one is read.

    >>> list(lines(iter([b"a\\nb", b"c\\n\\n"]), limits=Limits()))
    [b'a', b'bc']
    """
    held, skipping = bytearray(), False
    for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            yield from _line(held, part, skipping, limits)
            skipping = False
        if not skipping:
            held += rest
        if len(held) > limits.frame_bytes:
            skipping = True
            del held[limits.sample_bytes :]
    yield from _line(held, b"", skipping, limits)


def _line(held: bytearray, part: bytes, skipping: bool, limits: Limits) -> Iterator[bytes | Reject]:
    line = bytes(held) + (b"" if skipping else part)
    held.clear()
    if skipping or len(line) > limits.frame_bytes:
        yield too_large(None if skipping else len(line), limits).reject(0, line[: limits.sample_bytes], limits)
    elif (line := line.rstrip(b"\r").strip(b"\0")) and line.strip():
        yield line


# ---- archives and event logs -----------------------------------------------------------------------------------


@contextmanager
def _spooled(stream: Readable, account: _Account) -> Iterator[IO[bytes]]:
    """The whole layer in a temporary file, in memory while it is small, bounded by ``spool_bytes``."""
    with tempfile.SpooledTemporaryFile(max_size=16 << 20) as spool:
        size = 0
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            if size > account.limits.spool_bytes:
                raise Unreadable(f"Larger than {account.limits.spool_bytes:,} bytes inside an archive", "Unpack it, and send what is inside.")
            spool.write(chunk)
        spool.seek(0)
        yield spool


def _zip(head: _Head, account: _Account, name: str, level: int) -> Iterator[bytes | Reject]:
    """Each member in turn; directories and empty files are nothing; encrypted members are rejects."""
    with _spooled(head, account) as spool, zipfile.ZipFile(spool) as archive:
        for member in archive.infolist():
            if member.is_dir() or (not member.file_size and not member.compress_size):
                continue
            account.members += 1
            if account.members > account.limits.members:
                raise Unreadable(f"More than {account.limits.members:,} files in one archive", "Split the archive.")
            inside = f"{name}/{member.filename[:200]}"
            if member.flag_bits & 1:
                yield Reject(account.next(), inside.encode("utf-8", "replace"), "Encrypted with a password", "Send the archive without a password.")
                continue
            yield from _member(archive, member, account, inside, level)


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, account: _Account, inside: str, level: int) -> Iterator[bytes | Reject]:
    try:
        with archive.open(member) as stream:
            yield from _guarded(_Counted(stream, account), account, inside, level + 1)
    except _BAD_PACKING as error:
        yield Reject(account.next(), inside.encode("utf-8", "replace"), f"Cannot be unpacked: {_first_line(error)}", "The archive is damaged or uses an unknown method: pack it again.")


def _evtx(head: _Head, account: _Account, name: str) -> Iterator[bytes | Reject]:
    """One JSON frame per record; what is damaged is a reject, and the chunks behind it are read."""
    for found in eventlog.records(head):
        number = account.next()
        if isinstance(found, str):
            yield Reject(number, name.encode("utf-8", "replace"), f"Damaged event log: {_first_line(found)}", "The records around it were read. Export the log again if you can (wevtutil epl).")
        elif len(found) > account.limits.frame_bytes:
            yield too_large(len(found), account.limits).reject(number, found, account.limits)
        else:
            yield found
