"""Indicators as they go to others: chosen fields pseudonymised or left out, values of our own kept back.

In: indicators that the viewer sees, and how they are shared. Out: rows of a table that every import reads again, and what was changed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from lianfang.engines.masking import Keyed, Ours
from lianfang.engines.schema import observables
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid
from lianfang.kernel.labels import TLP
from lianfang.rooms.intel import models
from lianfang.rooms.intel.types import Kind, Leaving, Sharing, Way
from lianfang.rooms.lake import queries as lake

COLUMNS = ("value", "type", "source", "tlp", "confidence", "valid_from", "valid_until", "tags", "note")
"""The head of the table, as ``queries.reading`` understands it."""
MOST, SHOWN = 100_000, 200
"""Indicators of one sharing, and changes that are shown of it."""


def leaving(rows: Iterable[models.Indicator], how: Sharing) -> Leaving:
    """What goes of these indicators. Raises ``Invalid`` for more than a hundred thousand."""
    found, ours, sources = Leaving(), Ours(how.ours, lake.pseudonym_secret, words=how.words), Keyed(lake.pseudonym_secret("sources"))
    most = min(TLP(how.tlp).rank, TLP.AMBER_STRICT.rank)
    for row in rows:
        if TLP(row.tlp).rank > most:
            found.marked += 1
            continue
        value = _value(row, how, ours)
        if not value:
            found.own += 1
            continue
        told = {"value": value, "source": _field(row.source, how.source, lambda text: sources.word(text, prefix="s")), "tags": _field(", ".join(map(str, row.tags)), how.tags, ours.text), "note": _field(row.note, how.note, ours.text)}
        before = {"value": row.value, "source": row.source, "tags": ", ".join(map(str, row.tags)), "note": row.note}
        differs = [(row.value, name, before[name], told[name]) for name in told if told[name] != before[name]]
        found.changed += bool(differs)
        found.changes += differs[: max(0, SHOWN - len(found.changes))]
        found.rows.append((told["value"], row.kind, told["source"], row.tlp, str(row.confidence), clock.text(row.valid_from), clock.text(row.valid_until) if row.valid_until else "", told["tags"], told["note"]))
        if len(found.rows) > MOST:
            raise Invalid("Too many indicators at once", why=f"At most {MOST:,} are shared at once.", todo="Narrow the list by its conditions.")
    return found


def _field(text: str, way: str, hide: object) -> str:
    if not text or way == Way.KEEP:
        return text
    return "" if way == Way.REMOVE else hide(text)  # type: ignore[operator,no-any-return]


def _value(row: models.Indicator, how: Sharing, ours: Ours) -> str:
    """The value as it goes; nothing where it stays here."""
    if how.own == Way.KEEP or not _is_own(row, ours):
        return row.value
    new = ours.text(row.value, links=True) if how.own == Way.HIDE and row.kind != Kind.CIDR else ""
    return new if new != row.value else ""


def _is_own(row: models.Indicator, ours: Ours) -> bool:
    """Whether a value names something of ours: an address of a private network, a host, page or mailbox below our domains."""
    if row.kind in (Kind.IPV4, Kind.IPV6):
        return ours.address(row.value) != row.value
    if row.kind == Kind.CIDR:
        return ipaddress.ip_network(row.value).is_private and ours.address(row.value.partition("/")[0]) != row.value.partition("/")[0]
    host = row.value.rpartition("@")[2] if row.kind == Kind.EMAIL else observables.host_of(row.value) if row.kind == Kind.URL else row.value if row.kind == Kind.DOMAIN else ""
    return bool(host) and (ours.holds(host) or ours.address(host.strip("[]")) != host.strip("[]"))
