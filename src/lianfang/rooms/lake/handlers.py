"""What happened below, and what the lake does about it."""

from __future__ import annotations

from lianfang.commons.jobs.declare import on
from lianfang.commons.people.types import OrganisationMoved
from lianfang.rooms.lake import actions


@on(OrganisationMoved, name="lake.carry_events")
def carry_events(fact: OrganisationMoved) -> None:
    """Stored events follow their organisation to its new path."""
    actions.carry(axis=fact.axis, before=fact.before, after=fact.after)
