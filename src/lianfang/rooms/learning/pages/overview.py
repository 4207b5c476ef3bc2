"""Data sets and models: what was made last, what is in use, what is trained when. The one door to the room's lists."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Count, F, Max, OuterRef, Q, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import Nav, page, sayable, show
from lianfang.commons.jobs import queries as jobs
from lianfang.kernel.errors import Missing
from lianfang.kernel.viewer import SYSTEM, Viewer
from lianfang.rooms.learning import declare, models
from lianfang.rooms.learning.types import Ended, Made, Stand

sayable("%(name)s measured nothing", "Its metrics lack %(name)s.", "No learner is called %(name)s", "The SHA-256 of %(name)s is another.")

SHOWN = 8
MADE_TONES = {Made.WAITING: "busy", Made.READY: "good", Made.FAILED: "bad", Made.REMOVED: "quiet"}
MODEL_TONES = {Stand.PROPOSED: "warn", Stand.APPROVED: "quiet", Stand.USED: "good", Stand.RETIRED: "quiet"}
RUN_TONES = {Ended.RUNNING: "busy", Ended.DONE: "good", Ended.SAME: "quiet", Ended.FAILED: "bad"}
LEVEL_TONES = {1: "quiet", 2: "quiet", 3: "warn", 4: "bad"}


@page("", name="overview", permission="learning.dataset.view", title=_("Data sets and models"), nav=Nav("governance", _("Data sets and models"), order=40, icon="database"))
def overview(request: HttpRequest) -> HttpResponse:
    """The newest of each list, with what waits for somebody."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    newest = models.Version.objects.filter(dataset=OuterRef("pk")).order_by("-number")
    sets = models.DataSet.objects.seen_by(viewer).annotate(kept=Count("versions", filter=Q(versions__state=Made.READY)), last=Max("versions__made"), newest=Subquery(newest.values("pk")[:1])).order_by(F("last").desc(nulls_last=True), "name")
    known = models.Version.objects.in_bulk([row.newest for row in sets[:SHOWN] if row.newest])
    entries = models.Model.objects.seen_by(viewer)
    last = models.Run.objects.filter(training=OuterRef("pk")).order_by("-begun", "-id")
    trainings = models.Training.objects.seen_by(viewer).select_related("dataset").annotate(last=Subquery(last.values("pk")[:1])).order_by("due", "name")
    runs = models.Run.objects.select_related("model").in_bulk([row.last for row in trainings[:SHOWN] if row.last])
    context: dict[str, Any] = {
        "sets": [{"row": row, "newest": known.get(row.newest), "tone": MADE_TONES[Made(known[row.newest].state)] if row.newest in known else ""} for row in sets[:SHOWN]], "all_sets": sets.count(),
        "models": [{"row": row, "tone": MODEL_TONES[Stand(row.state)]} for row in entries.filter(state__in=(Stand.USED, Stand.PROPOSED)).order_by("-proposed", "-id")[:SHOWN]], "all_models": entries.count(), "waiting": entries.filter(state=Stand.PROPOSED).count(),
        "trainings": [{"row": row, "run": runs.get(row.last), "tone": RUN_TONES[Ended(runs[row.last].state)] if row.last in runs else "", "learner": learner_name(row.learner)} for row in trainings[:SHOWN]], "all_trainings": trainings.count(),
        "may": {"dataset": viewer.may("learning.dataset.add"), "model": viewer.may("learning.model.add"), "training": viewer.may("learning.training.add")},
    }  # fmt: skip
    return show(request, "learning/overview.html", context)


def how_far(job: str) -> Any:
    """How a job that goes on is doing; nothing once it was forgotten."""
    try:
        return jobs.progress(UUID(job), SYSTEM) if job else None
    except Missing:
        return None


def learner_name(key: str) -> Any:
    """A learner as people call it; its key where no open room declares it."""
    found = declare.learners().get(key)
    return found.label if found else key
