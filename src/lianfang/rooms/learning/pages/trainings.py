"""Trainings: what is learned from what and how often, and what became of each run."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse, reverse_lazy
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import sheets
from lianfang.commons.frame.pages import page, panel
from lianfang.commons.frame.sheets import Column, Filter, Sheet, SheetForm, Verb
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.learning import actions, declare, models
from lianfang.rooms.learning.pages.overview import RUN_TONES, how_far, learner_name
from lianfang.rooms.learning.types import Ended

SHOWN = 30


class TrainingForm(SheetForm):
    """The learner out of the register."""

    learner = forms.ChoiceField(label=_("learner"))

    class Meta:
        model = models.Training
        fields = ("name", "learner", "dataset", "pace", "auto", "enabled")

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.fields["learner"].choices = [(one.key, one.label) for one in declare.learners().values()]  # type: ignore[attr-defined]
        self.fields["learner"].help_text = " ".join(str(one.about) for one in declare.learners().values())


TRAININGS = sheets.register(
    Sheet(
        model=models.Training,
        path="trainings",
        parent="overview",
        about=_("A training makes a version of its data set, teaches, measures on what it held out, and registers the model. Learners are part of the node; nobody uploads one."),
        columns=("name", Column("learner", value=lambda row: learner_name(row.learner), plain=lambda row: row.learner), "dataset", "pace", "due", "auto", "enabled", Column("declared_by", shown=False), Column("created", shown=False)),
        filters=("pace", "enabled"),
        search=("name",),
        fields=TrainingForm.Meta.fields,
        form=TrainingForm,
        order="name",
        importable=False,
        create=actions.create_training,
        change=actions.change_training,
        remove=actions.remove_training,
        verbs=(Verb("run", _("Train now"), actions.train_now, icon="player-play"),),
        template="learning/training.html",
        empty=(_("There is no training yet"), _("The first one comes by itself when the node has learned from reviewers of columns; or declare one."), reverse_lazy("learning:training_add"), _("New training")),
    )
)


@panel("learning.training.main", title=_("Runs"), order=10, permission="learning.run.view")
def runs_panel(request: HttpRequest, row: models.Training) -> str:
    """How its metric went, and each run with how it ended."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    rows = list(models.Run.objects.seen_by(viewer).filter(training=row).select_related("model", "version__dataset").order_by("-begun", "-id")[:SHOWN])
    lines = [{"row": one, "tone": RUN_TONES[Ended(one.state)], "work": how_far(one.job) if one.state == Ended.RUNNING else None, "watch": reverse("jobs:work", kwargs={"pk": one.job}) if one.job and one.person == str(viewer.id) else ""} for one in rows]
    context = {"row": row, "lines": lines, "moving": any(one.state == Ended.RUNNING for one in rows), "chart": chart([one for one in rows[::-1] if one.metric is not None], row)}
    return render_to_string("learning/part_runs.html", context, request=request)


@page("trainings/<uuid:pk>/runs/", name="runs_part", permission="learning.run.view", title=_("Runs"), parent="training_list")
def runs_part(request: HttpRequest, pk: Any) -> HttpResponse:
    """The same, for the page that waits."""
    return HttpResponse(runs_panel(request, models.Training.objects.fetch(pk, request.viewer)))  # type: ignore[attr-defined]


def chart(runs: list[models.Run], row: models.Training) -> dict[str, Any] | None:
    """The metric of each run beside that of the model then in use; nothing before the second run."""
    if len(runs) < 2:
        return None
    learner = declare.learners().get(row.learner)
    name = learner.metric if learner else gettext("metric")
    series = [{"type": "line", "name": name, "showSymbol": True, "data": [run.metric for run in runs]}]
    if any(run.before is not None for run in runs):
        series.append({"type": "line", "name": gettext("of the one in use"), "showSymbol": False, "lineStyle": {"type": "dashed"}, "data": [run.before for run in runs]})
    return {
        "animation": False, "legend": {"top": 0}, "tooltip": {"trigger": "axis"}, "yAxis": {"type": "value", "min": 0, "scale": True}, "series": series,
        "xAxis": {"type": "category", "data": [f"{timezone.localtime(run.begun):%m-%d %H:%M}" for run in runs]},
    }  # fmt: skip


RUNS = sheets.register(
    Sheet(
        model=models.Run,
        path="runs",
        parent="overview",
        columns=(
            Column("label", _("Run"), value=str, sort=False), Column("state", tones=RUN_TONES), "begun", Column("seconds", value=lambda row: None if row.seconds is None else round(row.seconds, 2), cell="number"), "rows", "metric", "before", Column("model", value=lambda row: str(row.model or ""), cell="text", sort=False),
            "asked_by", Column("held", shown=False), Column("version", value=lambda row: str(row.version or ""), cell="text", sort=False, shown=False), Column("trouble", shown=False),
        ),
        filters=("state", Filter("training", _("Training")), "begun"),
        rows=lambda viewer: models.Run.objects.seen_by(viewer).select_related("training", "model", "version__dataset"),
        order="-begun",
        found=False,
        empty=(_("Nothing was trained yet"), _("Press “Train now” on a training, or give it a schedule."), reverse_lazy("learning:training_list"), _("Trainings")),
    )
)

