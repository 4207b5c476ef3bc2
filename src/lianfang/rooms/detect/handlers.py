"""What detect does when something happened below."""

from lianfang.commons.jobs.declare import on
from lianfang.rooms.detect import actions
from lianfang.rooms.lake.types import SourceErased


@on(SourceErased, name="detect.forget_source")
def forget_source(fact: SourceErased) -> None:
    """The findings of a source go with it."""
    actions.forget_source(fact.source)
