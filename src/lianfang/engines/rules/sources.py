"""Where rule texts come from: folders, single files, and archives that may have been made to hurt.

Archives (.zip .tar .tar.gz .tgz .tar.zst .tzst) are read in memory, member by member; nothing is ever written to disk. Member
paths are only labels, so ``../../etc/passwd`` can do no more than look odd; links and devices are not followed. Sizes are
counted while unpacking, never believed from headers.
"""

from __future__ import annotations

import gzip
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import zstandard

from lianfang.kernel.errors import Invalid, Missing

SUFFIXES = (".yml", ".yaml")


@dataclass(frozen=True, slots=True)
class RuleText:
    """One file of rules; ``path`` says where it was found (inside an archive: ``archive!member``)."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one call to ``load``: bytes of one rule file, number of files, bytes unpacked in all."""

    file_bytes: int = 1_000_000
    files: int = 100_000
    total_bytes: int = 512_000_000


class _Meter(Iterable[RuleText]):
    """Counts what is taken and refuses what is too much."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.files, self.total = limits, 0, 0
        self.texts: list[RuleText] = []

    def __iter__(self) -> Iterator[RuleText]:
        return iter(self.texts)

    def take(self, path: str, stream: IO[bytes]) -> None:
        content = stream.read(self.limits.file_bytes + 1)
        if len(content) > self.limits.file_bytes:
            raise _refuse(path, f"The file is larger than {self.limits.file_bytes:,} bytes.")
        self.count(path, 1, len(content))
        self.texts.append(RuleText(path, content.decode("utf-8-sig", "replace")))

    def count(self, path: str, files: int, size: int) -> None:
        self.files, self.total = self.files + files, self.total + size
        if self.files > self.limits.files:
            raise _refuse(path, f"There are more than {self.limits.files:,} files.")
        if self.total > self.limits.total_bytes:
            raise _refuse(path, f"It unpacks to more than {self.limits.total_bytes:,} bytes.")


class _Bounded:
    """A stream that counts every byte read through it, wanted or skipped: a bomb goes off in the counter."""

    def __init__(self, stream: IO[bytes], path: str, meter: _Meter) -> None:
        self.stream, self.path, self.meter, self.tail = stream, path, meter, b"?"

    def read(self, size: int = -1) -> bytes:
        content = self.stream.read(min(size, 1 << 20) if size >= 0 else 1 << 20)
        self.meter.count(self.path, 0, len(content))
        self.tail = content[-tarfile.BLOCKSIZE :] or self.tail
        return content

    def expect_end(self) -> None:
        """A tar archive ends in empty blocks; one that was cut between two members does not, and ``tarfile`` says nothing."""
        if self.tail.strip(b"\0"):
            raise tarfile.ReadError("it ends too early")


def load(paths: Iterable[str | Path] | str | Path, *, limits: Limits | None = None) -> list[RuleText]:
    """The rule files under ``paths`` (folders, files, archives), sorted by path.

    Raises ``Missing`` for a path that does not exist and ``Invalid`` for an archive that is broken or too large.
    """
    meter = _Meter(limits or Limits())
    for path in [paths] if isinstance(paths, str | Path) else paths:
        _load_one(Path(path), meter)
    return sorted(meter, key=lambda text: text.path)


def _load_one(path: Path, meter: _Meter) -> None:
    if path.is_dir():
        _load_folder(path, meter)
    elif not path.is_file():
        raise Missing(f"{path} does not exist", todo="Name a folder, a .yml file or an archive of rules.")
    elif path.suffix.lower() in SUFFIXES:
        with path.open("rb") as stream:
            meter.take(str(path), stream)
    else:
        _load_archive(path, meter)


def _load_folder(folder: Path, meter: _Meter) -> None:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            with path.open("rb") as stream:
                meter.take(str(path), stream)


def _load_archive(path: Path, meter: _Meter) -> None:
    name = path.name.lower()
    try:
        if name.endswith(".zip"):
            _load_zip(path, meter)
        elif name.endswith(".tar"):
            with path.open("rb") as stream:
                _load_tar(path, stream, meter)
        elif name.endswith((".tar.gz", ".tgz")):
            with gzip.open(path, "rb") as packed:
                _load_tar(path, packed, meter)  # type: ignore[arg-type]  # GzipFile reads bytes; typeshed does not call it IO
        elif name.endswith((".tar.zst", ".tzst")):
            with path.open("rb") as stream, zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(stream) as unpacked:
                _load_tar(path, unpacked, meter)  # type: ignore[arg-type]  # the same for zstandard's reader
        else:
            raise _refuse(str(path), "Its kind is not known.")
    except (tarfile.TarError, zipfile.BadZipFile, zstandard.ZstdError, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise _refuse(str(path), f"The archive cannot be read: {error}") from error


def _load_zip(path: Path, meter: _Meter) -> None:
    with zipfile.ZipFile(path) as archive:
        meter.count(str(path), 0, 0 if len(archive.filelist) <= meter.limits.files else meter.limits.total_bytes + 1)
        for member in archive.infolist():
            if not member.is_dir() and _wanted(member.filename):
                with archive.open(member) as stream:
                    meter.take(_label(path, member.filename), stream)


def _load_tar(path: Path, stream: IO[bytes], meter: _Meter) -> None:
    bounded = _Bounded(stream, str(path), meter)
    with tarfile.open(fileobj=bounded, mode="r|") as archive:  # type: ignore[call-overload]
        for member in archive:
            if member.isreg() and _wanted(member.name):
                content = archive.extractfile(member)
                if content is not None:
                    meter.take(_label(path, member.name), content)
    bounded.expect_end()


def _wanted(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def _label(path: Path, member: str) -> str:
    return f"{path.name}!{member}"


def _refuse(path: str, why: str) -> Invalid:
    return Invalid(f"The rules in {path} cannot be taken in", why=why, todo="Give a folder, a .yml file, or a .zip, .tar, .tar.gz or .tar.zst archive of rules.")
