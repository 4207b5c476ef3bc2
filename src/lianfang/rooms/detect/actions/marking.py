"""Marking: the matches of a concluded batch that correlations look at, kept as columns for the one correlator.

Any number of ingest processes write marks, none of them counts: what one group does is told by all of them together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from lianfang.commons.frame.parted import PART
from lianfang.commons.jobs import actions as jobs
from lianfang.engines.rules.correlation import Correlation
from lianfang.engines.rules.correlator import FIELD
from lianfang.engines.rules.types import Rule
from lianfang.rooms.detect import models
from lianfang.rooms.detect.types import ENTITIES, SAMPLE, MatchesKept
from lianfang.rooms.lake.types import Batch

ABOUT = tuple(dict.fromkeys(("host", "user", *(name for names in ENTITIES.values() for name in names))))
LISTS = ("ips", "hashes", "domains")
LONGEST = 300
PLACE = "\x1f"
STEP = "lianfang.step"
"""A rule with this tag never makes a finding of its own, whatever the correlations say that name it."""


class Marker:
    """Which rules correlations refer to, and which of them make no finding of their own because every correlation that names them says so, or they are but steps."""

    def __init__(self, correlations: Iterable[Correlation], rules: Iterable[Rule]):
        self.names: dict[str, frozenset[str]] = {}
        loud: set[str] = set()
        for one in correlations:
            for ref in one.refs:
                self.names[ref] = self.names.get(ref, frozenset()) | one.names(ref)
            if one.generate:
                loud.update(one.refs)
        self.quiet = frozenset(self.names) - loud | {rule.uid for rule in rules if STEP in rule.tags}

    def referred(self, hits: Mapping[int, Sequence[str]]) -> dict[int, list[str]]:
        """The hits that correlations look at."""
        names = self.names
        found = {row: [uid for uid in uids if uid in names] for row, uids in hits.items()}
        return {row: uids for row, uids in found.items() if uids}

    def loud(self, hits: Mapping[int, Sequence[str]]) -> Mapping[int, Sequence[str]]:
        """The hits that make findings of their own."""
        found = {row: tuple(uid for uid in uids if uid not in self.quiet) for row, uids in hits.items()}
        return {row: uids for row, uids in found.items() if uids}

    def keep(self, batch: Batch, hits: Mapping[int, Sequence[str]]) -> dict[str, list[datetime]]:
        """Write the marks of a batch, in the caller's transaction; returns when each rule fired, empty for a batch that was brought before."""
        rows = [(row, uid) for row, uids in hits.items() for uid in uids if batch.rows[row]]  # a sealed row has no fields to group by: it stands alone
        if not rows or models.Matches.objects.filter(batch=batch.ref).exists():
            return {}
        place = place_of(str(batch.columns["territory"][rows[0][0]] or ""), batch.organisation, batch.source)
        for number, content in enumerate(_streams(self.table(batch.columns, batch.rows, rows))):  # a row each: what every event of a flood matches is more than a row may hold
            models.Matches.objects.create(batch=f"{batch.ref[:112]}#{number}" if number else batch.ref, source=batch.source, place=place, content=content)
        jobs.publish(MatchesKept(batch=batch.ref, count=len(rows)))
        fired: dict[str, list[datetime]] = defaultdict(list)
        for row, uid in rows:
            fired[uid].append(batch.columns["time"][row])
        return fired

    def table(self, columns: Mapping[str, Sequence[Any]], native: Sequence[Mapping[str, str]], rows: Sequence[tuple[int, str]]) -> pa.Table:
        """Rows of events, each with the rule that fired on it, as the correlator takes them. ``native``: the events by their own fields."""
        names = sorted({name for _row, uid in rows for name in self.names[uid]})
        found: dict[str, Any] = {
            "rule": pa.array([uid for _row, uid in rows], pa.string()), "time": pa.array([int(columns["time"][row].timestamp() * 1000) for row, _uid in rows], pa.int64()),
            "event": pa.array([str(columns["event_id"][row]) for row, _uid in rows], pa.string()), "level": pa.array([_at(columns, "level", row) for row, _uid in rows], pa.int64()),
            "industry": pa.array([str(_at(columns, "industry", row) or "") for row, _uid in rows], pa.string()),
        }  # fmt: skip
        for name in ABOUT:
            values = [_at(columns, name, row) for row, _uid in rows]
            listed = name in LISTS
            found[name] = pa.array([[str(one)[:LONGEST] for one in value or ()][:20] if listed else str(value)[:LONGEST] if value else None for value in values], pa.list_(pa.string()) if listed else pa.string())
        for name in names:
            found[FIELD + name] = pa.array([field_of(native[row], columns, name, row) if name in self.names[uid] else None for row, uid in rows], pa.string())
        return pa.table(found)


def place_of(territory: str, organisation: str, source: str) -> str:
    """Whose matches these are: an organisation's, real ones or those of sample data. What two places tell is never mixed."""
    return PLACE.join((territory, organisation, "sample" if source.startswith(SAMPLE) else ""))


def field_of(native: Mapping[str, str], columns: Mapping[str, Any], name: str, row: int) -> str | None:
    """A field as correlations name it: the event's own, or else the stored column of that name, which all sources share."""
    value = native.get(name) or _at(columns, name, row)
    value = next(iter(value), None) if isinstance(value, (list, tuple)) else value
    return None if value is None or value == "" else str(value)[:LONGEST]


def _at(columns: Mapping[str, Any], name: str, row: int) -> Any:
    column = columns.get(name)
    return column[row] if column is not None else None


def _streams(table: pa.Table) -> Iterator[bytes]:
    """A table as streams of at most ``PART`` bytes."""
    content = stream(table)
    if len(content) <= PART or table.num_rows < 2:
        yield content
        return
    middle = table.num_rows // 2
    yield from _streams(table.slice(0, middle))
    yield from _streams(table.slice(middle))


def stream(table: pa.Table) -> bytes:
    """A table as bytes."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())
