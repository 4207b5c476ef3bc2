"""Explaining: which fields and values of an event made a rule fire, cut into pieces that a page can highlight.

The event is read again from its own original bytes, the way it was read when it came in: what the explanation shows is
what the examiner saw. Only the one rule is compiled for it, so a page explains in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from threading import Lock
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from lianfang.engines.connect import codecs
from lianfang.engines.connect.mapping import Templates
from lianfang.engines.rules.compiled import Compiled
from lianfang.engines.rules.examiner import Examiner
from lianfang.engines.rules.sources import RuleText
from lianfang.engines.rules.types import LogSource, WatchSets
from lianfang.engines.rules.types import Match as Found
from lianfang.kernel import clock
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import models
from lianfang.rooms.detect.adapters import executor
from lianfang.rooms.detect.adapters.executor import guessed_codec
from lianfang.rooms.detect.queries import loading
from lianfang.rooms.detect.types import IOC, OWN_LOGS, OWN_PACK, Condition, Explanation, Match, Span
from lianfang.rooms.lake import queries as lake

LONGEST_VALUE = 4000
GATES = frozenset({"Channel", "EventID", "Provider_Name"})
"""Fields that say which log an event is of; nearly every rule asks for them, none is about them."""

_WATCH_SETS = {"ip": "ips", "cidr": "cidrs", "domain": "domains", "hash": "hashes", "url": "urls"}

Row = Mapping[str, str]


def explain(uid: str, raw: str, *, part: int = 0) -> Explanation:
    """Why ``uid`` (a rule, or ``ioc:…``) fired on the event whose original is ``raw``; ``part``: which event of several in one frame."""
    rows, origins, reason = read_again(guessed_codec(raw), raw.encode())
    if not rows and models.Rule.objects.filter(uid=uid, pack__name=OWN_PACK).exists():
        rows, origins = ({lake.WHOLE: raw},), (OWN_LOGS,)  # words are looked for in whatever was said
    if not rows:
        return Explanation(uid, "", (), reason)
    at = part if part < len(rows) else 0
    return explain_row(uid, rows[at], origins[at])


def explain_row(uid: str, row: Row, origin: LogSource | None) -> Explanation:
    """The same for an event that is already read."""
    if uid.startswith(IOC):
        return _explained(_watcher(uid), uid, row, origin)
    rule = models.Rule.objects.filter(uid=uid).first()
    if rule is None:
        return Explanation(uid, "", (), _("The rule is not installed any more."))
    compiled = _compiled(rule.uid, rule.digest)
    if not compiled.rules:
        return Explanation(uid, str(rule), (), _("The rule, as it is now, cannot be compiled."))
    own = (rule.product, rule.category, rule.service) == OWN_LOGS
    return _explained(Examiner(compiled, cache_bytes=1 << 20), uid, row, OWN_LOGS if own else origin, str(rule))


@lru_cache(maxsize=256)
def _compiled(uid: str, digest: str) -> Compiled:
    return loading.one(models.Rule.objects.get(uid=uid))


def _watcher(uid: str) -> Examiner:
    kind, value = uid.removeprefix(IOC).split(":", 1)
    return Examiner(Compiled((), (), ()), watch=WatchSets(**{_WATCH_SETS[kind]: (value,)}), cache_bytes=1 << 20)


def _explained(examiner: Examiner, uid: str, row: Row, origin: LogSource | None, title: str = "") -> Explanation:
    found = examiner.explain(uid, row, origin)
    reason = "" if found.fired else _("As it is stored the event does not match: the rule was changed since, or what it matched was desensitised.")
    return Explanation(uid, title or found.title, _matches(found.matches), reason)


def _matches(found: Iterable[Found]) -> tuple[Match, ...]:
    """One line per field, what only names the log last."""
    by_field: dict[tuple[str, str], list[Found]] = {}
    for one in found:
        by_field.setdefault((one.field, one.value), []).append(one)
    lines = [_match(field, value, together) for (field, value), together in by_field.items()]
    return tuple(sorted(lines, key=lambda line: line.gate))


def _match(field: str, value: str, together: Sequence[Found]) -> Match:
    conditions = tuple(dict.fromkeys(Condition(one.operator, one.pattern) for one in together))
    return Match(field, conditions, pieces(value[:LONGEST_VALUE], [span for one in together for span in one.spans]), field in GATES)


def pieces(value: str, spans: Iterable[tuple[int, int]]) -> tuple[Span, ...]:
    """A value cut at the edges of what matched.

    >>> [(piece.text, piece.hit) for piece in pieces("powershell -enc aQ", [(11, 15)])]
    [('powershell ', False), ('-enc', True), (' aQ', False)]
    """
    cut, at = [], 0
    for start, end in _apart(spans, len(value)):
        cut += [Span(value[at:start], False), Span(value[start:end], True)]
        at = end
    return tuple(span for span in [*cut, Span(value[at:], False)] if span.text)


def _apart(spans: Iterable[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """Spans in order, touching ones joined, inside the value."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted((max(0, start), min(size, end)) for start, end in spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        elif start < end:
            joined.append((start, end))
    return joined


