"""What happened below: the lake's grading learned; a source or a part of the lake is gone, and copies of it go too."""

from __future__ import annotations

from lianfang.commons.jobs.declare import on
from lianfang.kernel import clock
from lianfang.rooms.lake.types import GradingLearned, PartDestroyed, SourceErased
from lianfang.rooms.learning import actions
from lianfang.rooms.learning.types import Whose


@on(GradingLearned, name="learning.learn_grading")
def learned(fact: GradingLearned) -> None:
    """What it learned is measured and registered."""
    actions.learn_grading(Whose(fact.organisation, fact.territory, fact.industry))


@on(SourceErased, name="learning.forget_source")
def erased(fact: SourceErased) -> None:
    """Copies of its events go."""
    actions.forget_copies(fact.source)


@on(PartDestroyed, name="learning.forget_part")
def destroyed(fact: PartDestroyed) -> None:
    """The same."""
    if fact.source:
        actions.forget_copies(fact.source, since=clock.parse(fact.since), until=clock.parse(fact.until))
