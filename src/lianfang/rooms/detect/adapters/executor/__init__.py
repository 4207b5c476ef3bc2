"""Past events examined again: originals in, hits out. In this process, and in an executor of Spark that knows no Django and no database.

In: stored events with their originals, how each source reads, compiled rules. Out: which rules fired on which event, with the
row that they fired on. The same code runs on both sides, so that both find the same.
"""

from __future__ import annotations

import os
import re
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from lianfang.engines.connect import codecs
from lianfang.engines.connect.mapping import Templates
from lianfang.engines.rules.compiled import Compiled
from lianfang.engines.rules.examiner import Examiner
from lianfang.engines.rules.types import LogSource

AUTO = "auto"
CACHE_BYTES = 64 << 20

Row = Mapping[str, str]
Origins = Callable[[Sequence[Row]], Sequence[LogSource]]
"""The log sources of native rows."""


class Way(NamedTuple):
    """How the originals of a source are read."""

    codec: str
    header: str = ""
    start: str = ""


class Hit(NamedTuple):
    """An event (without its original) on which rules fired, and the native row that they fired on, with its log source."""

    event: dict[str, Any]
    uids: tuple[str, ...]
    row: dict[str, str]
    origin: LogSource


class Swept(NamedTuple):
    """What was found in a stretch of time: how many events were looked at, and the hits."""

    looked: int
    hits: list[Hit]


# ---- reading originals -----------------------------------------------------------------------------------------


def guessed_codec(text: str) -> str:
    """What an original looks like: JSON, or a line of syslog.

    >>> guessed_codec(' {"EventID": 1}'), guessed_codec("<38>Nov 20 08:00:00 web sshd[1]: Accepted")
    ('json', 'syslog')
    """
    return "json" if re.match(r"\s*[{\[]", text) else "syslog"


def read(events: Sequence[Mapping[str, Any]], origins: Origins, ways: Mapping[str, Way]) -> Iterator[tuple[Sequence[Row], Sequence[LogSource], list[int]]]:
    """The originals (``raw``) of stored events read again: rows, log sources, and which event each row is of.

    Each is read as its source reads (``ways``, by source); what that cannot read, and what has no source, by its look.
    """
    by_way: dict[Way, list[int]] = defaultdict(list)
    for place, event in enumerate(events):
        if event["raw"]:
            way = ways.get(event.get("source") or "", Way(AUTO))
            by_way[way if way.codec != AUTO else Way(guessed_codec(event["raw"][:64]))].append(place)
    for way, places in by_way.items():
        left = places
        for found, there in _decoded(events, way, places):
            yield found, origins(found), there
            read_now = set(there)
            left = [place for place in places if place not in read_now]
        for guessed in ("json", "syslog"):
            mine = [place for place in left if guessed_codec(events[place]["raw"][:64]) == guessed] if way.codec != guessed else []
            for found, there in _decoded(events, Way(guessed), mine):
                yield found, origins(found), there


def _decoded(events: Sequence[Mapping[str, Any]], way: Way, places: Sequence[int]) -> Iterator[tuple[Sequence[Row], list[int]]]:
    if places:
        found = codecs.decode(way.codec, [events[place]["raw"].encode() for place in places], header=way.header, start=way.start)
        if found.rows:
            yield found.rows, [places[frame] for frame in found.origin]


# ---- examining them --------------------------------------------------------------------------------------------


def sweep(pages: Iterable[Sequence[dict[str, Any]]], examiner: Examiner, wanted: Callable[[str], bool], origins: Origins, ways: Mapping[str, Way]) -> Swept:
    """Examine pages of stored events. ``wanted``: which of the uids that fire are asked for."""
    looked, hits = 0, list[Hit]()
    for page in pages:
        looked += len(page)
        fired: dict[int, dict[str, None]] = {}
        first: dict[int, tuple[Row, LogSource]] = {}
        for rows, sources, places in read(page, origins, ways):
            for at, uids in examiner.rows(rows, sources):
                asked = [uid for uid in uids if wanted(uid)]
                if asked:
                    fired.setdefault(places[at], {}).update(dict.fromkeys(asked))
                    first.setdefault(places[at], (rows[at], sources[at]))
        hits += [Hit({name: value for name, value in page[place].items() if name != "raw"}, tuple(uids), dict(first[place][0]), first[place][1]) for place, uids in sorted(fired.items())]
    return Swept(looked, hits)


def packed(pairs: Mapping[str, Sequence[str]]) -> bytes:
    """Rule → events, packed small."""
    return zlib.compress(msgspec.msgpack.encode(pairs)) if pairs else b""


def unpacked(content: bytes) -> dict[str, list[str]]:
    """The same again."""
    return msgspec.msgpack.decode(zlib.decompress(content), type=dict[str, list[str]]) if content else {}


# ---- in an executor --------------------------------------------------------------------------------------------


class Kit(msgspec.Struct):
    """All that an executor needs beside the events, as one file: ``rules`` as they are saved, the mapping templates by path, the ways of reading."""

    rules: bytes
    uids: list[str]
    mappings: dict[str, str]
    ways: dict[str, tuple[str, str, str]]


def pack(compiled: Compiled, mappings: Path, ways: Mapping[str, Way], path: Path) -> None:
    """Write the kit of these rules to ``path``."""
    with tempfile.TemporaryDirectory() as folder:
        compiled.save(Path(folder) / "rules")
        rules = (Path(folder) / "rules").read_bytes()
    texts = {str(file.relative_to(mappings)): file.read_text("utf-8") for file in sorted(mappings.rglob("*.yaml"))}
    path.write_bytes(msgspec.msgpack.encode(Kit(rules, [rule.uid for rule in compiled.rules], texts, {name: tuple(way) for name, way in ways.items()})))


class _Ready(NamedTuple):
    examiner: Examiner
    wanted: frozenset[str]
    templates: Templates
    ways: dict[str, Way]


_ready: dict[str, _Ready] = {}
"""By the name of the kit, which says what is in it: a worker process of an executor lives on, and loads a kit once."""


def work(kit: str, pages: Iterable[Sequence[dict[str, Any]]]) -> bytes:
    """What an executor does with the pages of one split; the answer is for ``told``."""
    fresh = kit not in _ready
    if fresh:
        _ready.clear()
        _ready[kit] = _load(Path(kit))
    mine = _ready[kit]
    found = sweep(pages, mine.examiner, mine.wanted.__contains__, lambda rows: mine.templates.map(rows, received=datetime.now(UTC)).logsources, mine.ways)
    return msgspec.msgpack.encode((f"{os.uname().nodename}:{os.getpid()}", fresh, found.looked, found.hits))


def _load(path: Path) -> _Ready:
    kit = msgspec.msgpack.decode(path.read_bytes(), type=Kit)
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules"
        rules.write_bytes(kit.rules)
        for name, text in kit.mappings.items():
            place = Path(folder) / "mappings" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, "utf-8")
        return _Ready(Examiner(Compiled.load(rules), cache_bytes=CACHE_BYTES), frozenset(kit.uids), Templates.load(Path(folder) / "mappings"), {name: Way(*way) for name, way in kit.ways.items()})


class Told(NamedTuple):
    """An executor's answer: which process gave it, whether it had to load the rules for it, and what it found."""

    worker: str
    loaded: bool
    swept: Swept


def told(answer: bytes) -> Told:
    """Read what ``work`` said."""
    worker, loaded, looked, hits = msgspec.msgpack.decode(answer, type=tuple[str, bool, int, list[Hit]])
    return Told(worker, loaded, Swept(looked, hits))
