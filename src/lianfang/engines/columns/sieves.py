"""Sieves: what a data file surely does not hold, so that a rare address or word opens few files.

In: a data file. Out: beside it a small file of bit sets (Bloom, CACM 13/7, 1970): of the values in its lists, row group by
row group, and of every five bytes that follow each other in the raw log, ASCII letters in lower case. A set bit means
“perhaps”; a file without a sieve is opened. Data files never change, so a sieve holds for good and may be lost without harm.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

FOLDER, SUFFIX = "sieves", ".v2"
LISTS = ("ips", "hashes", "domains")
TEXT = "raw"
WORTH = 5_000
"""Rows from which on a file gets a sieve; smaller ones are soon joined, and quickly read."""
GRAM, MOST_BITS, PER_ROW = 5, 22, 16
"""Pieces of five bytes; sixteen bits for each row, at most half a megabyte."""
PER_VALUE, ROUNDS = 12, 4
"""Bits per value and bits set: one value in a hundred passes that should not."""
LOWER = np.frombuffer(bytes(range(256)).lower(), np.uint8)

Holds = tuple[tuple[str, tuple[str, ...]], ...]
"""Columns and texts; the rows that are looked for hold one of the texts in each of the columns."""


def place(root: Path, path: str) -> Path:
    """Where the sieve of a data file lies."""
    table, name = Path(path).relative_to(root).parts[0], path.rsplit("/", 1)[-1]
    return root / FOLDER / table / (name + SUFFIX)


def make(root: Path, path: str) -> bool:
    """Write the sieve of a data file that is worth one and has none; says whether it did."""
    target = place(root, path)
    if target.exists() or pq.read_metadata(path).num_rows < WORTH:
        return False
    with pq.ParquetFile(path) as file:
        sets = list(_sets(file))
        groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(".draft")
    with draft.open("wb") as out:
        out.write(json.dumps({"groups": groups, "sets": [(name, group, len(bits)) for name, group, bits in sets]}).encode() + b"\n")
        for _, _, bits in sets:
            out.write(bits.tobytes())
        out.flush()
        os.fsync(out.fileno())
    draft.replace(target)
    return True


def _sets(file: pq.ParquetFile) -> Iterator[tuple[str, int, Any]]:
    """Column, row group (the raw log: 0, for all of them) and bits."""
    there = set(file.schema_arrow.names)
    lists = [name for name in LISTS if name in there]
    for group in range(file.num_row_groups):
        rows = file.read_row_group(group, columns=lists, use_threads=False)
        for name in lists:
            yield name, group, _values(rows[name])
    if TEXT in there:
        yield TEXT, 0, _grams(file)


def sweep(root: Path, table: str, paths: Iterable[str]) -> None:
    """Remove the sieves of files that are gone, and those of an older make."""
    wanted = {place(root, path).name for path in paths}
    for sieve in (root / FOLDER / table).glob("*"):
        if sieve.name not in wanted:
            with suppress(FileNotFoundError):
                sieve.unlink()


def ranges(root: Path, path: str, holds: Holds) -> tuple[tuple[int, int], ...] | None:
    """The rows (from, until) of a file among which those that are looked for must be; ``None``: anywhere in it."""
    try:
        sieve = _opened(place(root, path))
    except FileNotFoundError:
        return None
    if not all(sieve.has_text(texts) for column, texts in holds if column == TEXT):
        return ()
    wanted = [(column, tuple(map(_hashes, texts))) for column, texts in holds if column != TEXT]
    keep = [all(sieve.has_value(column, group, hashes) for column, hashes in wanted) for group in range(len(sieve.groups))]
    return None if all(keep) else tuple(_joined(sieve.groups, keep))


def _joined(groups: Sequence[int], keep: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Row groups that follow each other as one stretch of rows."""
    ends = list(accumulate(groups, initial=0))
    begin = None
    for number, kept in enumerate((*keep, False)):
        if kept and begin is None:
            begin = ends[number]
        elif not kept and begin is not None:
            yield begin, ends[number]
            begin = None


