"""Baselines: what is usual for each account, host or process, kept as counts by days or hours, so that a departure can say what was expected.

In: counted events (whose, which group, who, what, when, how many), in any order and any pieces. Out: departures, each with its numbers (``judging``).
What is kept is a sum, so the order in which events come changes nothing; a cell is judged when it has settled, against the buckets before it.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lianfang.kernel.errors import Invalid

HOUR, DAY = 3_600_000, 86_400_000
"""Milliseconds."""
LATE = 3
"""What happened on the last so many days, today among them, is judged; what comes later counts as history alone."""
AHEAD = 600_000
"""An event this far in the future has a clock that is wrong: it would be taken for history."""
MEMORY = 24 << 20
APART = "\x1f"
INTS = np.ndarray[Any, np.dtype[np.int64]]
_NAMES, _CELLS, _VERSION = "names", ("group", "entity", "value", "bucket", "n", "first", "due", "said", "level"), 2
_KEY = ["group", "entity", "value", "bucket"]
_SCHEMA = pa.schema([("group", pa.int32()), ("entity", pa.int32()), ("value", pa.int32()), ("bucket", pa.int32()), ("n", pa.int64()), ("first", pa.int64()), ("due", pa.int8()), ("said", pa.int8()), ("level", pa.int8())])
_SUMMED = {"n": "sum", "first": "min", "due": "max", "said": "max", "level": "max"}
_CELL_BYTES = 35
_HEAVY = 5000
"""Of an entity with more cells than this, what it was met with last goes first when there is no room."""


class Kind(StrEnum):
    """What is taken for usual."""

    FIRST_SEEN = "first_seen"
    NEW_PAIR = "new_pair"
    RARITY = "rarity"
    RATE = "rate"
    PEER = "peer"


@dataclass(frozen=True, slots=True)
class Spec:
    """One baseline. ``days``: how far it looks back; ``learning``: days that whoever is judged must be known before.

    ``least``: days on which the entity was active (first seen, new pair), members of the population or the group (rarity, peer), or the count
    that is worth a word (rate); ``most``: an entity with more values than this is too varied to be judged; ``share``: up to which part of the population a
    value is rare; ``far``: robust deviations; ``weeks``: samples of the same hour of the week that a rate needs; ``floor``: a peer's least number;
    ``distinct``: peers are compared by different values, not by events; ``below``: rates that fall are departures, not those that rise. ``settle``: seconds until a cell is judged.
    """

    kind: Kind
    days: int = 30
    learning: int = 14
    least: int = 3
    most: int = 200
    share: float = 0.02
    far: float = 5.0
    weeks: int = 3
    floor: int = 10
    distinct: bool = False
    below: bool = False
    settle: int = 120

    def __post_init__(self) -> None:
        """Raises ``Invalid`` where the numbers contradict each other."""
        wrong = next((why for bad, why in self._contradictions() if bad), "")
        if wrong:
            raise Invalid("This baseline cannot be judged", why=wrong, todo="Change its numbers.")

    def _contradictions(self) -> tuple[tuple[bool, str], ...]:
        whole = (self.days, self.learning, self.least, self.most, self.weeks, self.floor, self.settle)
        return (
            (any(type(one) is not int for one in whole), "All but shares and deviations are whole numbers."),
            (not 1 <= self.days <= 120, "It looks back 1 to 120 days."),
            (not 1 <= self.learning <= self.days, "The days of learning are at least one, and at most those it looks back."),
            (self.kind is Kind.RATE and not 2 <= self.weeks <= self.days // 7, "A rate needs at least two weeks of samples, and days enough for them."),
            (self.least < 1 or self.most < 1 or self.floor < 1, "Least and most numbers begin at one."),
            (not 0 < self.share <= 0.5, "A value is rare up to a share between 0 and 0.5."),
            (not 1 <= self.far <= 1000, "How far is far lies between 1 and 1000 deviations."),
            (not 0 <= self.settle <= 86_400, "A cell settles within a day."),
        )

    @property
    def span(self) -> int:
        """The length of a bucket in milliseconds."""
        return HOUR if self.kind is Kind.RATE else DAY

    @property
    def back(self) -> int:
        """So many buckets before the one that is judged."""
        return self.days * DAY // self.span


class Baseline:
    """The counts of one baseline. ``memory`` bounds what is kept, in bytes; what had to go is in ``told``."""

    def __init__(self, spec: Spec, *, memory: int = MEMORY):
        self.spec, self.memory = spec, memory
        self.names: pa.Array = pa.array([], pa.string())
        self.cells: pa.Table = _SCHEMA.empty_table()
        self.judged_to: int | None = None
        self.told: Counter[str] = Counter()

    def take(self, events: pa.Table, *, now: int, judge: bool = True) -> None:
        """Count events: ``place``, ``group``, ``entity``, ``value`` (text), ``first`` (milliseconds), ``n``, ``level`` (of their data, the highest). ``judge=False``: they are history, whatever they are."""
        moments, count = events["first"].cast(pa.int64()), int(pc.sum(events["n"]).as_py() or 0)
        old = (now // DAY - LATE - self.spec.days - 1) * DAY
        events = events.filter(pc.and_(pc.greater_equal(moments, old), pc.less_equal(moments, now + AHEAD)))
        self.told["events"] += count
        self.told["outside"] += count - int(pc.sum(events["n"]).as_py() or 0)
        if not events.num_rows:
            return
        place, group = events["place"], events["group"]
        columns = {"group": _joined(place, group), "entity": _joined(place, group, events["entity"]), "value": _joined(place, events["value"])}
        codes = {name: self._codes(column) for name, column in columns.items()}
        first = events["first"].cast(pa.int64()).to_numpy()
        rows = events.num_rows
        fresh = pa.table([codes["group"], codes["entity"], codes["value"], (first // self.spec.span).astype(np.int32), events["n"].cast(pa.int64()), first, np.full(rows, judge, np.int8), np.zeros(rows, np.int8), events["level"].cast(pa.int8())], schema=_SCHEMA)
        self._merge(fresh)
        if self.size > self.memory:
            self._shed()

    def forget(self, *, now: int) -> None:
        """Let go what no judgement can ask for any more."""
        oldest = (now // DAY - LATE - self.spec.days - 1) * DAY // self.spec.span
        if self.cells.num_rows and pc.min(self.cells["bucket"]).as_py() < oldest:
            self._keep(pc.greater_equal(self.cells["bucket"], oldest))

    @property
    def size(self) -> int:
        """Bytes of what is kept."""
        return int(self.cells.num_rows * _CELL_BYTES + self.names.nbytes)

    @property
    def due(self) -> int:
        """Cells that are still to be judged."""
        return int(pc.sum(self.cells["due"]).as_py() or 0)

    @property
    def entities(self) -> int:
        """How many are known."""
        return len(pc.unique(self.cells["entity"]))

    @property
    def since(self) -> int | None:
        """The beginning of the earliest bucket that is kept, in milliseconds."""
        return int(pc.min(self.cells["bucket"]).as_py()) * self.spec.span if self.cells.num_rows else None

    def name(self, code: int) -> tuple[str, ...]:
        """Place, (group,) and what it is called."""
        return tuple(str(self.names[int(code)]).split(APART))

    def snapshot(self) -> bytes:
        """All that is kept, as bytes that ``restore`` takes."""
        buffers = []
        for table in (pa.table({_NAMES: self.names}), self.cells.combine_chunks()):
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
                writer.write_table(table)
            buffers.append(sink.getvalue().to_pybytes())
        head = struct.pack("<BqI", _VERSION, -1 if self.judged_to is None else self.judged_to, len(buffers[0]))
        return head + b"".join(buffers)

    def restore(self, state: bytes) -> None:
        """Take up what ``snapshot`` kept. Raises ``Invalid`` for what it did not."""
        head = struct.calcsize("<BqI")
        try:
            version, judged, size = struct.unpack("<BqI", state[:head])
            if version != _VERSION:
                raise ValueError(f"version {version}")
            self.names = pa.ipc.open_stream(state[head : head + size]).read_all()[_NAMES].combine_chunks()
            self.cells = pa.ipc.open_stream(state[head + size :]).read_all().cast(_SCHEMA)
        except (struct.error, ValueError, KeyError, pa.ArrowInvalid) as error:
            raise Invalid("What a baseline knew cannot be read", why=str(error), todo="Let it learn anew.") from error
        self.judged_to = None if judged < 0 else judged

    # ---- inside ------------------------------------------------------------------------------------------------

    def _codes(self, column: pa.Array) -> pa.Array:
        """Texts as numbers; new ones get the next."""
        fresh = pc.unique(column)
        fresh = fresh.filter(pc.is_null(pc.index_in(fresh, self.names)))
        if len(fresh):
            self.names = pa.concat_arrays([self.names, fresh])
        return pc.index_in(column, self.names).cast(pa.int32())

    def _merge(self, fresh: pa.Table) -> None:
        grouped = pa.concat_tables([self.cells, fresh]).group_by(_KEY).aggregate(list(_SUMMED.items()))
        self.cells = pa.table({name: grouped[f"{name}_{_SUMMED[name]}" if name in _SUMMED else name] for name in _CELLS}).cast(_SCHEMA)

    def _keep(self, mask: Any) -> None:
        """Only these cells, and the names that they need."""
        cells = self.cells.filter(mask)
        used = np.unique(np.concatenate([cells[name].to_numpy() for name in ("group", "entity", "value")])) if cells.num_rows else np.array([], np.int32)
        for number, name in enumerate(_CELLS[:3]):
            cells = cells.set_column(number, name, pa.array(np.searchsorted(used, cells[name].to_numpy()), pa.int32()))
        self.names, self.cells = self.names.take(pa.array(used, pa.int64())), cells.cast(_SCHEMA)

    def _shed(self) -> None:
        """Make room: of entities with very many cells first what was met last, then entities known for the shortest time. What has been known for long stays."""
        entity, value = (self.cells[name].to_numpy().astype(np.int64) for name in ("entity", "value"))
        heavy = np.bincount(entity)[entity]
        units, at, number = np.unique(entity << 32 | np.where(heavy > _HEAVY, value + 1, 0), return_inverse=True, return_counts=True)
        first = np.full(len(units), np.iinfo(np.int64).max)
        np.minimum.at(first, at, self.cells["bucket"].to_numpy().astype(np.int64))
        weight = np.zeros(len(units), np.int64)
        weight[at] = np.where(heavy > _HEAVY, heavy, 0)
        order = np.lexsort((units, -first, -weight))
        each = self.size / max(1, self.cells.num_rows)
        gone = int(np.searchsorted(np.cumsum(number[order]) * each, self.size - 0.8 * self.memory)) + 1
        lost = np.zeros(len(units), np.bool_)
        lost[order[:gone]] = True
        self.told["shed"] += int(lost.sum())
        self._keep(pa.array(~lost[at]))


def _joined(*columns: Any) -> pa.Array:
    joined = pc.binary_join_element_wise(*(pc.fill_null(column.cast(pa.string()), "") for column in columns), APART)
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined
