"""What detect does when something happened below."""

from lianfang.commons.jobs.declare import on
from lianfang.rooms.detect import actions
from lianfang.rooms.detect.types import MatchesKept
from lianfang.rooms.lake.types import ReadingStopped, SourceErased


@on(MatchesKept, name="detect.correlate", atomic=False)
def correlate(fact: MatchesKept) -> None:
    """Marks are taken in by one at a time, wherever they came in; first worked out, then written."""
    actions.take_marks()


@on(SourceErased, name="detect.forget_source")
def forget_source(fact: SourceErased) -> None:
    """The findings of a source go with it."""
    actions.forget_source(fact.source)


@on(ReadingStopped, name="detect.note_reading_stopped")
def note_reading_stopped(fact: ReadingStopped) -> None:
    """Somebody who reads more protected data than is allowed is a finding."""
    actions.note_reading_stopped(fact)
