"""Departures: why a baseline fired, in sentences with its numbers, and the curve beside which the observed point stands out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from lianfang.engines.series import Kind
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import models
from lianfang.rooms.detect.queries.baselines import moment
from lianfang.rooms.detect.types import ANOMALY, BASELINE
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.types import Odd

Said = Mapping[str, Any]
BAND, MARK = "#7c8aa5", "#d63939"


@dataclass(frozen=True, slots=True)
class Told:
    """One departure: ``what`` was seen, what was ``expected`` and from how much, ``how_far``, the usual values, and the ``chart``."""

    finding: str
    what: str
    expected: str
    from_what: str
    how_far: str
    known: tuple[str, ...]
    moment: datetime
    chart: dict[str, Any]


def departures(ids: Iterable[Any], viewer: Viewer) -> list[Told]:
    """The departures of these findings as far as the viewer sees them, the newest first."""
    rows = models.Finding.objects.seen_by(viewer).filter(pk__in=list(ids), kind__in=(BASELINE, ANOMALY)).order_by("-last", "-id")
    return [_told(row, viewer) for row in rows]


def _told(row: models.Finding, viewer: Viewer) -> Told:
    said, veil = dict(row.chain), lake.veil(viewer)

    def shown(part: str, text: str, level: int) -> str:
        columns = said["columns"][part]
        return text if not text or not veil.hides(*columns, level=level, territory=row.territory) else " · ".join(str(lake.masked(column, piece)) for column, piece in zip(columns, text.split(" · "), strict=False))

    behind = max(row.level, said.get("level") or DataLevel.L4)  # what others did may be of a higher level than what was seen
    names = {part: shown(part, said[part], row.level) for part in ("entity", "value", "group")}
    known_part = "value" if said["kind"] in (Kind.FIRST_SEEN, Kind.NEW_PAIR, Kind.RARITY) else "entity"
    facts = {**said, **names, "window": dict(said["numbers"])["days"], "many": int(said["usual"]), "below": said["far"] < 0, "number": said["seen"], "seen": _number(said["seen"]), "usual": _number(said["usual"]), "spread": _number(said["spread"]), "far": f"{abs(said['far']):.1f}"}
    known = [(str(date_format(timezone.localtime(moment(int(name))), "m-d H:i")) if said["kind"] == Kind.RATE else shown(known_part, name, behind), number) for name, number in said["known"]]
    labels = [shown(known_part, point["label"], behind) if point["label"] else "" for point in said["curve"]]
    sentences = _SENTENCES[said["kind"]](facts)
    return Told(str(row.pk), *sentences, tuple(f"{name} ({_number(number)})" for name, number in known), moment(said["first"]), _chart(said, labels))


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def _span(facts: Said) -> str:
    since, until = (date_format(timezone.localtime(moment(facts[name])), "Y-m-d") for name in ("since", "until"))
    return f"{since} – {until}"


def _basis(facts: Said) -> str:
    events = ngettext("%(n)s event", "%(n)s events", facts["samples"]) % {"n": _number(facts["samples"])}
    days = ngettext("on %(n)d day", "on %(n)d days", facts["days"]) % {"n": facts["days"]}
    return f"{events} {days} ({_span(facts)})"


def _first_seen(facts: Said) -> tuple[str, str, str, str]:
    who = facts["entity"]
    what = _("%(value)s was never seen with %(entity)s before") % facts if who else _("%(value)s was never seen before") % facts
    expected = ngettext("One value is known", "%(n)s values are known", facts["many"]) % {"n": facts["usual"]}
    return what, expected, _basis(facts), _("not once in %(days)d days") % {"days": facts["window"]}


def _new_pair(facts: Said) -> tuple[str, str, str, str]:
    expected = ngettext("One value is known", "%(n)s values are known", facts["many"]) % {"n": facts["usual"]}
    return _("%(entity)s was never seen with %(value)s before") % facts, expected, _basis(facts), _("both are known, not once together in %(days)d days") % {"days": facts["window"]}


def _rarity(facts: Said) -> tuple[str, str, str, str]:
    what = _("%(value)s was seen with %(entity)s and hardly with anybody else") % facts
    return what, _("at most %(usual)s of %(members)d have a rare one") % facts, _basis(facts), _("%(seen)s of %(members)d have it") % facts


def _rate(facts: Said) -> tuple[str, str, str, str]:
    what = _("%(seen)s events of %(entity)s in an hour") % facts
    expected = _("usually %(usual)s ± %(spread)s at this hour of the week") % facts
    basis = ngettext("%(n)d week (%(span)s)", "%(n)d weeks (%(span)s)", facts["samples"]) % {"n": facts["samples"], "span": _span(facts)}
    return what, expected, basis, _("%(far)s deviations below") % facts if facts["below"] else _("%(far)s deviations above") % facts


def _peer(facts: Said) -> tuple[str, str, str, str]:
    what = (_("%(entity)s: %(seen)s different values in a day") if facts["columns"]["value"] else _("%(entity)s: %(seen)s events in a day")) % facts
    expected = _("usually %(usual)s ± %(spread)s among its likes (%(group)s)") % facts if facts["group"] else _("usually %(usual)s ± %(spread)s among its likes") % facts
    basis = _("%(samples)d days of %(members)d others (%(span)s)") % {**facts, "span": _span(facts)}
    return what, expected, basis, _("%(far)s deviations above") % facts


def _new_line(facts: Said) -> tuple[str, str, str, str]:
    what = _("%(entity)s wrote a line that was never seen before: %(value)s") % facts
    further = ngettext(", and %(alike)d further kind of line with it", ", and %(alike)d further kinds of lines with it", facts["alike"]) % {"alike": facts["alike"]} if facts["alike"] else ""
    expected = ngettext("one kind of line is known", "%(n)d kinds of lines are known", facts["members"]) % {"n": facts["members"]}
    return what + further, expected, *_of_lines(facts), _("not once in this time")


def _odd_number(facts: Said) -> tuple[str, str, str, str]:
    what = ngettext("%(n)s line in an hour from %(entity)s: %(value)s", "%(n)s lines in an hour from %(entity)s: %(value)s", int(facts["number"])) % {"n": facts["seen"], "entity": facts["entity"], "value": facts["value"]}
    expected = _("usually %(usual)s ± %(spread)s at this time of day") % facts
    return what, expected, *_of_lines(facts), _("%(far)s deviations below") % facts if facts["below"] else _("%(far)s deviations above") % facts


def _of_lines(facts: Said) -> tuple[str]:
    return (ngettext("%(n)s line (%(span)s)", "%(n)s lines (%(span)s)", facts["samples"]) % {"n": _number(facts["samples"]), "span": _span(facts)},)


_SENTENCES: dict[str, Callable[[Said], tuple[str, str, str, str]]] = {
    Kind.FIRST_SEEN: _first_seen, Kind.NEW_PAIR: _new_pair, Kind.RARITY: _rarity, Kind.RATE: _rate, Kind.PEER: _peer,
    f"{ANOMALY}_{Odd.NEW}": _new_line, f"{ANOMALY}_{Odd.MORE}": _odd_number, f"{ANOMALY}_{Odd.FEWER}": _odd_number,
}  # fmt: skip


_NAMES: dict[str, Callable[[], str]] = {Kind.RARITY: lambda: _("members that have it"), Kind.PEER: lambda: _("others, their middle day")}


def _chart(said: Said, labels: Sequence[str]) -> dict[str, Any]:
    """Counts as bars or a line, what is usual as a band, the observed point in red with its number."""
    curve, last = said["curve"], len(said["curve"]) - 1
    hourly = said["kind"] == Kind.RATE or said["kind"].startswith(ANOMALY)
    names = [label or timezone.localtime(moment(point["at"])).strftime("%m-%d %H:%M" if hourly else "%m-%d") for point, label in zip(curve, labels, strict=True)]
    series: list[dict[str, Any]] = []
    if any(point["low"] is not None for point in curve):
        low = [point["low"] for point in curve]
        wide = [None if point["high"] is None else point["high"] - (point["low"] or 0) for point in curve]
        hidden = {"type": "line", "stack": "band", "symbol": "none", "silent": True, "z": 1, "lineStyle": {"opacity": 0}}
        series += [{**hidden, "data": low, "tooltip": {"show": False}}, {**hidden, "name": _("usual range"), "data": wide, "itemStyle": {"color": BAND}, "areaStyle": {"color": BAND, "opacity": 0.25}, "tooltip": {"show": False}}]
    shape = {"type": "line", "symbol": "none", "step": "middle"} if hourly else {"type": "bar", "barMaxWidth": 18}
    series.insert(0, {**shape, "name": _NAMES.get(said["kind"], lambda: _("events"))(), "data": [None if number == last else point["n"] for number, point in enumerate(curve)]})
    limit = curve[last]["high"] if said["kind"] == Kind.RARITY else None
    mark = {"type": "scatter", "name": _("observed"), "symbol": "diamond", "symbolSize": 14, "itemStyle": {"color": MARK}, "z": 5, "label": {"show": True, "position": "top", "fontWeight": "bold", "formatter": "{@[1]}", "color": "inherit", "textBorderWidth": 0}, "data": [[last, curve[last]["n"]]]}
    if limit is not None:
        mark["markLine"] = {"symbol": "none", "silent": True, "data": [{"yAxis": limit}], "label": {"formatter": _("rare")}}
    legend = {"data": [one["name"] for one in (*series, mark) if one.get("name")]}
    return {"animation": False, "grid": {"left": 8, "right": 24, "top": 56, "bottom": 6, "containLabel": True}, "legend": legend, "xAxis": {"type": "category", "data": names}, "yAxis": {"type": "value", "minInterval": 1, "splitNumber": 3}, "series": [*series, mark]}
