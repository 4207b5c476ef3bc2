"""Sieves: what a data file surely does not hold, so that a rare address or word opens few files.

In: a data file. Out: beside it a small file of bit sets (Bloom, CACM 13/7, 1970): of the values in its lists, and of every
five bytes that follow each other in the raw log, ASCII letters in lower case. A set bit means “perhaps”; a file without a
sieve is opened. Data files never change, so a sieve holds for good and may be lost without harm.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

FOLDER, SUFFIX = "sieves", ".v1"
LISTS = ("ips", "hashes", "domains")
TEXT = "raw"
WORTH = 50_000
"""Rows from which on a file gets a sieve; smaller ones are soon joined, and quickly read."""
GRAM, GRAM_BITS = 5, 22
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
        there = set(file.schema_arrow.names)
        sets = {name: _values(file.read(columns=[name], use_threads=False)[name]) for name in LISTS if name in there}
        sets |= {TEXT: _grams(file)} if TEXT in there else {}
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(".draft")
    with draft.open("wb") as out:
        out.write(json.dumps({name: len(bits) for name, bits in sets.items()}).encode() + b"\n")
        for bits in sets.values():
            out.write(bits.tobytes())
        out.flush()
        os.fsync(out.fileno())
    draft.replace(target)
    return True


def sweep(root: Path, table: str, paths: Iterable[str]) -> None:
    """Remove the sieves of files that are gone."""
    wanted = {place(root, path).name for path in paths}
    for sieve in (root / FOLDER / table).glob(f"*{SUFFIX}"):
        if sieve.name not in wanted:
            with suppress(FileNotFoundError):
                sieve.unlink()


def may_hold(root: Path, path: str, holds: Holds) -> bool:
    """Whether the file may hold what is looked for; yes when nothing is known."""
    sets = _opened(place(root, path))
    return sets is None or all(column not in sets or any(_may(sets[column], column, text) for text in texts) for column, texts in holds)


def _may(bits: Any, column: str, text: str) -> bool:
    places = _gram_places(text.encode()) if column == TEXT else _value_places([text], len(bits) * 8)
    return bool(np.all(bits[places >> 3] >> (places & 7).astype(np.uint8) & 1))


def _opened(path: Path) -> dict[str, Any] | None:
    try:
        return _mapped(path)
    except FileNotFoundError:
        return None


@lru_cache(maxsize=4096)
def _mapped(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        head = file.readline()
        whole = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    sets, start = {}, len(head)
    for name, length in json.loads(head).items():
        sets[name] = whole[start : start + length]
        start += length
    return sets


def _values(column: pa.ChunkedArray) -> Any:
    distinct = pc.drop_null(pc.unique(pc.list_flatten(column))).to_pylist()
    size = 1 << max(10, (PER_VALUE * len(distinct)).bit_length())
    return _packed(_value_places(distinct, size), size)


def _value_places(values: Sequence[str], size: int) -> Any:
    """``ROUNDS`` places per value, by two hashes (Kirsch and Mitzenmacher, 2006)."""
    digests = np.frombuffer(b"".join(blake2b(value.encode(), digest_size=16).digest() for value in values), np.uint64).reshape(-1, 2)
    return np.concatenate([digests[:, 0] + np.uint64(turn) * digests[:, 1] for turn in range(ROUNDS)]) % np.uint64(size)


def _grams(file: pq.ParquetFile) -> Any:
    seen = np.zeros(1 << GRAM_BITS, np.bool_)
    for batch in file.iter_batches(8192, columns=[TEXT], use_threads=False):
        seen[_gram_places(_bytes(batch.column(0)))] = True
    return np.packbits(seen, bitorder="little")


def _bytes(texts: pa.Array) -> Any:
    """All texts in a row, as they lie in memory: grams across their borders are set too many, none is missing."""
    bounds = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return texts.buffers()[2][int(bounds[0]) : int(bounds[-1])] if texts.buffers()[2] else b""


def _gram_places(text: Any) -> Any:
    """The places of all grams of a text, none when it is too short."""
    low = LOWER[np.frombuffer(text, np.uint8)]
    if len(low) < GRAM:
        return np.zeros(0, np.uint32)
    four = np.lib.stride_tricks.as_strided(low[: GRAM - 1].view("<u4"), (len(low) - GRAM + 1,), (1,))
    return (four * np.uint32(0x9E3779B1) ^ low[GRAM - 1 :].astype(np.uint32) * np.uint32(0x85EBCA6B)) >> np.uint32(32 - GRAM_BITS)


def _packed(places: Any, size: int) -> Any:
    seen = np.zeros(size, np.bool_)
    seen[places] = True
    return np.packbits(seen, bitorder="little")
