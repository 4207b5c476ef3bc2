"""Drift: a source that no longer writes as it usually does is noticed, told, and not half imported; then mended or accepted.

In: batches on their way in (the ingest process), and a person's word. Out: records that no longer fit, which become rejects
instead of events; a ``Drift`` with what changed; a notice for the owners. A mended source is read anew and what was held back
goes through again under the same watch: what still does not fit is held back again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any

from django.db import transaction
from django.db.models import F

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import actions as ledger
from lianfang.engines.connect import drift
from lianfang.engines.connect.drift import Change, Usual, Window
from lianfang.engines.connect.mapping import Mapped
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Missing
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.lake import models, queries
from lianfang.rooms.lake.actions import noticing, rejects
from lianfang.rooms.lake.models import Course
from lianfang.rooms.lake.types import HELD, NOT_HERE, SourceDrifted

RUNNING = (Course.OPEN, Course.MENDING)
EVERY = 5.0
"""Seconds between two notes of what is usual, while nothing drifts."""
EXAMPLES, EXAMPLE_BYTES = 8, 4000
TODO = "Mend the mapping of the source on its page, or accept the new form; then what was held back goes through again."


@dataclass(frozen=True, slots=True)
class Noted:
    """What a batch told about its source, for the transaction that concludes the batch."""

    source: str
    era: int
    usual: dict[str, Any] | None = None
    changes: tuple[Change, ...] = ()
    examples: tuple[str, ...] = ()
    held: int = 0
    fits: bool = False

    @property
    def says(self) -> bool:
        """Whether there is anything to keep."""
        return self.usual is not None or bool(self.changes) or self.held > 0 or self.fits


@dataclass(slots=True)
class _State:
    era: int
    usual: Usual
    changes: list[Change]
    course: str
    pending: Window = field(default_factory=Window)
    due: float = 0.0


class Watcher:
    """Judges the batches of one ingest process, in order."""

    def __init__(self) -> None:
        self._states: dict[str, _State] = {}

    def judge(self, source: str, era: int, rows: Sequence[Mapping[str, str]], mapped: Mapped | None, *, raws: Sequence[bytes], broken: Sequence[bytes], received: datetime, strict: bool, hold: bool, again: bool) -> tuple[dict[int, str], Noted]:
        """Rows that are to be held back with the reason, and what to note. ``again``: they were sent through again and teach nothing."""
        state = self._state(source, era)
        fresh, learned = self._weigh(state, drift.look(rows, mapped, rejects=len(broken), received=received), strict=strict) if not again else ([], False)
        state.changes += fresh
        held = drift.misfits(state.changes, rows, mapped, received=received) if hold and mapped is not None and state.changes else {}
        fits = state.course == Course.MENDING and bool(rows) and not held and not broken
        if fits:
            state.changes, state.course = [], ""
        examples = tuple(_text(raw) for raw in [*(raws[at] for at in list(held)[:EXAMPLES]), *broken[:EXAMPLES], *raws[:EXAMPLES]][:EXAMPLES]) if fresh else ()
        usual = state.usual.as_dict() if learned and monotonic() >= state.due else None
        if usual is not None:
            state.due = monotonic() + EVERY
        return {at: reason(change) for at, change in held.items()}, Noted(source, era, usual, tuple(fresh), examples, len(held), fits)

    def forget(self) -> None:
        """Read everything from the database again: after a failure of storing."""
        self._states.clear()

    def _weigh(self, state: _State, window: Window, *, strict: bool) -> tuple[list[Change], bool]:
        """What is new, and whether it was learned from."""
        state.pending.add(window)
        if state.pending.size < drift.WINDOW:
            return [], False
        whole, state.pending = state.pending, Window()
        found = state.usual.judge(whole, strict=strict)
        if not found and not state.changes:
            state.usual.learn(whole)
        known = {one.key for one in state.changes}
        return [one for one in found if one.key not in known], not found and not state.changes

    def _state(self, source: str, era: int) -> _State:
        state = self._states.get(source)
        if state is None or state.era != era:
            kept = models.Usual.objects.filter(source__name=source).first()
            going = models.Drift.objects.filter(source__name=source, course__in=RUNNING).first()
            state = self._states[source] = _State(era, Usual(kept.value if kept else None), changes_of(going) if going else [], going.course if going else "")
        return state


def reason(change: Change) -> str:
    """Why a record is held back, in a sentence that a reader's language may have."""
    if change.what == "unknown":
        return "It no longer fits: no template of its own knows it"
    return f"It no longer fits: it gives no {change.name}"


def changes_of(row: models.Drift) -> list[Change]:
    """The changes of a drift, as values."""
    return [Change(**{**one, "lost": tuple(one["lost"]), "fresh": tuple(one["fresh"])}) for one in row.changes]


def keep(noted: Noted) -> None:
    """In the transaction that concludes a batch: what is usual, what drifted, what fits again. A note from before a change of the source says nothing any more."""
    row = models.Source.objects.filter(name=noted.source, era=noted.era).first() if noted.says else None
    if row is None:
        return
    if noted.usual is not None:
        models.Usual.objects.update_or_create(source=row, defaults={"value": noted.usual, "changed": clock.now()})
    going = row.drifts.filter(course__in=RUNNING).first()
    if noted.changes:
        going = _begin(row, going, noted)
    if going is not None and noted.held:
        models.Drift.objects.filter(pk=going.pk).update(held=F("held") + noted.held)
    if going is not None and noted.fits:
        _end(row, going, Course.MENDED, SYSTEM)
        noticing.tell(row, "fits")


