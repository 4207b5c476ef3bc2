"""Values and facts of people that may leave the room, and the algebra of permissions.

A permission is ``room.kind.verb``; a role holds patterns in which any part may be ``*`` (``*`` alone: everything,
``detect.*``: everything in detect, ``detect.*.view``: see everything in detect).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from lianfang.kernel.facts import Fact
from lianfang.kernel.labels import DataLevel

_PATTERN = re.compile(r"\*|[a-z_]+\.\*|([a-z_]+|\*)\.([a-z_]+|\*)\.([a-z_]+|\*)")


def is_pattern(text: str) -> bool:
    """Whether ``text`` is a permission or a pattern of permissions.

    >>> is_pattern("detect.*"), is_pattern("detect.rule")
    (True, False)
    """
    return bool(_PATTERN.fullmatch(text))


def _parts(pattern: str) -> tuple[str, ...]:
    parts = tuple(pattern.split("."))
    return parts + ("*",) * (3 - len(parts)) if parts[-1] == "*" else parts


def covers(granted: Iterable[str], pattern: str) -> bool:
    """Whether one of ``granted`` includes everything that ``pattern`` includes.

    >>> covers({"detect.*"}, "detect.rule.change"), covers({"detect.*.view"}, "detect.*")
    (True, False)
    """
    wanted = _parts(pattern)
    return any(len(wide := _parts(one)) == len(wanted) and all(w in ("*", p) for w, p in zip(wide, wanted, strict=True)) for one in granted)


def meet(left: Iterable[str], right: Iterable[str]) -> frozenset[str]:
    """What both sides include.

    >>> sorted(meet({"detect.*", "lake.*.view"}, {"*.*.view"}))
    ['detect.*.view', 'lake.*.view']
    """
    found = set()
    for one in map(_parts, left):
        for other in map(_parts, right):
            if len(one) == len(other) and all(a == b or "*" in (a, b) for a, b in zip(one, other, strict=True)):
                found.add(".".join(b if a == "*" else a for a, b in zip(one, other, strict=True)))
    return frozenset(found)


class Axis(StrEnum):
    """The two trees: by territory (块) and by industry (条)."""

    TERRITORY = "territory"
    INDUSTRY = "industry"

    @property
    def label(self) -> Promise:
        return {"territory": _("territory"), "industry": _("industry")}[self.value]


class Kind(StrEnum):
    """What an organisation is in the joint defence."""

    REGULATOR = "regulator"
    CENTRE = "centre"
    ASSOCIATION = "association"
    MEMBER = "member"
    BRANCH = "branch"
    DEPARTMENT = "department"
    PROVIDER = "provider"

    @property
    def label(self) -> Promise:
        return {
            "regulator": _("regulator"),
            "centre": _("sector centre"),
            "association": _("association"),
            "member": _("member institution"),
            "branch": _("branch"),
            "department": _("department"),
            "provider": _("service provider"),
        }[self.value]


@dataclass(frozen=True, slots=True)
class Unit:
    """An organisation as others see it."""

    id: str
    name: str
    short_name: str
    kind: str
    territory: str
    industry: str


@dataclass(frozen=True, slots=True)
class Person:
    """A user as others see it."""

    id: str
    username: str
    name: str
    organisation: str
    email: str
    active: bool


@dataclass(frozen=True, slots=True)
class Invited:
    """A new user and the one-time password, which is shown now and never again."""

    person: Person
    password: str


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new API key; ``secret`` is shown now and never again."""

    ref: str
    id: str
    secret: str

    @property
    def header(self) -> str:
        """The value of ``Authorization``."""
        return f"Lianfang {self.id}:{self.secret}"


@dataclass(frozen=True, slots=True)
class Hat:
    """The roles a user holds over one set of scopes, which are worn together.

    Roles held over different organisations are never mixed: who administers one branch and reads the whole region
    does not thereby administer the region. ``key`` names the hat (``axis:organisation`` of its first scope).
    """

    key: str
    over: tuple[str, ...]
    roles: tuple[str, ...]
    territory: tuple[str, ...]
    industry: tuple[str, ...]
    permissions: frozenset[str]
    clearance: DataLevel
    landing: tuple[str, ...]
    second_factor: bool

    @property
    def size(self) -> tuple[int, int]:
        """What is offered first: the most roles, then the widest scope."""
        return len(self.roles), -min(map(len, self.territory + self.industry))


@dataclass(frozen=True, slots=True)
class Function:
    """A built-in role: its key, name, what it is for, what it may, where it lands."""

    key: str
    name: str
    about: str
    permissions: tuple[str, ...]
    landing: str
    clearance: DataLevel = DataLevel.L2


