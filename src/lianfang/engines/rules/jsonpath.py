"""JSON lines → fired rules, decoding only what the rules of an event's class read.

The class of a line (its channel and event id) is guessed from the bytes after ``"EventID":``, by what such bytes meant
before. The line is decoded once, into a structure that has only the fields wanted for that class and admits only channels
and event ids of that class; a wrong guess fails there and the line is read again, head first. Lines are decoded one by one and never
joined for decoding: joined lines could be made to swallow each other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Literal, NamedTuple, cast

import msgspec
import numpy as np

from lianfang.engines.rules import rowpath
from lianfang.engines.rules.judging import Glance, judge
from lianfang.engines.rules.kernel import CHANNEL, CLASS_FIELDS, EVENT_ID, Class, ClassKey, Kernel, Verdict, default_source
from lianfang.engines.rules.memory import text
from lianfang.engines.rules.types import Hits, LogSource

CHUNK = 8192

_MARK = b'"EventID":'
_TOKEN = len(_MARK) + 8
_MOST_GUESSES = 1 << 16
_MOST_READERS = 4096
_MOST_ADMITTED = 512
_SAMPLE = 64
_LOOK_EVERY = 512
_USUAL = 16
_NEAR = 1024
_DEEPEST = 16
_WHOLE_NUMBERS = 1 << 53
_BROKEN = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

Guess = tuple[bytes, int | None]
"""The bytes after the mark, and the origin where it is given."""
Refuse = Callable[[int, str], None]
Getter = Callable[[Any], Any]
Indexes = list[int]

_decode_any = msgspec.json.Decoder().decode


class Reader(NamedTuple):
    """A decoder for lines of one kind, and for each name that is asked for, how to get it."""

    decode: Callable[[bytes], Any]
    get: Mapping[str, tuple[Getter, ...]]


class Decoded(NamedTuple):
    """The lines that could be decoded: their places in the chunk, their bytes, what they came to."""

    indexes: Indexes
    lines: list[bytes]
    events: list[Any]


class Lines:
    """The JSON path of one kernel; remembers guesses, the channels and event ids seen of each class, and readers."""

    def __init__(self, kernel: Kernel, refuse: Refuse) -> None:
        self.kernel, self.refuse = kernel, refuse
        self.guesses: dict[Guess, ClassKey] = {}
        self.channels: dict[int, dict[Any, None]] = defaultdict(dict)
        self.events: dict[int, dict[Any, None]] = defaultdict(dict)
        self.readers: dict[tuple[Any, ...], Reader] = {}
        self.era = kernel.era

    def examine(self, lines: Sequence[bytes], logsources: Sequence[LogSource] | None) -> Hits:
        """Hits of all lines; what is no JSON object is told to ``refuse`` with its index."""
        hits: Hits = []
        for start in range(0, len(lines), CHUNK):
            self._tidy()
            chunk = lines[start : start + CHUNK]
            given = None if logsources is None else logsources[start : start + CHUNK]
            hits += sorted((start + index, verdict) for index, verdict in _Chunk(self, chunk, given, start).hits())
        return hits

    def _tidy(self) -> None:
        self.kernel.tidy()
        if self.era != self.kernel.era or len(self.guesses) > _MOST_GUESSES or len(self.readers) > _MOST_READERS:
            for memory in (self.guesses, self.channels, self.events, self.readers):
                memory.clear()
            self.era = self.kernel.era

    def reader(self, names: tuple[str, ...], key: ClassKey | None = None) -> Reader:
        """A reader of the named fields; with a class ``key``, one that fails on channels and event ids not seen of that class."""
        known = (names, self.kernel.spelling.version) if key is None else (names, self.kernel.spelling.version, key[1:], len(self.channels[key[1]]), len(self.events[key[2]]))
        found = self.readers.get(known)
        if found is None:
            found = self.readers[known] = self._make(names, key)
        return found

    def _make(self, names: tuple[str, ...], key: ClassKey | None) -> Reader:
        spelled = {name: self.kernel.spelling.of(name) for name in names}
        slots = {spelt: f"f{at}" for at, spelt in enumerate(dict.fromkeys(spelt for group in spelled.values() for spelt in group))}
        fields: list[Any] = [(slot, Any, msgspec.field(name=spelt, default=None)) for spelt, slot in slots.items() if key is None or spelt not in CLASS_FIELDS]
        if key is not None:
            heads = ((CHANNEL, "c", self.channels[key[1]]), (EVENT_ID, "e", self.events[key[2]]))
            fields = [(slots.get(name, slot), Literal[tuple(values)], msgspec.field(name=name)) for name, slot, values in heads] + fields
        shape = msgspec.defstruct("Event", fields, gc=False)
        return Reader(msgspec.json.Decoder(shape).decode, {name: tuple(attrgetter(slots[spelt]) for spelt in group) for name, group in spelled.items()})

    def head(self, line: bytes, origin: int | None) -> tuple[ClassKey, bool]:
        """The class of a line by decoding its head, and whether its channel and event id are text or whole numbers under their own names.

        Raises one of ``_BROKEN`` if it is no JSON object, ``TypeError`` if channel or event id is a list or an object.
        """
        reader = self.reader(CLASS_FIELDS)
        event = reader.decode(line)
        own = [reader.get[name][0](event) for name in CLASS_FIELDS]
        channel, code = (next(iter(column([event], reader.get[name]))) for name in CLASS_FIELDS)
        kernel = self.kernel
        key = (kernel.origin(default_source(channel)) if origin is None else origin, kernel.channel.memo[channel], kernel.event_id.memo[code])
        exact = all(type(value) is str or (type(value) is int and abs(value) < _WHOLE_NUMBERS) for value in own)
        return key, exact and self._admit(key, channel, code)

    def _admit(self, key: ClassKey, channel: Any, code: Any) -> bool:
        channels, events = self.channels[key[1]], self.events[key[2]]
        if len(channels) < _MOST_ADMITTED:
            channels[channel] = None
        if len(events) < _MOST_ADMITTED:
            events[code] = None
        return channel in channels and code in events


def column(events: Sequence[Any], getters: tuple[Getter, ...]) -> Iterable[Any]:
    """One field of all events, under the first spelling that an event has."""
    if len(getters) == 1:
        return map(getters[0], events)
    return (next((value for get in getters if (value := get(event)) is not None), None) for event in events)


def _alike(tokens: list[Any]) -> Iterator[tuple[Any, Indexes]]:
    """Each distinct token and the indexes where it stands, in order."""
    known: dict[Any, int] = {}
    firsts = np.fromiter(map(known.setdefault, tokens, range(len(tokens))), np.uint16, len(tokens))  # a chunk is shorter than 2^16
    order = np.argsort(firsts, kind="stable")
    borders = np.searchsorted(firsts[order], np.fromiter(known.values(), np.uint16, len(known)))
    whole = order.tolist()
    for token, start, end in zip(known, borders.tolist(), [*borders[1:].tolist(), len(whole)]):
        yield token, whole[start:end]


class _Chunk:
    """One chunk on its way: grouped by guess, decoded, judged; indexes count from its start."""

    def __init__(self, path: Lines, lines: Sequence[bytes], logsources: Sequence[LogSource] | None, start: int) -> None:
        self.path, self.kernel, self.lines, self.logsources, self.start = path, path.kernel, lines, logsources, start
        self.origins = None if logsources is None else list(map(self.kernel.origin, logsources))
        self.doubtful: Indexes = []
        self.sizes: dict[Guess, int] = {}
        self.found: dict[Guess, Counter[ClassKey]] = defaultdict(Counter)

    def hits(self) -> Iterator[tuple[int, Verdict]]:
        for key, indexes in self._guessed().items():
            yield from self._read(key, indexes, guessed=True)
        for (key, _), indexes in self._sorted().items():
            yield from self._read(key, indexes, guessed=False)
        self._guess_better()

    def _tokens(self) -> list[bytes]:
        return [line[(at := line.find(_MARK)) : at + _TOKEN] for line in self.lines]

    def _guessed(self) -> dict[ClassKey, Indexes]:
        """Lines by guessed class; those without a guess are doubtful."""
        classes: dict[ClassKey, Indexes] = {}
        for token, indexes in _alike(list(zip(self._tokens(), self.origins)) if self.origins else self._tokens()):
            guess: Guess = token if self.origins else (token, None)
            self.sizes[guess] = len(indexes)
            key = self.path.guesses.get(guess) or self._first_guess(indexes[0])
            if key is None:
                self.doubtful += indexes
            else:
                classes.setdefault(key, []).extend(indexes)
        return classes

    def _first_guess(self, index: int) -> ClassKey | None:
        """What one line with an unknown token says of all such lines."""
        try:
            key, exact = self._head(index)
        except (*_BROKEN, TypeError):
            return None
        return key if exact else None

    def _sorted(self) -> dict[tuple[ClassKey, bool], Indexes]:
        """The doubtful lines by their true class; what cannot be read is refused."""
        classes: dict[tuple[ClassKey, bool], Indexes] = {}
        for index in self.doubtful:
            try:
                found = self._head(index)
            except _BROKEN as error:
                self._refuse(index, error)
            except TypeError:
                found = (_ODD, False)
                classes.setdefault(found, []).append(index)
            else:
                classes.setdefault(found, []).append(index)
        return classes

    def _head(self, index: int) -> tuple[ClassKey, bool]:
        line, origin = self.lines[index], None if self.origins is None else self.origins[index]
        key, exact = self.path.head(line, origin)
        if exact:
            guess = line[(at := line.find(_MARK)) : at + _TOKEN], origin
            self.path.guesses.setdefault(guess, key)
            self.found[guess][key] += 1
        return key, exact

    def _guess_better(self) -> None:
        """What a token meant for the most of its lines is guessed from now on: a few others do not change it."""
        for guess, keys in self.found.items():
            if keys.total() * 2 > self.sizes[guess]:
                self.path.guesses[guess] = keys.most_common(1)[0][0]

    def _refuse(self, index: int, error: BaseException) -> None:
        self.path.refuse(self.start + index, str(error))

    def _read(self, key: ClassKey, indexes: Indexes, *, guessed: bool) -> Iterator[tuple[int, Verdict]]:
        each = None if key == _ODD else self.kernel.class_of(key)
        plan = None if each is None else _plan(each)
        if each is None or plan is None:
            yield from self._whole(indexes)
            return
        self._learn(each, indexes)
        for start in range(0, len(indexes), _NEAR):
            glance = each.plans.get("glance")
            reader = self.path.reader(plan if glance is None else glance.fields, key if guessed else None)
            part = indexes[start : start + _NEAR]
            batch = LineBatch(self, each, reader, (self._decode if guessed else self._decode_each)(reader, part))
            yield from self._judge(each, batch)

    def _judge(self, each: Class, batch: LineBatch) -> Iterator[tuple[int, Verdict]]:
        try:
            hits = [(batch.indexes[at], verdict) for at, verdict in judge(each, batch)]
        except TypeError:  # a value is a list or an object
            yield from self._whole(batch.indexes)
        else:
            yield from hits

    def _decode(self, reader: Reader, indexes: Indexes) -> Decoded:
        """Lines of a guessed class; those that are not of it become doubtful."""
        return self._sift(reader, indexes, lambda index, _: self.doubtful.append(index))

    def _decode_each(self, reader: Reader, indexes: Indexes) -> Decoded:
        """Lines of a known class; those that cannot be read are refused."""
        return self._sift(reader, indexes, self._refuse)

    def _sift(self, reader: Reader, indexes: Indexes, otherwise: Callable[[int, BaseException], None]) -> Decoded:
        lines: list[bytes] = [self.lines[index] for index in indexes]
        events: list[Any] = []
        broken: dict[int, None] = {}
        decoding = map(reader.decode, lines)
        while True:
            try:
                events.extend(decoding)  # what was decoded before a line that fails stays, and the next round goes on behind it
                break
            except _BROKEN as error:
                at = len(events) + len(broken)
                broken[at] = None
                otherwise(indexes[at], error)
        if broken:
            indexes = [index for at, index in enumerate(indexes) if at not in broken]
            lines = [self.lines[index] for index in indexes]
        return Decoded(indexes, lines, events)

    def _learn(self, each: Class, indexes: Indexes) -> None:
        """Watch how fields are called: many lines when a class is new, then one of every ``_LOOK_EVERY``."""
        left = each.plans.get("look", 0) - len(indexes)
        if left > 0:
            each.plans["look"] = left
            return
        for index in indexes[: 1 if "look" in each.plans else _SAMPLE]:
            try:
                self.kernel.spelling.learn(_decode_any(self.lines[index]))
            except (*_BROKEN, TypeError):
                continue
        each.plans["look"] = _LOOK_EVERY

    def _whole(self, indexes: Indexes) -> Iterator[tuple[int, Verdict]]:
        """Decode everything and go the way of rows."""
        indexes, _, events = self._decode_each(Reader(_object, {}), indexes)
        sources = None if self.logsources is None else [self.logsources[index] for index in indexes]
        for at, verdict in rowpath.examine_chunk(self.kernel, [flatten(event) for event in events], sources):
            yield indexes[at], verdict


_ODD: ClassKey = (-1, -1, -1)
"""The class of lines whose channel or event id is a list or an object: they go the way of rows."""


def _plan(each: Class) -> tuple[str, ...] | None:
    """The fields that lines of a class are decoded to; ``None`` if all are needed: watch lists and some keywords look at every value, dotted names into nested objects."""
    if "json" not in each.plans:
        atoms = [each.kernel.atoms[atom] for atom in each.columns.references]
        names = tuple(dict.fromkeys([*each.columns.fields, *(name for atom in atoms for name in (atom.field, atom.pattern))]))
        narrow = not each.watch and not any("." in name for name in names) and each.kernel.sievable(each.columns.keywords)
        each.plans["json"] = names if narrow else None
    return cast("tuple[str, ...] | None", each.plans["json"])


class LineBatch:
    """Decoded lines of one class."""

    def __init__(self, chunk: _Chunk, each: Class, reader: Reader, decoded: Decoded) -> None:
        self.chunk, self.each, self.reader = chunk, each, reader
        self.indexes, self.lines, self.events = decoded

    def __len__(self) -> int:
        return len(self.events)

    def pick(self, indexes: list[int]) -> LineBatch:
        """Decoded again, with all the fields that the rules read."""
        reader = self.chunk.path.reader(_plan(self.each) or ())
        lines = [self.lines[at] for at in indexes]
        return LineBatch(self.chunk, self.each, reader, Decoded([self.indexes[at] for at in indexes], lines, list(map(reader.decode, lines))))

    def column(self, name: str) -> Iterable[Any]:
        return column(self.events, self.reader.get[name])

    def keywords(self, each: Class) -> Sequence[int]:
        """Only lines that a sieve lets through are decoded as a whole."""
        numbers = [0] * len(self.events)
        for at in self._suspects(each.columns.keywords):
            values = flatten(_object(self.lines[at])).values()
            numbers[at] = each.kernel.keyword(value for value in values if value is not None)
        return numbers

    def _suspects(self, atoms: frozenset[int]) -> Collection[int]:
        sieve = self.chunk.kernel.sieve(atoms, json=True, usual=lambda: self.texts(_USUAL)) if atoms else None
        return sieve.suspects(self.texts(len(self.indexes))) if sieve is not None else ()

    def spotted(self, each: Class) -> Collection[int]:
        return self._suspects(each.columns.keywords)

    def traces(self, glance: Glance) -> Collection[int]:
        return self._suspects(self.each.columns.keywords | glance.traces)

    def texts(self, most: int) -> list[bytes]:
        return self.lines[:most]

    def watched(self, each: Class) -> list[Iterable[int]]:
        return []  # with a watch list all lines go the way of rows


_object = msgspec.json.Decoder(dict[str, Any]).decode


def flatten(event: dict[str, Any]) -> dict[str, Any]:
    """A JSON object as a row: nested objects under dotted names, and under their own name as compact JSON.

    >>> flatten({"a": {"b": 1, "c": ["x", "y"]}, "d": None})
    {'a': '{"b":1,"c":["x","y"]}', 'a.b': '1', 'a.c': 'x\\ny', 'd': None}
    """
    if not any(isinstance(value, dict | list) for value in event.values()):
        return event
    row: dict[str, Any] = {}
    for name, value in event.items():
        _put(row, name, value, 0)
    return row


def _put(row: dict[str, Any], name: str, value: Any, depth: int) -> None:
    if isinstance(value, dict):
        row[name] = msgspec.json.encode(value).decode()
        for inner, each in value.items() if depth < _DEEPEST else ():
            _put(row, f"{name}.{inner}", each, depth + 1)
    elif isinstance(value, list):
        row[name] = text([part if not isinstance(part, dict | list) else msgspec.json.encode(part).decode() for part in value])
        for part in value if depth < _DEEPEST else ():
            if isinstance(part, dict):
                _put_part(row, name, part, depth)
    else:
        row[name] = None if value is None else text(value) if depth else value


def _put_part(row: dict[str, Any], name: str, part: dict[str, Any], depth: int) -> None:
    """Objects in a list share dotted names: their values stand in one text, line by line."""
    inside: dict[str, Any] = {}
    for inner, each in part.items():
        _put(inside, f"{name}.{inner}", each, depth + 1)
    for key, value in inside.items():
        before = row.get(key)
        row[key] = value if before is None else f"{before}\n{value}"
