"""Trainings: declared by people, begun on a schedule or by a button, run as durable jobs.

In: a learner of the register, a data set, a schedule. Out: for each run a version of the data set, a model in the registry with what it
measured on rows that did not teach it, and how it ended. A run that is repeated after a crash goes on with the version it had made.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any
from uuid import UUID

import pyarrow as pa
from django.db import transaction
from django.utils.translation import gettext

from lianfang.commons.frame.scoped import whose
from lianfang.commons.jobs import actions as jobs
from lianfang.commons.jobs import queries as job_queries
from lianfang.commons.jobs.types import State
from lianfang.commons.ledger import actions as ledger
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Missing
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.learning import declare, models, queries
from lianfang.rooms.learning.actions import making, registry
from lianfang.rooms.learning.actions.artefacts import keep
from lianfang.rooms.learning.actions.sets import must_belong
from lianfang.rooms.learning.declare import Progress
from lianfang.rooms.learning.types import PACES, Ended, Learned, Made

FIELDS = ("name", "learner", "dataset", "pace", "auto", "enabled")


@transaction.atomic
def create_training(values: Mapping[str, Any], *, actor: Viewer) -> models.Training:
    """A training of the actor's organisation."""
    actor.must("learning.training.add")
    must_belong(actor)
    row = models.Training(**{name: value for name, value in values.items() if name in FIELDS}, declared_by=actor.name, **whose(actor))
    _must_fit(row)
    row.due = _due(row)
    row.save(force_insert=True)
    _told("added", row, actor, **_said(row))
    return row


@transaction.atomic
def change_training(row: models.Training, values: Mapping[str, Any], *, actor: Viewer) -> models.Training:
    """Another schedule, data set or way of approving. What was registered stays."""
    actor.must("learning.training.change")
    row = models.Training.objects.select_for_update().get(pk=row.pk)
    before = _said(row)
    for name in FIELDS:
        setattr(row, name, values.get(name, getattr(row, name)))
    _must_fit(row)
    after = _said(row)
    if after != before:
        if (after["pace"], after["enabled"]) != (before["pace"], before["enabled"]):
            row.due = _due(row)
        row.save()
        _told("changed", row, actor, **ledger.differing(before, after))
    return row


@transaction.atomic
def remove_training(row: models.Training, *, actor: Viewer) -> None:
    """A training goes with its history of runs; its models and their record stay."""
    actor.must("learning.training.delete")
    _told("removed", row, actor, **_said(row))
    row.delete()


def train_now(row: models.Training, *, actor: Viewer) -> models.Run:
    """Begin a run now. Raises ``Conflict`` while one goes on."""
    actor.must("learning.training.run")
    return begin(row, actor=actor)


@transaction.atomic
def begin(row: models.Training, *, actor: Viewer) -> models.Run:
    """A run, on its way; one at a time."""
    row = models.Training.objects.select_for_update().get(pk=row.pk)
    for run in row.runs.filter(state=Ended.RUNNING):
        if _goes_on(run):
            raise Conflict(gettext("“%s” is being trained") % row, why="A run goes on.", todo="Wait for its end.")
        _end(run, Ended.FAILED, gettext("it was ended before it was done"))
    run = models.Run(training=row, asked_by=actor.name, person=str(actor.id), organisation=row.organisation, territory=row.territory, industry=row.industry)
    run.job = str(jobs.enqueue("learning.train", {"run_id": str(run.pk)}, actor=actor).id)
    run.save(force_insert=True)
    _told("begun", row, actor)
    return run


def _goes_on(run: models.Run) -> bool:
    try:
        return bool(run.job) and job_queries.progress(UUID(run.job), SYSTEM).state in (State.WAITING, State.RUNNING)
    except Missing:
        return False


def train(run_id: str, *, progress: Progress) -> models.Run:
    """Make a version, teach, measure, register. Raises the ``Fault`` for which it failed, which stands on the run too."""
    run = models.Run.objects.select_related("training__dataset", "version").get(pk=run_id)
    if run.state in (Ended.DONE, Ended.SAME):
        return run
    if run.state == Ended.FAILED:
        models.Run.objects.filter(pk=run.pk).update(state=Ended.RUNNING, ended=None, trouble="")
    began = monotonic()
    try:
        version = _version(run, lambda percent, said: progress(percent * 0.5, said))
        learned = _taught(run, version, lambda percent, said: progress(50 + percent * 0.45, said))
        return _concluded(run, version, learned, began)
    except Exception as error:
        _end(run, Ended.FAILED, str(error) or type(error).__name__, seconds=monotonic() - began)
        raise