_READ_ALL = ("respond.*.view", "detect.*.view", "intel.*.view", "assets.*.view", "lake.*.view", "standards.*.view", "learning.*.view", "people.organisation.view")
_EXPORT_ALL = tuple(pattern.replace(".view", ".export") for pattern in _READ_ALL)

FUNCTIONS = (
    Function(
        key="administrator",
        name=gettext_noop("Administrator"),
        about=gettext_noop("Sets up the node: organisations, people, sources, rules."),
        permissions=("*",),
        landing="respond:overview",
        clearance=DataLevel.L3,
    ),
    Function(
        key="duty_leader",
        name=gettext_noop("Duty leader"),
        about=gettext_noop("Answers for the watch: the situation, what is overdue, every decision on alerts and cases."),
        permissions=("respond.*", "coordinate.*", "operate.*.view", "ledger.*.view", "people.user.view", "standards.*.approve", "learning.model.*", "lake.exportrequest.approve", "detect.ownrule.approve", *_READ_ALL, *_EXPORT_ALL),
        landing="respond:overview",
        clearance=DataLevel.L3,
    ),
    Function(
        key="analyst",
        name=gettext_noop("Analyst"),
        about=gettext_noop("Works the alert queue: examines, decides, closes."),
        permissions=("respond.*", "detect.rule.switch", "detect.exemption.add", "detect.exemption.change", "detect.exemption.delete", "detect.ownrule.add", "detect.ownrule.change", "detect.ownrule.delete", "detect.ownscenario.add", "detect.ownscenario.change", "detect.ownscenario.delete", "intel.indicator.add", *_READ_ALL),
        landing="respond:alerts",
    ),
    Function(
        key="intelligence_officer",
        name=gettext_noop("Intelligence officer"),
        about=gettext_noop("Collects, weighs and shares intelligence."),
        permissions=("intel.*", *_READ_ALL),
        landing="intel:indicator_list",
    ),
    Function(
        key="operator",
        name=gettext_noop("Operator"),
        about=gettext_noop("Keeps the node running: sources, ingest, jobs, rule packs."),
        permissions=("lake.*", "standards.*", "learning.*", "jobs.*", "operate.*", "assets.*", "detect.*", "people.key.*", "people.organisation.view"),
        landing="lake:source_list",
    ),
    Function(
        key="unit_contact",
        name=gettext_noop("Unit contact"),
        about=gettext_noop("Speaks for one unit: its alerts, its tasks, its assets."),
        permissions=("respond.*.view", "respond.alert.acknowledge", "respond.alert.comment", "coordinate.task.*", "assets.*.view", "people.organisation.view"),
        landing="respond:alerts",
        clearance=DataLevel.L1,
    ),
    Function(
        key="auditor",
        name=gettext_noop("Auditor"),
        about=gettext_noop("Reads the ledger and who may do what; changes nothing."),
        permissions=("ledger.*", "people.*.view", "people.*.export", "lake.touch.*", "lake.exportrequest.view", "lake.measure.view", "standards.policy.view"),
        landing="ledger:record_list",
        clearance=DataLevel.L1,
    ),
)
"""The roles every node has. They are fixed; copy one to make another of it."""


@dataclass(frozen=True, slots=True)
class OrganisationMoved(Fact):
    """A subtree now hangs elsewhere. Rows of ``Scoped`` models carry the new path; what was stored elsewhere may keep the old one."""

    organisation: str
    axis: str
    before: str
    after: str


class KeyState(StrEnum):
    """Where a generation of the sealing key stands. ``LOST``: its file is not here, and things hang on it; ``GONE``: nothing does."""

    NEWEST = "newest"
    OLDER = "older"
    LOST = "lost"
    GONE = "gone"
    RETIRED = "retired"
    FORGOTTEN = "forgotten"


@dataclass(frozen=True, slots=True)
class Hanging:
    """How many things of one kind hang on a generation, and what is lost with them. ``drains``: they go by themselves."""

    kind: str
    title: str | Promise
    loss: str | Promise
    count: int
    drains: bool = False


@dataclass(frozen=True, slots=True)
class KeyGeneration:
    """One generation of the sealing key. ``number`` 0: keys that this node never had. ``ended``: since when it is retired or given up."""

    number: int
    key: str
    state: KeyState
    made: datetime | None
    made_by: str
    ended: datetime | None
    ended_by: str
    things: tuple[Hanging, ...]

    @property
    def count(self) -> int:
        """How many things hang on it."""
        return sum(one.count for one in self.things)
