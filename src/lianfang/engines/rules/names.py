"""Names: texts, and combinations of them, as whole numbers, so that groups are compared, sorted and kept as numbers.

Each text and each combination is there once for all correlations that see it, takes a few bytes, and its number is given out
again when nobody holds it any more. Numbers are exact: no two texts or combinations ever share one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lianfang.engines.rules.windows import MOST_GROUPS, Bools, Ints

WORD_BYTES = 170
"""What a text costs beside its letters: the object, its place in the dictionary, its number."""
_LEFT, _RIGHT = 32, (1 << 32) - 1
MOST_PAIRS = 1 << 31


class Words:
    """Texts as numbers.

    >>> words = Words()
    >>> words.take(["li", "wang", "li"]).tolist()
    [0, 1, 0]
    """

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.texts: list[str] = []
        self.free: list[int] = []
        self.letters = 0

    def take(self, texts: Sequence[str]) -> Ints:
        """The number of each text, given out when it is met first."""
        found = list(map(self.numbers.get, texts))
        for place, number in enumerate(found):
            if number is None:
                found[place] = self._give(texts[place])
        return np.array(found, np.int64)

    def _give(self, text: str) -> int:
        number = self.numbers.get(text)
        if number is not None:
            return number
        if self.free:
            number = self.free.pop()
            self.texts[number] = text
        else:
            number = len(self.texts)
            self.texts.append(text)
        self.numbers[text] = number
        self.letters += len(text)
        return number

    def keep(self, live: Bools) -> None:
        """Let go of all but these (a yes for each number)."""
        for number in np.flatnonzero(~live).tolist():
            if self.texts[number] in self.numbers and self.numbers[self.texts[number]] == number:
                self.letters -= len(self.texts[number])
                del self.numbers[self.texts[number]]
                self.texts[number] = ""
                self.free.append(number)

    @property
    def size(self) -> int:
        return WORD_BYTES * len(self.numbers) + self.letters + 8 * len(self.free)

    def state(self) -> dict[str, Any]:
        return {"numbers": list(self.numbers.values()), "texts": list(self.numbers)}

    def restore(self, state: dict[str, Any]) -> None:
        self.numbers = dict(zip(state["texts"], state["numbers"]))
        self.texts = [""] * (max(state["numbers"], default=-1) + 1)
        for text, number in self.numbers.items():
            self.texts[number] = text
        taken = set(state["numbers"])
        self.free = [number for number in range(len(self.texts)) if number not in taken]
        self.letters = sum(map(len, self.numbers))


class Pairs:
    """Pairs of numbers (each under 2**31) as one number each; at most ``most`` of them at once.

    >>> pairs = Pairs(2)
    >>> pairs.take(np.array([7, 7, 8, 9]), np.array([0, 0, 5, 0])).tolist()
    [0, 0, 1, -1]
    """

    def __init__(self, most: int = MOST_PAIRS):
        self.most = most
        self.keys: Ints = np.zeros(0, np.int64)
        self.made: Ints = np.zeros(0, np.int64)
        self.free: Ints = np.zeros(0, np.int64)
        self.codes: Any = np.zeros(0, np.int32)

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, left: Ints, right: Ints) -> Ints:
        """The number of each pair, given out when it is met first; -1 where there is none to give."""
        fresh, back = np.unique((left << _LEFT) | right, return_inverse=True)
        places = np.asarray(np.searchsorted(self.keys, fresh), np.int64)
        known: Bools = np.append(self.keys, -1)[places] == fresh
        codes: Ints = np.empty(len(fresh), np.int64)
        codes[known] = self.codes[places[known]]
        if not known.all():
            codes[~known] = self._give(fresh[~known], places[~known])
        return np.asarray(codes[back], np.int64)

    def _give(self, fresh: Ints, places: Ints) -> Ints:
        count = min(len(fresh), self.most - len(self.keys))
        reused, grown = self.free[:count], max(0, count - len(self.free))
        given = np.concatenate((reused, np.arange(len(self.made), len(self.made) + grown)))
        self.free = self.free[len(reused) :]
        self.made = np.concatenate((self.made, np.full(grown, -1)))
        self.made[given] = fresh[:count]
        self.keys, self.codes = np.insert(self.keys, places[:count], fresh[:count]), np.insert(self.codes, places[:count], given)
        return np.concatenate((given, np.full(len(fresh) - count, -1)))

    def parts(self, codes: Ints) -> tuple[Ints, Ints]:
        """The pairs that have these numbers."""
        made = self.made[codes]
        return made >> _LEFT, made & _RIGHT

    def keep(self, live: Ints) -> None:
        """Let go of all but these."""
        dead = self.made >= 0
        dead[live] = False
        gone = np.flatnonzero(dead)
        if len(gone):
            self.made[gone] = -1
            self.free = np.concatenate((self.free, gone))
            stays = ~dead[self.codes]
            self.keys, self.codes = self.keys[stays], self.codes[stays]

    @property
    def size(self) -> int:
        return int(self.keys.nbytes + self.codes.nbytes + self.made.nbytes + self.free.nbytes)

    def state(self) -> list[bytes]:
        return [self.made.tobytes()]

    def restore(self, state: Sequence[bytes]) -> None:
        self.made = np.frombuffer(state[0], np.int64).copy()
        codes = np.flatnonzero(self.made >= 0)
        order = codes[np.argsort(self.made[codes])]
        self.keys, self.codes, self.free = self.made[order], order.astype(np.int32), np.flatnonzero(self.made < 0)


class Groups:
    """A place and the values that something is grouped by, as one number: pair upon pair.

    >>> groups = Groups(2)
    >>> groups.take([np.array([0, 0]), np.array([3, 4]), np.array([5, 5])]).tolist()
    [0, 1]
    >>> [part.tolist() for part in groups.parts(np.array([1]))]
    [[0], [4], [5]]
    """

    def __init__(self, length: int):
        self.length = length
        self.levels = [Pairs() for _ in range(length - 1)] + [Pairs(MOST_GROUPS)]

    def take(self, columns: Sequence[Ints]) -> Ints:
        """The number of each row's combination: the place, then ``length`` values; -1 where no more can be told apart."""
        codes, rest = columns[0], columns[1:] or [np.zeros(len(columns[0]), np.int64)]
        for level, column in zip(self.levels, rest):
            codes = level.take(codes, column)
        return codes

    def parts(self, codes: Ints) -> list[Ints]:
        """The place and the values behind these numbers."""
        found: list[Ints] = []
        for level in reversed(self.levels):
            codes, right = level.parts(codes)
            found.append(right)
        return [codes, *reversed(found)][: self.length + 1]

    def keep(self, live: Ints) -> None:
        """Let go of all but these."""
        for level in reversed(self.levels):
            level.keep(live)
            live = np.unique(level.parts(live)[0])

    def words(self) -> list[Ints]:
        """The numbers of the texts that are held."""
        first, found = self.levels[0], []
        for level in self.levels:
            found.append(level.keys & _RIGHT if self.length else level.keys[:0])
        return [first.keys >> _LEFT, *found]

    @property
    def size(self) -> int:
        return sum(int(level.size) for level in self.levels)

    def state(self) -> list[list[bytes]]:
        return [level.state() for level in self.levels]

    def restore(self, state: Sequence[Sequence[bytes]]) -> None:
        for level, said in zip(self.levels, state):
            level.restore(said)
