"""Indicators for others: a table to take away, or a report to a destination; chosen fields hidden, each time on record.

In: indicators that the actor sees, and how they are shared. Out: the bytes of a CSV file, or a report of the lake that a worker sends.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lianfang.commons.ledger import actions as ledger
from lianfang.commons.people import queries as people
from lianfang.kernel.errors import Conflict, Invalid
from lianfang.kernel.ids import new_id
from lianfang.kernel.labels import TLP
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.intel import models, queries
from lianfang.rooms.intel.actions.keeping import owner
from lianfang.rooms.intel.types import Leaving, Mark, Sharing, Way
from lianfang.rooms.lake import actions as lake_actions
from lianfang.rooms.lake import queries as lake
from lianfang.rooms.lake.types import Piece

ROWS, BYTES = 1_000, 256 << 10
"""Rows and bytes of one piece of a report: taken in while the sender waits, so that its answer names what it refuses."""
_PARTED = re.compile(r"[\n,;，；、]+")


def sharing_of(said: Mapping[str, Sequence[str]]) -> Sharing:
    """How indicators are shared, from the fields of a form; raises ``Invalid``."""
    usual = Sharing()
    chosen = {name: (said.get(name) or [getattr(usual, name)])[0] for name in ("source", "note", "tags", "own")}
    if strange := [name for name, way in chosen.items() if way not in Way.values]:
        raise Invalid("There is no such way of sharing", why=", ".join(strange), todo="Choose keep, hide or remove.")
    tlp = (said.get("tlp") or [usual.tlp])[0]
    if tlp not in Mark.values:
        raise Invalid("There is no such mark", why=tlp[:20], todo="Use clear, green, amber or amber+strict.")
    lists = {name: tuple(word.strip() for text in said.get(name, ()) for word in _PARTED.split(text) if word.strip()) for name in ("ours", "words")}
    return Sharing(tlp, **chosen, ours=lists["ours"], words=lists["words"])


def look(rows: Iterable[models.Indicator], how: Sharing, *, actor: Viewer) -> Leaving:
    """What would go; nothing is recorded."""
    actor.must("intel.indicator.export")
    lake_actions.make_keys()
    return queries.leaving(rows, how)


def share(rows: Iterable[models.Indicator], how: Sharing, *, about: str, actor: Viewer) -> bytes:
    """The table as CSV, to be taken away; that it was is on the ledger."""
    found = look(rows, how, actor=actor)
    if not found.rows:
        raise _nothing(found)
    content = b"\xef\xbb\xbf" + _table(tuple(map(_defused, row)) for row in found.rows)
    _told("intel.indicators_shared", found, how, actor, about=about, sha256=hashlib.sha256(content).hexdigest())
    return content


def report(rows: Iterable[models.Indicator], how: Sharing, to: Any, *, about: str, actor: Viewer) -> Any:
    """The same to a destination, in pieces that its import takes in at once; what is marked more closely than may go there stays."""
    goal = lake.destination(to, "indicators", viewer=actor)
    how = replace(how, tlp=min(how.tlp, goal.tlp, key=lambda mark: TLP(mark).rank))
    found = look(rows, how, actor=actor)
    if not found.rows:
        raise _nothing(found)
    terms = {"source": people.name_of(actor.organisation)[:120] or "report", "tlp": goal.tlp, "days": 0}
    made = lake_actions.report(goal, "indicators", _pieces(found.rows), about=about, terms=terms, kept_back=found.marked + found.own, actor=actor)
    _told("intel.indicators_reported", found, how, actor, about=about, to=goal.name, sha256=made.sha256)
    return made


def _pieces(rows: Iterable[tuple[str, ...]]) -> Iterator[Piece]:
    return lake_actions.pieces(rows, rows=ROWS, bytes_=BYTES, length=lambda row: 3 * sum(map(len, row)), pack=_table)  # a letter has three bytes at most, nearly always


def _table(rows: Iterable[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(queries.COLUMNS)
    writer.writerows(rows)
    return text.getvalue().encode()


def _defused(text: str) -> str:
    """A cell that a spreadsheet takes for text, never for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _nothing(found: Leaving) -> Conflict:
    return Conflict("There is nothing to send", why=f"{found.marked:,} are marked more closely than may go, {found.own:,} are your own." if found.marked or found.own else "No indicator answers to the conditions.", todo="Ask otherwise.")


def _told(verb: str, found: Leaving, how: Sharing, actor: Viewer, *, about: str, **detail: Any) -> None:
    place = owner(actor)
    said = {"rows": len(found.rows), "changed": found.changed, "kept_back": found.marked + found.own, "tlp": how.tlp, "fields": {name: getattr(how, name) for name in ("source", "note", "tags", "own")}, **detail}
    ledger.record(verb, Ref("intel", "sharing", str(new_id())), actor=actor, label=about[:200] or "watch list", detail=said, territory=place["territory"], industry=place["industry"])
