"""Baselines as content: one YAML file beside the rules says whose events are counted, by what, and from when on a departure is worth an alert.

::

    title: Account on a server where it never logged in
    id: 0d6b…                       # and level, tags, description, author, falsepositives as a Sigma rule has them
    baseline:
      kind: new_pair                # first_seen, new_pair, rarity, rate, peer
      entity: user                  # a column of events, or several
      value: host
      where: {class_uid: 3002, status_id: 1}
      days: 30                      # and other numbers of engines.series.Spec
    lianfang: {title_zh: …, description_zh: …}
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml
from django.db.models import BooleanField, QuerySet, Value

from lianfang.engines.rules.sources import RuleText
from lianfang.engines.rules.types import Rule
from lianfang.engines.series import DAY, Kind, Spec
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.types import BASELINE
from lianfang.rooms.lake import queries as lake

NUMBERS: dict[Kind, tuple[str, ...]] = {
    Kind.FIRST_SEEN: ("days", "learning", "least", "most"),
    Kind.NEW_PAIR: ("days", "learning", "least", "most"),
    Kind.RARITY: ("days", "learning", "least", "share"),
    Kind.RATE: ("days", "weeks", "least", "far"),
    Kind.PEER: ("days", "learning", "least", "floor", "far"),
}
"""The numbers of each kind that people may change."""
_KNOWN = {one.name for one in fields(Spec)} - {"kind"}
_COLUMNS = ("entity", "value", "group")


@dataclass(frozen=True, slots=True)
class Declared:
    """One baseline: what a rule says of itself, what is counted, and how it is judged."""

    rule: Rule
    tally: lake.Tally
    spec: Spec

    def changed(self, given: Mapping[str, Any]) -> Spec:
        """Judged by other numbers; raises ``Invalid`` where they contradict each other."""
        return Spec(**{**asdict(self.spec), **{name: value for name, value in given.items() if name in NUMBERS[self.spec.kind]}})

    def basis(self, spec: Spec) -> str:
        """By what its counts are made."""
        return hashlib.sha256(repr((self.tally, spec.kind, spec.days)).encode()).hexdigest()


def is_one(text: RuleText) -> bool:
    """Whether a file holds a baseline, and is no rule for the examiners."""
    return text.text.startswith("baseline:") or "\nbaseline:" in text.text


def read(text: RuleText) -> Declared:
    """One baseline. Raises ``Invalid`` with the reason when it cannot be used."""
    try:
        said = yaml.safe_load(text.text)
    except yaml.YAMLError as error:
        raise _wrong("It is no YAML.", str(error).splitlines()[0]) from error
    if not isinstance(said, dict) or not isinstance(said.get("baseline"), dict) or not said.get("id") or not said.get("title"):
        raise _wrong("It needs an id, a title and a section “baseline”.")
    about, kind = said["baseline"], str(said["baseline"].get("kind", ""))
    if kind not in set(Kind):
        raise _wrong(f"“{kind}” is no kind of baseline.", f"There are {', '.join(Kind)}.")
    numbers = {name: about[name] for name in about if name in _KNOWN}
    unknown = set(about) - _KNOWN - {"kind", "where", *_COLUMNS}
    if unknown:
        raise _wrong(f"It says “{min(unknown)}”, which means nothing.")
    columns = {name: _names(about.get(name)) for name in _COLUMNS}
    _must_fit(Kind(kind), columns, numbers)
    try:
        spec = Spec(Kind(kind), **numbers)
    except TypeError as error:
        raise _wrong("One of its numbers is none.") from error
    where = tuple((str(name), tuple(values) if isinstance(values, list) else (values,)) for name, values in (about.get("where") or {}).items())
    return Declared(_rule(said, text), lake.Tally(columns["entity"], columns["value"], columns["group"], where, spec.span), spec)


def _must_fit(kind: Kind, columns: Mapping[str, tuple[str, ...]], numbers: Mapping[str, Any]) -> None:
    wants_value = kind in (Kind.FIRST_SEEN, Kind.NEW_PAIR, Kind.RARITY) or bool(numbers.get("distinct"))
    if wants_value and not columns["value"]:
        raise _wrong("It does not say which value is looked at.", "Name a column as value.")
    if not columns["entity"] and kind is not Kind.FIRST_SEEN:
        raise _wrong("It does not say whose events are counted.", "Name a column as entity.")


def _names(said: Any) -> tuple[str, ...]:
    return tuple(map(str, said)) if isinstance(said, list) else (str(said),) if said else ()


def _wrong(*why: str) -> Invalid:
    return Invalid("This is no baseline", why=" ".join(why), todo="Mend the file.")


def _rule(said: Mapping[str, Any], text: RuleText) -> Rule:
    tags = tuple(map(str, said.get("tags") or ()))
    names = [tag.removeprefix("attack.") for tag in tags if tag.startswith("attack.")]
    attack = tuple(name.upper() for name in names if name[:1] == "t" and name[1:5].isdigit())
    return Rule(
        uid=str(said["id"]), title=str(said["title"]), level=str(said.get("level", "medium")), status=str(said.get("status", "")), author=str(said.get("author", "")), description=str(said.get("description", "")),
        references=tuple(map(str, said.get("references") or ())), tags=tags, attack=attack, logsource=("", BASELINE, ""), falsepositives=tuple(map(str, said.get("falsepositives") or ())), digest=hashlib.sha256(text.text.encode()).hexdigest(), path=text.path,
    )  # fmt: skip


# ---- as they stand -------------------------------------------------------------------------------------------------


def rows(viewer: Viewer) -> QuerySet[models.Baseline]:
    """The baselines a viewer may see: all or none, as with rules; ``whole``: whether they may know what is counted of everybody."""
    found = models.Baseline.objects.filter(rule__gone=False).annotate(whole=Value(viewer.sees_node, BooleanField())).select_related("rule", "rule__pack").defer("state", "rule__text", "rule__pack__problems")
    return found if viewer.may("detect.baseline.view") else found.none()


def declared(row: models.Baseline) -> Declared:
    """What its file says."""
    return read(RuleText(row.rule.path, row.rule.text))


def spec_of(row: models.Baseline) -> Spec:
    """The numbers by which it is judged here."""
    return declared(row).changed(row.given)


def learned_at(row: models.Baseline) -> datetime | None:
    """When it will know the first of its entities for long enough; ``None``: nothing came yet."""
    if row.since is None:
        return None
    spec = spec_of(row)
    return row.since + timedelta(days=7 * spec.weeks if spec.kind is Kind.RATE else spec.learning)


def standing(row: models.Baseline) -> str:
    """off, trouble, waiting (nothing came), learning, or judging."""
    if not row.rule.loaded:
        return "off"
    if row.trouble:
        return "trouble"
    ready = learned_at(row)
    return "waiting" if ready is None else "learning" if ready > clock.now() else "judging"


def moment(milliseconds: int) -> datetime:
    """As a time."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def horizon(spec: Spec, now: datetime) -> datetime:
    """From when on stored events are its history."""
    return moment((int(now.timestamp() * 1000) // DAY - spec.days) * DAY)
