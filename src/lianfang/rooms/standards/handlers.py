"""What happened below: the lake destroyed a part, or brought one back."""

from __future__ import annotations

from lianfang.commons.jobs.declare import on
from lianfang.rooms.lake.types import PartDestroyed, PartRestored
from lianfang.rooms.standards import actions


@on(PartDestroyed, name="standards.conclude_destroyed")
def destroyed(fact: PartDestroyed) -> None:
    """The record of the deed is complete."""
    actions.conclude_destroyed(fact.request, rows=fact.rows, tables=fact.tables, files=fact.files)


@on(PartRestored, name="standards.conclude_restored")
def restored(fact: PartRestored) -> None:
    """The same."""
    actions.conclude_restored(fact.request, rows=fact.rows)