# ---- reading an original again ---------------------------------------------------------------------------------


_one_at_a_time = Lock()


@cache
def templates() -> Templates:
    """The mapping templates of this node; one thread at a time may use them."""
    return Templates.load(settings.CONTENT / "mappings")


def read_again(codec: str, frame: bytes) -> tuple[Sequence[Row], Sequence[LogSource], str]:
    """One frame through decoder and mapper: rows, their log sources, and why there are none."""
    found = codecs.decode(codec, [frame])
    if not found.rows:
        return (), (), found.rejects[0].reason if found.rejects else _("The frame holds nothing.")
    return found.rows, log_sources(found.rows), ""


def read_whole(codec: str, *frames: bytes) -> tuple[Sequence[Row], Mapping[str, Sequence[Any]], Sequence[LogSource], str]:
    """The same, of several frames, with the columns that would be stored."""
    found = codecs.decode(codec, frames)
    if not found.rows:
        return (), {}, (), found.rejects[0].reason if found.rejects else _("The frame holds nothing.")
    with _one_at_a_time:
        mapped = templates().map(found.rows, received=clock.now())
    return found.rows, mapped.columns, mapped.logsources, ""


def read_many(codec: str, frames: Sequence[bytes]) -> tuple[Sequence[Row], Sequence[LogSource], Sequence[int]]:
    """Many frames at once: rows, their log sources, and the frame each row came in. What cannot be read is left out."""
    found = codecs.decode(codec, frames)
    return found.rows, log_sources(found.rows) if found.rows else (), found.origin


def read_events(events: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Sequence[Row], Sequence[LogSource], list[int]]]:
    """The originals (``raw``) of stored events read again, each as its source reads: rows, log sources, and which event each row is of."""
    return executor.read(events, log_sources, ways())


def ways() -> dict[str, executor.Way]:
    """How the originals of each source are read."""
    return {name: executor.Way(*manner) for name, manner in lake.manners(viewer=SYSTEM).items()}


def log_sources(rows: Sequence[Row]) -> Sequence[LogSource]:
    """The log sources of native rows, by the templates of this node."""
    with _one_at_a_time:
        return templates().map(rows, received=clock.now()).logsources


def tried(text: str, examiners: Sequence[Examiner]) -> dict[str, Any]:
    """What happens to an example that a person pasted: how it is read, and which of the rules of ``examiners`` fire on it, each explained."""
    rows, origins, reason = read_again(guessed_codec(text), text.strip().encode())
    if not rows:
        return {"rows": (), "reason": reason, "fired": ()}
    uids = [uid for examiner in examiners for _row, uids in examiner.rows(rows[:1], origins[:1]) for uid in uids]
    return {"rows": rows, "origins": origins, "reason": "", "fired": tuple(explain_row(uid, rows[0], origins[0]) for uid in uids)}


def tried_draft(uid: str, text: str, title: str, read: Mapping[str, Any]) -> Explanation | None:
    """Why a rule that is not in force would fire on an example that ``tried`` has read; ``None`` if it would not."""
    compiled = _compiled_text(uid, text)
    examiner = Examiner(compiled, cache_bytes=1 << 20)
    fired = bool(compiled.rules) and bool(examiner.rows(read["rows"][:1], read["origins"][:1]))
    return _explained(examiner, uid, read["rows"][0], read["origins"][0], title) if fired else None


@lru_cache(maxsize=256)
def _compiled_text(uid: str, text: str) -> Compiled:
    return loading.compile_texts([RuleText(f"{uid}.yml", text)])
