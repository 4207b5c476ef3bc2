"""May this label travel to that audience? FIRST TLP 2.0, the data level, and the industry; every "no" says why.

In: the label of a thing, and who would receive it. Out: a ``Decision`` that lists all reasons against.
"""

from __future__ import annotations

from dataclasses import dataclass

from lianfang.kernel.errors import Refused
from lianfang.kernel.labels import TLP, DataLevel


@dataclass(frozen=True, slots=True)
class Label:
    """What a thing says of itself. ``owner``: its organisation; ``industries``: to whom it is of use (none: to all); ``named``: recipients under TLP:RED and AMBER."""

    tlp: TLP
    owner: str
    level: DataLevel = DataLevel.L2
    industries: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Audience:
    """Who would receive it. ``member``: belongs to the sharing community; ``clearance``: the highest level it may hold."""

    organisation: str
    industry: str = ""
    member: bool = False
    clearance: DataLevel = DataLevel.L2


@dataclass(frozen=True, slots=True)
class Decision:
    """Allowed, or the reasons why not (all of them)."""

    allowed: bool
    why: tuple[str, ...] = ()

    def or_refuse(self) -> None:
        """Raise ``Refused`` with the reasons unless allowed."""
        if not self.allowed:
            raise Refused("This may not be sent there", why=" ".join(self.why), todo="Lower the label, if you own it, or choose another audience.")


def may_travel(label: Label, audience: Audience) -> Decision:
    """Whether ``label`` lets the thing reach ``audience``. Its owner always has it.

    >>> may_travel(Label(TLP.GREEN, "a"), Audience("b", member=True)).allowed
    True
    >>> may_travel(Label(TLP.AMBER, "a"), Audience("b", member=True)).why
    ('TLP:AMBER reaches only the recipients that are named.',)
    """
    if label.owner == audience.organisation:
        return Decision(True)
    why = (*_tlp(label, audience), *_level(label, audience), *_industry(label, audience))
    return Decision(not why, why)


def _tlp(label: Label, audience: Audience) -> tuple[str, ...]:
    if label.tlp is TLP.CLEAR or (label.tlp is TLP.GREEN and audience.member):
        return ()
    if label.tlp is TLP.GREEN:
        return ("TLP:GREEN stays in the community, and this audience is not a member.",)
    if label.tlp is TLP.AMBER_STRICT:
        return ("TLP:AMBER+STRICT stays in the organisation that owns it.",)
    return () if audience.organisation in label.named else (f"TLP:{label.tlp.value.upper()} reaches only the recipients that are named.",)


def _level(label: Label, audience: Audience) -> tuple[str, ...]:
    return () if label.level <= audience.clearance else (f"Its data level {label.level:d} is above the clearance {audience.clearance:d}.",)


def _industry(label: Label, audience: Audience) -> tuple[str, ...]:
    return () if not label.industries or audience.industry in label.industries else ("It is meant for other industries.",)
