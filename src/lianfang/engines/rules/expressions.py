"""Texts that a regular expression matches, so that a rule can be tried on something that must make it fire.

In: an expression as rules write it. Out: texts, the plainest first, then others by a fixed throw of dice. The expression is
read in the dialect that ``patterns.portable`` writes, which is small: characters, classes, groups, alternatives, repeats.
Assertions (``\\b``, the beginning, the end) are stepped over, so whoever asks tests each text against the expression.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from lianfang.engines.rules import patterns

Ranges = tuple[tuple[int, int], ...]

_LAST = 0x10FFFF
_PLAIN = "aA0 .\\/-_:x7(\"'=\n"
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
_THROWS = 12
_MORE = 3
"""How many more than needed a repeat may bring when dice decide."""


@dataclass(frozen=True, slots=True)
class Chars:
    """One character out of some ranges."""

    ranges: Ranges
    negated: bool = False

    def holds(self, char: str) -> bool:
        return any(low <= ord(char) <= high for low, high in self.ranges) != self.negated

    def plainest(self) -> str:
        wanted = next((char for char in _PLAIN if self.holds(char)), None) or next((char for char in _PRINTABLE if self.holds(char)), None)
        return wanted or next(chr(code) for low, high in ((0, _LAST),) for code in (*(first for first, _ in self.ranges), *range(low, high)) if not 0xD800 <= code <= 0xDFFF and self.holds(chr(code)))

    def thrown(self, dice: random.Random) -> str:
        fitting = [char for char in _PRINTABLE if self.holds(char)]
        return dice.choice(fitting) if fitting else self.plainest()


@dataclass(frozen=True, slots=True)
class Repeat:
    """``low`` times or more, ``high`` at most (``None``: without end)."""

    node: Node
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other; an empty one is an assertion."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several."""

    branches: tuple[Node, ...]


Node = Chars | Repeat | Sequence | Choice


def texts(pattern: str, filler: str = "") -> Iterator[str]:
    """Texts for an expression; ``filler`` is put where the expression lets anything stand.

    >>> next(texts(r"net\\s+(user|group)\\s?/add$"))
    'net user/add'
    >>> next(texts("cmd.*clip", " /c "))
    'cmd /c clip'

    Raises ``patterns.Unportable`` for what no matcher can run.
    """
    node = _Reader(patterns.portable(pattern)).read()
    if filler:
        yield _Writer(None, filler).write(node)
    yield _Writer(None, "").write(node)
    for throw in range(_THROWS):
        yield _Writer(random.Random(throw), filler if throw % 2 else "").write(node)  # noqa: S311  (the same texts each time; nothing is kept secret by them)


class _Writer:
    """Writes one text; the filler is used once."""

    def __init__(self, dice: random.Random | None, filler: str) -> None:
        self.dice, self.filler = dice, filler

    def write(self, node: Node) -> str:
        match node:
            case Chars():
                return node.thrown(self.dice) if self.dice else node.plainest()
            case Repeat():
                return self._repeat(node)
            case Sequence():
                return "".join(map(self.write, node.nodes))
            case Choice():
                return self.write(self.dice.choice(node.branches) if self.dice else node.branches[0])

    def _repeat(self, node: Repeat) -> str:
        inner = node.node
        if self.filler and isinstance(inner, Chars) and (node.high is None or len(self.filler) <= node.high) and all(map(inner.holds, self.filler)):
            filler, self.filler = self.filler, ""
            return filler + "".join(self.write(inner) for _ in range(node.low - len(filler)))
        more = self.dice.randint(0, _MORE) if self.dice else 0
        count = node.low + more if node.high is None else min(node.high, node.low + more)
        return "".join(self.write(inner) for _ in range(count))


class _Reader:
    """Reads the portable dialect, left to right."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self.at = pattern, 0

    def read(self) -> Node:
        return self._choice()

    def _ahead(self, text: str) -> bool:
        found = self.pattern.startswith(text, self.at)
        self.at += len(text) if found else 0
        return found

    def _choice(self) -> Node:
        branches = [self._sequence()]
        while self._ahead("|"):
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else Choice(tuple(branches))

    def _sequence(self) -> Node:
        nodes = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            nodes.append(self._repeated(self._item()))
        return Sequence(tuple(nodes))

    def _repeated(self, node: Node) -> Node:
        while self.at < len(self.pattern) and self.pattern[self.at] in "*+?{":
            low, high = self._bounds()
            self._ahead("?")  # a lazy repeat matches the same texts
            node = Repeat(node, low, high)
        return node

    def _bounds(self) -> tuple[int, int | None]:
        char = self.pattern[self.at]
        self.at += 1
        if char != "{":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
        end = self.pattern.index("}", self.at)
        low, comma, high = self.pattern[self.at : end].partition(",")
        self.at = end + 1
        return int(low), (int(high) if high else None) if comma else int(low)

    def _item(self) -> Node:
        char = self.pattern[self.at]
        self.at += 1
        match char:
            case "(":
                return self._group()
            case "[":
                return self._set()
            case "\\" if self.pattern[self.at] in "AzbB":
                self.at += 1
                return Sequence(())
            case "^" | "$":
                return Sequence(())
            case ".":
                return Chars((), negated=True)
        code = self._code() if char == "\\" else ord(char)
        return Chars(((code, code),))

    def _group(self) -> Node:
        if self._ahead("?"):
            self.at = self.pattern.index(":", self.at) + 1
        inner = self._choice()
        self._ahead(")")
        return inner

    def _set(self) -> Node:
        negated, ranges = self._ahead("^"), []
        while not self._ahead("]"):
            low = high = self._member()
            if self._ahead("-"):
                high = self._member()
            ranges.append((low, high))
        return Chars(tuple(ranges), negated)

    def _member(self) -> int:
        char = self.pattern[self.at]
        self.at += 1
        return self._code() if char == "\\" else ord(char)

    def _code(self) -> int:
        """``x41`` or ``x{41}``, after the backslash."""
        self.at += 1
        if self._ahead("{"):
            end = self.pattern.index("}", self.at)
            digits, self.at = self.pattern[self.at : end], end + 1
        else:
            digits, self.at = self.pattern[self.at : self.at + 2], self.at + 2
        return int(digits, 16)
