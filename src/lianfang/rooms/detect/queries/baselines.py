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
from functools import lru_cache
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
_COLUMNS, _SHARES = ("entity", "value", "group"), ("share", "far")
LONGEST_ID = 64


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


@lru_cache(maxsize=512)
def read(text: RuleText) -> Declared:
    """One baseline. Raises ``Invalid`` with the reason when it cannot be used."""
    try:
        said = yaml.safe_load(text.text)
    except yaml.YAMLError as error:
        raise _wrong("It is no YAML.", str(error).splitlines()[0]) from error
    if not isinstance(said, dict) or not isinstance(said.get("baseline"), dict) or not said.get("id") or not said.get("title") or len(str(said["id"])) > LONGEST_ID:
        raise _wrong("It needs an id, a title and a section “baseline”.")
    about, kind = said["baseline"], str(said["baseline"].get("kind", ""))
    if kind not in set(Kind):
        raise _wrong(f"“{kind}” is no kind of baseline.", f"There are {', '.join(Kind)}.")
    numbers = {name: float(about[name]) if name in _SHARES and isinstance(about[name], int) else about[name] for name in about if name in _KNOWN}
    unknown = set(about) - _KNOWN - {"kind", "where", *_COLUMNS}
    if unknown:
        raise _wrong(f"It says “{min(map(str, unknown))}”, which means nothing.")
    columns = {name: _names(about.get(name)) for name in _COLUMNS}
    _must_fit(Kind(kind), columns, numbers)
    try:
        spec = Spec(Kind(kind), **numbers)
    except TypeError as error:
        raise _wrong("One of its numbers is none.") from error
    return Declared(_rule(said, text), lake.Tally(columns["entity"], columns["value"], columns["group"], _where(about.get("where") or {}), spec.span), spec)


def uid_of(text: RuleText) -> str:
    """The id of a file that can be read no further, so that what is wrong is said of the rule that is there; empty where it has none."""
    try:
        said = yaml.safe_load(text.text)
    except yaml.YAMLError:
        return ""
    return str(said.get("id") or "")[:LONGEST_ID] if isinstance(said, dict) else ""


def _where(said: Any) -> tuple[tuple[str, tuple[str | int, ...]], ...]:
    pairs = [(str(name), tuple(values) if isinstance(values, list) else (values,)) for name, values in said.items()] if isinstance(said, dict) else [("", ())]
    if not all(values and all(isinstance(one, str | int) for one in values) and (name != "class_uid" or all(isinstance(one, int) for one in values)) for name, values in pairs):
        raise _wrong("“where” names columns with the values they may have.")
    return tuple(pairs)


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
    tags = _names(said.get("tags"))
    names = [tag.removeprefix("attack.") for tag in tags if tag.startswith("attack.")]
    attack = tuple(name.upper() for name in names if name[:1] == "t" and name[1:5].isdigit())
    return Rule(
        uid=str(said["id"]), title=str(said["title"]), level=str(said.get("level", "medium")), status=str(said.get("status", "")), author=str(said.get("author", "")), description=str(said.get("description", "")),
        references=_names(said.get("references")), tags=tags, attack=attack, logsource=("", BASELINE, ""), falsepositives=_names(said.get("falsepositives")), digest=hashlib.sha256(text.text.encode()).hexdigest(), path=text.path,
    )  # fmt: skip


# ---- as they stand -------------------------------------------------------------------------------------------------


def rows(viewer: Viewer) -> QuerySet[models.Baseline]:
    """The baselines a viewer may see: all or none, as with rules; ``whole``: whether they may know what is counted of everybody."""
    found = models.Baseline.objects.filter(rule__gone=False).annotate(whole=Value(viewer.sees_node, BooleanField())).select_related("rule", "rule__pack").defer("rule__pack__problems")
    return found if viewer.may("detect.baseline.view") else found.none()


def declared(row: models.Baseline) -> Declared:
    """What its file says."""
    return read(RuleText(row.rule.path, row.rule.text))


def spec_of(row: models.Baseline) -> Spec:
    """The numbers by which it is judged here; the rule's own where they changed since and what people gave no longer goes with them."""
    one = declared(row)
    try:
        return one.changed(row.given)
    except Invalid:
        return one.spec


def unfit(row: models.Baseline) -> str:
    """Why the numbers that people gave are not in force; empty where they are."""
    try:
        declared(row).changed(row.given)
    except Invalid as error:
        return error.why
    return ""


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
    if row.trouble or unfit(row):
        return "trouble"
    ready = learned_at(row)
    return "waiting" if ready is None else "learning" if ready > clock.now() else "judging"


def moment(milliseconds: int) -> datetime:
    """As a time."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def horizon(spec: Spec, now: datetime) -> datetime:
    """From when on stored events are its history."""
    return moment((int(now.timestamp() * 1000) // DAY - spec.days) * DAY)
