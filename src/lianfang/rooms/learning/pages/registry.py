"""The registry of models: the list, one with its metrics over versions, two side by side, one from outside."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse, reverse_lazy
from django.utils import timezone
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame import sheets
from lianfang.commons.frame.pages import download, page, panel, show
from lianfang.commons.frame.sheets import Column, Sheet, Verb, linked
from lianfang.kernel.errors import Fault, Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.learning import actions, models, queries
from lianfang.rooms.learning.pages.overview import MODEL_TONES, learner_name
from lianfang.rooms.learning.types import Form, Stand


def score_of(row: models.Model) -> str:
    """The metric that decides, with its name."""
    return "" if row.score is None else f"{row.metric} {row.score:.4g}"


def origin_of(row: models.Model) -> Any:
    """Which learner made it, or that it came from outside."""
    return learner_name(row.learner) if row.learner else _("from outside")


MODELS = sheets.register(
    Sheet(
        model=models.Model,
        path="models",
        parent="overview",
        about=linked(_("Every model with what it was trained on and what it measured. It is proposed, approved by a second person, put in use; an earlier version can be taken up again."), "learning:model_register", _("Register a model")),
        columns=(
            Column("name", value=str, sort="name"), "kind", Column("score", _("Metric"), value=score_of, sort=False, plain=lambda row: row.score), Column("taught", _("Trained on"), value=lambda row: str(row.taught or ""), cell="text", sort=False), Column("state", tones=MODEL_TONES), "proposed_by", "proposed",
            Column("origin", _("Made by"), value=origin_of, sort=False, plain=lambda row: row.learner), Column("metrics", shown=False, cell="text", plain=lambda row: row.metrics), Column("parameters", shown=False, cell="text", plain=lambda row: row.parameters), Column("number", shown=False), Column("form", shown=False),
            Column("bytes", cell="bytes", shown=False), Column("digest", cell="code", shown=False), Column("approved_by", shown=False), Column("used", shown=False), Column("note", shown=False),
        ),
        facts=(
            Column("state", tones=MODEL_TONES), "kind", Column("origin", _("Made by"), value=origin_of), Column("form"), Column("bytes", cell="bytes"), Column("digest", cell="code"), "proposed_by", "proposed", "approved_by", "approved", "used_by", "used", "retired_by", "retired", "note",
        ),
        filters=("state", "kind", "form", "proposed"),
        search=("name", "kind", "note"),
        rows=lambda viewer: models.Model.objects.seen_by(viewer).select_related("taught__dataset"),
        order="-proposed",
        verbs=(
            Verb("approve", pgettext_lazy("model", "Approve"), actions.approve_model, icon="check", when=lambda row: row.state == Stand.PROPOSED),
            Verb("use", pgettext_lazy("model", "Put in use"), actions.use_model, icon="player-play", when=lambda row: row.state == Stand.APPROVED, confirm=_("It takes the place of the version that is in use. Put it in use?")),
            Verb("retire", pgettext_lazy("model", "Retire"), actions.retire_model, icon="archive", danger=True, when=lambda row: row.state != Stand.RETIRED, confirm=_("It is not used any more, for good. Retire it?")),
        ),
        template="learning/model.html",
        empty=(_("No model is registered yet"), _("A training registers what it learned; a model from outside is sent here."), reverse_lazy("learning:model_register"), _("Register a model")),
    )
)


@panel("learning.model.main", title=_("Metrics"), order=10)
def metrics_panel(request: HttpRequest, row: models.Model) -> str:
    """What it measured, beside the version before, and how the metric that decides went."""
    versions = queries.history(row, viewer=request.viewer)  # type: ignore[attr-defined]
    before = next((one for one in reversed(versions) if one.number < row.number), None)
    lines = [{"name": name, "value": value, "before": before.metrics.get(name) if before else None, "decides": name == row.metric, "change": value - before.metrics[name] if before and name in before.metrics else None} for name, value in row.metrics.items()]
    return render_to_string("learning/part_metrics.html", {"row": row, "lines": lines, "before": before, "chart": chart(versions, [row.metric]) if len(versions) > 1 and row.metric else None}, request=request)


@panel("learning.model.side", title=_("Versions"), order=10)
def versions_panel(request: HttpRequest, row: models.Model) -> str:
    """The others of its name, each to be compared with it."""
    versions = queries.history(row, viewer=request.viewer)[::-1]  # type: ignore[attr-defined]
    lines = [{"row": one, "tone": MODEL_TONES[Stand(one.state)], "here": one.pk == row.pk, "score": score_of(one)} for one in versions]
    return render_to_string("learning/part_models.html", {"row": row, "lines": lines}, request=request)


def chart(versions: list[models.Model], names: list[str]) -> dict[str, Any]:
    """Metrics over the versions of a model, one line for each; the version that is in use is marked."""
    values = [one.metrics[name] for one in versions for name in names if name in one.metrics]
    least, most = min(values, default=0.0), max(values, default=1.0)
    return {
        "animation": False, "legend": {"top": 0}, "tooltip": {"trigger": "axis"}, "xAxis": {"type": "category", "data": [f"v{one.number}" for one in versions]},
        "yAxis": {"type": "value", "scale": True, **({"min": 0, "max": 1} if least >= 0 and most <= 1 else {})},
        "series": [{"type": "line", "name": name, "connectNulls": True, "showSymbol": True, "data": [{"value": one.metrics.get(name), "symbolSize": 11} if one.state == Stand.USED else one.metrics.get(name) for one in versions]} for name in names],
    }  # fmt: skip


@page("models/compare/", name="compare", permission="learning.model.view", title=_("Two versions side by side"), parent="model_list")
def compare(request: HttpRequest) -> HttpResponse:
    """``?a=…&b=…``: what differs in data, parameters and metrics, and how each metric went over all versions."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    rows = [_one(request.GET.get(name, ""), viewer) for name in ("a", "b")]
    if not all(rows):
        raise Missing("There is nothing to compare", why="Two versions are needed, both in your scope.", todo="Open a model and choose one of its versions.")
    one, other = rows
    assert one and other  # noqa: S101  (said above)
    names = list(dict.fromkeys([*one.metrics, *other.metrics]))
    metrics = [{"name": name, "a": one.metrics.get(name), "b": other.metrics.get(name), "change": other.metrics[name] - one.metrics[name] if name in one.metrics and name in other.metrics else None, "decides": name in (one.metric, other.metric)} for name in names]
    facts: list[dict[str, Any]] = [
        {"name": label, "a": _shown(one, name), "b": _shown(other, name)}
        for name, label in (("state", _("state")), ("kind", _("kind")), ("taught", _("trained on")), ("proposed", _("proposed")), ("approved_by", _("approved by")), ("form", pgettext_lazy("model", "written in")), ("digest", "SHA-256"))
    ]  # fmt: skip
    facts += [{"name": name, "a": one.parameters.get(name, ""), "b": other.parameters.get(name, "")} for name in dict.fromkeys([*one.parameters, *other.parameters])]
    for line in facts:
        line["differs"] = str(line["a"]) != str(line["b"])
    versions = queries.history(other, viewer=viewer)
    drawn = [name for name in names if any(name in each.metrics for each in versions)][:6]
    context = {"one": one, "other": other, "metrics": metrics, "lines": facts, "chart": chart(versions, drawn) if drawn and len(versions) > 1 else None}
    return show(request, "learning/compare.html", context, title=f"{one} ↔ {other}")