class _Sieve:
    """A sieve as it lies on the disk."""

    def __init__(self, path: Path):
        with path.open("rb") as file:
            head = file.readline()
            whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        said, start = json.loads(head), len(head)
        self.groups: list[int] = said["groups"]
        self._sets: dict[tuple[str, int], memoryview] = {}
        for name, group, length in said["sets"]:
            self._sets[name, group] = whole[start : start + length]
            start += length

    def has_value(self, column: str, group: int, hashes: Iterable[tuple[int, int]]) -> bool:
        bits = self._sets.get((column, group))
        return bits is None or any(_may(bits, low, high) for low, high in hashes)

    def has_text(self, texts: Iterable[str]) -> bool:
        bits = self._sets.get((TEXT, 0))
        if bits is None:
            return True
        array = np.frombuffer(bits, np.uint8)
        return any(_may_all(array, _gram_places(text.encode(), len(bits) * 8)) for text in texts)


_opened = lru_cache(maxsize=4096)(_Sieve)


def _may(bits: memoryview, low: int, high: int) -> bool:
    size = len(bits) * 8
    for turn in range(ROUNDS):
        place = (low + turn * high) % _TURN % size
        if not bits[place >> 3] >> (place & 7) & 1:
            return False
    return True


def _may_all(bits: Any, places: Any) -> bool:
    return bool(np.all(bits[places >> 3] >> (places & 7).astype(np.uint8) & 1))


_TURN = 1 << 64


def _hashes(value: str) -> tuple[int, int]:
    digest = blake2b(value.encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


def _values(column: pa.ChunkedArray) -> Any:
    distinct = pc.drop_null(pc.unique(pc.list_flatten(column))).to_pylist()
    size = 1 << max(10, (PER_VALUE * len(distinct)).bit_length())
    return _packed(_value_places(distinct, size), size)


def _value_places(values: Sequence[str], size: int) -> Any:
    """``ROUNDS`` places per value, by two hashes (Kirsch and Mitzenmacher, 2006)."""
    digests = np.frombuffer(b"".join(blake2b(value.encode(), digest_size=16).digest() for value in values), "<u8").reshape(-1, 2)
    return np.concatenate([digests[:, 0] + np.uint64(turn) * digests[:, 1] for turn in range(ROUNDS)]) % np.uint64(size)


def _grams(file: pq.ParquetFile) -> Any:
    size = 1 << min(MOST_BITS, (PER_ROW * file.metadata.num_rows).bit_length())
    seen = np.zeros(size, np.bool_)
    for batch in file.iter_batches(1024, columns=[TEXT], use_threads=False):  # a text takes twelve times its size on the way
        seen[_gram_places(_bytes(batch.column(0)), size)] = True
    return np.packbits(seen, bitorder="little")


def _bytes(texts: pa.Array) -> Any:
    """All texts in a row, as they lie in memory: grams across their borders are set too many, none is missing."""
    bounds = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return texts.buffers()[2][int(bounds[0]) : int(bounds[-1])] if texts.buffers()[2] else b""


def _gram_places(text: Any, size: int) -> Any:
    """The places of all grams of a text among ``size`` (a power of two), none when it is too short."""
    low = LOWER[np.frombuffer(text, np.uint8)]
    if len(low) < GRAM:
        return np.zeros(0, np.uint32)
    four = np.lib.stride_tricks.as_strided(low[: GRAM - 1].view("<u4"), (len(low) - GRAM + 1,), (1,))
    return (four * np.uint32(0x9E3779B1) ^ low[GRAM - 1 :].astype(np.uint32) * np.uint32(0x85EBCA6B)) >> np.uint32(33 - size.bit_length())


def _packed(places: Any, size: int) -> Any:
    seen = np.zeros(size, np.bool_)
    seen[places] = True
    return np.packbits(seen, bitorder="little")
