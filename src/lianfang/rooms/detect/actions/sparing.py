"""Sparing: which hits exceptions take. Asked only where a rule with an exception has fired, so that all other batches pay nothing.

Nothing is lost by it: the log keeps the rule in its column ``rules``, and what was taken is a finding like any other that
names its exception and raises no alert.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from lianfang.engines.rules.compiled import Compiled
from lianfang.engines.rules.examiner import Examiner
from lianfang.engines.rules.types import LogSource
from lianfang.kernel import clock
from lianfang.rooms.detect.queries import exemptions, loading
from lianfang.rooms.detect.queries.exemptions import GROUPED, Taker

CACHE_BYTES = 4 << 20

Hits = Mapping[int, Sequence[str]]
At = Mapping[int, Any] | Sequence[Any]
"""Something for each row, by its number."""


class Spared:
    """The exceptions in force, as they were read; never changed, since one thread reads them anew while another asks. One that comes to its
    end says nothing from that moment on, without being read again."""

    def __init__(self, before: Spared | None = None) -> None:
        rows = list(exemptions.in_force())
        self._of = tuple(exemptions.digest_of(row) for row in rows)
        self.by_rule: dict[str, list[Taker]] = exemptions.takers(rows)
        self.engine = before.engine if before and before._of == self._of else Examiner(loading.joined([exemptions.compiled(row) for row in rows]) if rows else Compiled((), (), ()), cache_bytes=CACHE_BYTES)

    def split(self, hits: Hits, *, source: str, territories: At, rows: At, origins: At) -> tuple[Hits, dict[UUID, dict[int, tuple[str, ...]]]]:
        """Hits that speak, and those that exceptions took, by exception. Of several that would take a hit the oldest does."""
        asked = sorted(row for row, uids in hits.items() if any(uid in self.by_rule for uid in uids)) if self.by_rule else []
        if not asked:
            return hits, {}
        now = clock.now()
        fired = {asked[at]: set(uids) for at, uids in self.engine.rows([rows[row] for row in asked], _sources([origins[row] for row in asked]))}
        speaking, taken = dict(hits), dict[UUID, dict[int, tuple[str, ...]]]()
        for row in fired:
            kept = []
            for uid in hits[row]:
                taker = next((one for one in self.by_rule.get(uid, ()) if one.counter in fired[row] and one.covers(source, str(territories[row] or ""), now)), None)
                if taker is None:
                    kept.append(uid)
                else:
                    mine = taken.setdefault(taker.exemption, {})
                    mine[row] = (*mine.get(row, ()), uid)
            speaking[row] = tuple(kept)
        return {row: uids for row, uids in speaking.items() if uids}, taken

    def whole(self, uid: str, group: Mapping[str, str], *, sources: Sequence[str], territory: str) -> UUID | None:
        """The exception that takes what a correlation found for a group: the oldest whose filter the group's values meet. One that is about a source takes only what came from it alone."""
        takers = self.by_rule.get(uid, ())
        if not takers:
            return None
        now, fired = clock.now(), {one for _at, uids in self.engine.rows([group], [GROUPED]) for one in uids}
        return next((one.exemption for one in takers if one.counter in fired and all(one.covers(source, territory, now) for source in sources or ("",))), None)


def _sources(origins: Sequence[LogSource | None]) -> Sequence[LogSource] | None:
    return None if any(origin is None for origin in origins) else [origin for origin in origins if origin is not None]
