"""Looking for events: a page of them, how they spread over time, the most frequent values, one of them, and SQL.

In: a ``Question`` and the viewer. Out: values. Every question has bounds in time, and is asked newest first in growing
windows, so that the usual one opens few files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from django.utils.translation import gettext

from lianfang.engines.columns.measures import Check
from lianfang.engines.columns.query import Bounds
from lianfang.engines.columns.rollups import HOURS, VALUES, Rollup
from lianfang.engines.columns.sieves import LISTS, TEXT, Holds
from lianfang.engines.masking import To
from lianfang.engines.schema.events import BY_NAME, Kind
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid, Missing
from lianfang.kernel.labels import DataLevel
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models
from lianfang.rooms.lake.queries import leaving, scope, sealing
from lianfang.rooms.lake.types import EVENT_TABLES, Answer, Count, Filter, Found, Histogram, Question

LISTED = (
    "event_id", "time", "source", "territory", "class_uid", "activity_id", "severity_id", "status_id", "host", "user", "actor_user", "logon_type", "src_ip", "src_port", "dst_ip", "dst_port", "dst_host", "process", "process_cmd",
    "product", "log_name", "event_code", "message", "domain", "url", "http_method", "http_status", "file", "reg_key", "service", "level", "rules", "raw",
)  # fmt: skip
"""What a list of events needs; the raw log is cut to a line."""
RAW_LINE = 400
LIMIT = 500
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2592000, 31536000)
BARS = 90
SHORT = timedelta(hours=1)
"""Up to this length a question is asked at once: the same few files would be opened for each part."""
LONG = timedelta(days=2)
"""From this length on the most frequent values come from the roll-ups by day."""
OPERATORS = {
    Kind.TEXT: ("is", "is_not", "contains", "starts", "any_of", "empty", "filled"),
    Kind.INT: ("is", "is_not", "above", "below", "any_of", "empty", "filled"),
    Kind.LIST: ("is", "is_not", "empty", "filled"),
    Kind.TIME: ("above", "below"),
}


def search(question: Question, *, viewer: Viewer, whole: bool = False) -> Found:
    """A page of events in the viewer's scope, newest first; ``whole``: with every column and the raw log uncut."""
    viewer.must("lake.event.view")
    limit = max(1, min(question.limit, LIMIT))
    where, params = conditions(question, viewer)
    found: list[dict[str, Any]] = []
    listed = "*" if whole else _listed(question)
    for since, until in _windows(question):
        room = limit + 1 - len(found)
        sql = f"SELECT {listed} FROM stored WHERE {where} ORDER BY time DESC, event_id DESC LIMIT {room}"  # noqa: S608  (columns of ours, values as parameters)
        found += scope.query().rows(sql, params, bounds=Bounds(question.tables, since, until, holds=_holds(question)))
        if len(found) > limit:
            break
    veil = scope.veil(viewer)
    return Found(tuple(veil.row(row) for row in found[:limit]), _cursor(found[limit - 1]) if len(found) > limit else "")


def histogram(question: Question, *, viewer: Viewer, seconds: int = 0) -> Histogram:
    """How the events of a question spread over its time, in stretches of ``seconds`` (0: at most about a hundred); over long times from roll-ups."""
    viewer.must("lake.event.view")
    where, params = conditions(question, viewer, paged=False)
    seconds = seconds or _step((question.until - question.since).total_seconds())
    width = seconds * 1_000_000
    bounds, stretch = Bounds(question.tables, question.since, question.until, holds=_holds(question)), f"epoch_us(time) // {width} AS stretch"
    if seconds % HOURS.seconds == 0 and _is_counted(question, HOURS):
        rows = scope.query().counted(HOURS, f"SELECT {stretch}, sum(n) AS n FROM stored WHERE {where} GROUP BY 1", params, bounds=bounds)  # noqa: S608
    else:
        rows = scope.query().rows(f"SELECT {stretch}, count(*) AS n FROM stored WHERE {where} GROUP BY 1", params, bounds=bounds)  # noqa: S608
    counts = {int(row["stretch"]): int(row["n"]) for row in rows}
    first, last = _micros(question.since) // width, (_micros(question.until) - 1) // width
    stretches = range(first, last + 1)
    return Histogram(seconds, tuple(datetime.fromtimestamp(at * seconds, UTC) for at in stretches), tuple(counts.get(at, 0) for at in stretches))


