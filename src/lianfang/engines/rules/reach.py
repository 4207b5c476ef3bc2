"""Which rules can still fire on an event of which only some fields are known.

The same partial evaluation by which the kernel specialises its rules to a class of events, carried on with whatever else
is certain: where an event comes from, its channel and number, the fields by which a mapping tells its kinds apart.
"""

from __future__ import annotations

from collections.abc import Mapping

from lianfang.engines.rules.kernel import CHANNEL, EVENT_ID, Kernel
from lianfang.engines.rules.trees import KEYWORDS, REFERENCES, Tree, settle
from lianfang.engines.rules.types import LogSource


class Reach:
    """Answers for one kernel; what the log source, channel and number decide is worked out once for each."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self._open: dict[tuple[object, ...], list[tuple[int, Tree | bool]]] = {}

    def may_fire(self, known: Mapping[str, str | None], logsource: LogSource) -> tuple[str, ...]:
        """The uids of the rules that can fire on such an event. ``known``: native field → its text, ``None``: it is absent; all others may say anything."""
        self.kernel.spelling.learn(known)
        truth = {number: holds for name in self.kernel.by_field if name not in (KEYWORDS, CHANNEL, EVENT_ID) for number, holds in self._truth(name, known).items()}
        return tuple(self.kernel.uids[rule] for rule, tree in self._left(known, logsource) if (tree if isinstance(tree, bool) else settle(tree, truth)) is not False)

    def _left(self, known: Mapping[str, str | None], logsource: LogSource) -> list[tuple[int, Tree | bool]]:
        """The rules that log source, channel and number leave open, each with what is left of it."""
        gates = self.kernel.origin_sets[self.kernel.origin(logsource)]
        channel, event_id = self._truth(CHANNEL, known), self._truth(EVENT_ID, known)
        key = (gates, frozenset(channel.items()), frozenset(event_id.items()))
        if key not in self._open:
            truth = {number: number in gates for number, _ in self.kernel.gates} | channel | event_id
            left = ((rule, self.kernel.settled(tree, truth)) for rule, tree in enumerate(self.kernel.trees))
            self._open[key] = [(rule, tree) for rule, tree in left if tree is not False]
        return self._open[key]

    def _truth(self, name: str, known: Mapping[str, str | None]) -> dict[int, bool]:
        """What is decided of the atoms of a field; nothing while its text is not known."""
        said = [known[spelt] for spelt in self.kernel.spelling.of(name) if spelt in known]
        if not said:
            return {}
        text = next((one for one in said if one is not None), None)
        field = self.kernel.field(name)
        holding = field.sets[0 if text is None else field.memo[text]]
        return {number: number in holding for number, atom in self.kernel.by_field.get(name, ()) if atom.op not in REFERENCES}