def _version(run: models.Run, progress: Progress) -> models.Version:
    """The version that this run made, made now if a run before did not come so far."""
    if run.version is None or run.version.state == Made.FAILED:
        with transaction.atomic():
            run.version = making.begin_version(run.training.dataset, actor=SYSTEM)
            run.save(update_fields=("version",))
    return making.make_version(str(run.version.pk), progress=progress)


def _taught(run: models.Run, version: models.Version, progress: Progress) -> Learned:
    learner = declare.learner_called(run.training.learner)
    rows = pa.concat_tables(list(queries.rows(version, viewer=making.at_work(version.dataset), to=None, whole=True)))
    learned = learner.train(rows, progress)
    if learner.metric not in learned.metrics:
        raise Invalid(f"{learner.key} measured nothing", why=f"Its metrics lack {learner.metric}.", todo="Mend the learner.")
    return learned


def _concluded(run: models.Run, version: models.Version, learned: Learned, began: float) -> models.Run:
    training, learner = run.training, declare.learner_called(run.training.learner)
    before = queries.in_use(training.organisation, learner=learner.key)
    digest, size = keep([learned.artefact], learned.form)
    run.rows, run.held, run.metric, run.before, run.version = learned.rows, learned.held, learned.metrics[learner.metric], before.score if before else None, version
    with transaction.atomic():
        newest = models.Model.objects.filter(organisation=training.organisation, name=training.name, learner=learner.key).order_by("-number").first()
        if newest is not None and newest.digest == digest and newest.metrics == dict(learned.metrics):
            run.model = newest
            _end(run, Ended.SAME, "", seconds=monotonic() - began)
            return run
        values = {"name": training.name, "kind": learner.kind, "form": learned.form, "metrics": learned.metrics, "metric": learner.metric, "parameters": learned.parameters}
        of = {"organisation": training.organisation, "territory": training.territory, "industry": training.industry}
        run.model = registry.enter(values, digest, size, of=of, actor=SYSTEM, taught=version, learner=learner.key)
        if training.auto and no_worse(run.metric, run.before, least=learner.least):
            registry.use_model(registry.approve_model(run.model, actor=SYSTEM), actor=SYSTEM)
        _end(run, Ended.DONE, "", seconds=monotonic() - began)
    return run


def no_worse(metric: float, before: float | None, *, least: bool = False) -> bool:
    """Whether a metric is as good as the one before.

    >>> no_worse(0.9, None), no_worse(0.9, 0.91), no_worse(0.2, 0.3, least=True)
    (True, False, True)
    """
    return before is None or (metric <= before if least else metric >= before)


@transaction.atomic
def _end(run: models.Run, state: Ended, trouble: str, *, seconds: float | None = None) -> None:
    run.state, run.ended, run.seconds, run.trouble = state, clock.now(), seconds, trouble[:300]
    run.save()
    said = {"rows": run.rows, "held": run.held, "metric": run.metric, "before": run.before, "model": str(run.model or ""), "version": str(run.version or ""), "trouble": run.trouble}
    _told({Ended.FAILED: "failed"}.get(state, "done"), run.training, SYSTEM, **{name: value for name, value in said.items() if value not in (None, "")})


def _must_fit(row: models.Training) -> None:
    row.name = row.name.strip()
    learner = declare.learner_called(row.learner)
    if row.dataset.origin != learner.origin:
        raise Invalid("This data set does not fit the learner", why=gettext("It needs %s.") % learner.origin.label, todo="Choose another one, or make one.", details={"dataset": [gettext("of another kind")]})
    if models.Training.objects.filter(organisation=row.organisation, name=row.name).exclude(pk=row.pk).exists():
        raise Invalid("There is a training of this name", todo="Choose another name.", details={"name": [gettext("taken")]})
    if models.Model.objects.filter(organisation=row.organisation, name=row.name).exclude(learner=row.learner).exists():
        raise Invalid("Models of another origin have this name", todo="Choose another name.", details={"name": [gettext("taken")]})


def _due(row: models.Training) -> Any:
    return clock.now() + PACES[row.pace] if row.enabled and row.pace in PACES else None


def _said(row: models.Training) -> dict[str, Any]:
    return {name: str(getattr(row, name)) for name in FIELDS}


def _told(verb: str, row: models.Training, actor: Viewer, **detail: Any) -> None:
    ledger.record(f"learning.training_{verb}", row.ref, actor=actor, label=row.name, detail=detail, territory=row.territory, industry=row.industry)
