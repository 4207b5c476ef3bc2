"""Correlating the past: what the rules of correlations matched in stored logs, hour by hour, goes through a correlator of its own in event time.

In: hits of an hour with the rows that they fired on. Out: marks, packed; and from the marks of all hours in their order the firings. The live
correlator and its state take no part. The clock of such a correlator is the end of each hour, so that nothing depends on when it is asked.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec
import pyarrow as pa

from lianfang.engines.rules.correlation import Correlation
from lianfang.engines.rules.correlator import LATENESS, Correlator, Firing, Marks
from lianfang.engines.schema.events import BY_NAME
from lianfang.kernel import clock
from lianfang.rooms.detect.actions import looking
from lianfang.rooms.detect.actions.marking import Marker, place_of, stream
from lianfang.rooms.detect.adapters.executor import Hit
from lianfang.rooms.lake import queries as lake


class Past:
    """Some correlations, with those that they are built upon: which rules have to be looked for, and what is kept of their hits."""

    def __init__(self, wanted: Iterable[str], every: Iterable[Correlation]):
        known = {one.uid: one for one in every}
        self.wanted = frozenset(uid for uid in wanted if uid in known)
        self.correlations: dict[str, Correlation] = {}
        left = list(self.wanted)
        while left:
            one = known.get(left.pop())
            if one is not None and one.uid not in self.correlations:
                self.correlations[one.uid] = one
                left += one.refs
        self.inner = frozenset(ref for one in known.values() if not one.generate for ref in one.refs)
        """What makes no finding of its own, since others are built upon it."""
        self._marker = Marker(self.correlations.values(), ())
        self._sealed: dict[str, frozenset[int]] = {}

    @property
    def rules(self) -> frozenset[str]:
        """The rules whose matches are counted."""
        return frozenset(self._marker.names) - frozenset(self.correlations)

    @property
    def columns(self) -> tuple[str, ...]:
        """What has to be read of stored events: what every look back reads, and the columns by which these correlations group or count."""
        named = sorted({name for names in self._marker.names.values() for name in names})
        return (*looking.COLUMNS, *(name for name in named if name in BY_NAME and name not in looking.COLUMNS))

    def marks(self, hits: Iterable[Hit], owners: Mapping[str, str]) -> list[Marks]:
        """The hits of these rules as a correlator takes them, by source and organisation. What lies sealed stays out: its fields may not lie anywhere in the clear."""
        by_place: dict[tuple[str, str], list[tuple[Hit, list[str]]]] = defaultdict(list)
        for hit in hits:
            uids = [uid for uid in hit.uids if uid in self._marker.names]
            if uids and not self._is_sealed(hit):
                by_place[hit.event["source"], hit.event["territory"] or ""].append((hit, uids))
        return [Marks(source, place_of(territory, owners.get(source, ""), source), self._table(found)) for (source, territory), found in sorted(by_place.items(), key=lambda item: item[0])]

    def _table(self, found: Sequence[tuple[Hit, list[str]]]) -> pa.Table:
        columns = {name: [hit.event.get(name) for hit, _uids in found] for name in self.columns if name not in ("rules", "raw")}
        return self._marker.table(columns, [hit.row for hit, _uids in found], [(at, uid) for at, (_hit, uids) in enumerate(found) for uid in uids])

    def _is_sealed(self, hit: Hit) -> bool:
        territory = hit.event["territory"] or ""
        if territory not in self._sealed:
            self._sealed[territory] = lake.ever_sealed(territory)
        return (hit.event["level"] or 4) in self._sealed[territory]

    def firings(self, hours: Iterable[tuple[datetime, Sequence[Marks]]], until: datetime) -> Iterator[list[Firing]]:
        """What fires, hour by hour (each with its end and its marks, the earliest first), and when all is over: of the correlations that were asked for."""
        held = Correlator(self.correlations.values())
        for end, marks in hours:
            yield self._asked(held.advance(marks, _milliseconds(end)))
        yield self._asked(held.advance((), min(_milliseconds(until) + LATENESS, _milliseconds(clock.now()))))

    def _asked(self, firings: Iterable[Firing]) -> list[Firing]:
        return [one for one in firings if one.rule in self.wanted]


def packed(marks: Sequence[Marks]) -> bytes:
    """Marks as bytes."""
    return zlib.compress(msgspec.msgpack.encode([(one.source, one.place, stream(one.table)) for one in marks])) if marks else b""


def unpacked(content: bytes) -> list[Marks]:
    """The same again."""
    rows = msgspec.msgpack.decode(zlib.decompress(content), type=list[tuple[str, str, bytes]]) if content else []
    return [Marks(source, place, pa.ipc.open_stream(table).read_all()) for source, place, table in rows]


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def of_rules(uids: Collection[str], hits: Iterable[Hit]) -> list[Hit]:
    """The hits of some rules alone."""
    found = (hit._replace(uids=tuple(uid for uid in hit.uids if uid in uids)) for hit in hits)
    return [hit for hit in found if hit.uids]
