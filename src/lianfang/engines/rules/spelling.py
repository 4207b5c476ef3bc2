"""How a field is really called: rules say ``NewValue`` or ``payload``, logs say ``New Value`` or ``Payload``.

The exact name always comes first. Where an event lacks it, names that differ only in case, spaces, underscores, colons and
the like stand in. Which names occur is learned from the events.
"""

from __future__ import annotations

from collections.abc import Iterable

_MOST_KNOWN = 20_000
_MOST_STAND_INS = 8


def plain(name: str) -> str:
    """What two spellings of one name have in common.

    >>> plain("Default SD String:") == plain("defaultsdstring")
    True
    """
    return "".join(char for char in name.casefold() if char.isalnum() or char == ".")


class Spelling:
    """For each name that rules use: the names that may stand in for it. ``version`` rises when something was learned."""

    def __init__(self, names: Iterable[str]) -> None:
        self.version = 0
        self.asked: dict[str, list[str]] = {}
        for name in sorted(set(names)):
            self.asked.setdefault(plain(name), []).append(name)
        self.stand_ins = {name: tuple(other for other in group if other != name) for group in self.asked.values() for name in group if len(group) > 1}
        self.known = {name for group in self.asked.values() for name in group}

    def learn(self, names: Iterable[str]) -> None:
        """Take note of names seen in events."""
        for name in names:
            if name not in self.known:
                self._note(name)

    def _note(self, name: str) -> None:
        if len(self.known) >= _MOST_KNOWN:
            self.known = {known for group in self.asked.values() for known in group}.union(*self.stand_ins.values())
        self.known.add(name)
        for asked in self.asked.get(plain(name), ()):
            already = self.stand_ins.get(asked, ())
            if name not in already and len(already) < _MOST_STAND_INS:
                self.stand_ins[asked] = (*already, name)
                self.version += 1

    def of(self, name: str) -> tuple[str, ...]:
        """The names to try, the exact one first."""
        return (name, *self.stand_ins.get(name, ()))
