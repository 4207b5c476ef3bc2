"""Parting: shapes of the same length become templates, by how many values stand at each place.

In: a set of shapes. Out: templates, each with the shapes that it stands for. Only the set counts: order, repetition and
batches do not, so that the same lines have the same templates wherever they are counted.

From the top: while less than half of the places of a group are the same in all its shapes, it holds several kinds of
lines and is parted at the place with the fewest values (the idea of IPLoM, Makanju et al., KDD 2009). When at least
half are, it is one kind of line: places with many values are open, places with few (opened, closed) part it once more.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import numpy as np

from lianfang.engines.series.shapes import HAN, OPEN, Shape

MANY = 5
"""So many values at a place of one kind of line are a variable, fewer are different things that happen."""
FEW = 2
"""The same behind a word that announces a name."""
SAME = 0.5
"""The share of places that are the same in all lines of one kind (of those that are not open anyway)."""
TAIL = 2
"""So many places open by count at the end of a template are a text of any length."""
UNIQUE, CROWD = 0.7, 500
"""In a crowd of shapes a place in which nearly each has its own value holds no words of the program."""
NAMING = frozenset(["user", "for", "from", "by", "host", "account", "client", "name", "named", "file", "owner", "group", "device", "interface", "process", "service", "job", "task", "thread", "node", "server"])
_HAN_RUN = re.compile(rf"\s?[{HAN}]{{5,}}")
_MIDDLE = 4
_BEGINS, _ENDS = "([{\"'", ",;:.)]}\"'"
Rows = np.ndarray[tuple[int, ...], np.dtype[np.int32]]


class Part(NamedTuple):
    """A template, the places of its shapes among those given, and whether it ends in several places open by count: a text of any length."""

    pieces: Shape
    rows: list[int]
    tail: bool = False


def part(shapes: Sequence[Shape]) -> list[Part]:
    """Templates of shapes that all have the same number of pieces.

    >>> part([(" session", " opened"), (" session", " closed")])
    [Part(pieces=(' session', ' opened'), rows=[0], tail=False), Part(pieces=(' session', ' closed'), rows=[1], tail=False)]
    >>> part([("login", " of", f" {name}") for name in ("li", "wu", "chen", "ma", "he")])
    [Part(pieces=('login', ' of', ' <*>'), rows=[0, 1, 2, 3, 4], tail=False)]
    """
    if not shapes or not shapes[0]:
        return [Part((), list(range(len(shapes))))] if shapes else []
    return _absorbed([_named(group, rows) for group, rows in _Parting(_with_names_open(shapes)).groups()])


def _named(columns: list[list[str]], rows: list[int]) -> Part:
    counted = [len(values) > 1 and not all(map(_is_open, values)) for values in columns]
    return Part(tuple(_place(values) for values in columns), rows, len(counted) > TAIL and all(counted[-TAIL:]))


def ended(pieces: Shape) -> Shape:
    """A template without the open places at its end."""
    length = len(pieces)
    while length and _is_open(pieces[length - 1]):
        length -= 1
    return pieces[:length]


def closed_up(pieces: Shape) -> Shape:
    """Open places that follow each other are one: a value may have several words.

    >>> closed_up(("tunnel", " <*>", " <*>", " down"))
    ('tunnel', ' <*>', ' down')
    """
    return tuple(piece for at, piece in enumerate(pieces) if not (at and piece.strip() == OPEN and pieces[at - 1].strip() == OPEN))


def _place(values: list[str]) -> str:
    """What a template says at a place."""
    if len(values) == 1:
        return values[0]
    lead = " " if any(value.startswith(" ") for value in values) else ""
    first, last = {value.strip()[:1] for value in values}, {value[-1:] for value in values}
    begin, end = (first.pop() if len(first) == 1 else "", last.pop() if len(last) == 1 else "")
    return f"{lead}{begin if begin in _BEGINS else ''}{OPEN}{end if end in _ENDS else ''}"


@lru_cache(maxsize=20_000)
def _is_open(piece: str) -> bool:
    return OPEN in piece and not any(sign.isalnum() for sign in piece.replace(OPEN, ""))


class _Parting:
    """The pieces as numbers, one row for each shape."""

    def __init__(self, shapes: Sequence[Shape]):
        known: dict[str, int] = {}
        self.rows: Rows = np.array([[known.setdefault(piece, len(known)) for piece in shape] for shape in shapes], np.int32)
        self.pieces = list(known)
        self.open = np.array([_is_open(piece) for piece in known])
        self.naming = np.array([piece.strip(" :([{'\"").lower() in NAMING for piece in known])

    def groups(self) -> Iterator[tuple[list[list[str]], list[int]]]:
        """For each template the values of each place (one: it is constant), and its rows."""
        waiting = [(np.arange(len(self.rows)), np.zeros(self.rows.shape[1], bool))]
        while waiting:
            group, variable = waiting.pop()
            found = self._parted(group, variable)
            if found is None:
                columns = self.rows[group].T.tolist()
                yield [[self.pieces[column[0]]] if len(column) == 1 or len(codes := set(column)) == 1 else sorted(self.pieces[code] for code in codes) for column in columns], sorted(group.tolist())
            else:
                waiting += found

    def _parted(self, group: np.ndarray, variable: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]] | None:  # type: ignore[type-arg]
        """Smaller groups, or the same with more places open; ``None``: it is one template."""
        if len(group) == 1:
            return None
        rows = self.rows[group]
        ordered = np.sort(rows, axis=0)
        values = 1 + (ordered[1:] != ordered[:-1]).sum(axis=0)
        some_open = self.open[rows].any(axis=0)
        differ = (values > 1) & ~variable
        if not differ.any():
            return None
        words = ~(some_open & (values == 1)) & ~variable
        if (words & (values == 1)).sum() >= SAME * words.sum():
            named = np.zeros(len(values), bool)
            named[1:] = (values[:-1] == 1) & self.naming[rows[0, :-1]]
            more = differ & (some_open | (values >= np.where(named, FEW, MANY)))
            if more.any():
                return [(group, variable | more)]
            return self._split(group, rows, int(np.flatnonzero(differ)[np.argmin(values[differ])]), variable)
        places = np.flatnonzero(differ & ~some_open) if (differ & ~some_open).any() else np.flatnonzero(differ)
        place = int(places[np.argmin(values[places])])
        if len(group) >= CROWD and values[place] > UNIQUE * len(group):
            variable = variable.copy()
            variable[place] = True
            return [(group, variable)]
        return self._split(group, rows, place, variable)

    @staticmethod
    def _split(group: np.ndarray, rows: Rows, place: int, variable: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:  # type: ignore[type-arg]
        order = np.argsort(rows[:, place], kind="stable")[::-1]
        column = rows[order, place]
        cuts = np.flatnonzero(column[1:] != column[:-1]) + 1
        return [(part, variable) for part in np.split(group[order], cuts)]


class General:
    """Templates with open places, found by what they say."""

    def __init__(self, templates: Iterable[Shape]):
        self._by_word: dict[tuple[int, str], list[tuple[Shape, list[tuple[int, str]]]]] = defaultdict(list)
        said = ((one, [(at, piece) for at, piece in enumerate(one) if not _is_open(piece)]) for one in templates)
        for one, words in sorted(((one, words) for one, words in said if words and len(words) < len(one) <= 2 * len(words)), key=lambda pair: (len(pair[0]) - len(pair[1]), pair[0])):
            self._by_word[words[0]].append((one, words[1:]))

    def of(self, shape: Shape) -> Shape | None:
        """The first that covers a shape of the same length: by the place of its first word, then by how few places are open."""
        for place in enumerate(shape):
            for one, words in self._by_word.get(place, ()):
                if all(shape[at] == piece for at, piece in words) and one != shape:
                    return one
        return None


def _absorbed(found: list[Part]) -> list[Part]:
    """A template that a more general one covers goes into it: a name with a digit was open from the start, one without was not."""
    general = General(one.pieces for one in found)
    kept: dict[Shape, Part] = {}
    for shape, rows, tail in found:
        into = general.of(shape) or shape
        before = kept.get(into, Part(into, []))
        kept[into] = Part(into, sorted(before.rows + rows), before.tail or (tail and into == shape))
    return sorted(kept.values(), key=lambda one: one.rows[0])


def covers(general: Shape, shape: Shape) -> bool:
    """Whether a template stands for a shape of the same length, and says at least half of it.

    >>> covers(("login", " of", " <*>"), ("login", " of", " li"))
    True
    """
    said = [piece for piece in general if not _is_open(piece)]
    return len(general) == len(shape) and 2 * len(said) >= len(general) and all(one == other or _is_open(one) for one, other in zip(general, shape))


def _with_names_open(shapes: Sequence[Shape]) -> list[Shape]:
    """Chinese runs that differ in a few characters between the same ends (用户张三登录成功) are one, with these characters open."""
    runs = {piece for piece in set(chain.from_iterable(shapes)) if not piece.isascii() and _HAN_RUN.fullmatch(piece)}
    if len(runs) < MANY:
        return list(shapes)
    middles: dict[tuple[str, str], set[str]] = defaultdict(set)
    for run in runs:
        for before, middle, after in _cuts(run):
            middles[before, after].add(middle)
    many = {ends: len(found) for ends, found in middles.items() if len(found) >= MANY}
    opened: dict[str, str] = {}
    for run in runs:
        ends = [(before, after) for before, _middle, after in _cuts(run) if (before, after) in many]
        if ends:
            before, after = max(ends, key=lambda one: (many[one], len(one[0]) + len(one[1]), one))
            opened[run] = f"{before}{OPEN}{after}"
    return [tuple(opened.get(piece, piece) for piece in shape) for shape in shapes] if opened else list(shapes)


def _cuts(run: str) -> Iterator[tuple[str, str, str]]:
    """Every way to take a few characters out of the middle."""
    lead = len(run) - len(run.lstrip())
    for start in range(lead + 2, len(run) - 2):
        for end in range(start + 1, min(start + _MIDDLE, len(run) - 2) + 1):
            yield run[:start], run[start:end], run[end:]
