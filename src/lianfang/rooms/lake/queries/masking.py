"""What a rule of desensitising would do: to real rows of the lake, and to a line that somebody pasted.

In: a rule and the viewer, whose rows are taken and nobody else's, veiled as everywhere. Out: cells before and after; nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings

from lianfang.engines.columns.query import Bounds
from lianfang.engines.connect import codecs
from lianfang.engines.connect.mapping import Templates
from lianfang.engines.masking import Form, Rule, Verb, rule_of
from lianfang.engines.masking.rules import OURS
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid, Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models
from lianfang.rooms.lake.queries import scope, shielding
from lianfang.rooms.lake.types import EVENT_TABLES, Way, zone_of

LOOKED_AT, ROWS, SHOWN = timedelta(days=7), 300, 8
LONGEST = 64 << 10


@dataclass(frozen=True, slots=True)
class Change:
    """One event: its cells that a rule changes, (column, before, after)."""

    event_id: str
    cells: tuple[tuple[str, Any, Any], ...]


def preview(row: models.MaskRule, *, viewer: Viewer) -> list[Change]:
    """What the rule does to some of the newest events that the viewer may see; those that it changes, at most eight. What came in while it was on is no longer there to be shown as it was."""
    viewer.must("lake.event.view")
    rule, now = shielding.engine_rule(row), clock.now()
    before = (row.on_since if rule.way == Way.IN else None) or now + timedelta(days=1)
    sql = f"SELECT * FROM stored WHERE {scope.rows(viewer)} AND time >= ? AND received < ? ORDER BY time DESC LIMIT {ROWS}"  # noqa: S608
    veil = scope.veil(viewer)
    found = [veil.row(one) for one in scope.query().rows(sql, [now - LOOKED_AT, before], bounds=Bounds(EVENT_TABLES, now - LOOKED_AT))]
    return changes([one for one in found if rule.way == Way.OUT or rule.of_source(one["source"])], [rule])[:SHOWN]


def tried(line: str, row: models.MaskRule | None, *, viewer: Viewer) -> list[Change]:
    """A pasted record before and after: by one rule, or by all that are on for the viewer's organisation. Raises ``Invalid`` for what cannot be read."""
    viewer.must("lake.maskrule.view")
    frame = line.strip().encode()
    if not 0 < len(frame) <= LONGEST:
        raise Invalid("There is no line to try", why=f"Up to {LONGEST >> 10} KiB are read.", todo="Paste one record, as the device sends it.")
    decoded = codecs.decode("auto", [frame])
    if not decoded.rows:
        reject = decoded.rejects[0] if decoded.rejects else None
        raise Invalid("The line cannot be read", why=reject.reason if reject else "It holds no record.", todo=reject.todo if reject else "Paste one record, as the device sends it.")
    mapped = _templates(settings.CONTENT / "mappings").map(decoded.rows, received=clock.now(), zone=zone_of(models.default_zone()))
    columns: dict[str, Any] = {**mapped.columns, "raw": [raw.decode("utf-8", "replace") for raw in decoded.raws], "event_id": [str(number) for number in range(len(decoded.rows))]}
    rules = [shielding.engine_rule(row)] if row else [shielding.engine_rule(one) for one in shielding.switched_on(Way.IN) if viewer.path.startswith(one.territory)]
    return _changed(columns, rules, decoded.rows)


def address_rules(*, viewer: Viewer) -> list[tuple[str, models.MaskRule | Mapping[str, Any]]]:
    """Rules after which an address is still one: of the viewer's scope, and those that ship; (what names it, the row or what ships)."""
    rows = models.MaskRule.objects.seen_by(viewer).filter(form=Form.IP, verb__in=(Verb.PSEUDONYM, Verb.TRUNCATE)).order_by("name")
    taken = {row.name for row in rows}
    shipped = [(name, entry) for name, entry in shielding.shipped().items() if entry.get("form") == Form.IP and entry.get("verb") in (Verb.PSEUDONYM, Verb.TRUNCATE) and name not in taken]
    return [*((str(row.pk), row) for row in rows), *shipped]


def address_rule(chosen: str, *, viewer: Viewer) -> Rule:
    """The one of these that ``chosen`` names, or the first. Raises ``Missing``."""
    for name, row in address_rules(viewer=viewer):
        if chosen in ("", name):
            return shielding.engine_rule(row) if isinstance(row, models.MaskRule) else rule_of(row)
    raise Missing("There is no such rule", why="A rule for addresses that gives pseudonyms, or cuts them to their network, is needed.", todo="Choose one of the list.")


def changes(rows: Sequence[dict[str, Any]], rules: Iterable[Rule]) -> list[Change]:
    """Rows of the lake before and after some rules; rows that stay as they are are left out."""
    return _changed({name: [row[name] for row in rows] for name in (rows[0] if rows else ())}, rules)


def _changed(columns: dict[str, Any], rules: Iterable[Rule], native: Sequence[dict[str, str]] = ()) -> list[Change]:
    done = shielding.shield(rules).run(columns, native).columns
    names = [name for name in columns if name not in OURS - {"time"} and name != "masked"]
    found = []
    for at, event_id in enumerate(columns.get("event_id", ())):
        cells = tuple((name, _told(columns[name][at]), _told(done[name][at])) for name in names if columns[name][at] != done[name][at])
        if cells:
            found.append(Change(event_id, cells))
    return found


def _told(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)


@lru_cache(maxsize=1)
def _templates(path: Path) -> Templates:
    return Templates.load(path, cache_bytes=1 << 20)
