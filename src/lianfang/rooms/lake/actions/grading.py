"""Grading: look at a data set, propose for every column a class and a level with the votes, and take what reviewers decide.

In: who asks, the event tables or a table file, and a reviewer's word. Out: grades. A decision stays when the data is looked at
again, and every later look has learned from it. Values are never kept: of each column only the shapes of a few.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa
from django.conf import settings
from django.db import transaction

from lianfang.commons.frame.scoped import whose
from lianfang.commons.frame.sheets import tables
from lianfang.commons.jobs import actions as jobs
from lianfang.commons.jobs.types import JobRef
from lianfang.commons.ledger import actions as ledger
from lianfang.engines import grading
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid, Missing
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.lake import models
from lianfang.rooms.lake.actions.uploading import Sent
from lianfang.rooms.lake.queries import grading as queries
from lianfang.rooms.lake.types import GradingLearned

SHAPES, SHAPE_LENGTH = 5, 40


def start_grading(*, actor: Viewer) -> JobRef:
    """Have the event tables of the actor's organisation and below looked at."""
    return _asked(actor, dataset=models.EVENTS)


def start_table(sent: Sent | None, *, actor: Viewer, day: date | None = None) -> JobRef:
    """Have a table file (CSV or XLSX) looked at; it is removed afterwards. ``day``: of when the data is, for what expires."""
    actor.must("lake.grade.run")
    name = PurePath((sent.name if sent else "") or "").name[-100:]
    if sent is None or not name or (sent.size or 0) > tables.BYTES:
        raise Invalid("This file cannot be taken", why=f"One CSV or XLSX file of at most {tables.BYTES >> 20} MiB is taken.", todo="Choose one, or split it.", details={"file": ["missing or too big"]})
    if name == models.EVENTS:
        raise Invalid("The file needs another name", why=f"“{name}” is the data set of the event tables.", todo="Rename it.", details={"file": ["name"]})
    return _asked(actor, dataset=name, day=day, sent=sent)


def _asked(actor: Viewer, *, dataset: str, day: date | None = None, sent: Sent | None = None) -> JobRef:
    actor.must("lake.grade.run")
    if not actor.path and actor.kind != SYSTEM.kind:
        raise Conflict("Grades need an organisation", why="Whoever asks belongs to none.", todo="Ask as a member of one.")
    with transaction.atomic():
        run = models.GradingRun(dataset=dataset, day=day, by=actor.name, **whose(actor))
        if sent is not None:
            run.file = f"grading-{run.pk}"
            folder = _folder(run)
            folder.mkdir(mode=0o700, parents=True)
            (folder / "table").write_bytes(b"".join(sent.chunks()))
        run.save(force_insert=True)
        ledger.record("lake.grading_asked", run.ref, actor=actor, label=dataset)
        return jobs.enqueue("lake.grade", {"run_id": str(run.pk)}, actor=actor)


def grade(run_id: str, *, progress: Callable[[float, str], object]) -> dict[str, int]:
    """Look at what a run asks for; may be repeated after a crash. Returns how many columns there were, and how many are to be reviewed."""
    run = models.GradingRun.objects.filter(pk=run_id).first()
    if run is None:
        raise Missing("There is no such grading run", todo="Ask for another.")
    if run.done:
        return {"columns": run.columns, "open": 0}
    viewer = replace(SYSTEM, territory=(run.territory,), industry=())
    chosen = queries.model_in_use(run.territory)
    model = grading.Model.of_json(chosen.content) if chosen else learned(viewer)
    columns = list(_columns(run, viewer, lambda percent: progress(percent * 0.9, run.dataset)))
    verdicts = grading.judge_table(columns, queries.classes(), model=model, age=(clock.now().date() - run.day).days if run.day else 0)
    with transaction.atomic():
        rows = [_put(run, column, verdict) for column, verdict in zip(columns, verdicts)]
        run.done, run.columns, run.lessons, run.model = clock.now(), len(rows), model.lessons.total(), model.to_json()
        run.save(update_fields=["done", "columns", "lessons", "model"])
        levels = Counter(f"L{row.level}" for row in rows)
        ledger.record("lake.graded", run.ref, actor=SYSTEM, label=run.dataset, detail={"columns": len(rows), "open": sum(row.open for row in rows), "lessons": run.lessons, **({"model": chosen.name} if chosen else {}), **levels}, territory=run.territory, industry=run.industry)
        if taught := learned(viewer).lessons.total():
            jobs.publish(GradingLearned(run=str(run.pk), organisation=run.organisation, territory=run.territory, industry=run.industry, lessons=taught))
    shutil.rmtree(_folder(run), ignore_errors=True) if run.file else None
    progress(100, run.dataset)
    return {"columns": len(rows), "open": sum(row.open for row in rows)}


