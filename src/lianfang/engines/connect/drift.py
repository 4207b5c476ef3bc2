"""Whether a source still writes as it usually does: judged against its own past, in windows of some records.

In: rows with what mapping made of them, and how many records could not be read. Out: what changed (shares then and now, fields
that are gone or new), and which rows no longer fit. What counts as usual is robust: medians of windows with their median
absolute deviation (Rousseeuw and Croux 1993), and for attributes the lowest share that any window had; windows that drift
are not learned from, so that a drift does not become usual by lasting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from statistics import median
from typing import Any

from lianfang.engines.connect.mapping import Mapped
from lianfang.engines.connect.template import NOT_OURS
from lianfang.engines.schema.events import COLUMNS, Kind

GENERIC = frozenset({"fallback", "json", "syslog", "syslog.lines", "windows.other"})
"""Templates that take what no other knows."""
WINDOW = 20
"""Records that are judged together; fewer wait for more."""
MATURE = 100
"""Records after which a source has a usual."""
LOOKED_AT = 100
"""Rows of a window that are looked at, evenly spread: the price of a look does not grow with the flood."""
WINDOWS, KINDS, FIELDS = 60, 40, 300
STEP = 0.25
"""The least rise of a share that is a drift: four deviations of a steady source are less."""
ALWAYS, STEADY, FALL, SEVERAL = 0.95, 0.7, 0.2, 10
"""An attribute is relied on when it is filled in 95 % of all records and in 70 % of every window; it is lost when it falls 20 points below its lowest window in at least ten records."""
OFTEN, NEVER = 0.5, 0.01
HALVED = 20_000
GUARDED = tuple(column.name for column in COLUMNS if column.kind is not Kind.LIST and column.name not in NOT_OURS and column.name not in ("class_uid", "activity_id", "severity_id", "message"))
"""Attributes that an event may lack without being another event are not among them: lists gather, the message repeats."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changed. ``what``: ``rejects``, ``unknown`` (no template of its own knows them), ``attribute`` or ``fields``.

    ``name`` is the attribute, ``template`` whose records; shares are 0 to 1; ``lost`` and ``fresh`` are fields of the records.
    ``sure``: the records are of another form, not only of another kind, so that they may be held back.
    """

    what: str
    template: str = ""
    name: str = ""
    before: float = 0.0
    now: float = 0.0
    lost: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    sure: bool = True

    @property
    def key(self) -> tuple[str, str, str]:
        """Two changes with the same key are the same change."""
        return self.what, self.template, self.name


@dataclass(slots=True)
class Seen:
    """Records of one template: how many, how often each field is there, how often each attribute is filled."""

    records: int = 0
    fields: Counter[str] = field(default_factory=Counter)
    columns: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Window:
    """Some records of a source, counted. ``records`` and ``unknown`` count the rows looked at, scaled to all."""

    records: int = 0
    rejects: int = 0
    unknown: int = 0
    kinds: dict[str, Seen] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return self.records + self.rejects

    def add(self, other: Window) -> None:
        """Together with what came before."""
        self.records, self.rejects, self.unknown = self.records + other.records, self.rejects + other.rejects, self.unknown + other.unknown
        for name, seen in other.kinds.items():
            mine = self.kinds.setdefault(name, Seen())
            mine.records += seen.records
            mine.fields.update(seen.fields)
            mine.columns.update(seen.columns)


def look(rows: Sequence[Mapping[str, str]], mapped: Mapped | None, *, rejects: int, received: datetime | None = None) -> Window:
    """One batch as a window."""
    window = Window(len(rows), rejects)
    if mapped is None or not rows:
        return window
    step = max(1, len(rows) // LOOKED_AT)
    places = range(0, len(rows), step)
    for at in places:
        seen = window.kinds.setdefault(mapped.template[at], Seen())
        seen.records += 1
        seen.fields.update(rows[at].keys())
    kinds = [window.kinds[mapped.template[at]].columns for at in places]
    for name in GUARDED:
        values = mapped.columns.get(name)
        if values is not None:
            looked = [values[at] for at in places]
            if looked.count(None) < len(looked):  # most attributes are empty in all records
                for columns, value in zip(kinds, looked):
                    if is_filled(value, received):
                        columns[name] += 1
    window.unknown = round(sum(seen.records for name, seen in window.kinds.items() if name in GENERIC) * len(rows) / len(places))
    return window


def is_filled(value: Any, received: datetime | None) -> bool:
    """Whether an attribute has a value of its own; the time of receipt stands in for a time that is none."""
    return value is not None and value != "" and value is not received


class Usual:
    """What is usual of a source. Bounded; ``as_dict`` and ``Usual(value)`` carry it through a database."""

    def __init__(self, value: Mapping[str, Any] | None = None):
        value = value or {}
        self.windows: list[tuple[int, int, int]] = [tuple(one) for one in value.get("windows", [])]
        self.kinds: dict[str, Seen] = {}
        self.lowest: dict[str, dict[str, float]] = {}
        for name, one in value.get("kinds", {}).items():
            self.kinds[name] = Seen(one["records"], Counter(one["fields"]), Counter(one["columns"]))
            self.lowest[name] = dict(one["lowest"])

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        kinds = {name: {"records": seen.records, "fields": dict(seen.fields), "columns": dict(seen.columns), "lowest": self.lowest.get(name, {})} for name, seen in self.kinds.items()}
        return {"windows": [list(one) for one in self.windows], "kinds": kinds}

    @property
    def is_mature(self) -> bool:
        """Whether there has been enough to judge by."""
        return sum(records + rejects for records, rejects, _ in self.windows) >= MATURE

    def learn(self, window: Window) -> None:
        """One more window that was as it should be."""
        self.windows = [*self.windows, (window.records, window.rejects, window.unknown)][-WINDOWS:]
        for name, seen in window.kinds.items():
            if name not in self.kinds and len(self.kinds) >= KINDS:
                continue
            mine, lowest = self.kinds.setdefault(name, Seen()), self.lowest.setdefault(name, {})
            if seen.records >= SEVERAL:
                for column in (seen.columns.keys() | mine.columns.keys()) if mine.records else seen.columns.keys():
                    lowest[column] = round(min(lowest.get(column, 1.0 if not mine.records or column in mine.columns else 0.0), seen.columns[column] / seen.records), 4)
            mine.records += seen.records
            mine.fields.update({one: count for one, count in seen.fields.items() if one in mine.fields or len(mine.fields) < FIELDS})
            mine.columns.update(seen.columns)
            if mine.records > HALVED:
                self.kinds[name] = Seen(mine.records // 2, Counter({one: count // 2 for one, count in mine.fields.items() if count > 1}), Counter({one: count // 2 for one, count in mine.columns.items() if count > 1}))

    def judge(self, window: Window, *, strict: bool) -> list[Change]:
        """What changed; nothing while the window or the past is too small. ``strict``: the source names its template; where it is found by itself, other kinds of records may come at any time, and nothing is sure."""
        if not self.is_mature or window.size < WINDOW:
            return []
        found = [*self._share("rejects", window.rejects, window.size, [(one[1], one[0] + one[1]) for one in self.windows])]
        found += self._share("unknown", window.unknown, window.records, [(one[2], one[0]) for one in self.windows], least=0.05)
        for name, seen in window.kinds.items():
            if name in self.kinds and self.kinds[name].records >= MATURE and seen.records >= SEVERAL:
                found += self._kind(name, seen)
        return found if strict else [replace(one, sure=False) for one in found]

    def _share(self, what: str, count: int, total: int, past: Sequence[tuple[int, int]], *, least: float = 1.0) -> Iterable[Change]:
        """A share that rose far above its median; ``least``: only where the median is no more than this."""
        shares = [number / of for number, of in past if of]
        if not shares or total < 1:
            return
        usual = median(shares)
        spread = 1.4826 * median(abs(one - usual) for one in shares)
        if usual <= least and count >= SEVERAL and count / total > usual + max(STEP, 4 * spread):
            yield Change(what, before=round(usual, 4), now=round(count / total, 4))

    def _kind(self, name: str, seen: Seen) -> Iterable[Change]:
        past, lowest = self.kinds[name], self.lowest.get(name, {})
        lost = tuple(one for one, count in past.fields.items() if count / past.records >= ALWAYS and seen.fields[one] / seen.records < OFTEN)
        fresh = tuple(one for one, count in seen.fields.items() if count / seen.records >= OFTEN / 2 and past.fields[one] / past.records <= NEVER)[:20]
        gone = []
        for column, count in past.columns.items():
            share, floor = seen.columns[column] / seen.records, lowest.get(column, 0.0)
            if count / past.records >= ALWAYS and floor >= STEADY and share <= floor - FALL and seen.records - seen.columns[column] >= SEVERAL:
                gone.append(Change("attribute", name, column, round(count / past.records, 4), round(share, 4), lost, fresh))
        yield from gone
        if not gone and (lost or (fresh and _is_uniform(past))):
            yield Change("fields", name, lost=lost, fresh=fresh, sure=False)

    def without(self, changes: Iterable[Change]) -> Usual:
        """As if these changes had always been: what is lost is not relied on any more."""
        made = Usual(self.as_dict())
        for one in changes:
            seen = made.kinds.get(one.template)
            if one.what in ("rejects", "unknown"):
                made.windows = []
            elif seen is not None:
                seen.columns.pop(one.name, None)
                for name in (*one.lost, *one.fresh):
                    seen.fields.pop(name, None)
                seen.fields.update(dict.fromkeys(one.fresh, seen.records))
        return made

    def carried(self, template: str) -> Usual:
        """What stays true when a source is read anew: the attributes it fills (under ``template``, where it names one now); its fields are others."""
        made = Usual(self.as_dict())
        for seen in made.kinds.values():
            seen.fields = Counter()
        if template and template not in made.kinds and made.kinds:
            most = max(made.kinds, key=lambda one: made.kinds[one].records)
            made.kinds, made.lowest = {template: made.kinds[most]}, {template: made.lowest.get(most, {})}
        return made


def _is_uniform(past: Seen) -> bool:
    """Whether its records mostly have the same fields: then a new one is news. Where kinds of records take turns, it is only another turn."""
    shares = [count / past.records for count in past.fields.values() if count / past.records >= 0.05]
    return sum(share >= ALWAYS for share in shares) >= 0.75 * len(shares)


def misfits(changes: Sequence[Change], rows: Sequence[Mapping[str, str]], mapped: Mapped, *, received: datetime | None) -> dict[int, Change]:
    """Rows that are as the changes say: number → the first change that it shows."""
    found: dict[int, Change] = {}
    sure = [one for one in changes if one.sure]
    for one in sure:
        if one.what == "unknown":
            found |= {at: one for at, name in enumerate(mapped.template) if name in GENERIC and at not in found}
        elif one.what == "attribute":
            values = mapped.columns.get(one.name) or [None] * len(rows)
            found |= {at: one for at, name in enumerate(mapped.template) if name == one.template and at not in found and not is_filled(values[at], received)}
    return found