def top(question: Question, column: str, *, viewer: Viewer, limit: int = 10) -> list[Count]:
    """The most frequent values of a column among the events of a question; lists count each of their values."""
    viewer.must("lake.event.view")
    kind = _column(column).kind
    where, params = conditions(question, viewer, paged=False)
    value = f'"{column}"' if column in scope.OPEN else f'CASE WHEN {scope.readable(viewer, column)} THEN "{column}" END'
    bounds, tail = Bounds(question.tables, question.since, question.until, holds=_holds(question)), f"WHERE value IS NOT NULL GROUP BY value ORDER BY n DESC, value LIMIT {int(limit)}"
    rollup = VALUES.get(column, HOURS if column in HOURS.keys else None)
    if rollup and question.until - question.since >= LONG and _is_counted(question, rollup):
        rows = scope.query().counted(rollup, f"SELECT value, sum(n) AS n FROM (SELECT {value} AS value, n FROM stored WHERE {where}) {tail}", params, bounds=bounds)  # noqa: S608
    else:
        value = f"unnest({value})" if kind is Kind.LIST else value
        rows = scope.query().rows(f"SELECT value, count(*) AS n FROM (SELECT {value} AS value FROM stored WHERE {where}) {tail}", params, bounds=bounds)  # noqa: S608
    return [Count(row["value"], int(row["n"])) for row in rows]


def _is_counted(question: Question, rollup: Rollup) -> bool:
    """Whether a roll-up knows every column that the question has a condition on."""
    known = set(rollup.keys) - {rollup.unnest}
    return not question.text and question.check is None and all(one.column in known for one in question.filters)


def event(event_id: str, *, viewer: Viewer) -> dict[str, Any]:
    """One event, whole: every column the viewer may see, with the raw log. Raises ``Missing``."""
    found = events([event_id], viewer=viewer)
    if not found:
        raise Missing("There is no such event", why="It does not exist, its time is over, or it lies outside your scope.", todo="Search for it by its time.")
    return found[0]


def events(event_ids: list[str], *, viewer: Viewer) -> list[dict[str, Any]]:
    """Several events, whole, in the order asked; those that are not there or not visible are left out."""
    viewer.must("lake.event.view")
    found: dict[str, dict[str, Any]] = {}
    veil = scope.veil(viewer)
    for event_id in event_ids:
        sql = f"SELECT * FROM stored WHERE event_id = ? AND {scope.rows(viewer)} LIMIT 1"  # noqa: S608
        for row in scope.query().rows(sql, [event_id], bounds=Bounds(EVENT_TABLES, event_id=event_id)):
            found[event_id] = veil.row(row)
    return [found[event_id] for event_id in event_ids if event_id in found]


def sql(text: str, *, viewer: Viewer, limit: int = 1000, seconds: float = 20.0, since: datetime | None = None, until: datetime | None = None, as_of: datetime | None = None, to: To | None = None) -> Answer:
    """What a person's own SELECT over ``events`` answers (or would have, ``as_of`` a moment); it sees the viewer's rows and columns and nothing else, ``to``: as they may leave."""
    table = sql_table(text, viewer=viewer, limit=limit, seconds=seconds, since=since, until=until, as_of=as_of, to=to)
    rows = list(zip(*(column.to_pylist() for column in table.columns))) if table.num_columns else []
    return Answer(tuple(table.column_names), tuple(rows[:limit]), len(rows) > limit)


def sql_table(text: str, *, viewer: Viewer, limit: int, seconds: float = 20.0, since: datetime | None = None, until: datetime | None = None, as_of: datetime | None = None, to: To | None = None, below: int = 0) -> pa.Table:
    """The same as an Arrow table of at most ``limit`` rows and one."""
    viewer.must("lake.event.view")
    if as_of is not None:
        _must_be_untouched_since(as_of)
    view, functions = leaving.view(viewer, to, below=below)
    return scope.query().guarded(text, bounds=Bounds(EVENT_TABLES, since, until, as_of=as_of), views={"events": view}, functions=functions, limit=limit, seconds=seconds)


