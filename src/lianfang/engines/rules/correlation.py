"""Correlations as people write them → ``Correlation``: Sigma's eight types, as pySigma reads them, and ``absence``, which is ours.

    correlation:
      type: absence            # what the first rule finds is not followed by what the second finds
      rules: [service_stopped, service_started]      # one rule: not followed by itself, a heart that stopped
      group-by: [host]
      timespan: 10m

What cannot be run faithfully is an error that says why; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lianfang.engines.rules.types import Rule

ABSENCE = "absence"
COUNTS = ("event_count", "value_count", "temporal")
AMOUNTS = ("value_sum", "value_avg", "value_percentile", "value_median")
LONGEST = 8 * 86_400_000
"""Milliseconds: matches are held for twice the timespan, so a window of months would hold the whole node's memory."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """What is asked of matches. ``refs``: the rules whose matches take part, by uid, in their order; ``width`` in milliseconds.

    ``aliases``: field of ``group_by`` → rule → the name that this rule's events give it. ``fields``: whose values are counted
    or summed. ``expression``: a condition over the numbers of ``refs``. ``generate``: the rules make findings of their own too.
    """

    rule: Rule
    kind: str
    refs: tuple[str, ...]
    width: int
    group_by: tuple[str, ...] = ()
    op: str = "gte"
    bound: int = 1
    fields: tuple[str, ...] = ()
    percentile: int = 50
    aliases: Mapping[str, Mapping[str, str]] | None = None
    expression: Any = None
    generate: bool = False

    @property
    def uid(self) -> str:
        return self.rule.uid

    @property
    def eager(self) -> bool:
        """Whether what holds now stays true whatever else comes in: then nobody waits for late events."""
        if self.kind == "temporal_ordered":
            return True
        return (self.kind in COUNTS or self.kind == "value_sum") and self.op in ("gt", "gte") and "not" not in str(self.expression)

    def name_in(self, field: str, ref: str) -> str:
        """How the events of a rule call a field."""
        return ((self.aliases or {}).get(field) or {}).get(ref, field)

    def names(self, ref: str) -> set[str]:
        """The fields of a rule's events that are looked at."""
        return {self.name_in(field, ref) for field in (*self.group_by, *self.fields)}


class Unfit(ValueError):
    """A correlation that this engine will not run, and why."""


def prepared(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document as pySigma can parse it: an absence goes in as ``temporal_ordered``. Raises ``Unfit`` for what it would trip over."""
    said = document.get("correlation")
    if not isinstance(said, Mapping):
        raise Unfit("The section “correlation” holds no mapping.")
    kind = said.get("type")
    if kind == ABSENCE:
        if "condition" in said:
            raise Unfit("An absence has no condition: it is one when what is missing did not come within the timespan.")
        return {**document, "correlation": {**said, "type": "temporal_ordered"}, ABSENCE: True}
    if "condition" not in said and kind not in ("temporal", "temporal_ordered"):
        raise Unfit(f"A correlation of the type {kind} needs a condition.")
    return dict(document)


def understood(described: Rule, parsed: Any, *, absence: bool) -> Correlation:
    """What pySigma parsed, as this engine runs it; ``refs`` are still the names or ids that were written."""
    condition, kind = parsed.condition, ABSENCE if absence else parsed.type.name.lower()
    extended = getattr(condition, "parsed", None)
    written = [one.reference for one in parsed.rules or ()] or (condition.get_referenced_rules() if extended is not None else [])
    refs = tuple(dict.fromkeys(written))
    if not refs:
        raise Unfit("The correlation names no rules.")
    found = Correlation(
        described, kind, refs, int(parsed.timespan.seconds) * 1000, tuple(parsed.group_by or ()), generate=bool(parsed.generate),
        aliases={one.alias: {str(ref.reference): str(name) for ref, name in one.mapping.items()} for one in parsed.aliases.aliases.values()},
    )  # fmt: skip
    if extended is not None:
        found = replace(found, expression=_tree(extended, refs))
    elif not absence:
        named = condition.fieldref
        fields = tuple(named) if isinstance(named, list) else (named,) if named else ()
        found = replace(found, op=condition.op.name.lower(), bound=int(condition.count), fields=fields, percentile=50 if condition.percentile is None else int(condition.percentile))
        if kind == "value_percentile" and condition.percentile is None:
            raise Unfit("A value_percentile needs its percentile.")
    return _checked(found)


def _checked(one: Correlation) -> Correlation:
    if not 0 < one.width <= LONGEST:
        raise Unfit(f"The timespan must be longer than nothing and at most {LONGEST // 86_400_000} days.")
    if one.kind == ABSENCE and len(one.refs) > 2:
        raise Unfit("An absence names one rule, or two: what was found, and what should have followed.")
    if one.kind == "temporal_ordered" and not (_all_of(one.expression, len(one.refs)) if one.expression is not None else (one.op, one.bound) == ("gte", len(one.refs))):
        raise Unfit("A temporal_ordered correlation asks for all of its rules in their order; other conditions have no order.")
    if one.kind in ("temporal", "temporal_ordered") and len(one.refs) < 2:
        raise Unfit("A temporal correlation needs at least two rules.")
    if one.kind in AMOUNTS and len(one.fields) != 1:
        raise Unfit("One field is summed; several can only be counted.")
    if not 0 < one.percentile <= 100:
        raise Unfit("A percentile lies between 1 and 100.")
    return one


def _all_of(tree: Any, length: int) -> bool:
    flat = [tree] if isinstance(tree, int) else tree[1:] if tree[0] == "and" else []
    return flat == list(range(length))


def _tree(node: Any, refs: tuple[str, ...]) -> Any:
    reference = getattr(node, "reference", None)
    if reference is not None:
        return refs.index(reference)
    verb = type(node).__name__.removeprefix("CorrelationCondition").lower()
    return [verb, *(_tree(branch, refs) for branch in node.args)]


def resolved(one: Correlation, uid_of: Callable[[str], str]) -> Correlation:
    """The same with its rules by uid."""
    places = {written: uid_of(written) for written in one.refs}
    aliases = {field: {places.get(ref, ref): name for ref, name in names.items()} for field, names in (one.aliases or {}).items()}
    return replace(one, refs=tuple(places[written] for written in one.refs), aliases=aliases)


def in_order(all_: Mapping[str, Correlation]) -> list[Correlation]:
    """Those that others build upon first. Raises ``Unfit`` for a circle."""
    placed: dict[str, Correlation] = {}

    def place(one: Correlation, above: tuple[str, ...]) -> None:
        if one.uid in above:
            raise Unfit("The correlation is built upon itself.")
        if one.uid not in placed:
            for ref in one.refs:
                if ref in all_:
                    place(all_[ref], (*above, one.uid))
            placed[one.uid] = one

    for one in all_.values():
        place(one, ())
    return list(placed.values())