def _one(text: str, viewer: Viewer) -> models.Model | None:
    try:
        return models.Model.objects.seen_by(viewer).select_related("taught__dataset").filter(pk=UUID(text)).first()
    except ValueError:
        return None


def _shown(row: models.Model, name: str) -> Any:
    if name == "state":
        return row.get_state_display()
    if name == "proposed":
        return f"{timezone.localtime(row.proposed):%Y-%m-%d %H:%M}"
    if name == "form":
        return row.get_form_display()
    return getattr(row, name) or ""


@page("models/register/", name="model_register", permission="learning.model.add", title=_("Register a model"), parent="model_list")
def register(request: HttpRequest) -> HttpResponse:
    """A model that was trained elsewhere; the same can be sent by a program."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    fault = None
    if request.method == "POST":
        try:
            row = actions.register_model(request.POST.dict(), request.FILES.get("file"), actor=viewer)
            messages.success(request, gettext("“%s” is proposed; a second person approves it") % row)
            return HttpResponseRedirect(reverse("learning:model", kwargs={"pk": row.pk}))
        except Fault as found:
            fault = found
    versions = models.Version.objects.seen_by(viewer).exclude(made=None).select_related("dataset").order_by("-moment")[:60]
    address = request.build_absolute_uri("/api/learning/models/upload")
    return show(request, "learning/register.html", {"fault": fault, "posted": request.POST, "forms": Form.choices, "versions": [(str(one.pk), str(one)) for one in versions], "address": address, "limit": queries.limit() >> 20}, status=fault.status if fault else 200)


@page("models/<uuid:pk>/artefact/", name="artefact", permission="learning.model.export", title=_("Artefact"), parent="model_list")
def artefact(request: HttpRequest, pk: Any) -> HttpResponseBase:
    """Its bytes, as a download."""
    row = models.Model.objects.fetch(pk, request.viewer)  # type: ignore[attr-defined]
    file = actions.take_model(row, actor=request.viewer)  # type: ignore[attr-defined]
    return download(file, f"{row.name}-v{row.number}.{row.form}", "application/octet-stream", {"X-Content-Type-Options": "nosniff"})
