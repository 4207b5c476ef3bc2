"""The door of the engine: events in, fired rules out, whatever shape the events come in.

Rows, JSON lines and Arrow tables go through the same kernel and give the same hits. One examiner serves one thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lianfang.engines.rules import explain, jsonpath, rowpath
from lianfang.engines.rules.compiled import Compiled, Databases
from lianfang.engines.rules.kernel import CHANNEL, Kernel, default_source
from lianfang.engines.rules.matchers import Matcher, engine_of
from lianfang.engines.rules.reach import Reach
from lianfang.engines.rules.types import Explanation, Hits, LogSource, Stats, WatchSets
from lianfang.engines.rules.watch import PREFIX, Watch
from lianfang.kernel.errors import Invalid, Missing

if TYPE_CHECKING:
    from lianfang.engines.rules.arrowpath import Tables  # needs numpy and pyarrow.compute, which a worker without tables need not load

CACHE_BYTES = 128 << 20


class Examiner:
    """Examines events with compiled rules and, in the same pass, a watch list.

    ``engine``: ``vectorscan``, ``fallback`` or ``auto``; ``cache_bytes`` bounds what is remembered between events.
    ``logsources`` of the examining methods: one (product, category, service) for each event, one tuple for all, or ``None``
    (an event with a ``Channel`` then counts as a Windows event). They gate rules that no pipeline ties to a channel.
    """

    def __init__(self, compiled: Compiled, *, engine: str = "auto", cache_bytes: int = CACHE_BYTES, watch: WatchSets | None = None) -> None:
        self.engine = engine_of(engine)
        self.cache_bytes = cache_bytes
        self.watch = Watch(watch) if watch else None
        self.events = self.hits = self.refused = 0
        self.last_refusal = ""
        self.replace(compiled)

    def replace(self, compiled: Compiled) -> None:
        """Take other rules from the next call on; counters and caches start anew."""
        self.compiled = compiled
        self.by_uid = {rule.uid: at for at, rule in enumerate(compiled.rules)}
        self.matchers: dict[str, Matcher] = {}
        self._renew()

    def rewatch(self, watch: WatchSets | None) -> None:
        """Take another watch list from the next call on."""
        self.watch = Watch(watch) if watch else None
        self._renew()

    def _renew(self) -> None:
        self.kernel = self._kernel()
        self.lines = jsonpath.Lines(self.kernel, self._refuse)
        self.tables: Tables | None = None

    def _kernel(self) -> Kernel:
        """A kernel of the rules and the watch list; the serialised databases are let go once they are restored."""
        usable = self.engine.name == "vectorscan" and self.compiled.databases.platform == self._platform()
        kernel = Kernel(self.compiled, self.engine, cache_bytes=self.cache_bytes, watch=self.watch, matchers=self.matchers)
        kernel.wake(self.compiled.databases.by_field if usable else {})
        self.compiled = replace(self.compiled, databases=Databases())
        return kernel

    @staticmethod
    def _platform() -> str:
        from lianfang.engines.rules import vectorscan

        return vectorscan.platform()

    def rows(self, rows: Sequence[Mapping[str, Any]], logsources: Sequence[LogSource] | LogSource | None = None) -> Hits:
        """Examine flat events: native field name → text; a missing field is missing or ``None``."""
        return self._count(len(rows), rowpath.examine(self.kernel, rows, _for_each(logsources, len(rows))))

    def json_lines(self, lines: Sequence[bytes], logsources: Sequence[LogSource] | LogSource | None = None) -> Hits:
        """Examine events as flat JSON objects, one for each ``bytes``; nested objects are read under dotted names.

        What cannot be read has no hit and is counted in ``stats().refused``.
        """
        return self._count(len(lines), self.lines.examine(lines, _for_each(logsources, len(lines))))

    def arrow(self, table: pa.Table | pa.RecordBatch, logsources: Sequence[LogSource] | LogSource | None = None) -> Hits:
        """Examine a table with one column for each native field; dictionary-encoded columns are fastest."""
        if self.tables is None:
            from lianfang.engines.rules import arrowpath

            self.tables = arrowpath.Tables(self.kernel)
        whole = table if isinstance(table, pa.Table) else pa.Table.from_batches([table])
        return self._count(whole.num_rows, self.tables.examine(whole, _for_each(logsources, whole.num_rows)))

    def _refuse(self, index: int, reason: str) -> None:
        self.refused, self.last_refusal = self.refused + 1, f"{index}: {reason}"

    def _count(self, events: int, hits: Hits) -> Hits:
        self.events, self.hits = self.events + events, self.hits + len(hits)
        return hits

    def explain(self, uid: str, row: Mapping[str, Any], logsource: LogSource | None = None) -> Explanation:
        """Which fields and values of ``row`` made the rule ``uid`` (or the indicator ``ioc:…``) fire.

        Raises ``Missing`` if no such rule is loaded.
        """
        self.kernel.spelling.learn(row)
        if uid.startswith(PREFIX):
            found = explain.watched(self.kernel, uid, row)
            return Explanation(uid, uid.split(":", 2)[2], found, bool(found))
        if uid not in self.by_uid:
            raise Missing(f"The rule {uid} is not loaded", todo="Install the pack that holds it, or switch it on.")
        at = self.by_uid[uid]
        channel = rowpath.first(row, self.kernel.spelling.of(CHANNEL))
        fired, found = explain.matches(self.kernel, self.compiled.trees[at], row, logsource or default_source(channel))
        return Explanation(uid, self.compiled.rules[at].title, found, fired)

    def reach(self) -> Reach:
        """Which of the rules can still fire when only some fields of an event are known."""
        return Reach(self.kernel)

    def stats(self) -> Stats:
        """Counters; see ``Stats``."""
        kernel = self.kernel
        return Stats(
            engine=self.engine.name,
            rules=len(self.compiled.rules),
            events=self.events,
            hits=self.hits,
            values=kernel.counters.values,
            keys=kernel.counters.keys,
            classes=len(kernel.distinct),
            cached_bytes=kernel.budget.young + kernel.budget.old,
            turns=kernel.budget.turns,
            refused=self.refused,
            last_refusal=self.last_refusal,
            spellings=dict(kernel.spelling.stand_ins),
        )


def _for_each(logsources: Sequence[LogSource] | LogSource | None, events: int) -> Sequence[LogSource] | None:
    """One log source for each event, whatever form they were given in."""
    if logsources is None or not events:
        return None
    if isinstance(logsources[0], str):
        return [cast(LogSource, tuple(logsources))] * events
    given = cast(Sequence[LogSource], logsources)
    if len(given) != events:
        raise Invalid("There must be one log source for each event", why=f"{events} events came with {len(given)} log sources.")
    return given


def prepared(compiled: Compiled, *, engine: str = "auto") -> Compiled:
    """The same rules with all pattern databases built, so that a worker that loads them starts at once."""
    chosen = engine_of(engine)
    if chosen.name != "vectorscan":
        return compiled
    kernel = Kernel(compiled, chosen, cache_bytes=1 << 20, watch=None, matchers={})
    fields = {field: kernel.matcher(field) for field in kernel.by_field}
    built = {field: matcher.scanner.serialise() for field, matcher in fields.items() if matcher.text}
    return replace(compiled, databases=Databases(Examiner._platform(), built))
