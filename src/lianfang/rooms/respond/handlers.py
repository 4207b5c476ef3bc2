"""What respond does when something happened below."""

from lianfang.commons.jobs.declare import on
from lianfang.rooms.detect.types import FindingsStored
from lianfang.rooms.lake.types import SourceErased
from lianfang.rooms.respond import actions


@on(FindingsStored, name="respond.raise_alerts")
def raise_alerts(fact: FindingsStored) -> None:
    """Findings become alerts."""
    actions.raise_alerts(fact.batch)


@on(SourceErased, name="respond.forget_source")
def forget_source(fact: SourceErased) -> None:
    """The alerts of a source go with it."""
    actions.forget_source(fact.source)