def _begin(row: models.Source, going: models.Drift | None, noted: Noted) -> models.Drift:
    """A drift begins, or shows one more side."""
    told = [asdict(one) for one in noted.changes]
    if going is None:
        going = models.Drift.objects.create(source=row, changes=told, examples=list(noted.examples))
        models.Source.objects.filter(pk=row.pk).update(drifting_since=going.since)
    else:
        going.changes, going.examples = [*going.changes, *told], [*going.examples, *noted.examples][-2 * EXAMPLES :]
        going.save(update_fields=("changes", "examples"))
    noticing.tell(row, "drifted", changes=len(told))
    said = [f"{one.what} {one.template} {one.name}".strip() for one in noted.changes]
    ledger.record("lake.source_drifted", row.ref, actor=SYSTEM, label=row.name, detail={"changes": said, "held": row.hold}, territory=row.territory, industry=row.industry)
    jobs.publish(SourceDrifted(source=row.name, organisation=row.organisation, changes=said))
    return going


def _end(row: models.Source, going: models.Drift, course: Course, actor: Viewer) -> None:
    models.Drift.objects.filter(pk=going.pk).update(course=course, ended=clock.now(), ended_by=actor.name[:120])
    models.Source.objects.filter(pk=row.pk).update(drifting_since=None)
    ledger.record(f"lake.drift_{course.value}", row.ref, actor=actor, label=row.name, detail={"held": going.held}, territory=row.territory, industry=row.industry)


# ---- what a person does about it -------------------------------------------------------------------------------


def read_anew(row: models.Source) -> None:
    """A source is read otherwise from now on: its past is another's. While it drifts the attributes that it filled stay expected; in the caller's transaction."""
    going = row.drifts.filter(course__in=RUNNING).first()
    kept = models.Usual.objects.filter(source=row).first()
    if going is None:
        models.Usual.objects.filter(source=row).delete()
    else:
        going.course = Course.MENDING
        going.changes = [one | {"template": row.template or one["template"]} for one in going.changes]
        going.save(update_fields=("course", "changes"))
        if kept is not None:
            kept.value = Usual(kept.value).carried(row.template).as_dict()
            kept.save(update_fields=("value",))
    models.Source.objects.filter(pk=row.pk).update(era=F("era") + 1)


def accept_drift(row: models.Source, *, actor: Viewer) -> int:
    """This is how the source writes from now on: nothing is held back for it any more, and what was goes through again. Returns how many records."""
    actor.must("lake.source.change")
    with transaction.atomic():
        going = row.drifts.filter(course__in=RUNNING).first()
        if going is None:
            raise Conflict("The source does not drift", todo="Look at its page again.")
        kept = models.Usual.objects.filter(source=row).first()
        if kept is not None:
            kept.value = Usual(kept.value).without(changes_of(going)).as_dict()
            kept.save(update_fields=("value",))
        _end(row, going, Course.ACCEPTED, actor)
        models.Source.objects.filter(pk=row.pk).update(era=F("era") + 1)
    return release_held(row, since=going.since, actor=actor)


def decide_drift(source: str, what: str, *, actor: Viewer) -> int:
    """``accept`` or ``release`` by the source's name; raises ``Missing`` outside the actor's scope."""
    row = models.Source.objects.seen_by(actor).filter(name=source).first()
    if row is None:
        raise Missing(NOT_HERE, why="It does not exist, or it lies outside your scope.", todo="Check the name.")
    if what == "accept":
        return accept_drift(row, actor=actor)
    going = row.drifts.filter(course__in=RUNNING).first()
    return release_held(row, since=going.since if going else clock.now(), actor=actor)


def release_held(row: models.Source, *, since: datetime, actor: Viewer) -> int:
    """Send what was held back, and what could not be read since, through again; returns how many records. Each is an event once."""
    if not actor.may("lake.reject.replay"):
        return 0  # what was held back stays listed, for somebody who may
    count = 0
    for group in queries.reject_groups(viewer=actor, source=row.name):
        if group.stage == HELD or group.last >= since:
            try:
                count += rejects.replay_rejects(row.name, group.kind, actor=actor)
            except Conflict:  # none of them is whole, or they are on their way into the tables: they stay listed
                continue
    return count


def content_of(row: models.Source, *, actor: Viewer) -> bytes:
    """Records to mend a source with: those of the drift, and before them the samples of its own mapping. Raises ``Invalid`` when there is none."""
    actor.must("lake.source.change")
    own = models.Mapping.objects.filter(name=row.template).first()
    going = row.drifts.filter(course__in=RUNNING).first()
    found = [str(test["raw"]) for test in queries.compiled(own.text).tests if test.get("raw")] if own else []
    found += list(going.examples) if going else []
    if not found:
        raise Invalid("There is no record to mend it with", why="The source has no own mapping and does not drift.", todo="Bring a sample.")
    return "\n".join(found).encode()


def _text(raw: bytes) -> str:
    return raw[:EXAMPLE_BYTES].decode("utf-8", "replace")
