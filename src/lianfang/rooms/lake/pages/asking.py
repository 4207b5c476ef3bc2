"""From an address to a question and back: what the search page's own address says.

In: ``span`` or ``since``/``until`` (local time), ``q``, ``f=column:operator:value`` (repeatable), ``after``. Out: a
``Question``, and addresses with one part more, less or other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame.language import either
from lianfang.commons.frame.sheets import SEVERITIES as SEVERITY_CHOICES
from lianfang.engines.schema.events import BY_NAME, COLUMNS, Kind
from lianfang.engines.schema.ocsf import ACTIVITIES_ZH, CLASSES
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid
from lianfang.rooms.lake.types import Filter, Question

SPANS: dict[str, tuple[Any, timedelta]] = {
    "15m": (_("last 15 minutes"), timedelta(minutes=15)),
    "1h": (_("last hour"), timedelta(hours=1)),
    "4h": (_("last 4 hours"), timedelta(hours=4)),
    "24h": (_("last 24 hours"), timedelta(hours=24)),
    "7d": (_("last 7 days"), timedelta(days=7)),
    "30d": (_("last 30 days"), timedelta(days=30)),
    "180d": (_("last 180 days"), timedelta(days=180)),
}
USUAL = "24h"
OPERATORS: dict[str, Any] = {
    "is": _("is"), "is_not": _("is not"), "contains": _("contains"), "starts": _("begins with"), "any_of": _("is one of"),
    "above": _("is above"), "below": _("is below"), "empty": _("is empty"), "filled": _("is filled"),
}  # fmt: skip
UNARY = ("empty", "filled")
LOCAL = "%Y-%m-%dT%H:%M:%S"
AHEAD = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Chip:
    """One condition as the sentence says it, and the address without it."""

    label: str
    op: Any
    value: str
    without: str


class Asked:
    """What an address asks."""

    def __init__(self, params: QueryDict):
        self.params = params
        self.words = params.get("q", "").strip()[:500]
        self.filters = tuple(_filter(text) for text in params.getlist("f")[:30] if text)
        self.since, self.until, self.span = _bounds(params)

    def question(self, **more: Any) -> Question:
        """As the lake understands it."""
        return Question(self.since, self.until, self.filters, self.words, **({"after": self.params.get("after", ""), "limit": 50} | more))

    @property
    def span_label(self) -> Any:
        """The time in words."""
        if self.span:
            return SPANS[self.span][0]
        return f"{timezone.localtime(self.since):%m-%d %H:%M} – {timezone.localtime(self.until):%m-%d %H:%M}"

    @property
    def low(self) -> str:
        return timezone.localtime(self.since).strftime(LOCAL)

    @property
    def high(self) -> str:
        return timezone.localtime(self.until).strftime(LOCAL)

    def pairs(self, *, time: bool = True) -> list[tuple[str, str]]:
        """The parts of the address."""
        found = [("q", self.words)] if self.words else []
        found += [("f", f"{one.column}:{one.op}:{one.value}") for one in self.filters]
        if time:
            found += [("span", self.span)] if self.span else [("since", clock.text(self.since)), ("until", clock.text(self.until))]
        return found

    def address(self, **more: str) -> str:
        """The same question, with some parts set."""
        return "?" + urlencode([pair for pair in self.pairs() if pair[0] not in more] + list(more.items()))

    def fixed(self) -> str:
        """The same question with its bounds nailed down, for the parts of the page that follow."""
        return urlencode([*self.pairs(time=False), ("since", clock.text(self.since)), ("until", clock.text(self.until))])

    def with_filter(self, column: str, value: Any, op: str = "is") -> str:
        return "?" + urlencode([*self.pairs(), ("f", f"{column}:{op}:{value}")])

    def chips(self) -> list[Chip]:
        """The conditions, each removable."""
        return [Chip(title(one.column), OPERATORS[one.op], "" if one.op in UNARY else said(one.column, one.value), self._without(one)) for one in self.filters]

    def _without(self, one: Filter) -> str:
        gone = ("f", f"{one.column}:{one.op}:{one.value}")
        return "?" + urlencode([pair for pair in self.pairs() if pair != gone])


def _filter(text: str) -> Filter:
    one = Filter.of(text)
    if one.column not in BY_NAME or one.op not in OPERATORS:
        raise Invalid("The condition cannot be read", why=f"“{text[:80]}” is not column:operator:value.", todo="Remove it from the address, or choose it on the page.")
    return Filter(one.column, one.op, one.value[:500])


def _bounds(params: QueryDict) -> tuple[datetime, datetime, str]:
    now = clock.now()
    if params.get("since") or params.get("until"):
        until = _moment(params.get("until", "")) or now + AHEAD
        since = _moment(params.get("since", "")) or until - SPANS[USUAL][1]
        if since >= until:
            raise Invalid("The time ends before it begins", todo="Choose an earlier start.")
        return since, until, ""
    span = params.get("span", USUAL)
    span = span if span in SPANS else USUAL
    return now - SPANS[span][1], now + AHEAD, span


def _moment(text: str) -> datetime | None:
    """RFC 3339, or the local time of a form field."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"“{text[:40]}” is not a time", todo="Write it like 2026-11-20T08:00.") from error
    return moment if moment.tzinfo else timezone.make_aware(moment)


def title(column: str) -> str:
    """A column's name in the reader's language."""
    return either(BY_NAME[column].zh, BY_NAME[column].en)


def said(column: str, value: Any) -> str:
    """A value as people say it: classes by name."""
    if column == "class_uid" and str(value).isdigit():
        return class_name(int(value))
    return str(value)


def class_name(uid: int | None) -> str:
    """An event class in the reader's language."""
    known = CLASSES.get(uid or 0)
    if known is None:
        return str(_("Other"))
    return either(known.zh, known.caption)


STATUSES: dict[int, Any] = {1: pgettext_lazy("status", "succeeded"), 2: pgettext_lazy("status", "failed")}
SEVERITIES: dict[int, Any] = dict(SEVERITY_CHOICES)


def activity_name(uid: int | None, activity: int | None) -> str:
    """What was done, in the reader's language; empty when it is not said."""
    known = CLASSES.get(uid or 0)
    caption = known.activities.get(activity or 0, "") if known and activity else ""
    return either(ACTIVITIES_ZH.get(caption, caption), caption)


def status_name(status: int | None) -> str:
    """Succeeded or failed; empty when it is not said."""
    return str(STATUSES.get(status or 0, ""))


def choosable() -> list[tuple[str, str]]:
    """Columns that a condition may be about."""
    return [(column.name, title(column.name)) for column in COLUMNS if column.kind is not Kind.TIME and column.name not in ("event_day", "raw", "unmapped")]
