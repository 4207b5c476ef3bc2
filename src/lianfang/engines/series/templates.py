"""Templates: what a program says again and again, found in its lines without being told.

In: lines, batch after batch. Out: for each line the number of its template; for each template an identifier that follows
from its text alone. A line is folded (``folding``), its form looked up; only forms that are new are taken apart
(``shapes``), and only shapes that are new part a bucket anew (``parting``). So a warm miner looks up and nothing else.

Memory is bounded in bytes. While all shapes fit, the same lines give the same templates and identifiers in any order and
in any batches, also after ``dump`` and ``load``. Beyond that the largest templates stand as they are and keep a sample.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import pyarrow as pa

from lianfang.engines.series.folding import folded
from lianfang.engines.series.parting import General, closed_up, covers, ended, part
from lianfang.engines.series.shapes import OPEN, Shape, shape
from lianfang.kernel.errors import Invalid

MEMORY = 48 << 20
"""Bytes for forms and shapes together."""
MOST_IN_BUCKET, SAMPLE = 4096, 128
"""Shapes of one length that are parted together; of how many a template that stands as it is remembers."""
PATIENCE = 20
"""New shapes that a template covers wait until they are one in so many of their length: then, or by ``settle``, all are parted anew."""
_FORM_COST, _PIECE_COST = 140, 60
_FORMAT = 1
Numbers = np.ndarray[tuple[int, ...], np.dtype[np.int32]]


@dataclass(frozen=True)
class Template:
    """``pieces`` with the spaces before them; ``<*>`` is open."""

    pieces: Shape

    @cached_property
    def text(self) -> str:
        """The template as a person reads it."""
        return "".join(self.pieces)

    @cached_property
    def uid(self) -> str:
        """16 hexadecimal digits that follow from the text.

        >>> Template(("login", " of", " <*>")).uid
        'de2a83bc6eeb29ba'
        """
        return hashlib.blake2b("\x00".join(self.pieces).encode("utf-8", "replace"), digest_size=8).hexdigest()

    @property
    def constants(self) -> list[str]:
        """What is the same in all its lines, in its order."""
        return [piece for piece in (part.strip(" ") for part in self.text.split(OPEN)) if piece]


class _Bucket:
    """Shapes with the same number of pieces. ``fixed``: templates that stand as they are, with the shapes kept of them; ``general``: what new shapes may belong to until
    they are parted with all others, ``waiting`` for it; ``full``: it learns no more."""

    def __init__(self) -> None:
        self.shapes: list[int] = []
        self.fixed: dict[Shape, list[int]] = {}
        self.gone: dict[Shape, list[int]] = defaultdict(list)
        self.parts: dict[Shape, list[int]] = {}
        self.general = General(())
        self.waiting = 0
        self.tails: set[Shape] = set()
        self.full = False


class Miner:
    """Lines → templates.

    >>> miner = Miner()
    >>> numbers = miner.take([f"order {n} of account {name} sent" for n, name in enumerate(("li", "wu", "chen"))])
    >>> [miner.template(number).text for number in sorted(set(numbers.tolist()))]
    ['order <*> of account <*> sent']
    """

    def __init__(self, *, memory: int = MEMORY):
        self.memory = memory
        self._forms: dict[bytes, int] = {}
        self._older: dict[bytes, int] = {}
        self._form_bytes = self._shape_bytes = 0
        self._known: dict[Shape, int] = {}
        self._shapes: list[Shape] = []
        self._template_of: list[int] = []
        self._lookup = np.zeros(0, np.int32)
        self._buckets: dict[int, _Bucket] = defaultdict(_Bucket)
        self._templates: list[Template] = []
        self._examples: list[int] = []
        self._numbers: dict[Shape, int] = {}

    # ---- lines ---------------------------------------------------------------------------------------------------

    def take(self, lines: Sequence[str | None] | pa.Array) -> Numbers:
        """The number of each line's template. A number means the same until the next ``take``, an identifier for good."""
        forms = folded(lines)
        found = list(map(self._forms.get, forms))
        if None in found:
            self._learn([form for form, number in zip(forms, found) if number is None])
            found = list(map(self._forms.get, forms))
        else:
            self.settle()
        numbers = self._lookup[np.array(found, np.int64)]
        if self._form_bytes > self.memory // 2:
            self._forms, self._older, self._form_bytes = {}, self._forms, 0
        return numbers

    @property
    def size(self) -> int:
        """Grows whenever something is learned that ``dump`` keeps."""
        return len(self._shapes)

    def settle(self) -> bool:
        """Part what waits for it, so that only the set of lines counts; says whether there was any. A ``take`` of lines that are all known does so, too."""
        waiting = [bucket for bucket in self._buckets.values() if bucket.waiting]
        for bucket in waiting:
            self._part(bucket)
        if waiting:
            self._join()
            self._lookup = np.array(self._template_of, np.int32)
        return bool(waiting)

    def template(self, number: int) -> Template:
        """The template of a number that ``take`` gave."""
        return self._templates[number]

    def templates(self) -> dict[str, Template]:
        """All that there are now, by identifier."""
        return {one.uid: one for one in (self._templates[number] for number in sorted(set(self._template_of)))}

    def successors(self) -> dict[str, str]:
        """Identifiers that this miner gave before and gives no more → the template that their lines belong to now."""
        now = set(self._template_of)
        return {one.uid: self._templates[self._template_of[self._examples[number]]].uid for number, one in enumerate(self._templates) if number not in now}

    # ---- what is new ---------------------------------------------------------------------------------------------

    def _learn(self, forms: list[bytes]) -> None:
        changed: set[int] = set()
        for form in dict.fromkeys(forms):
            number = self._older.pop(form, None)
            self._forms[form] = self._number(shape(form), changed) if number is None else number
            self._form_bytes += len(form) + _FORM_COST
        for length in sorted(changed):
            self._part(self._buckets[length])
        if self._shape_bytes > self.memory // 2:
            for bucket in self._buckets.values():
                bucket.full = True
        if changed:
            self._join()
        self._lookup = np.array(self._template_of, np.int32)

    def _number(self, pieces: Shape, changed: set[int]) -> int:
        number = self._known.get(pieces)
        if number is not None:
            return number
        bucket = self._buckets[len(pieces)]
        into = next((one for one in bucket.fixed if covers(one, pieces)), None)
        if into is None and bucket.full:
            into = _any(len(pieces))
        if into is not None:
            return self._known[into] if into in self._known else self._add(into)
        number = self._add(pieces)
        bucket.shapes.append(number)
        bucket.waiting += 1
        general = bucket.general.of(pieces)
        if general is None or bucket.waiting * PATIENCE > len(bucket.shapes):
            changed.add(len(pieces))
        else:
            bucket.parts[general].append(number)
            self._template_of[number] = self._template_of[bucket.parts[general][0]]
        return number

    def _add(self, pieces: Shape) -> int:
        number = self._known[pieces] = len(self._shapes)
        self._shapes.append(pieces)
        self._template_of.append(self._named(pieces, number))
        self._shape_bytes += _cost(pieces)
        return number

    def _named(self, pieces: Shape, example: int) -> int:
        number = self._numbers.get(pieces)
        if number is None:
            number = self._numbers[pieces] = len(self._templates)
            self._templates.append(Template(pieces))
            self._examples.append(example)
            self._shape_bytes += _cost(pieces)
        return number

    def _part(self, bucket: _Bucket) -> None:
        """The templates of a bucket anew; one that is too large for that is thinned out."""
        found = part([self._shapes[number] for number in bucket.shapes])
        bucket.tails = {ended(one.pieces) for one in found if one.tail}
        bucket.waiting = 0
        bucket.parts = {one.pieces: [bucket.shapes[row] for row in one.rows] for one in found} | {pieces: [*sample, *bucket.gone[pieces]] for pieces, sample in bucket.fixed.items()}
        bucket.general = General(bucket.parts)
        if len(bucket.shapes) > MOST_IN_BUCKET:
            self._thin(bucket)

    def _join(self) -> None:
        """Templates of all lengths together: what differs only in how many words a value has is one."""
        tails = {closed_up(pieces) for bucket in self._buckets.values() for pieces in bucket.tails if 2 * sum(OPEN not in piece for piece in pieces) > len(pieces)}
        for bucket in self._buckets.values():
            for pieces, numbers in bucket.parts.items():
                text = closed_up(pieces)
                tail = next((text[:length] for length in range(2, len(text)) if text[:length] in tails), None) if tails else None
                template = self._named((*tail, f" {OPEN}") if tail else text, numbers[0])
                for number in numbers:
                    self._template_of[number] = template

    def _thin(self, bucket: _Bucket) -> None:
        """Large templates stand as they are from now on; of their shapes a sample stays, which does not depend on the order either."""
        gone: set[int] = set()
        for pieces, numbers in list(bucket.parts.items()):
            if len(numbers) > SAMPLE and pieces not in bucket.fixed:
                ordered = sorted(numbers, key=lambda number: Template(self._shapes[number]).uid)
                bucket.fixed[pieces], bucket.gone[pieces] = ordered[:SAMPLE], ordered[SAMPLE:]
                gone.update(ordered[SAMPLE:])
        for number in gone:
            self._shape_bytes -= _cost(self._shapes[number])
            del self._known[self._shapes[number]]
            self._shapes[number] = ()
        bucket.shapes = [number for number in bucket.shapes if number not in gone]
        bucket.full = bucket.full or len(bucket.shapes) > MOST_IN_BUCKET

    # ---- keeping -------------------------------------------------------------------------------------------------

    def dump(self) -> bytes:
        """What was learned, packed; ``load`` gives the same templates and identifiers."""
        self.settle()
        state = {
            "format": _FORMAT, "shapes": [self._shapes[number] for bucket in self._buckets.values() for number in bucket.shapes],
            "fixed": [[pieces, [self._shapes[number] for number in numbers]] for bucket in self._buckets.values() for pieces, numbers in bucket.fixed.items()], "full": [length for length, bucket in self._buckets.items() if bucket.full],
        }  # fmt: skip
        return zlib.compress(json.dumps(state, ensure_ascii=True).encode(), 6)

    @classmethod
    def load(cls, state: bytes, *, memory: int = MEMORY) -> Self:
        """A miner as it was; raises ``Invalid`` for what no miner wrote."""
        try:
            given = json.loads(zlib.decompress(state))
            if given["format"] != _FORMAT:
                raise Invalid("These templates are of another release", todo="Have them found anew.")
            miner = cls(memory=memory)
            for pieces in given["shapes"]:
                number = miner._add(tuple(pieces))
                miner._buckets[len(pieces)].shapes.append(number)
            for pieces, sample in given["fixed"]:
                miner._buckets[len(pieces)].fixed[tuple(pieces)] = [miner._known[tuple(one)] for one in sample]
                miner._add(tuple(pieces)) if tuple(pieces) not in miner._known else None
            for length in given["full"]:
                miner._buckets[length].full = True
        except (ValueError, KeyError, TypeError, zlib.error) as error:
            raise Invalid("These templates cannot be read", why=str(error)[:200], todo="Have them found anew.") from error
        for bucket in list(miner._buckets.values()):
            miner._part(bucket)
        miner._join()
        miner._lookup = np.array(miner._template_of, np.int32)
        return miner


def _any(length: int) -> Shape:
    return (OPEN, *(f" {OPEN}",) * (length - 1)) if length else ()


def _cost(pieces: Shape) -> int:
    return 120 + _PIECE_COST * len(pieces) + sum(map(len, pieces))
