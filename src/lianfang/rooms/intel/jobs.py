"""Time has come: take an import in, tell that the watch list turned with time, forget drafts, ask outside APIs, tell which submissions are late."""

from __future__ import annotations

from typing import Any

from lianfang.commons.jobs.actions import Run
from lianfang.commons.jobs.declare import every, job
from lianfang.rooms.intel import actions


@job(name="intel.take_in", attempts=4)
def take_in(intake: str, actor: dict[str, Any], run: Run) -> None:
    """An import that somebody started."""
    actions.carry_out(intake, actor=actor, run=run)


@every(seconds=60)
@job(name="intel.turn", attempts=2)
def turn() -> None:
    """Indicators become valid and expire without anybody doing anything; higher rooms hear of it within a minute."""
    actions.tell()


@every(seconds=3600)
@job(name="intel.sweep", attempts=2)
def sweep() -> None:
    """Drafts live a day."""
    actions.sweep()


@every(seconds=60)
@job(name="intel.ask_feeds", attempts=2)
def ask_feeds() -> None:
    """Outside APIs whose time has come are asked, each by a job of its own."""
    actions.ask_feeds()


@job(name="intel.read_feed", attempts=1)
def read_feed(feed: str) -> None:
    """One outside API is asked; what goes wrong stands on it, and the next look tries again."""
    actions.read_feed(feed)


@every(seconds=3600)
@job(name="intel.tell_late", attempts=2)
def tell_late() -> None:
    """Whoever triages hears of submissions that wait longer than was promised."""
    actions.tell_late()
