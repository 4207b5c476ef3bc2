"""What respond does when something happened below."""

from lianfang.commons.jobs.declare import on
from lianfang.rooms.detect.types import FindingsStored, MonitorRecovered
from lianfang.rooms.lake.types import SourceErased
from lianfang.rooms.respond import actions


@on(FindingsStored, name="respond.raise_alerts")
def raise_alerts(fact: FindingsStored) -> None:
    """Findings become alerts."""
    actions.raise_alerts(fact.batch)


@on(MonitorRecovered, name="respond.mark_recovered")
def mark_recovered(fact: MonitorRecovered) -> None:
    """What a keyword alarm raised is over."""
    actions.mark_recovered(fact)


@on(SourceErased, name="respond.forget_source")
def forget_source(fact: SourceErased) -> None:
    """The alerts of a source go with it."""
    actions.forget_source(fact.source)
