"""Scenarios that people of this node describe: the list, the form with its stages, one with its way to what the node sees of it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from lianfang.commons.frame.pages import Nav, page, panel, show, told
from lianfang.commons.frame.sheets import Column, Filter, Sheet, SheetForm, Verb, register
from lianfang.kernel.errors import Fault
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.detect import actions, models
from lianfang.rooms.detect.queries import framework, library, linking, staging
from lianfang.rooms.detect.queries.staging import Staged


class OwnScenarioForm(SheetForm):
    """What kind of attack it is, and its stages: as the page sends them, or as plain data."""

    alarm = forms.ChoiceField(label=_("Alarm type"), required=False)
    stages = forms.JSONField(required=False)

    class Meta:
        model = models.OwnScenario
        fields = ("zh", "en", "about_zh", "about_en", "alarm", "stages")
        widgets = {"about_zh": forms.Textarea(attrs={"rows": 3}), "about_en": forms.Textarea(attrs={"rows": 3})}

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.fields["alarm"].choices = [("", "—"), *((key, alarm.named.name) for key, alarm in framework.alarms().items())]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """The stages, checked against what exists."""
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if self.data.get("by") == "form":
            given["stages"] = staging.plain(staging.posted(self.data))
        try:
            staging.must_stand(staging.read(given.get("stages") or []))
        except Fault as fault:
            self.add_error(None, told(fault))
        if not (given.get("zh") or given.get("en")):
            self.add_error(None, translate("The scenario has no name"))
        return given

    def builder(self) -> dict[str, Any]:
        """What the page shows of its stages."""
        if self.is_bound and self.data.get("by") == "form":
            return of_stages(staging.posted(self.data) or (Staged(),))
        return of_stages(staging.read(self.instance.stages) or (Staged(),))


def of_stages(stages: tuple[Staged, ...], *, words: dict[int, str] | None = None) -> dict[str, Any]:
    """Stages with the names of what was chosen; ``words``: what is looked for, by stage."""
    found = []
    for number, stage in enumerate(stages):
        asked = (words or {}).get(number, "")
        kinds = [(key, library.event_models().get(key)) for key in stage.models]
        found.append({"number": number, "place": f"stage.{number}.", "stage": stage, "rules": linking.named(stage.rules), "kinds": kinds, "find": asked, "offers": staging.offers(asked, stage)})
    return {"stages": found, "full": len(found) >= staging.MOST_STAGES}


def rows_of(viewer: Viewer) -> QuerySet[models.OwnScenario]:
    """All of them: like rules, they belong to the node."""
    return models.OwnScenario.objects.all() if viewer.may("detect.ownscenario.view") else models.OwnScenario.objects.none()


OWN_SCENARIOS = register(
    Sheet(
        model=models.OwnScenario,
        path="ownscenarios",
        title=_("Own scenarios"),
        about=_("Kinds of attack that people of this node describe in stages. They stand among the shipped ones, with what this node sees of each stage."),
        columns=(
            Column("zh", _("Scenario"), value=str, sort="zh"), Column("stages", _("Stages"), value=lambda row: len(row.stages), sort=False, cell="number"), Column("alarm", value=lambda row: framework.alarm_name(row.alarm) if row.alarm else "", sort="alarm"), "enabled", "version", "changed_by", Column("changed", cell="time"),
            Column("made_by", shown=False), Column("created", shown=False),
        ),
        facts=("zh", "en", Column("alarm", value=lambda row: framework.alarm_name(row.alarm) if row.alarm else ""), "enabled", "version", "made_by", "created", "changed_by", "changed"),
        filters=("enabled", Filter("alarm", kind="choice", choices=lambda viewer: [(key, alarm.named.name) for key, alarm in framework.alarms().items()]), "changed"),
        search=("zh", "en", "about_zh", "about_en"),
        fields=OwnScenarioForm.Meta.fields,
        form=OwnScenarioForm,
        form_template="detect/ownscenario_form.html",
        template="detect/ownscenario.html",
        importable=False,
        rows=rows_of,
        order="-changed",
        nav=Nav("detection", _("Own scenarios"), order=38, icon="route"),
        create=actions.create_scenario,
        change=actions.change_scenario,
        remove=actions.remove_scenario,
        verbs=(
            Verb("enable", _("Switch on"), actions.enable_scenario, permission="detect.ownscenario.change", bulk=True, icon="player-play", when=lambda row: not row.enabled),
            Verb("disable", _("Switch off"), actions.disable_scenario, permission="detect.ownscenario.change", bulk=True, icon="player-pause", when=lambda row: row.enabled),
        ),
        found=False,
        empty=(_("Nobody has described a scenario yet"), _("Say what kind of attack it is, stage by stage, and choose the rules that see each."), "/detect/ownscenarios/add/", _("New scenario")),
    )
)  # fmt: skip


@page("scenario-build/", name="scenario_build", permission="detect.ownscenario.add", title=_("Own scenarios"), parent="ownscenario_list")
def build(request: HttpRequest) -> HttpResponse:
    """The stages as they are being filled in: with one more or less, with what was found for one of them."""
    op = request.POST.get("op", "") if request.method == "POST" else ""
    stages = staging.posted(request.POST, op=op) if request.method == "POST" else ()
    kept = op.startswith(("find:", "take:", "leave:"))
    words = {number: request.POST.get(f"stage.{number}.find", "") for number in range(len(stages))} if kept else {}
    return show(request, "detect/ownscenario_builder.html", of_stages(stages or (Staged(),), words=words))


@panel("detect.ownscenario.main", title=_("Stages"), order=10)
def stages(request: HttpRequest, row: models.OwnScenario) -> str:
    """As they are described; and the way to what this node sees of them."""
    return render_to_string("detect/panel_stages.html", {"row": row, **of_stages(staging.read(row.stages))}, request)
