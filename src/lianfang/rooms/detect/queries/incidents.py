"""The place of events, rules and alarms among the incidents of GB/T 20986-2023, and the level that such an incident has.

In: ``content/taxonomies/incidents.yaml``. Out: kinds of incidents with the reason; levels that follow from what a person says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml
from django.conf import settings
from django.utils.translation import gettext as _

from lianfang.commons.frame.language import either
from lianfang.kernel.errors import Invalid
from lianfang.rooms.detect.queries.framework import Named

ASKED = ("importance", "loss", "harm")
"""What a level follows from."""


@dataclass(frozen=True, slots=True)
class Place:
    """A kind of incident and its category, and why it is this one."""

    category: Named
    kind: Named
    zh: str
    en: str

    @property
    def why(self) -> str:
        return either(self.zh, self.en)


@dataclass(frozen=True, slots=True)
class Grade:
    """A level, 1 the highest, with the line of the standard that it follows from."""

    rank: int
    key: str
    colour: str
    named: Named
    why: str


@cache
def _read() -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load((settings.CONTENT / "taxonomies" / "incidents.yaml").read_text("utf-8"))
    return found


def _named(row: Mapping[str, Any]) -> Named:
    return Named(str(row["key"]), "", str(row["en"]), str(row["zh"]))


def standard() -> str:
    """What the standard is called, with its number."""
    said = _read()["standard"]
    return f"{said['number']} {either(said['zh'], said['en'])}"


@cache
def kinds() -> dict[str, tuple[Named, Named]]:
    """Kinds of incidents by key, each with its category before it; in the order of the standard."""
    return {row["key"]: (_named(category), _named(row)) for category in _read()["categories"] for row in category["kinds"]}


def _place(row: Mapping[str, Any]) -> Place:
    return Place(*kinds()[row["kind"]], str(row["zh"]), str(row["en"]))


@cache
def of_model(class_uid: int, activity: str) -> Place:
    """What an event of this class and activity (its English caption) would be evidence of."""
    return next(_place(row) for row in _read()["places"] if class_uid in row.get("classes", ()) and activity in row.get("activities", (activity,)))


def of_rule(techniques: Iterable[str], alarm: str) -> Place | None:
    """What kind of incident a rule, or an alert of it, speaks of."""
    whole = {one for id in techniques for one in (id, id.split(".")[0])}
    return next((_place(row) for row in _read()["places"] if whole & set(row.get("techniques", ())) or alarm in row.get("alarms", ())), None)


def choices(name: str) -> list[tuple[str, str]]:
    """What can be said of ``importance``, ``loss`` or ``harm``."""
    return [(row["key"], either(row["zh"], row["en"])) for row in _read()["levels"][name]]


def graded(importance: str, loss: str, harm: str) -> Grade:
    """The level of an incident: the highest of which one line of the standard fits. Raises ``Invalid``."""
    said = dict(zip(ASKED, (importance, loss, harm), strict=True))
    words = {name: dict(choices(name)).get(said[name]) for name in ASKED}
    if None in words.values():
        wrong = next(name for name in ASKED if words[name] is None)
        raise Invalid(_("The level cannot be told"), why=_("“%(given)s” is no %(name)s.") % {"given": said[wrong], "name": wrong}, todo=", ".join(key for key, _word in choices(wrong)), details={wrong: [said[wrong]]})
    for rank, row in enumerate(_read()["levels"]["grades"], 1):
        if {"importance": importance, "loss": loss} in row["of"]:
            return Grade(rank, row["key"], row["colour"], _named(row), _("What is affected is %(importance)s, the loss of business %(loss)s.") % words)
        if row["harm"] == harm and row["of"]:
            return Grade(rank, row["key"], row["colour"], _named(row), _("The harm to society is %(harm)s.") % words)
    return Grade(rank, row["key"], row["colour"], _named(row), _("No higher level fits: what is affected is %(importance)s, the loss of business %(loss)s, the harm to society %(harm)s.") % words)
