"""Folding: many lines at once, each to a form in which every word with a digit is one sign.

In: lines as Arrow text or as strings. Out: one byte string for each line. Lines that differ in numbers, times, addresses
and digests alone have the same form, so that whatever comes next is done once for many lines. The forms are cheap (a few
passes over all bytes together, no regular expression) and need not be final: ``shapes`` reads them further.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MARK = 1
"""The sign that stands for a word with a digit."""
LONGEST = 2000
"""Bytes of a line that are looked at: what a line is about stands at its beginning."""
CHUNK = 1 << 18
"""Bytes that are worked on together, so that they stay in the processor's cache."""
_WORD, _DIGIT = 1, 2
_KINDS = np.zeros(256, np.uint8)
_KINDS[[*range(ord("a"), ord("z") + 1), *range(ord("A"), ord("Z") + 1), ord("_")]] = _WORD
_KINDS[ord("0") : ord("9") + 1] = _DIGIT
_CLEAN = bytes(32 if byte < 32 and byte != 10 else byte for byte in range(256))


def folded(lines: Sequence[str | None] | pa.Array) -> list[bytes]:
    """The forms of some lines, in their order; of a line only its first row and ``LONGEST`` bytes.

    >>> folded(["user_7 from 10.0.0.12:443", "第12次重试 order=A77"])[0]
    b'\\x01 from \\x01.\\x01.\\x01.\\x01:\\x01'
    """
    column = lines if isinstance(lines, pa.Array) else _column(lines)
    if not len(column):
        return []
    data = _joined(column)
    return b"".join(_fold(data[start:end]) for start, end in _chunks(data)).split(b"\n")


def _column(lines: Sequence[str | None]) -> pa.Array:
    try:
        return pa.array(lines, pa.string())
    except UnicodeEncodeError:  # halves of surrogate pairs, as bytes that no text has are often kept
        return pa.array([None if line is None else line.encode("utf-8", "replace") for line in lines], pa.binary()).cast(pa.string())


def _joined(column: pa.Array) -> bytes:
    """All lines in one, a row each."""
    column = column.cast(pa.binary()).fill_null(b"")
    if (pc.max(pc.binary_length(column)).as_py() or 0) > LONGEST:
        column = pc.binary_slice(column, 0, LONGEST)
    text = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(column)], pa.int32()), column), b"\n")[0].as_py()
    if text.count(b"\n") != len(column) - 1:
        text = b"\n".join(line.lstrip(b"\r\n").partition(b"\n")[0] for line in column.to_pylist())
    clean: bytes = text.translate(_CLEAN)
    return clean


def _chunks(data: bytes) -> list[tuple[int, int]]:
    """Stretches of about ``CHUNK`` bytes that end with a line."""
    found, start = [], 0
    while start < len(data):
        end = data.find(b"\n", min(start + CHUNK, len(data)))
        end = len(data) if end < 0 else end + 1
        found.append((start, end))
        start = end
    return found


def _fold(data: bytes) -> bytes:
    """Every run of letters, digits and underscores that has a digit becomes one sign."""
    signs = np.frombuffer(data, np.uint8)
    kinds = _KINDS[signs]
    words = kinds > 0
    starts = np.flatnonzero(words[1:] != words[:-1]) + 1
    starts = np.concatenate((np.zeros(1, starts.dtype), starts))
    numbered = np.maximum.reduceat(kinds, starts) == _DIGIT
    if not numbered.any():
        return data
    kept = np.repeat(~numbered, np.diff(starts, append=len(signs)))
    first = starts[numbered]
    kept[first] = True
    signs = signs.copy()
    signs[first] = MARK
    kept_signs: bytes = signs[kept].tobytes()
    return kept_signs
