"""What may leave the room of standards: the words of data quality, figures, and its facts.

In: nothing. Out: frozen values with plain fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.kernel.facts import Fact

EVENTS = "events"
"""The data set of all event tables: a column means the same wherever it stands."""


class Type(TextChoices):
    """What a value of an element is."""

    TEXT = "text", pgettext_lazy("element", "text")
    CODE = "code", pgettext_lazy("element", "code")
    INTEGER = "integer", pgettext_lazy("element", "whole number")
    DECIMAL = "decimal", pgettext_lazy("element", "decimal number")
    TIME = "time", pgettext_lazy("element", "time")
    DATE = "date", pgettext_lazy("element", "date")
    YESNO = "yesno", pgettext_lazy("element", "yes or no")


class State(TextChoices):
    """Where a version of an element stands."""

    DRAFT = "draft", pgettext_lazy("element", "draft")
    SUBMITTED = "submitted", pgettext_lazy("element", "submitted")
    APPROVED = "approved", pgettext_lazy("element", "approved")
    RETIRED = "retired", pgettext_lazy("element", "retired")


class Use(TextChoices):
    """Whether a column follows an element."""

    SUGGESTED = "suggested", pgettext_lazy("use", "suggested")
    CONFIRMED = "confirmed", pgettext_lazy("use", "confirmed")
    REFUSED = "refused", pgettext_lazy("use", "refused")


class Word(TextChoices):
    """The five words of data quality: 全面性、准确性、完整性、一致性、及时性."""

    COVERAGE = "coverage", pgettext_lazy("quality", "Coverage")
    ACCURACY = "accuracy", pgettext_lazy("quality", "Accuracy")
    COMPLETENESS = "completeness", pgettext_lazy("quality", "Completeness")
    CONSISTENCY = "consistency", pgettext_lazy("quality", "Consistency")
    TIMELINESS = "timeliness", pgettext_lazy("quality", "Timeliness")


class Kind(TextChoices):
    """What a rule asks."""

    FILLED = "filled", _("the column is filled")
    TOGETHER = "together", _("where one column is filled, another is too")
    FORMAT = "format", _("the text has a form")
    LENGTH = "length", _("the text has a length")
    CODES = "codes", _("the value is one of a list")
    RANGE = "range", _("the number lies in a range")
    SAME = "same", _("two columns say the same")
    ORDER = "order", _("one column is not after another")
    MEMBER = "member", _("the value stands in a list column")
    DELAY = "delay", _("the record arrives in time")
    FRESH = "fresh", _("something new has come lately")
    SOURCES = "sources", _("every source speaks in every hour")


WORD_OF: Mapping[str, Word] = {
    Kind.FILLED: Word.COMPLETENESS, Kind.TOGETHER: Word.COMPLETENESS, Kind.FORMAT: Word.ACCURACY, Kind.LENGTH: Word.ACCURACY, Kind.CODES: Word.ACCURACY, Kind.RANGE: Word.ACCURACY,
    Kind.SAME: Word.CONSISTENCY, Kind.ORDER: Word.CONSISTENCY, Kind.MEMBER: Word.CONSISTENCY, Kind.DELAY: Word.TIMELINESS, Kind.FRESH: Word.TIMELINESS, Kind.SOURCES: Word.COVERAGE,
}  # fmt: skip
"""What is asked → the word it stands for."""


class Standing(TextChoices):
    """What the last measuring said of a rule."""

    UNKNOWN = "unknown", pgettext_lazy("rule", "not measured")
    NOTHING = "nothing", pgettext_lazy("rule", "nothing to ask")
    KEPT = "kept", pgettext_lazy("rule", "kept")
    BELOW = "below", pgettext_lazy("rule", "below threshold")


class Deed(TextChoices):
    """What is done with a part of the data at the end of its life."""

    ARCHIVE = "archive", pgettext_lazy("deed", "archive")
    DESTROY = "destroy", pgettext_lazy("deed", "destroy")
    RESTORE = "restore", pgettext_lazy("deed", "bring back")


class Progress(TextChoices):
    """Where a deed stands."""

    ASKED = "asked", pgettext_lazy("deed", "waits for approval")
    APPROVED = "approved", pgettext_lazy("deed", "approved, being done")
    DONE = "done", pgettext_lazy("deed", "done")
    REFUSED = "refused", pgettext_lazy("deed", "refused")
    FAILED = "failed", pgettext_lazy("deed", "failed")


class Stage(TextChoices):
    """The stages of a data set's life: 采集、传输、存储、使用、共享、归档、销毁."""

    COLLECT = "collect", pgettext_lazy("life", "Collected")
    TRANSMIT = "transmit", pgettext_lazy("life", "Transmitted")
    STORE = "store", pgettext_lazy("life", "Stored")
    USE = "use", pgettext_lazy("life", "Used")
    SHARE = "share", pgettext_lazy("life", "Shared")
    ARCHIVE = "archive", pgettext_lazy("life", "Archived")
    DESTROY = "destroy", pgettext_lazy("life", "Destroyed")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that happened to a data set: when, what (a verb of the ledger), who, and the record."""

    at: datetime
    verb: str
    who: str
    label: str
    record: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StageOfLife:
    """A stage with its state (``done``, ``going``, ``none``), what can be said of it in figures, and the evidence, newest first."""

    stage: str
    state: str
    facts: tuple[tuple[str, Any], ...]
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Control:
    """A setting or rule of the node that keeps a clause: whether it holds now (``None``: the node cannot see it), what was seen, the page where it is kept."""

    key: str
    label: str
    holds: bool | None
    said: str
    page: str


@dataclass(frozen=True, slots=True)
class Figure:
    """How many rows were asked and how many failed; ``share`` in per cent, ``None`` when none was asked."""

    applied: int
    failed: int

    @property
    def share(self) -> float | None:
        return 100 * (1 - self.failed / self.applied) if self.applied else None


@dataclass(frozen=True, slots=True)
class Scores:
    """The quality of one table: score in per cent by word (``None``: nothing was asked), over all of them, and how many rows there are."""

    table: str
    rows: int
    words: Mapping[str, float | None]
    total: float | None


@dataclass(frozen=True, slots=True)
class Trend:
    """Scores over time: the begins of equal stretches, and for each line its scores (``None``: nothing was asked)."""

    seconds: int
    starts: tuple[datetime, ...]
    lines: Mapping[str, tuple[float | None, ...]]


@dataclass(frozen=True, slots=True)
class ColumnUse:
    """One column of a data set, and the use (a row of the room) that says which element it follows; ``None``: no element."""

    column: str
    title: str
    kind: str
    use: Any
    figure: Figure | None


@dataclass(frozen=True, slots=True)
class QualityFell(Fact):
    """A rule fell below its threshold; both in per cent."""

    rule: str
    title: str
    organisation: str
    score: float
    threshold: float


@dataclass(frozen=True, slots=True)
class QualityRecovered(Fact):
    """A rule that was below its threshold keeps it again."""

    rule: str
    title: str
    organisation: str
    score: float
