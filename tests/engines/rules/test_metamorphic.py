"""What must not change hits, and what changes them in a known way: order, batches, fields that nobody asks for, case, repetition, two processes, a restart.

By default over a stream made from the rules that ship; over all real events where they are at hand.
"""

from __future__ import annotations

import json
import multiprocessing
import random
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pytest
import zstandard
from tests.engines.rules.three_ways import made_of, shipped

from lianfang.engines.rules import Compiled, Examiner, prepared
from lianfang.engines.rules.compiler import compile_rules
from lianfang.engines.rules.trees import atoms_of
from lianfang.engines.rules.types import LogSource

Event = tuple[dict[str, str], LogSource]
Hits = list[tuple[int, tuple[str, ...]]]
BATCH = 5_000


@dataclass
class Stream:
    """Rules, events, and which fired on which, found in batches by one examiner."""

    compiled: Compiled
    events: list[Event]
    hits: Hits
    file: Path
    """The compiled rules at rest, as a process loads them."""


def examined(examiner: Examiner, events: Iterable[Event], size: int = BATCH) -> Hits:
    """The hits of a whole stream that comes in batches of ``size``; the events are numbered through."""
    found: Hits = []
    start, source = 0, iter(events)
    while batch := list(islice(source, size)):
        found += [(start + index, uids) for index, uids in examiner.rows([row for row, _ in batch], [origin for _, origin in batch])]
        start += len(batch)
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Stream:
    """Events of every shipped rule and near misses, some of them again and again, in an order of their own."""
    compiled = prepared(compile_rules(shipped()))
    dice = random.Random(17)
    events = [(row, source) for source, rows in made_of(compiled).items() for row in rows for _ in range(dice.choice([1, 1, 3]))]
    dice.shuffle(events)
    return _stream(compiled, events, tmp_path_factory)


@pytest.fixture(scope="module")
def real(sigma, field_data, tmp_path_factory) -> Stream:
    with (field_data / "detection" / "windows-events-201k.jsonl.zst").open("rb") as packed:
        lines = zstandard.ZstdDecompressor().stream_reader(packed).read().splitlines()
    return _stream(sigma, [(json.loads(line), ("windows", "", "")) for line in lines], tmp_path_factory)


def _stream(compiled: Compiled, events: list[Event], tmp_path_factory) -> Stream:
    file = tmp_path_factory.mktemp("rules") / "all.rules"
    compiled.save(file)
    return Stream(compiled, events, examined(Examiner(compiled), events), file)


@pytest.fixture(params=["made", pytest.param("real", marks=[pytest.mark.data, pytest.mark.slow, pytest.mark.xdist_group("metamorphic")])])
def stream(request) -> Stream:
    found: Stream = request.getfixturevalue(request.param)
    assert len({uid for _, uids in found.hits for uid in uids}) > 130, "the stream must say something"
    return found


def test_order_does_not_matter(stream):
    order = list(range(len(stream.events)))
    random.Random(3).shuffle(order)
    found = examined(Examiner(stream.compiled), (stream.events[at] for at in order))
    assert sorted((order[index], uids) for index, uids in found) == stream.hits


@pytest.mark.parametrize("size", [333, 40_000])
def test_the_size_of_batches_does_not_matter(stream, size):
    assert examined(Examiner(stream.compiled), stream.events, size) == stream.hits


def test_one_event_at_a_time_is_the_same(stream):
    some = stream.events[:3_000]
    assert examined(Examiner(stream.compiled), some, 1) == [hit for hit in stream.hits if hit[0] < len(some)]


def test_fields_that_no_rule_asks_for_do_not_matter(stream):
    """In front and behind, many and long, other ones in each event, so that no two events have the same shape or values."""

    def more(at: int, event: Event) -> Event:
        row, source = event
        return {f"zz unasked {at % 7}": f"~{at}~", **row, "zz last": "~" * (at % 5_000)}, source

    assert examined(Examiner(stream.compiled), (more(at, event) for at, event in enumerate(stream.events))) == stream.hits


def test_letters_of_other_case_change_only_what_asks_for_case(stream):
    """Sigma compares without regard to case; rules with ``cased`` or a regular expression say themselves what they regard."""
    exact = {rule.uid for rule, tree in zip(stream.compiled.rules, stream.compiled.trees) if any(stream.compiled.atoms[atom].cased or stream.compiled.atoms[atom].op == "re" for atom in atoms_of(tree))}

    def without(hits: Hits) -> Hits:
        left = ((index, tuple(uid for uid in uids if uid not in exact)) for index, uids in hits)
        return [(index, uids) for index, uids in left if uids]

    found = examined(Examiner(stream.compiled), (({name: _swapped(value) for name, value in row.items()}, source) for row, source in stream.events))
    assert without(found) == without(stream.hits)
    assert len(without(stream.hits)) > len(stream.hits) // 3


def _swapped(text: str) -> str:
    """ASCII letters in the other case; letters beyond ASCII are compared as they stand."""
    return text.translate(_OTHER_CASE)


_OTHER_CASE = {code: code ^ 32 for code in range(128) if chr(code).isalpha()}


def test_events_that_come_twice_fire_twice(stream):
    found = examined(Examiner(stream.compiled), (event for event in stream.events for _ in range(2)))
    assert found == [(2 * index + again, uids) for index, uids in stream.hits for again in (0, 1)]


def test_two_processes_find_together_what_one_finds(stream):
    """Each takes every other batch, as two ingest processes do."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        halves = list(pool.map(_alone, [stream.file] * 2, [list(_every_other(stream.events, first)) for first in (0, 1)]))
    numbers = [list(_every_other(range(len(stream.events)), first)) for first in (0, 1)]
    assert sorted((numbers[half][index], uids) for half, hits in enumerate(halves) for index, uids in hits) == stream.hits


def _every_other(things: Sequence, first: int, size: int = 500) -> Iterator:
    for start in range(first * size, len(things), 2 * size):
        yield from things[start : start + size]


def _alone(file: Path, events: list[Event]) -> Hits:
    return examined(Examiner(Compiled.load(file), cache_bytes=4 << 20), events)


def test_a_restart_in_the_middle_costs_and_doubles_nothing(stream):
    """Cold, after a restart in the middle, and warm, with all it remembers of the stream: the same hits."""
    middle = len(stream.events) // 2
    cold, warm = Examiner(Compiled.load(stream.file)), Examiner(stream.compiled, cache_bytes=2 << 20)
    first = examined(warm, stream.events[:middle])
    after = examined(cold, stream.events[middle:])
    assert first + [(middle + index, uids) for index, uids in after] == stream.hits
    assert examined(warm, stream.events) == stream.hits
    assert examined(warm, stream.events) == stream.hits
    warm.replace(stream.compiled)
    assert examined(warm, stream.events) == stream.hits