def sql_level(text: str, answer: pa.Table, *, viewer: Viewer, limit: int, since: datetime | None = None, until: datetime | None = None, as_of: datetime | None = None, to: To | None = None) -> int:
    """The highest level that an answer says anything of: it is another one without the rows of that level. Level 2 and below are not told apart."""
    for level in (DataLevel.L4, DataLevel.L3):
        if viewer.clearance >= level and not answer.equals(sql_table(text, viewer=viewer, limit=limit, since=since, until=until, as_of=as_of, to=to, below=int(level))):
            return int(level)
    return int(DataLevel.L2)


def _must_be_untouched_since(as_of: datetime) -> None:
    """What was erased stays erased, and whose events are whose is decided today: nobody looks back beyond either."""
    changed = models.Chore.objects.filter(done__gte=as_of).exists() or models.Chore.objects.filter(done=None).exists()
    if changed:
        raise Missing("The tables cannot be shown as they were then", why="Since then a source was erased or an organisation was moved.", todo="Choose a later moment.")


# ---- the parts of a question -----------------------------------------------------------------------------------


def conditions(question: Question, viewer: Viewer, *, paged: bool = True) -> tuple[str, list[Any]]:
    """Scope, filters, words and where the last page ended, as SQL with its values."""
    if question.since >= question.until:
        raise Invalid("The time ends before it begins", todo="Choose an earlier start.")
    parts, params = [scope.rows(viewer)], []
    for part, values in (*_failing(question.check, viewer), *(_filtered(one, viewer) for one in question.filters), *_words(question.text, viewer), *(_after(question.after) if paged else ())):
        parts.append(part)
        params += values
    return " AND ".join(f"({part})" for part in parts), params


def _column(name: str) -> Any:
    column = BY_NAME.get(name)
    if column is None:
        raise Invalid(gettext("Events have no column %s") % name[:40], todo="The catalogue lists the columns.")
    return column


def _filtered(one: Filter, viewer: Viewer) -> tuple[str, list[Any]]:
    column = _column(one.column)
    if one.op not in OPERATORS[column.kind]:
        raise Invalid(gettext("%(column)s cannot be asked “%(op)s”") % {"column": one.column, "op": one.op[:20]}, todo=gettext("Use one of %s.") % ", ".join(OPERATORS[column.kind]))
    part, values = _compared(column.name, column.kind, one.op, one.value)
    return (part if column.name in scope.OPEN else f"{scope.readable(viewer, column.name)} AND ({part})"), values


def _compared(name: str, kind: Kind, op: str, value: str) -> tuple[str, list[Any]]:
    if name == "event_day":
        name, kind = "strftime(time, '%Y-%m-%d')", Kind.TEXT
    else:
        name = f'"{name}"'
    if op == "empty":
        return (f"coalesce(len({name}), 0) = 0" if kind is Kind.LIST else f"{name} IS NULL"), []
    if op == "filled":
        return (f"len({name}) > 0" if kind is Kind.LIST else f"{name} IS NOT NULL"), []
    if kind is Kind.LIST:
        part = f"list_contains({name}, ?)"
        return (part if op == "is" else f"NOT coalesce({part}, FALSE)"), [value]
    if kind is Kind.INT:
        return _number(name, op, value)
    if kind is Kind.TIME:
        return f"{name} {'>=' if op == 'above' else '<'} ?", [clock.parse(value)]
    return _text(name, op, value)


def _text(name: str, op: str, value: str) -> tuple[str, list[Any]]:
    """Texts are compared without regard to case, as Windows and DNS do."""
    if op == "any_of":
        values = [part.strip().lower() for part in value.split(",") if part.strip()]
        return f"lower({name}) IN ({', '.join('?' * len(values)) or 'NULL'})", values
    forms = {"is": f"lower({name}) = lower(?)", "is_not": f"lower({name}) IS DISTINCT FROM lower(?)", "contains": f"contains(lower({name}), lower(?))", "starts": f"starts_with(lower({name}), lower(?))"}
    return forms[op], [value]


def _number(name: str, op: str, value: str) -> tuple[str, list[Any]]:
    try:
        values = [int(part) for part in value.split(",")] if op == "any_of" else [int(value)]
    except ValueError as error:
        raise Invalid(gettext("“%s” is not a number") % value[:40], todo="Write digits.") from error
    if any(abs(number) >= 1 << 63 for number in values):
        raise Invalid(gettext("“%s” is too large a number") % value[:40], todo="Write a smaller one.")
    if op == "any_of":
        return f"{name} IN ({', '.join('?' * len(values))})", values
    sign = {"is": "=", "is_not": "IS DISTINCT FROM", "above": ">", "below": "<"}[op]
    return f"{name} {sign} ?", values