def use_model(content: str, name: str, *, organisation: str, territory: str, industry: str) -> None:
    """From now on looks of an organisation ask this model; in the caller's transaction, who records it. Raises ``Invalid`` for what is no model."""
    try:
        grading.Model.of_json(content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Invalid("This is no model of grading", why=str(error)[:200], todo="Choose one that the node trained.") from error
    models.GradingModel.objects.update_or_create(organisation=organisation, defaults={"name": name[:120], "content": content, "territory": territory, "industry": industry, "since": clock.now()})


def drop_model(organisation: str) -> None:
    """Looks of an organisation count anew what reviewers taught; in the caller's transaction."""
    models.GradingModel.objects.filter(organisation=organisation).delete()


def learned(viewer: Viewer) -> grading.Model:
    """The model as the reviewers in scope have taught it; a changed decision is what counts, not the proposal."""
    model = grading.Model()
    for features, item in models.Grade.objects.seen_by(viewer).exclude(state=models.Review.OPEN).exclude(item="").order_by("reviewed", "id").values_list("features", "item"):
        model.teach(features, item)
    return model


@transaction.atomic
def accept_grade(row: models.Grade, *, actor: Viewer) -> models.Grade:
    """The proposal is right: class and level are in force from now on."""
    actor.must("lake.grade.change")
    row = models.Grade.objects.select_for_update().get(pk=row.pk)
    if not row.open:
        raise Conflict(f"{row} was reviewed already", why=f"{row.reviewed_by} did.", todo="Change the decision, if it is wrong.")
    return _decided(row, models.Review.ACCEPTED, "", actor)


@transaction.atomic
def change_grade(row: models.Grade, values: Mapping[str, Any], *, actor: Viewer) -> models.Grade:
    """Another class or level, with the reason. A reviewed grade may be changed again."""
    actor.must("lake.grade.change")
    reason = str(values.get("reason", "")).strip()
    if not reason:
        raise Invalid("A change needs a reason", why="Whoever reads the grade later must understand it.", todo="Write a sentence.", details={"reason": ["missing"]})
    row = models.Grade.objects.select_for_update().get(pk=row.pk)
    item = str(values.get("item", row.item))
    if item:
        queries.classes().place(item)
    row.item, row.level = item, int(values.get("level", row.level))
    return _decided(row, models.Review.CHANGED, reason, actor)


def _decided(row: models.Grade, state: str, reason: str, actor: Viewer) -> models.Grade:
    row.state, row.reason, row.reviewed_by, row.reviewed = state, reason, actor.name, clock.now()
    row.save(update_fields=["item", "level", "state", "reason", "reviewed_by", "reviewed"])
    detail = {"item": row.item, "level": row.level, "proposed_item": row.proposed_item, "proposed_level": row.proposed_level, **({"reason": reason} if reason else {})}
    ledger.record(f"lake.grade_{state}", row.ref, actor=actor, label=str(row), detail=detail, territory=row.territory, industry=row.industry)
    return row


def _columns(run: models.GradingRun, viewer: Viewer, progress: Callable[[float], object]) -> Iterable[grading.Column]:
    if not run.file:
        return queries.columns_of_events(viewer=viewer, progress=progress)
    path = _folder(run) / "table"
    if not path.is_file():
        raise Missing("The table is no longer there", why="It was removed after it had been looked at.", todo="Upload it again.")
    headings, lines = tables.read(run.dataset, path.read_bytes())
    return [_column(heading, [line[at] if at < len(line) else "" for line in lines]) for at, heading in enumerate(headings) if heading]


def _column(heading: str, cells: list[str]) -> grading.Column:
    filled = [cell for cell in cells if cell]
    return grading.Column(heading[:120], "", pa.array(dict.fromkeys(filled), pa.string()), len(filled))


def _put(run: models.GradingRun, column: grading.Column, verdict: grading.Verdict) -> models.Grade:
    """The grade of a column with a new proposal; what a reviewer decided stays in force."""
    row = models.Grade.objects.filter(organisation=run.organisation, dataset=run.dataset, column=column.name).first() or models.Grade(organisation=run.organisation, dataset=run.dataset, column=column.name)
    row.territory, row.industry, row.comment, row.records, row.graded = run.territory, run.industry, column.comment[:200], column.records, clock.now()
    row.proposed_item, row.proposed_level, row.confidence = verdict.item, int(verdict.level), verdict.confidence
    row.votes, row.steps, row.features = [asdict(vote) for vote in verdict.votes], [asdict(step) for step in verdict.steps], list(verdict.features)
    row.profile = {"values": verdict.profile.values, "counter": verdict.profile.counter, "whole": verdict.profile.whole, "held": verdict.profile.held, "contained": sorted(verdict.contained)}
    row.shapes = shapes(column.values)
    if row.open:
        row.item, row.level = row.proposed_item, row.proposed_level
    row.save()
    return row


def shapes(values: Any) -> list[str]:
    """The commonest shapes of some values: digits as 0, letters as a, Chinese as 文; no value can be read from them.

    >>> shapes(["cu2612", "rb2601", "138 1234"])
    ['aa0000', '000 0000']
    """
    some = values.slice(0, 2000).to_pylist() if isinstance(values, pa.Array) else list(values)[:2000]
    counts = Counter(re.sub(r"[A-Za-z]", "a", re.sub(r"[^\x00-\x7f]", "文", re.sub(r"\d", "0", str(value)[:SHAPE_LENGTH]))) for value in some)
    return [shape for shape, _times in counts.most_common(SHAPES)]


def _folder(run: models.GradingRun) -> Path:
    return Path(settings.HOME) / "uploads" / PurePath(run.file).name
