"""Sigma filters: what somebody calls normal, kept apart from the rules that it takes hits from.

A filter of the Sigma specification names rules and a condition that their hits must also meet (``condition: not selection``).
Rules are not rewritten for it. ``counter`` turns the filter around: a rule that fires on exactly those events that the filter
would take from one rule, to be asked of events on which that rule has fired and of no others.
"""

from __future__ import annotations

from dataclasses import dataclass

import yaml
from sigma.exceptions import SigmaError
from sigma.filters import SigmaFilter

from lianfang.engines.rules.compiler import Uncompilable, refuse_alias_bomb
from lianfang.engines.rules.sources import RuleText
from lianfang.engines.rules.types import LogSource
from lianfang.kernel.errors import Invalid

LONGEST = 20_000
MOST_RULES = 50
"""Characters of a filter, and rules that one may name."""

_TODO = "Write it as the Sigma specification has it: logsource, and filter with rules, a selection, and a condition such as “not selection”."


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter as read: its title, the ids of the rules it names, and the log source it keeps to (``""``: any)."""

    title: str
    description: str
    rules: tuple[str, ...]
    logsource: LogSource
    detection: dict[str, object]
    condition: str

    def fits(self, logsource: LogSource) -> bool:
        """Whether a rule over ``logsource`` lies within the filter's.

        >>> Filter("", "", (), ("windows", "", ""), {}, "").fits(("windows", "process_creation", ""))
        True
        """
        return all(mine in ("", theirs) for mine, theirs in zip(self.logsource, logsource, strict=True))


def read(text: str) -> Filter:
    """A filter from its YAML. Raises ``Invalid`` for what is none, and for one that would take hits from every rule."""
    if len(text) > LONGEST:
        raise Invalid("The filter is too long", why=f"{LONGEST:,} characters at most.", todo="Make several of it.")
    try:
        refuse_alias_bomb(text)
        said = yaml.safe_load(text)
        if not isinstance(said, dict) or "filter" not in said:
            raise Invalid("This is not a Sigma filter", why="It has no section “filter”.", todo=_TODO)
        found = SigmaFilter.from_dict(said)
    except (SigmaError, yaml.YAMLError, Uncompilable, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        if isinstance(error, Invalid):
            raise
        raise Invalid("This is not a Sigma filter", why=(str(error).strip().splitlines() or [type(error).__name__])[0][:300], todo=_TODO) from error
    rules = found.filter.rules
    if isinstance(rules, str) or not 0 < len(rules) <= MOST_RULES:
        raise Invalid("The filter does not say which rules it is about", why=f"“any” would take hits from every rule of the log source; {MOST_RULES} rules can be named at most.", todo="Name the rules by their ids.")
    source = found.logsource
    detection = {name: value for name, value in said["filter"].items() if name not in ("rules", "condition")}
    names = tuple(dict.fromkeys(str(rule.reference) for rule in rules))
    return Filter(str(found.title or ""), str(found.description or ""), names, (source.product or "", source.category or "", source.service or ""), detection, str(found.filter.condition[0]))


def counter(found: Filter, logsource: LogSource, *, uid: str) -> RuleText:
    """The rule ``uid`` over ``logsource`` that fires on what the filter would take. Fields are named, and logs told apart, as for any rule there."""
    named = dict(zip(("product", "category", "service"), logsource, strict=True))
    rule = {"title": found.title or uid, "id": uid, "logsource": {name: part for name, part in named.items() if part}, "detection": found.detection | {"condition": f"not ({found.condition})"}}
    return RuleText(f"{uid}.yml", yaml.safe_dump(rule, allow_unicode=True, sort_keys=False, width=1000))
