"""The node's own learner: naive Bayes over what reviewers of columns decided (``engines.grading``). It is taught here, and asked by the lake.

In: a version of the data set of lessons. Out: counts as JSON, and the share of lessons that a model which had not seen them got right.
"""

from __future__ import annotations

from zlib import crc32

import pyarrow as pa
from django.db import transaction
from django.utils.translation import gettext

from lianfang.engines.grading.learn import Model
from lianfang.kernel.errors import Conflict, Invalid
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.lake import actions as lake_actions
from lianfang.rooms.learning import models
from lianfang.rooms.learning.actions.trainings import begin
from lianfang.rooms.learning.declare import Progress
from lianfang.rooms.learning.types import GRADING, Form, Learned, Origin, Whose

FOLDS = 5
SURE = 0.5
"""From this probability on the model's vote counts among the others."""


def train(rows: pa.Table, progress: Progress) -> Learned:
    """Measured in five folds: each lesson is asked of a model that the other four taught; the model that is registered was taught with all.

    A lesson belongs to a fold by its column's name, so that the same column never teaches and tests.
    """
    lessons = list(zip(rows["column"].to_pylist(), rows["features"].to_pylist(), rows["item"].to_pylist()))
    if not lessons:
        raise Invalid("There is nothing to learn from", why="No reviewer has decided on a column yet.", todo="Review the grades of some columns first.")
    folds = [crc32(column.encode()) % FOLDS for column, _features, _item in lessons]
    right = sure = 0
    for fold in range(FOLDS):
        progress(100 * fold / FOLDS, gettext("measured on what was held out"))
        model = Model()
        for (_column, features, item), number in zip(lessons, folds):
            if number != fold:
                model.teach(features, item)
        for (_column, features, item), number in zip(lessons, folds):
            if number == fold and (guesses := model.guess(features, most=1)):
                right += guesses[0].item == item
                sure += guesses[0].probability >= SURE
    whole = Model()
    for _column, features, item in lessons:
        whole.teach(features, item)
    metrics = {"accuracy": round(right / len(lessons), 6), "sure": round(sure / len(lessons), 6), "classes": float(len(whole.lessons))}
    return Learned(whole.to_json().encode(), Form.JSON, metrics, rows=len(lessons), held=len(lessons), parameters={"folds": FOLDS, "lessons": len(lessons)})


def use(artefact: bytes, name: str, whose: Whose) -> None:
    """Looks of the organisation ask this model from now on."""
    lake_actions.use_model(artefact.decode(), name, organisation=whose.organisation, territory=whose.territory, industry=whose.industry)


def drop(whose: Whose) -> None:
    """They count anew what reviewers taught."""
    lake_actions.drop_model(whose.organisation)


@transaction.atomic
def learn_grading(whose: Whose) -> None:
    """A look has learned from reviewers: the same is trained, measured and registered; data set and training are made where nobody declared them."""
    of = {"organisation": whose.organisation, "territory": whose.territory, "industry": whose.industry}
    training = models.Training.objects.filter(organisation=whose.organisation, learner=GRADING).order_by("created", "id").first()
    if training is None:
        dataset = models.DataSet.objects.filter(organisation=whose.organisation, origin=Origin.LESSONS).order_by("created", "id").first()
        if dataset is None:
            dataset = models.DataSet.objects.create(name=gettext("Decisions of reviewers"), purpose=gettext("To teach the node which class of data a column holds."), origin=Origin.LESSONS, declared_by=SYSTEM.name, **of)
        training = models.Training.objects.create(name=gettext("Grading of columns"), learner=GRADING, dataset=dataset, declared_by=SYSTEM.name, **of)
    if training.enabled:
        _begin(training)


def _begin(training: models.Training) -> None:
    try:
        with transaction.atomic():
            begin(training, actor=SYSTEM)
    except Conflict:
        pass  # a run goes on, or waits: the next look tells again