def _failing(check: Check | None, viewer: Viewer) -> Iterator[tuple[str, list[Any]]]:
    """Rows that fail a check, where the viewer may see every column that it looks at."""
    if check is not None:
        yield " AND ".join(("TRUE", *(scope.readable(viewer, name) for name in check.checked().columns() if name not in scope.OPEN))), []
        yield f"({check.applies()}) AND ({check.fails()})", []


def _words(text: str, viewer: Viewer) -> Iterator[tuple[str, list[Any]]]:
    """Every word (or “quoted phrase”) must occur in the raw log, as written or as JSON would write it."""
    for word in _split(text):
        forms = _forms(word)
        yield f"{scope.readable(viewer, 'raw')} AND (" + " OR ".join(_occurs(form) for form in forms) + ")", [_sought(form) for form in forms]


def _forms(word: str) -> list[str]:
    return list(dict.fromkeys((word, json.dumps(word, ensure_ascii=False)[1:-1], json.dumps(word)[1:-1])))


def _holds(question: Question) -> Holds:
    """What the rows must hold, for the sieves: values of lists, and words whose only letters of two cases are ASCII."""
    if sealing.may_be_sealed():
        return ()  # sieves know sealed values as they lie
    lists = tuple((one.column, (one.value,)) for one in question.filters if one.column in LISTS and one.op == "is")
    return lists + tuple((TEXT, tuple(_forms(word))) for word in _split(question.text) if all(sign.isascii() or sign.lower() == sign.upper() for sign in word))


def _occurs(word: str) -> str:
    """A word without letters of two cases is compared as it is; others by an automaton, in two thirds of the time that ``lower`` takes."""
    return "contains(raw, ?)" if word.lower() == word.upper() else "regexp_matches(raw, ?)"


def _sought(word: str) -> str:
    return word if word.lower() == word.upper() else f"(?i){re.escape(word)}"


def _split(text: str) -> list[str]:
    """Words, with phrases in quotes kept together.

    >>> _split('sudo "port 22" root')
    ['sudo', 'port 22', 'root']
    """
    words = []
    for number, part in enumerate(text.replace("“", '"').replace("”", '"').split('"')):
        words += ([part] if part.strip() else []) if number % 2 else part.split()
    return words[:20]


def _cursor(row: dict[str, Any]) -> str:
    return f"{_micros(row['time'])}:{row['event_id']}"


def _after(cursor: str) -> Iterator[tuple[str, list[Any]]]:
    if cursor:
        moment, event_id = _parsed(cursor)
        yield "time < ? OR (time = ? AND event_id < ?)", [moment, moment, event_id]


def _parsed(cursor: str) -> tuple[datetime, str]:
    micros, _, event_id = cursor.partition(":")
    if not micros.lstrip("-").isdigit() or len(micros) > 18 or not event_id:
        raise Invalid("This is no page of the list", todo="Start from the first page.")
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(micros)), event_id


def _windows(question: Question) -> Iterator[tuple[datetime, datetime]]:
    """The question's time from its end backwards, in growing parts."""
    until = question.until
    if question.after:
        until = min(until, _parsed(question.after)[0] + timedelta(microseconds=1))
    whole = until - question.since
    for share in (64, 8, 1) if whole > SHORT else (1,):
        since = question.since if share == 1 else question.until - whole / share if not question.after else until - whole / share
        since = max(since, question.since)
        if since < until:
            yield since, until
            until = since


_LISTED = ", ".join(f'left("{name}", {RAW_LINE}) AS "{name}"' if name in ("raw", "message", "process_cmd") else f'"{name}"' for name in LISTED)


def _listed(question: Question) -> str:
    """The columns of a list, with those that a check looks at."""
    more = [name for name in question.check.columns() if name not in LISTED] if question.check else []
    return ", ".join((_LISTED, *(f'"{name}"' for name in more)))


def _step(span: float) -> int:
    return next((step for step in STEPS if span / step <= BARS), STEPS[-1])


def _micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
